/* SPDX-License-Identifier: Apache-2.0 */

/* How long a job waits: from the call that enqueues it to its handler's first line, and to its
 * completed event at a listener, at a steady rate that leaves everything idle most of the time.
 * Beside it, at the same rate, how long one plain publish takes to be acknowledged, and how long a
 * plain message takes that goes the way of a job. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <nats/nats.h>

#include "beanstalk.h"
#include "bench.h"
#include "broker_raw.h"
#include "clock.h"
#include "load.h"
#include "process.h"
#include "relay.h"
#include "temp.h"
#include "wait.h"

enum { SAMPLES = 2000, SLOTS = 4, LIMIT_MS = 30000 };

static int64_t enqueued_us[SAMPLES], started_us[SAMPLES], completed_us[SAMPLES];
static atomic_size_t started, completed;

static jj_verdict note_start(jj_attempt *attempt, void *user)
{
    size_t number = strtoul(jj_attempt_data(attempt, NULL), NULL, 10);

    (void)user;
    started_us[number] = jj__clock_mono_us();
    atomic_fetch_add(&started, 1);
    return jj_done(attempt, NULL, 0);
}

/* They come in the order of the jobs, as these are far apart. */
static void note_completion(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *ctx)
{
    size_t number = atomic_fetch_add(&completed, 1);

    (void)nc;
    (void)sub;
    (void)ctx;
    if (number < SAMPLES)
        completed_us[number] = jj__clock_mono_us();
    natsMsg_Destroy(msg);
}

struct listening {
    natsConnection *nc;
    natsSubscription *sub;
};

static void listen_to(struct listening *listening, const char *url)
{
    natsStatus s = natsConnection_ConnectTo(&listening->nc, url);

    if (s == NATS_OK)
        s = natsConnection_Subscribe(&listening->sub, listening->nc, "job.tick.completed",
                                     note_completion, NULL);
    if (s == NATS_OK)
        s = natsConnection_Flush(listening->nc);
    if (s != NATS_OK)
        bench_fail("listener", NULL);
}

/* So long after another it may go on, for that rate. */
static void pace(int64_t from_us, size_t number, size_t rate)
{
    while (jj__clock_mono_us() - from_us < (int64_t)(number * 1000000 / rate))
        wait_a_moment();
}

static void enqueue_steadily(jj_client *client, size_t count, size_t rate)
{
    char text[24];
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    for (size_t i = 0; i < count; i++) {
        int len = snprintf(text, sizeof(text), "%zu", i);
        const jj_spec spec = {.name = "tick", .data = text, .data_len = (size_t)len + 1};
        pace(from_us, i, rate);
        enqueued_us[i] = jj__clock_mono_us();
        bench_must(jj_enqueue(client, &spec, NULL, &err), "enqueue", &err);
    }
}

static void wait_for(atomic_size_t *counter, size_t count)
{
    int64_t until_ms = jj__clock_mono_ms() + LIMIT_MS;

    while (atomic_load(counter) < count && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    if (atomic_load(counter) < count)
        bench_fail("some jobs did not come", NULL);
}

struct times {
    double p50, p99, max; /* ms */
};

static struct times times_of(int64_t *us, size_t count)
{
    times_sort(us, count);
    return (struct times){.p50 = times_part_ms(us, count, 0.5),
                          .p99 = times_part_ms(us, count, 0.99),
                          .max = times_part_ms(us, count, 1)};
}

static struct times since_enqueue(const int64_t *us, size_t count)
{
    static int64_t times[SAMPLES];

    for (size_t i = 0; i < count; i++)
        times[i] = us[i] - enqueued_us[i];
    return times_of(times, count);
}

/* rate 0: one as soon as the other is acknowledged. */
static struct times publish_times(struct raw *raw, size_t count, size_t rate)
{
    static int64_t us[SAMPLES];
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    for (size_t i = 0; i < count; i++) {
        if (rate > 0)
            pace(from_us, i, rate);
        bench_must(raw_publish_waiting(raw, 1, LOAD_PAYLOAD, &us[i], &err), "plain publish", &err);
    }
    bench_must(raw_take(raw, count, &err), "plain take", &err);
    return times_of(us, count);
}

static struct times relay_times(struct relay *relay, size_t count, size_t rate)
{
    static int64_t us[SAMPLES];
    int64_t from_us = jj__clock_mono_us();

    for (size_t i = 0; i < count; i++) {
        pace(from_us, i, rate);
        us[i] = relay_us(relay, LOAD_PAYLOAD);
    }
    return times_of(us, count);
}

/* beside: NULL, or what the yardstick is. bars: of its p50 and p99; NULL: none. */
static void rows(const struct bench *bench, const char *what, size_t rate,
                 const struct times *times, const char *beside, const struct times *yardstick,
                 const double *bars)
{
    const double values[] = {times->p50, times->p99, times->max};
    const double yardsticks[] = {yardstick->p50, yardstick->p99, yardstick->max};
    static const char *const parts[] = {"p50", "p99", "max"};

    for (size_t i = 0; i < 3; i++) {
        char text[64], beside_text[64];
        snprintf(text, sizeof(text), "%s, %zu/s, %s", what, rate, parts[i]);
        snprintf(beside_text, sizeof(beside_text), "%s, %s", beside == NULL ? "" : beside,
                 parts[i]);
        bench_row(bench, &(struct row){.what = text,
                                       .value = values[i],
                                       .unit = "ms",
                                       .beside = beside == NULL ? NULL : beside_text,
                                       .yardstick = yardsticks[i],
                                       .bar = bars != NULL && i < 2 ? bars[i] : 0,
                                       .at_most = true});
    }
}

static void measure(const struct bench *bench, jj_client *client, struct raw *raw,
                    struct relay *relay, size_t rate)
{
    static const double bars[] = {3, 5};
    size_t count = bench_count(bench, SAMPLES);
    struct times publish = publish_times(raw, count, rate);
    struct times way = relay_times(relay, count, rate);

    atomic_store(&started, 0);
    atomic_store(&completed, 0);
    enqueue_steadily(client, count, rate);
    wait_for(&started, count);
    wait_for(&completed, count);
    struct times to_start = since_enqueue(started_us, count);
    struct times to_event = since_enqueue(completed_us, count);
    struct times in_a_row = publish_times(raw, count, 0);
    rows(bench, "enqueue to handler start", rate, &to_start, "plain publish", &publish,
         rate <= 100 ? bars : NULL);
    rows(bench, "enqueue to handler start", rate, &to_start, "the way in plain NATS", &way, NULL);
    rows(bench, "enqueue to handler start", rate, &to_start, "publishes in a row", &in_a_row, NULL);
    rows(bench, "enqueue to completed event", rate, &to_event, "plain publish", &publish, NULL);
}

static void measure_beanstalk(const struct bench *bench)
{
    static int64_t us[SAMPLES];
    char dir[TEMP_PATH_SIZE];
    size_t count = bench_count(bench, SAMPLES);
    struct beanstalk worker, producer;

    temp_dir_make(dir);
    struct process *process = beanstalk_start(dir, bench->always);
    if (process != NULL && beanstalk_connect(&worker) && beanstalk_connect(&producer)) {
        beanstalk_latency(&worker, &producer, count, LOAD_PAYLOAD, us);
        struct times times = times_of(us, count);
        bench_row(bench, &(struct row){.what = "beanstalkd, put to reserved, p50",
                                       .value = times.p50,
                                       .unit = "ms"});
        bench_row(bench, &(struct row){.what = "beanstalkd, put to reserved, p99",
                                       .value = times.p99,
                                       .unit = "ms"});
        beanstalk_hang_up(&worker);
        beanstalk_hang_up(&producer);
    }
    process_free(process);
    temp_dir_remove(dir);
}

int main(int argc, char **argv)
{
    struct listening listening = {0};
    struct bench bench;
    struct raw *raw;
    jj_client *worker;
    jj_error err;

    bench_begin(&bench, "latency", argc, argv);
    const jj_options options = {.url = bench.server.url, .concurrency = SLOTS};
    jj_client *client = load_open(bench.server.url);
    bench_must(raw_open(&options, "BENCH", &raw, &err), "plain NATS", &err);
    bench_must(jj_open(&options, &worker, &err), "open", &err);
    bench_must(jj_register(worker, "tick", note_start, NULL, NULL, &err), "register", &err);
    bench_must(jj_start(worker, &err), "start", &err);
    listen_to(&listening, bench.server.url);
    struct relay *relay = relay_begin(bench.server.url);
    measure(&bench, client, raw, relay, 100);
    if (!bench.always)
        measure(&bench, client, raw, relay, 1000);
    measure_beanstalk(&bench);
    natsSubscription_Destroy(listening.sub);
    natsConnection_Destroy(listening.nc);
    jj_close(worker);
    relay_end(relay);
    raw_close(raw);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

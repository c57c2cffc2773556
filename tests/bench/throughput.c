/* SPDX-License-Identifier: Apache-2.0 */

/* How many jobs a second: enqueued one by one and many at once, and run, from their delivery over
 * claim, result and live events to their acknowledgement; beside plain JetStream with the same
 * messages. */

#include <stdlib.h>

#include "beanstalk.h"
#include "bench.h"
#include "broker_raw.h"
#include "clock.h"
#include "load.h"
#include "process.h"
#include "role.h"
#include "temp.h"

enum { JOBS = 60000, SINGLE_JOBS = 4000, CROWD_JOBS = 40000, CROWD = 64, SLOTS = 8, ROUNDS = 3 };

struct figures {
    struct rounds single, raw_single;
    struct rounds crowd;
    struct rounds many, raw_publish, raw_batches;
    struct rounds life, life_indexed, raw_take;
    struct rounds beanstalk;
};

static double raw_rate(struct raw *raw, size_t count,
                       jj_status (*publish)(struct raw *, size_t, size_t, jj_error *))
{
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    bench_must(publish(raw, count, LOAD_PAYLOAD, &err), "plain publish", &err);
    return (double)count / seconds_since(from_us);
}

static double raw_waiting_rate(struct raw *raw, size_t count)
{
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    bench_must(raw_publish_waiting(raw, count, LOAD_PAYLOAD, NULL, &err), "plain publish", &err);
    return (double)count / seconds_since(from_us);
}

static double raw_take_rate(struct raw *raw, size_t count)
{
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    bench_must(raw_take(raw, count, &err), "plain take", &err);
    return (double)count / seconds_since(from_us);
}

static double life_with_index(const char *url, jj_client *client, size_t jobs)
{
    char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];

    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    struct process *index = role_start_index(url, path);
    load_enqueue_many(client, "noop", jobs);
    double rate = load_run(url, "noop", jobs, SLOTS);
    role_end(index);
    temp_dir_remove(dir);
    return rate;
}

/* 0: it is not installed. */
static double beanstalk_rate(const struct bench *bench, size_t jobs)
{
    char dir[TEMP_PATH_SIZE];
    struct beanstalk beanstalk;
    double rate = 0;

    temp_dir_make(dir);
    struct process *process = beanstalk_start(dir, bench->always);
    if (process != NULL && beanstalk_connect(&beanstalk)) {
        beanstalk_put(&beanstalk, jobs, LOAD_PAYLOAD);
        rate = beanstalk_drain(&beanstalk, jobs);
        beanstalk_hang_up(&beanstalk);
    }
    process_free(process);
    temp_dir_remove(dir);
    return rate;
}

static void measure(const struct bench *bench, jj_client *client, struct raw *raw,
                    struct figures *figures)
{
    const char *url = bench->server.url;
    size_t jobs = bench_count(bench, bench->always ? JOBS / 20 : JOBS);
    size_t single_jobs = bench_count(bench, bench->always ? SINGLE_JOBS / 20 : SINGLE_JOBS);
    size_t crowd_jobs = bench_count(bench, bench->always ? CROWD_JOBS / 20 : CROWD_JOBS);
    size_t raw_jobs = bench_count(bench, bench->always ? JOBS / 20 : JOBS);

    rounds_add(&figures->raw_single, raw_waiting_rate(raw, single_jobs));
    rounds_add(&figures->single, load_enqueue_singly(client, "noop", single_jobs, 1));
    rounds_add(&figures->crowd, load_enqueue_singly(client, "noop", crowd_jobs, CROWD));
    load_run(url, "noop", single_jobs + crowd_jobs / CROWD * CROWD, SLOTS);
    rounds_add(&figures->raw_publish, raw_rate(raw, raw_jobs, raw_publish));
    rounds_add(&figures->many, load_enqueue_many(client, "noop", jobs));
    rounds_add(&figures->raw_batches, raw_rate(raw, jobs, raw_publish_batches));
    rounds_add(&figures->raw_take, raw_take_rate(raw, single_jobs + raw_jobs + jobs));
    rounds_add(&figures->life, load_run(url, "noop", jobs, SLOTS));
    rounds_add(&figures->life_indexed, life_with_index(url, client, jobs));
    double beanstalk = beanstalk_rate(bench, raw_jobs);
    if (beanstalk > 0)
        rounds_add(&figures->beanstalk, beanstalk);
}

/* The yardstick is scaled so that the ratio is that of the rounds. */
static void row(const struct bench *bench, const char *what, const struct rounds *values,
                const char *beside, const struct rounds *yardsticks, double bar)
{
    double value = rounds_median(values);

    bench_row(bench, &(struct row){.what = what,
                                   .value = value,
                                   .unit = "jobs/s",
                                   .beside = beside,
                                   .yardstick = value / rounds_ratio(values, yardsticks),
                                   .bar = bar});
}

static void print(const struct bench *bench, const struct figures *figures)
{
    double bar_many = bench->always ? 8 : 0.9;

    row(bench, "enqueue, one thread", &figures->single, "plain publish, waiting",
        &figures->raw_single, 0);
    row(bench, "enqueue, 64 threads", &figures->crowd, "plain publish, asynchronous",
        &figures->raw_publish, 0);
    row(bench, "enqueue many", &figures->many, "plain publish, asynchronous", &figures->raw_publish,
        bar_many);
    row(bench, "enqueue many", &figures->many, "plain atomic batches", &figures->raw_batches, 0);
    if (bench->always)
        row(bench, "full life", &figures->life, "plain publish, asynchronous",
            &figures->raw_publish, 12);
    row(bench, "full life", &figures->life, "plain fetch and ack", &figures->raw_take,
        bench->always ? 0 : 0.7);
    if (figures->beanstalk.count > 0)
        row(bench, "full life", &figures->life, "beanstalkd, reserve and delete",
            &figures->beanstalk, bench->always ? 0 : 1.8);
    row(bench, "full life, with an index", &figures->life_indexed, "plain fetch and ack",
        &figures->raw_take, bench->always ? 0 : 0.5);
}

int main(int argc, char **argv)
{
    struct figures figures = {0};
    struct bench bench;
    struct raw *raw;
    jj_error err;

    bench_begin(&bench, "throughput", argc, argv);
    const jj_options options = {.url = bench.server.url};
    jj_client *client = load_open(bench.server.url);
    bench_must(raw_open(&options, "BENCH", &raw, &err), "plain NATS", &err);
    for (int i = 0; i < (bench.quick ? 1 : ROUNDS); i++)
        measure(&bench, client, raw, &figures);
    print(&bench, &figures);
    raw_close(raw);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

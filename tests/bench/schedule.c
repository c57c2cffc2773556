/* SPDX-License-Identifier: Apache-2.0 */

/* How late scheduled jobs start: spread over ten seconds, and all at one moment. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "clock.h"
#include "load.h"
#include "wait.h"

enum { SPREAD = 1000, SPREAD_MS = 10000, BURST = 10000, SLOTS = 8, AHEAD_MS = 2000 };

struct lateness {
    int64_t us[BURST];
    atomic_size_t count;
};
static struct lateness late;

static jj_verdict note_lateness(jj_attempt *attempt, void *user)
{
    struct lateness *lateness = user;
    size_t at = atomic_fetch_add(&lateness->count, 1);

    if (at < BURST)
        lateness->us[at] = (jj__clock_wall_ms() - jj_attempt_run_at_ms(attempt)) * 1000;
    return jj_done(attempt, NULL, 0);
}

static void schedule(jj_client *client, int64_t run_at_ms)
{
    const jj_spec spec = {.name = "late"};
    jj_error err;

    bench_must(jj_schedule(client, &spec, run_at_ms, NULL, &err), "schedule", &err);
}

static void wait_for(size_t count, int64_t limit_ms)
{
    int64_t until_ms = jj__clock_mono_ms() + limit_ms;

    while (atomic_load(&late.count) < count && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    if (atomic_load(&late.count) < count)
        bench_fail("some jobs did not come", NULL);
}

static void measure_spread(const struct bench *bench, jj_client *client)
{
    size_t count = bench_count(bench, SPREAD);
    int64_t span_ms = bench->quick ? SPREAD_MS / 10 : SPREAD_MS;
    int64_t from_ms = jj__clock_wall_ms() + AHEAD_MS;

    atomic_store(&late.count, 0);
    for (size_t i = 0; i < count; i++)
        schedule(client, from_ms + (int64_t)i * span_ms / (int64_t)count);
    wait_for(count, AHEAD_MS + span_ms + 30000);
    times_sort(late.us, count);
    bench_row(bench, &(struct row){.what = "late, spread, p50",
                                   .value = times_part_ms(late.us, count, 0.5),
                                   .unit = "ms"});
    bench_row(bench, &(struct row){.what = "late, spread, p99",
                                   .value = times_part_ms(late.us, count, 0.99),
                                   .unit = "ms",
                                   .bar_value = 20,
                                   .at_most = true});
}

/* Scheduling takes its time, too: the moment lies behind it. */
static int64_t schedule_burst(jj_client *client, size_t count)
{
    int64_t from_us = jj__clock_mono_us();

    for (size_t i = 0; i < 100; i++) /* how long does one take? They come last */
        schedule(client, jj__clock_wall_ms() + 3600000);
    int64_t one_us = (jj__clock_mono_us() - from_us) / 100;
    int64_t at_ms = jj__clock_wall_ms() + AHEAD_MS + one_us * (int64_t)count * 3 / 2 / 1000;
    for (size_t i = 0; i < count; i++)
        schedule(client, at_ms);
    return at_ms;
}

static void measure_burst(const struct bench *bench, jj_client *client)
{
    size_t count = bench_count(bench, bench->always ? BURST / 5 : BURST);

    atomic_store(&late.count, 0);
    int64_t at_ms = schedule_burst(client, count);
    if (jj__clock_wall_ms() > at_ms)
        bench_fail("the moment came before all were scheduled", NULL);
    wait_for(count, at_ms - jj__clock_wall_ms() + 60000);
    times_sort(late.us, count);
    char what[64];
    snprintf(what, sizeof(what), "%zu at one moment, the last one late", count);
    bench_row(bench, &(struct row){.what = what,
                                   .value = times_part_ms(late.us, count, 1),
                                   .unit = "ms",
                                   .bar_value = bench->always ? 0 : 2000,
                                   .at_most = true});
}

int main(int argc, char **argv)
{
    struct bench bench;
    jj_client *worker;
    jj_error err;

    bench_begin(&bench, "schedule", argc, argv);
    const jj_options options = {.url = bench.server.url, .concurrency = SLOTS};
    jj_client *client = load_open(bench.server.url);
    bench_must(jj_open(&options, &worker, &err), "open", &err);
    bench_must(jj_register(worker, "late", note_lateness, NULL, &late, &err), "register", &err);
    bench_must(jj_start(worker, &err), "start", &err);
    measure_spread(&bench, client);
    measure_burst(&bench, client);
    jj_close(worker);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

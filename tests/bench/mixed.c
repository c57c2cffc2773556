/* SPDX-License-Identifier: Apache-2.0 */

/* Short and long jobs in one queue, one in ten sleeping for 50 ms, and two workers: no slot may be
 * idle while a job waits. If none ever is, the last job ends when the sleep of all, shared out
 * among the slots, is over; what is more is lost time. */

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "clock.h"
#include "load.h"
#include "nats_client.h"
#include "process.h"
#include "role.h"
#include "wait.h"

enum { JOBS = 10000, CHUNK = 1000, LONG_EACH = 10, LONG_MS = 50, WORKERS = 2, SLOTS = 8 };

static void enqueue_mixed(jj_client *client, size_t count)
{
    static jj_spec specs[CHUNK];
    jj_error err;

    for (size_t i = 0; i < CHUNK; i++) {
        const char *data = i % LONG_EACH == 0 ? "50" : "0";
        specs[i] = (jj_spec){.name = "mixed", .data = data, .data_len = i % LONG_EACH == 0 ? 3 : 2};
    }
    for (size_t done = 0; done < count; done += CHUNK)
        bench_must(jj_enqueue_many(client, specs, CHUNK, NULL, NULL, &err), "enqueue", &err);
}

static double drain(const char *url)
{
    struct process *workers[WORKERS];
    struct nats_client *nats = nats_client_open(url);
    int64_t from_us = jj__clock_mono_us();

    for (int i = 0; i < WORKERS; i++)
        workers[i] = role_start_worker(url, "mixed", SLOTS);
    while (nats_client_stream_messages(nats, "JOBS") > 0)
        wait_a_moment();
    double seconds = seconds_since(from_us);
    for (int i = 0; i < WORKERS; i++)
        role_end(workers[i]);
    nats_client_close(nats);
    return seconds;
}

int main(int argc, char **argv)
{
    struct bench bench;

    bench_begin(&bench, "mixed", argc, argv);
    size_t jobs = bench_count(&bench, JOBS);
    jj_client *client = load_open(bench.server.url);
    double least = (double)(jobs / LONG_EACH) * LONG_MS / 1000 / (WORKERS * SLOTS);
    enqueue_mixed(client, jobs);
    double seconds = drain(bench.server.url);
    bench_row(&bench, &(struct row){.what = "90 % no-op, 10 % of 50 ms, 2 workers of 8 slots",
                                    .value = seconds,
                                    .unit = "s",
                                    .beside = "if no slot were ever idle",
                                    .yardstick = least,
                                    .bar = 1.2,
                                    .at_most = true});
    jj_close(client);
    bench_end(&bench);
    return 0;
}

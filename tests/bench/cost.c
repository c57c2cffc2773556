/* SPDX-License-Identifier: Apache-2.0 */

/* What jobs cost in CPU time, and what workers and index services cost that have nothing to do. */

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "cost.h"
#include "load.h"
#include "process.h"
#include "role.h"
#include "temp.h"

enum { JOBS = 100000, SLOTS = 8, SETTLE_MS = 2000, IDLE_MS = 20000 };

static void let_pass(int64_t ms)
{
    poll(NULL, 0, (int)ms);
}

static void measure_cpu(const struct bench *bench, jj_client *client)
{
    size_t jobs = bench_count(bench, JOBS);

    load_enqueue_many(client, "noop", jobs);
    let_pass(500);
    double broker = cost_cpu_seconds(bench->server.pid), worker = cost_cpu_seconds(getpid());
    load_run(bench->server.url, "noop", jobs, SLOTS);
    broker = (cost_cpu_seconds(bench->server.pid) - broker) * 1e6 / (double)jobs;
    worker = (cost_cpu_seconds(getpid()) - worker) * 1e6 / (double)jobs;
    bench_row(bench, &(struct row){.what = "CPU of a no-op job, broker and worker",
                                   .value = broker + worker,
                                   .unit = "us",
                                   .bar_value = 30,
                                   .at_most = true});
    bench_row(bench, &(struct row){.what = "  the worker's part", .value = worker, .unit = "us"});
}

static void measure_idle(const struct bench *bench, const char *what, struct process *process)
{
    int64_t ms = bench->quick ? IDLE_MS / 10 : IDLE_MS;
    pid_t pid = process_pid(process);
    char text[64];

    let_pass(SETTLE_MS);
    double from = cost_cpu_seconds(pid);
    let_pass(ms);
    double percent = (cost_cpu_seconds(pid) - from) * 100 * 1000 / (double)ms;
    snprintf(text, sizeof(text), "idle %s, CPU", what);
    bench_row(bench,
              &(struct row){
                  .what = text, .value = percent, .unit = "%", .bar_value = 1, .at_most = true});
    snprintf(text, sizeof(text), "idle %s, resident", what);
    bench_row(bench, &(struct row){.what = text,
                                   .value = cost_resident_mib(pid),
                                   .unit = "MiB",
                                   .bar_value = 20,
                                   .at_most = true});
    role_end(process);
}

int main(int argc, char **argv)
{
    char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];
    struct bench bench;

    bench_begin(&bench, "cost", argc, argv);
    jj_client *client = load_open(bench.server.url);
    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    measure_cpu(&bench, client);
    measure_idle(&bench, "worker with 10 names", role_start_idle(bench.server.url, 10));
    measure_idle(&bench, "index service", role_start_index(bench.server.url, path));
    temp_dir_remove(dir);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

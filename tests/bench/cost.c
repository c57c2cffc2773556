/* SPDX-License-Identifier: Apache-2.0 */

/* What jobs cost in CPU time, and what workers and index services cost that have nothing to do. */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "cost.h"
#include "load.h"
#include "process.h"
#include "role.h"
#include "temp.h"
#include "wait.h"

enum {
    ROUNDS = 3,
    JOBS = 100000,
    SLOTS = 8,
    NAMES = 10,
    SETTLE_MS = 2000,
    IDLE_MS = 20000,
    READ_MS = 60000
};

static void let_pass(int64_t ms)
{
    poll(NULL, 0, (int)ms);
}

static void measure_cpu(const struct bench *bench, jj_client *client)
{
    size_t jobs = bench_count(bench, JOBS);
    struct rounds both = {0}, own = {0};

    for (int i = 0; i < ROUNDS; i++) {
        load_enqueue_many(client, "noop", jobs);
        let_pass(500);
        double broker = cost_cpu_seconds(bench->server.pid), worker = cost_cpu_seconds(getpid());
        load_run(bench->server.url, "noop", jobs, SLOTS);
        broker = (cost_cpu_seconds(bench->server.pid) - broker) * 1e6 / (double)jobs;
        worker = (cost_cpu_seconds(getpid()) - worker) * 1e6 / (double)jobs;
        rounds_add(&both, broker + worker);
        rounds_add(&own, worker);
    }
    bench_row(bench, &(struct row){.what = "CPU of a no-op job, broker and worker",
                                   .value = rounds_median(&both),
                                   .unit = "us",
                                   .bar_value = 30,
                                   .at_most = true});
    bench_row(
        bench,
        &(struct row){.what = "  the worker's part", .value = rounds_median(&own), .unit = "us"});
}

static void wait_for_index(jj_client *client)
{
    if (!wait_until(load_index_has_read, client, READ_MS))
        bench_fail("the index does not come to an end", NULL);
}

/* All that it takes until the index, too, knows that the jobs are over. */
static void measure_cpu_with_index(const struct bench *bench, jj_client *client, const char *dir)
{
    size_t jobs = bench_count(bench, JOBS);
    char path[TEMP_PATH_SIZE + 16];

    snprintf(path, sizeof(path), "%s/with.db", dir);
    struct process *process = role_start_index(bench->server.url, path);
    pid_t pid = process_pid(process);
    wait_for_index(client);
    load_enqueue_many(client, "noop", jobs);
    double broker = cost_cpu_seconds(bench->server.pid), index = cost_cpu_seconds(pid);
    double worker = cost_cpu_seconds(getpid());
    load_run(bench->server.url, "noop", jobs, SLOTS);
    worker = (cost_cpu_seconds(getpid()) - worker) * 1e6 / (double)jobs;
    wait_for_index(client);
    broker = (cost_cpu_seconds(bench->server.pid) - broker) * 1e6 / (double)jobs;
    index = (cost_cpu_seconds(pid) - index) * 1e6 / (double)jobs;
    role_end(process);
    bench_row(bench, &(struct row){.what = "CPU of a no-op job, with an index",
                                   .value = broker + worker + index,
                                   .unit = "us"});
    bench_row(bench, &(struct row){.what = "  the worker's part", .value = worker, .unit = "us"});
    bench_row(bench, &(struct row){.what = "  the index's part", .value = index, .unit = "us"});
}

/* Run the program, do nothing with it, end it. index: NULL, or a client by which to know that it
 * has read all there is. */
static void measure_idle(const struct bench *bench, const char *what, const char *const argv[],
                         jj_client *index)
{
    int64_t ms = bench->quick ? IDLE_MS / 10 : IDLE_MS;
    struct process *process = process_start(argv, NULL);
    pid_t pid = process_pid(process);
    char text[64];

    if (index != NULL)
        wait_for_index(index);
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
    process_signal(process, SIGTERM);
    if (process_wait(process, 0) != 0)
        bench_fail(what, NULL);
    process_free(process);
}

static void measure_idle_worker(const struct bench *bench, const char *dir)
{
    char path[TEMP_PATH_SIZE + 16];

    snprintf(path, sizeof(path), "%s/worker.yaml", dir);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        bench_fail(path, NULL);
    fputs("handlers:\n", file);
    for (int i = 0; i < NAMES; i++)
        fprintf(file, "- { name: idle%d, exec: [/bin/true] }\n", i);
    fclose(file);
    measure_idle(bench, "worker with 10 names",
                 (const char *const[]){JETJOBS_PROGRAM, "--url", bench->server.url, "--config",
                                       path, "worker", NULL},
                 NULL);
}

/* It has read the history of all those jobs. */
static void measure_idle_index(const struct bench *bench, jj_client *client, const char *dir)
{
    char path[TEMP_PATH_SIZE + 16];

    snprintf(path, sizeof(path), "%s/index.db", dir);
    measure_idle(bench, "serve",
                 (const char *const[]){JETJOBS_PROGRAM, "--url", bench->server.url, "serve",
                                       "--index", path, NULL},
                 client);
}

int main(int argc, char **argv)
{
    char dir[TEMP_PATH_SIZE];
    struct bench bench;

    bench_begin(&bench, "cost", argc, argv);
    jj_client *client = load_open(bench.server.url);
    temp_dir_make(dir);
    measure_cpu(&bench, client);
    measure_cpu_with_index(&bench, client, dir);
    measure_idle_worker(&bench, dir);
    measure_idle_index(&bench, client, dir);
    temp_dir_remove(dir);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

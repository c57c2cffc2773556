/* SPDX-License-Identifier: Apache-2.0 */

/* Do rates and memory depend on how many jobs wait? The backlog grows from 10 thousand to a
 * million; at each size some more are enqueued, and as many run. Beside each rate stands that of
 * the smallest backlog. An index in a process of its own reads all of it. */

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

enum { SLOTS = 8, SAMPLE = 20000, ROUNDS = 5, READ_MS = 60000 };

static const size_t backlogs[] = {10000, 100000, 1000000};

struct rates {
    double enqueue, run;
};

static void rows(const struct bench *bench, size_t backlog, const struct rates *rates,
                 const struct rates *first)
{
    char text[64];

    snprintf(text, sizeof(text), "enqueue many, %zu waiting", backlog);
    bench_row(bench, &(struct row){.what = text,
                                   .value = rates->enqueue,
                                   .unit = "jobs/s",
                                   .beside = "with the fewest",
                                   .yardstick = first->enqueue,
                                   .bar = 0.7});
    snprintf(text, sizeof(text), "full life, %zu waiting", backlog);
    bench_row(bench, &(struct row){.what = text,
                                   .value = rates->run,
                                   .unit = "jobs/s",
                                   .beside = "with the fewest",
                                   .yardstick = first->run,
                                   .bar = 0.7});
}

/* Some more jobs, some rounds long. The backlog has a name of its own, so that its jobs stay. */
static struct rates sample(const struct bench *bench, jj_client *client, size_t waiting)
{
    struct rounds enqueue = {0}, run = {0};

    for (int i = 0; i < ROUNDS; i++) {
        rounds_add(&enqueue, load_enqueue_many(client, "noop", SAMPLE));
        rounds_add(&run, load_run_above(bench->server.url, "noop", SAMPLE, SLOTS, waiting));
    }
    return (struct rates){.enqueue = rounds_median(&enqueue), .run = rounds_median(&run)};
}

static void measure(const struct bench *bench, jj_client *client)
{
    struct rates first = {0};
    size_t waiting = 0;

    for (size_t i = 0; i < sizeof(backlogs) / sizeof(backlogs[0]); i++) {
        size_t backlog = bench_count(bench, backlogs[i]);
        load_enqueue_many(client, "waits", backlog - waiting);
        waiting = backlog;
        struct rates rates = sample(bench, client, waiting);
        if (i == 0)
            first = rates;
        rows(bench, backlog, &rates, &first);
    }
}

static void memory_row(const struct bench *bench, const char *what, pid_t pid)
{
    bench_row(bench, &(struct row){.what = what, .value = cost_resident_mib(pid), .unit = "MiB"});
}

int main(int argc, char **argv)
{
    char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];
    struct bench bench;

    bench_begin(&bench, "growth", argc, argv);
    jj_client *client = load_open(bench.server.url);
    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    measure(&bench, client);
    memory_row(&bench, "client and worker, after all that", getpid());
    struct process *index = role_start_index(bench.server.url, path);
    int64_t from_us = jj__clock_mono_us();
    bool all = wait_until(load_index_has_read, client, READ_MS);
    bench_row(&bench, &(struct row){.what = all ? "a new index has read all of it after"
                                                : "a new index has NOT read all of it after",
                                    .value = seconds_since(from_us),
                                    .unit = "s"});
    memory_row(&bench, "that index", process_pid(index));
    memory_row(&bench, "nats-server", bench.server.pid);
    role_end(index);
    temp_dir_remove(dir);
    jj_close(client);
    bench_end(&bench);
    return 0;
}

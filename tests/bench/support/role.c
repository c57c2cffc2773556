/* SPDX-License-Identifier: Apache-2.0 */

#include "role.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jetjobs/jetjobs.h>

#include "bench.h"
#include "process.h"

/* ---- in the process of its own ---- */

/* It ends when its stdin does. */
static void wait_for_the_end(void)
{
    char bytes[16];

    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
        ;
}

static void keep_index(const char *url, const char *path)
{
    const jj_options options = {.url = url, .index_path = path};
    jj_client *client;
    jj_error err;

    bench_must(jj_open(&options, &client, &err), "index", &err);
    bench_must(jj_serve(client, &err), "index", &err);
    wait_for_the_end();
    jj_close(client);
}

static jj_verdict sleep_as_told(jj_attempt *attempt, void *user)
{
    size_t len;
    const char *text = jj_attempt_data(attempt, &len);
    long ms = len > 0 ? strtol(text, NULL, 10) : 0;

    (void)user;
    if (ms > 0)
        poll(NULL, 0, (int)ms);
    return jj_done(attempt, NULL, 0);
}

static void work(const char *url, const char *name, const char *concurrency)
{
    const jj_options options = {.url = url,
                                .concurrency = (uint32_t)strtoul(concurrency, NULL, 10)};
    jj_client *client;
    jj_error err;

    bench_must(jj_open(&options, &client, &err), "worker", &err);
    bench_must(jj_register(client, name, sleep_as_told, NULL, NULL, &err), "worker", &err);
    bench_must(jj_start(client, &err), "worker", &err);
    wait_for_the_end();
    jj_close(client);
}

void role_play(int argc, char **argv)
{
    if (argc < 5 || strcmp(argv[1], "--role") != 0)
        return;
    if (strcmp(argv[2], "index") == 0)
        keep_index(argv[3], argv[4]);
    else if (strcmp(argv[2], "worker") == 0 && argc == 6)
        work(argv[3], argv[4], argv[5]);
    exit(0);
}

/* ---- in the benchmark ---- */

static struct process *start(const char *const argv[])
{
    const struct process_options options = {.keep_input = true};
    struct process *process = process_start(argv, &options);

    if (!process_wait_output(process, "ready\n")) {
        fprintf(stderr, "%s %s: %s\n", argv[0], argv[2], process_errors(process));
        exit(1);
    }
    return process;
}

struct process *role_start_index(const char *url, const char *path)
{
    return start((const char *const[]){"/proc/self/exe", "--role", "index", url, path, NULL});
}

struct process *role_start_worker(const char *url, const char *name, unsigned concurrency)
{
    char number[12];

    snprintf(number, sizeof(number), "%u", concurrency);
    return start(
        (const char *const[]){"/proc/self/exe", "--role", "worker", url, name, number, NULL});
}

void role_end(struct process *process)
{
    process_close_input(process);
    process_wait(process, 0);
    process_free(process);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of an index to which things happen: it is killed, its disk is full, jobs get old, firings
 * are refused, cancelled jobs show up late. */

#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "codec_pb.h"
#include "keeper.h"
#include "rfc3339.h"

extern char **environ;

#define HOUR_MS 3600000
#define KILLS   10

/* ---- a keeper that is a process ---- */

#define EXIT_NO_INDEX   3
#define EXIT_BEGUN_ANEW 4

/* In the child. */
static void watch_log(jj_log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    if (strstr(line, "built anew") != NULL)
        _exit(EXIT_BEGUN_ANEW);
}

/* In the child: keep the index until somebody kills us. */
static int keep_until_killed(const char *url, const char *path, pid_t parent)
{
    const jj_options options = {.url = url,
                                .index_path = path,
                                .timeout_ms = 20000,
                                .poll_interval_ms = 200,
                                .log = watch_log};
    jj_client *client = NULL;
    jj_error err;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return 0;
    if (jj_open(&options, &client, &err) != JJ_OK) {
        fprintf(stderr, "the keeper's jj_open: %s\n", err.text);
        return EXIT_NO_INDEX;
    }
    for (;;)
        pause();
}

/* A thread that starts such a process and kills it, again and again. */
struct killer {
    pthread_t thread;
    const char *url;
    const char *path;
    uint32_t random;
    atomic_int kills;
    atomic_bool done;
    bool runs;
    int failure; /* status of a process that ended by itself, or errno; to be read at the end */
};
static struct killer killer; /* outlives a test that fails */

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

static pid_t start_keeper(void)
{
    char parent[24];
    char *const args[] = {(char *)"test_index_faults", (char *)"keep", (char *)killer.url,
                          (char *)killer.path,         parent,         NULL};
    pid_t pid = 0;

    snprintf(parent, sizeof(parent), "%ld", (long)getpid());
    killer.failure = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ);
    return pid;
}

static void *kill_again_and_again(void *arg)
{
    (void)arg;
    while (killer.failure == 0 && atomic_load(&killer.kills) < KILLS) {
        int status = 0;
        int64_t at_ms = jj__clock_mono_ms() + next_random(&killer.random) % 700;
        pid_t pid = start_keeper();
        if (killer.failure != 0)
            break;
        while (jj__clock_mono_ms() < at_ms)
            wait_a_moment();
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            killer.failure = status;
        atomic_fetch_add(&killer.kills, 1);
    }
    atomic_store(&killer.done, true);
    return NULL;
}

static void begin_killing(struct crew *crew, const struct keeper *killed)
{
    const char *seed = getenv("JETJOBS_TEST_SEED");

    killer = (struct killer){.url = crew->server.url, .path = killed->path};
    killer.random =
        seed != NULL ? (uint32_t)strtoul(seed, NULL, 10) : (uint32_t)jj__clock_mono_ms();
    print_message("JETJOBS_TEST_SEED=%u\n", killer.random);
    assert_int_equal(pthread_create(&killer.thread, NULL, kill_again_and_again, NULL), 0);
    killer.runs = true;
}

static void end_killing(void)
{
    if (killer.runs)
        pthread_join(killer.thread, NULL);
    killer.runs = false;
}

static int end_killing_and_keepers(void **state)
{
    end_killing();
    return keepers_end(state);
}

/* How far the file of a keeper that is not open has come. */
static jj_offsets offsets_in(const struct keeper *keeper)
{
    jj_offsets offsets = {0};
    void *storage = NULL;
    jj_error err;

    if (jj_adapter_sqlite.open(keeper->path, &storage, &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj_status s = jj_adapter_sqlite.offsets(storage, &offsets, &err);
    jj_adapter_sqlite.close(storage);
    assert_int_equal(s, JJ_OK);
    return offsets;
}

static void a_killed_index_goes_on_where_it_was(void **state)
{
    struct crew *crew = *state;
    struct keeper *lived, *killed, *fresh;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    lived = keeper_begin(crew);
    killed = keeper_begin(crew);
    keeper_close(killed);
    begin_killing(crew, killed);
    while (!atomic_load(&killer.done))
        keeper_run_all_kinds(crew, lived, 200);
    end_killing();
    assert_int_equal(killer.failure, 0);
    print_message("killed at event %llu of %llu\n",
                  (unsigned long long)offsets_in(killed).events.seq,
                  (unsigned long long)nats_client_stream_messages(crew->stranger, "JOBS_EVENTS"));
    assert_true(offsets_in(killed).events.seq > 0);
    keeper_open(crew, killed);
    fresh = keeper_begin(crew);
    keepers_expect_same(killed, lived, "mixed");
    keepers_expect_same(killed, fresh, "mixed");
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "built anew"));
}

/* ---- old jobs ---- */

static void reopen_with(struct crew *crew, struct keeper *keeper, const jj_options *options)
{
    jj_options with = *options;
    jj_error err;

    keeper_close(keeper);
    with.url = crew->server.url;
    with.index_path = keeper->path;
    with.timeout_ms = 20000;
    with.log = log_book_sink;
    with.log_user = &crew->book;
    if (jj_open(&with, &keeper->client, &err) != JJ_OK)
        fail_msg("jj_open: %s", err.text);
}

static size_t count_jobs(struct keeper *keeper, const char *name)
{
    uint64_t count = 0;
    jj_stats *stats = NULL;
    jj_error err;

    if (jj_stats_get(keeper->client, &stats, &err) != JJ_OK)
        fail_msg("jj_stats_get: %s", err.text);
    for (size_t i = 0; i < jj_stats_count(stats); i++) {
        const jj_name_stats *found = jj_stats_name(stats, i);
        for (int s = 0; s < JJ_STATES && strcmp(found->name, name) == 0; s++)
            count += found->counts[s];
    }
    jj_stats_free(stats);
    return (size_t)count;
}

static bool all_mixed_are_gone(void *ctx)
{
    return count_jobs(ctx, "mixed") == 0;
}

/* The history is short for the index alone: the stream keeps its events. */
static void old_jobs_are_pruned_and_unfinished_ones_never(void **state)
{
    struct crew *crew = *state;
    const jj_spec later = {.name = "later", .id = "scheduled-1"};
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_register(crew, "gated", crew_pass, NULL);
    crew_close_gate(crew);
    crew_start(crew);
    struct keeper *keeper = keeper_begin(crew);
    keeper_run_all_kinds(crew, keeper, 20);
    assert_int_equal(count_jobs(keeper, "mixed"), 20);
    crew_enqueue_spec(crew, &(jj_spec){.name = "idle", .id = "pending-1"});
    crew_enqueue_spec(crew, &(jj_spec){.name = "gated", .id = "running-1"});
    if (jj_schedule(crew->client, &later, jj__clock_wall_ms() + HOUR_MS, NULL, &err) != JJ_OK)
        fail_msg("%s", err.text);
    keeper_wait_state(keeper, "running-1", JJ_RUNNING);
    reopen_with(crew, keeper, &(jj_options){.no_provision = true, .history_ms = 1});
    assert_true(wait_until(all_mixed_are_gone, keeper, WAIT_MS));
    keeper_wait_state(keeper, "pending-1", JJ_PENDING);
    keeper_wait_state(keeper, "running-1", JJ_RUNNING);
    keeper_wait_state(keeper, "scheduled-1", JJ_SCHEDULED);
    assert_true(nats_client_stream_messages(crew->stranger, "JOBS_EVENTS") > 0);
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "index"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_killed_index_goes_on_where_it_was, crew_begin,
                                        end_killing_and_keepers),
        cmocka_unit_test_setup_teardown(old_jobs_are_pruned_and_unfinished_ones_never, crew_begin,
                                        keepers_end),
    };

    if (argc == 5 && strcmp(argv[1], "keep") == 0)
        return keep_until_killed(argv[2], argv[3], (pid_t)strtol(argv[4], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

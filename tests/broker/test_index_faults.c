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

#include "buf.h"
#include "clock.h"
#include "codec_pb.h"
#include "keeper.h"
#include "rfc3339.h"

extern char **environ;

#define HOUR_MS 3600000
#define KILLS   10

/* ---- the log ---- */

static size_t count_lines(struct log_book *book, const char *text)
{
    size_t count = 0;

    pthread_mutex_lock(&book->lock);
    for (const char *at = book->text; at != NULL && (at = strstr(at, text)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&book->lock);
    return count;
}

struct line {
    struct log_book *book;
    const char *text;
};

static bool is_logged(void *ctx)
{
    struct line *line = ctx;

    return count_lines(line->book, line->text) > 0;
}

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

/* ---- schedules that are stuck ---- */

/* As the server has it: at @at it sends what is due. The job itself says another time. */
static uint64_t store_schedule_as(struct crew *crew, const char *id, const char *msg_id,
                                  int64_t at_ms, int64_t run_at_ms)
{
    char subject[128], at[64] = "@at ", run_at[JJ__RFC3339_SIZE];

    snprintf(subject, sizeof(subject), "jobs.schedule.mail.%s", id);
    jj__rfc3339_write(at_ms, at + strlen(at));
    jj__rfc3339_write(run_at_ms, run_at);
    const jj_header headers[] = {
        {"Nats-Schedule", at},   {"Nats-Schedule-Target", "jobs.due.mail"},
        {"Nats-Msg-Id", msg_id}, {"Nats-Expected-Last-Subject-Sequence", "0"},
        {"Job-Id", id},          {"Job-Run-At", run_at},
        {"X-Own", "yes"}};
    const struct note note = {.subject = subject,
                              .headers = headers,
                              .header_count = sizeof(headers) / sizeof(headers[0]),
                              .data = "text"};
    return nats_client_store(crew->stranger, &note);
}

static uint64_t store_schedule(struct crew *crew, const char *id, int64_t at_ms, int64_t run_at_ms)
{
    return store_schedule_as(crew, id, id, at_ms, run_at_ms);
}

static uint64_t last_seq(struct crew *crew, const char *stream)
{
    char what[64];

    snprintf(what, sizeof(what), "STREAM.INFO.%s", stream);
    json_t *info = nats_client_api(crew->stranger, what, NULL);
    uint64_t seq =
        (uint64_t)json_integer_value(json_object_get(json_object_get(info, "state"), "last_seq"));
    json_decref(info);
    return seq;
}

struct progress {
    struct crew *crew;
    const char *stream;
    uint64_t seq;
};

static bool is_further(void *ctx)
{
    struct progress *progress = ctx;

    return last_seq(progress->crew, progress->stream) > progress->seq;
}

static void an_overdue_schedule_is_published_again_as_it_was(void **state)
{
    struct crew *crew = *state;
    int64_t now_ms = jj__clock_wall_ms();

    crew_open(crew, NULL);
    uint64_t first = store_schedule(crew, "late", now_ms + HOUR_MS, now_ms - 60000);
    uint64_t second = store_schedule(crew, "in-time", now_ms + HOUR_MS, now_ms + HOUR_MS);
    struct progress progress = {crew, "JOBS_SCHEDULE", second};
    struct line line = {&crew->book, "job late of mail was overdue"};
    struct keeper *keeper = keeper_begin(crew);
    assert_true(wait_until(is_further, &progress, WAIT_MS));
    assert_true(wait_until(is_logged, &line, WAIT_MS));
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "in-time"));
    keeper_close(keeper); /* else it goes on with that */
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 2);
    assert_null(nats_client_get(crew->stranger, "JOBS_SCHEDULE", first));
    struct heard *again =
        nats_client_get(crew->stranger, "JOBS_SCHEDULE", last_seq(crew, "JOBS_SCHEDULE"));
    assert_non_null(again);
    assert_string_equal(again->subject, "jobs.schedule.mail.late");
    assert_string_equal(again->data, "text");
    assert_string_equal(heard_header(again, "Nats-Schedule-Target"), "jobs.due.mail");
    assert_string_equal(heard_header(again, "Job-Id"), "late");
    assert_string_equal(heard_header(again, "X-Own"), "yes");
    assert_null(heard_header(again, "Nats-Sequence"));
    heard_free(again);
    keeper_open(crew, keeper);
    assert_int_equal(count_jobs(keeper, "mail"), 2);
}

/* It is published again and again until the server fires it, and in the worst case once more, as it
 * was fired just before. */
static void a_job_that_was_swept_runs_once(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    struct keeper *keeper = keeper_begin(crew);
    int64_t now_ms = jj__clock_wall_ms();
    store_schedule(crew, "late", now_ms + 4000, now_ms - 60000); /* time enough to see it */
    keeper_wait_state(keeper, "late", JJ_COMPLETED);
    assert_true(log_book_has(&crew->book, JJ_LOG_WARN, "job late of mail was overdue"));
    assert_true(crew_wait_over(crew));
    store_schedule_as(crew, "late", "too-late", now_ms, now_ms - 60000);
    assert_true(crew_wait_over(crew));
    keeper_wait_state(keeper, "late", JJ_COMPLETED);
    assert_int_equal(crew_runs(crew, NULL), 1);
    assert_int_equal(count_jobs(keeper, "mail"), 1);
}

static const char small_account[] =
    "accounts { A { jetstream: { max_store: 4MB, max_mem: 16MB }, users: ["
    " { user: a, password: x } ] } }\nno_auth_user: a";

static void make_fill(struct crew *crew)
{
    json_decref(nats_client_api(
        crew->stranger, "STREAM.CREATE.FILL",
        json_pack("{s:s, s:[s], s:s}", "name", "FILL", "subjects", "fill", "storage", "file")));
}

/* Until the next message of that size is refused. */
static void fill_with(struct crew *crew, size_t size)
{
    static char block[64 * 1024];
    const struct note note = {.subject = "fill", .data = block, .len = size};
    bool full = false;

    while (!full) {
        json_t *answer = nats_client_ask(crew->stranger, &note);
        full = json_object_get(answer, "error") != NULL;
        json_decref(answer);
    }
}

static bool time_has_come(void *ctx)
{
    return jj__clock_wall_ms() >= *(int64_t *)ctx;
}

/* The server fires once, and then never again by itself. */
static void a_firing_that_was_refused_is_made_good_when_there_is_space(void **state)
{
    struct crew *crew = *state;
    const struct server_options small = {.config = small_account};

    server_stop(&crew->server);
    server_restart_with(&crew->server, &small);
    crew_open(crew, &(jj_options){.history_bytes = 1024 * 1024, .timeout_ms = 20000});
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    struct keeper *keeper = keeper_begin(crew);
    make_fill(crew);
    fill_with(crew, 65536);
    int64_t now_ms = jj__clock_wall_ms();
    int64_t fired_ms = now_ms + 4500;
    store_schedule(crew, "late", now_ms + 3000, now_ms - 60000);
    for (size_t size = 8192; size > 0; size /= 8)
        fill_with(crew, size);
    assert_true(wait_until(time_has_come, &fired_ms, WAIT_MS));
    struct heard *stuck =
        nats_client_get(crew->stranger, "JOBS_SCHEDULE", last_seq(crew, "JOBS_SCHEDULE"));
    assert_non_null(stuck);
    assert_string_equal(stuck->subject, "jobs.schedule.mail.late");
    heard_free(stuck);
    assert_int_equal(crew_runs(crew, NULL), 0);
    json_decref(nats_client_api(crew->stranger, "STREAM.DELETE.FILL", NULL));
    keeper_wait_state(keeper, "late", JJ_COMPLETED);
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 1);
    assert_int_equal(count_jobs(keeper, "mail"), 1);
}

/* ---- a full disk ---- */

/* No file of this process can be written to any more, as if its disk were full. */
static void limit_files(bool limited)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limited ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int end_limit_and_keepers(void **state)
{
    limit_files(false);
    return keepers_end(state);
}

/* Long enough for it to be tried again several times, each a second after the other. */
static void ask_for_a_while(struct keeper *keeper, const char *id)
{
    int64_t until_ms = jj__clock_mono_ms() + 3500;

    while (jj__clock_mono_ms() < until_ms) {
        jj_job *job = keeper_get(keeper, id);
        assert_int_equal(jj_job_state(job), JJ_COMPLETED);
        jj_job_free(job);
        wait_a_moment();
    }
}

static void a_full_disk_stops_the_index_with_one_line_and_it_goes_on(void **state)
{
    struct crew *crew = *state;
    struct line line = {&crew->book, "the index stands still"};
    struct keeper *keeper, *fresh;

    signal(SIGXFSZ, SIG_IGN);
    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    keeper = keeper_begin(crew);
    crew_enqueue_spec(crew,
                      &(jj_spec){.name = "mixed", .id = "before", .data = "d0", .data_len = 2});
    keeper_wait_state(keeper, "before", JJ_COMPLETED);
    limit_files(true);
    for (int i = 0; i < 100; i++)
        crew_enqueue(crew, "mixed", "d0");
    crew_enqueue_spec(crew,
                      &(jj_spec){.name = "mixed", .id = "after", .data = "d0", .data_len = 2});
    assert_true(wait_until(is_logged, &line, WAIT_MS));
    ask_for_a_while(keeper, "before");
    assert_true(crew_wait_over(crew)); /* workers don't care */
    assert_int_equal(count_lines(&crew->book, "the index"), 1);
    jj_job *job = NULL;
    assert_int_equal(jj_get(keeper->client, "after", &job, NULL), JJ_ERR_NOT_FOUND);
    limit_files(false);
    line.text = "the index goes on";
    assert_true(wait_until(is_logged, &line, WAIT_MS));
    keeper_wait_state(keeper, "after", JJ_COMPLETED);
    fresh = keeper_begin(crew);
    keepers_expect_same(keeper, fresh, "mixed");
    assert_int_equal(count_lines(&crew->book, "the index"), 2);
}

/* ---- cancelled jobs ---- */

static void store_cancellation(struct crew *crew, const char *id)
{
    struct buf body = {0};
    const struct event event = {
        .type = EVENT_CANCELLED, .id = id, .name = "mail", .time_ms = jj__clock_wall_ms()};

    assert_int_equal(jj__pb_write_events(&body, NULL, &event, 1, NULL), JJ_OK);
    const struct note note = {
        .subject = "jobs.events.mail.cancelled", .data = body.data, .len = body.len};
    nats_client_store(crew->stranger, &note);
    jj__buf_done(&body);
}

static void store_job(struct crew *crew, const char *id, const char *redrives)
{
    const jj_header headers[] = {{"Job-Id", id}, {"Job-Redrives", redrives}};
    const struct note note = {.subject = "jobs.enqueue.mail",
                              .headers = headers,
                              .header_count = redrives == NULL ? 1 : 2,
                              .data = "text"};

    nats_client_store(crew->stranger, &note);
}

static void messages_of_cancelled_jobs_are_deleted(void **state)
{
    enum { JOBS = 600 }; /* more than are deleted at once */
    struct crew *crew = *state;
    int64_t now_ms = jj__clock_wall_ms();
    char id[JJ_NAME_SIZE];

    crew_open(crew, NULL);
    struct keeper *one = keeper_begin(crew);
    struct keeper *other = keeper_begin(crew); /* each deletes what the other one does */
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        if (i % 2 == 0)
            store_job(crew, id, NULL);
        else
            store_schedule(crew, id, now_ms + HOUR_MS, now_ms + HOUR_MS);
    }
    store_job(crew, "stays", NULL);
    store_schedule(crew, "stays-too", now_ms + HOUR_MS, now_ms + HOUR_MS);
    keeper_wait_state(one, "stays", JJ_PENDING);
    keeper_wait_state(other, "stays-too", JJ_SCHEDULED);
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        store_cancellation(crew, id);
    }
    assert_true(crew_wait_backlog(crew, 1));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 1));
    keeper_wait_state(one, id, JJ_CANCELLED);
    keeper_wait_state(other, id, JJ_CANCELLED);
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "delet"));
}

static void messages_that_show_up_after_their_cancellation_are_deleted(void **state)
{
    struct crew *crew = *state;
    int64_t now_ms = jj__clock_wall_ms();

    crew_open(crew, NULL);
    struct keeper *keeper = keeper_begin(crew);
    store_cancellation(crew, "queued");
    store_cancellation(crew, "scheduled");
    store_cancellation(crew, "revived");
    keeper_wait_state(keeper, "queued", JJ_CANCELLED);
    keeper_wait_state(keeper, "scheduled", JJ_CANCELLED);
    keeper_wait_state(keeper, "revived", JJ_CANCELLED);
    store_job(crew, "revived", "1");
    store_job(crew, "queued", NULL);
    store_schedule(crew, "scheduled", now_ms + HOUR_MS, now_ms + HOUR_MS);
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 0));
    assert_true(crew_wait_backlog(crew, 1));
    keeper_wait_state(keeper, "revived", JJ_PENDING);
    keeper_wait_state(keeper, "queued", JJ_CANCELLED);
    keeper_wait_state(keeper, "scheduled", JJ_CANCELLED);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_killed_index_goes_on_where_it_was, crew_begin,
                                        end_killing_and_keepers),
        cmocka_unit_test_setup_teardown(old_jobs_are_pruned_and_unfinished_ones_never, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(an_overdue_schedule_is_published_again_as_it_was,
                                        crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_job_that_was_swept_runs_once, crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_firing_that_was_refused_is_made_good_when_there_is_space,
                                        crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_full_disk_stops_the_index_with_one_line_and_it_goes_on,
                                        crew_begin, end_limit_and_keepers),
        cmocka_unit_test_setup_teardown(messages_of_cancelled_jobs_are_deleted, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(messages_that_show_up_after_their_cancellation_are_deleted,
                                        crew_begin, keepers_end),
    };

    if (argc == 5 && strcmp(argv[1], "keep") == 0)
        return keep_until_killed(argv[2], argv[3], (pid_t)strtol(argv[4], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of listeners: live events that reach a callback, or don't. */

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "crew.h"

#define KIB ((size_t)1024)

/* What a listener has heard. */
struct ear {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    jj_listener *listener;
    jj_client *client;
    char *text;      /* guarded by lock: "<subject> <json>\n" and so on, cut at 200 bytes each */
    size_t len;      /* guarded by lock */
    size_t count;    /* guarded by lock */
    uint64_t missed; /* guarded by lock */
    bool shut;       /* guarded by lock: the callback waits */
    bool inside;     /* guarded by lock: it does so */
    size_t enough;   /* guarded by lock: return false then; 0: never */
    bool wrong;      /* guarded by lock: a call from the callback failed */
};

static void ear_init(struct ear *ear)
{
    *ear = (struct ear){.listener = NULL};
    pthread_mutex_init(&ear->lock, NULL);
    pthread_cond_init(&ear->changed, NULL);
}

static void ear_done(struct ear *ear)
{
    jj_listener_close(ear->listener);
    free(ear->text);
    pthread_cond_destroy(&ear->changed);
    pthread_mutex_destroy(&ear->lock);
}

/* Write it down, then wait while the ear is shut. */
static bool hear(const jj_live *live, void *user)
{
    struct ear *ear = user;
    char line[512];
    int shown = live->json_len < 200 ? (int)live->json_len : 200;
    size_t len =
        (size_t)snprintf(line, sizeof(line), "%s %.*s\n", live->subject, shown, live->json);

    pthread_mutex_lock(&ear->lock);
    char *text = realloc(ear->text, ear->len + len + 1);
    if (text == NULL)
        abort();
    memcpy(text + ear->len, line, len + 1);
    ear->text = text;
    ear->len += len;
    ear->count++;
    ear->missed += live->missed;
    ear->inside = true;
    while (ear->shut)
        pthread_cond_wait(&ear->changed, &ear->lock);
    ear->inside = false;
    bool more = ear->count != ear->enough;
    pthread_mutex_unlock(&ear->lock);
    return more;
}

/* The callback may use the library: it enqueues another job. */
static bool hear_and_enqueue(const jj_live *live, void *user)
{
    struct ear *ear = user;
    const jj_spec spec = {.name = "second"};

    bool wrong = jj_enqueue(ear->client, &spec, NULL, NULL) != JJ_OK;
    pthread_mutex_lock(&ear->lock);
    ear->wrong |= wrong;
    pthread_mutex_unlock(&ear->lock);
    return hear(live, user);
}

static void ear_shut(struct ear *ear, bool shut)
{
    pthread_mutex_lock(&ear->lock);
    ear->shut = shut;
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

struct expected {
    struct ear *ear;
    size_t count;
};

static bool heard_so_many(void *ctx)
{
    struct expected *expected = ctx;

    pthread_mutex_lock(&expected->ear->lock);
    bool enough = expected->ear->count >= expected->count;
    pthread_mutex_unlock(&expected->ear->lock);
    return enough;
}

static bool ear_wait(struct ear *ear, size_t count)
{
    struct expected expected = {ear, count};
    return wait_until(heard_so_many, &expected, WAIT_MS);
}

static bool ear_has(struct ear *ear, const char *text)
{
    pthread_mutex_lock(&ear->lock);
    bool has = ear->text != NULL && strstr(ear->text, text) != NULL;
    pthread_mutex_unlock(&ear->lock);
    return has;
}

static void ear_open(struct ear *ear, jj_client *client, const char *subject, jj_listen_fn take)
{
    jj_error err;

    ear->client = client;
    if (jj_listen(client, subject, take, ear, &ear->listener, &err) != JJ_OK)
        fail_msg("jj_listen: %s", err.text);
}

static void say(struct crew *crew, const char *subject, const char *text)
{
    nats_client_publish(crew->stranger, &(struct note){.subject = subject, .data = text});
}

static jj_verdict log_and_emit(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    jj__ignore(jj_log(attempt, JJ_LOG_WARN, NULL, "careful"), "the story looks for it");
    jj__ignore(jj_emit(attempt, "ready", "[1]"), "likewise");
    return jj_done(attempt, "2", 1);
}

static void a_listener_hears_what_becomes_of_jobs_in_order(void **state)
{
    struct crew *crew = *state;
    struct ear all, lines;

    ear_init(&all);
    ear_init(&lines);
    crew_open(crew, NULL);
    crew_register(crew, "x", log_and_emit, NULL);
    crew_start(crew);
    ear_open(&all, crew->client, "job.x.*", hear);
    ear_open(&lines, crew->client, "log.job.>", hear);
    const char *id = crew_enqueue(crew, "x", NULL);
    assert_true(ear_wait(&all, 4));
    const char *started = strstr(all.text, "job.x.started {");
    const char *log = strstr(all.text, "job.x.log {");
    const char *event = strstr(all.text, "job.x.event {");
    const char *completed = strstr(all.text, "job.x.completed {");
    assert_non_null(started);
    assert_true(started < log && log < event && event < completed);
    assert_true(ear_wait(&lines, 1));
    assert_true(ear_has(&lines, id));
    assert_true(ear_has(&lines, "\"message\":\"careful\""));
    assert_int_equal(jj_listener_missed(all.listener), 0);
    ear_done(&lines);
    ear_done(&all);
}

static void a_callback_may_call_the_library(void **state)
{
    struct crew *crew = *state;
    struct ear ear;

    ear_init(&ear);
    crew_open(crew, NULL);
    crew_register(crew, "x", NULL, NULL);
    crew_register(crew, "second", NULL, NULL);
    crew_start(crew);
    ear_open(&ear, crew->client, "job.x.completed", hear_and_enqueue);
    crew_enqueue(crew, "x", NULL);
    assert_true(crew_wait_runs(crew, "second", 1));
    assert_true(ear_wait(&ear, 1));
    assert_false(ear.wrong);
    ear_done(&ear);
}

static void a_callback_that_has_enough_is_not_called_again(void **state)
{
    struct crew *crew = *state;
    struct ear few, all;

    ear_init(&few);
    ear_init(&all);
    few.enough = 2;
    crew_open(crew, NULL);
    ear_open(&few, crew->client, "job.x.*", hear);
    ear_open(&all, crew->client, "job.x.*", hear);
    for (int i = 0; i < 5; i++)
        say(crew, "job.x.log", "{}");
    assert_true(ear_wait(&all, 5));
    assert_true(ear_wait(&few, 2));
    jj_listener_close(few.listener);
    few.listener = NULL;
    assert_int_equal(few.count, 2);
    ear_done(&all);
    ear_done(&few);
}

static void a_slow_listener_misses_events_and_is_told_how_many(void **state)
{
    struct crew *crew = *state;
    struct ear slow, quick;
    char *large = calloc(1, 900 * KIB + 1);

    ear_init(&slow);
    ear_init(&quick);
    assert_non_null(large);
    memset(large, 'x', 900 * KIB);
    slow.shut = true;
    crew_open(crew, NULL);
    ear_open(&slow, crew->client, "job.x.event", hear);
    ear_open(&quick, crew->client, "job.x.event", hear);
    for (size_t i = 0; i < 60; i++) {
        say(crew, "job.x.event", large);
        assert_true(ear_wait(&quick, i + 1)); /* the client is not held up */
        assert_true(ear_wait(&slow, 1)); /* the first is out of the queue before that is full */
    }
    for (int i = 0; i < 2; i++) /* one answer may be handed out before what came with it */
        crew_enqueue(crew, "other", NULL);
    assert_int_equal(jj_listener_missed(quick.listener), 0);
    uint64_t missed = jj_listener_missed(slow.listener);
    assert_in_range(missed, 60 - 40, 60 - 30);
    ear_shut(&slow, false);
    assert_true(ear_wait(&slow, 60 - missed));
    assert_int_equal(slow.missed, 0);
    say(crew, "job.x.event", "last");
    assert_true(ear_wait(&slow, 60 - missed + 1));
    assert_int_equal(slow.missed, missed);
    assert_int_equal(jj_listener_missed(slow.listener), missed);
    assert_true(ear_has(&slow, "job.x.event last"));
    free(large);
    ear_done(&slow);
    ear_done(&quick);
}

static bool heard_again(void *ctx)
{
    struct ear *ear = ctx;

    jj__ignore(jj_enqueue(ear->client, &(jj_spec){.name = "x"}, NULL, NULL), "the next one counts");
    return ear_has(ear, "job.x.completed");
}

static void a_listener_outlives_the_connection(void **state)
{
    struct crew *crew = *state;
    struct ear ear;

    ear_init(&ear);
    crew_open(crew, NULL);
    crew_register(crew, "x", NULL, NULL);
    crew_start(crew);
    ear_open(&ear, crew->client, "job.x.completed", hear);
    server_kill(&crew->server);
    server_restart(&crew->server);
    assert_true(wait_until(heard_again, &ear, WAIT_MS));
    ear_done(&ear);
}

static void what_is_no_live_subject_is_refused(void **state)
{
    struct crew *crew = *state;
    jj_listener *listener = NULL;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_listen(crew->client, "jobs.>", hear, NULL, &listener, &err),
                     JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "jobs.>"));
    assert_int_equal(jj_listen(crew->client, NULL, hear, NULL, &listener, NULL), JJ_ERR_INVALID);
    assert_int_equal(jj_listen(crew->client, "job.>", NULL, NULL, &listener, NULL), JJ_ERR_INVALID);
    assert_null(listener);
    jj_listener_close(NULL);
}

static void without_a_broker_nobody_listens(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.timeout_ms = 300, .connect_timeout_ms = WAIT_MS};
    jj_listener *listener = NULL;

    crew_open(crew, &options);
    server_stop(&crew->server);
    jj_status s = jj_listen(crew->client, "job.>", hear, NULL, &listener, NULL);
    assert_true(s == JJ_ERR_UNAVAILABLE || s == JJ_ERR_TIMEOUT);
    assert_null(listener);
    server_restart(&crew->server);
}

#define LIMITED                                                                                    \
    "authorization { users: [ { user: boss, password: x },"                                        \
    "{ user: bob, password: x, permissions: { subscribe: [\"_INBOX.>\", \"job.mine.*\"] } } ] }"

static void what_one_may_not_listen_to_is_said(void **state)
{
    struct world *world = *state;
    char url[128];
    jj_client *client = NULL;
    jj_error err;
    struct ear ear;

    world_serve(world, LIMITED, "boss:x");
    server_url_of(&world->server, "bob:x", url);
    const jj_options options = {.url = url, .timeout_ms = WAIT_MS, .no_provision = true};
    assert_int_equal(jj_open(&options, &client, &err), JJ_OK);
    ear_init(&ear);
    assert_int_equal(jj_listen(client, "job.other.*", hear, &ear, &ear.listener, &err),
                     JJ_ERR_NOT_PERMITTED);
    assert_non_null(strstr(err.text, "job.other.*"));
    ear_open(&ear, client, "job.mine.*", hear);
    nats_client_publish(world->stranger,
                        &(struct note){.subject = "job.mine.log", .data = "{\"a\":1}"});
    assert_true(ear_wait(&ear, 1));
    assert_true(ear_has(&ear, "job.mine.log {\"a\":1}"));
    ear_done(&ear);
    jj_close(client);
}

/* ---- signals ---- */

#define TASKS_MAX 256

struct tasks {
    long ids[TASKS_MAX];
    size_t count;
};

static void list_tasks(struct tasks *tasks)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;

    assert_non_null(folder);
    tasks->count = 0;
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && tasks->count < TASKS_MAX)
            tasks->ids[tasks->count++] = strtol(entry->d_name, NULL, 10);
    closedir(folder);
}

static bool has_task(const struct tasks *tasks, long id)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->ids[i] == id)
            return true;
    return false;
}

/* Does that thread take SIGTERM? One that has ended does not. */
static bool takes_signals(long id)
{
    char path[64], line[128];
    unsigned long long blocked = ~0ull;

    snprintf(path, sizeof(path), "/proc/self/task/%ld/status", id);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16);
    fclose(file);
    return (blocked >> (SIGTERM - 1) & 1) == 0;
}

/* They are for the application's own threads, also if it blocks them there later. */
static void no_thread_of_ours_takes_signals(void **state)
{
    struct crew *crew = *state;
    struct tasks before, after;
    struct ear ear;

    list_tasks(&before);
    crew_open(crew, &(jj_options){.adapter = &jj_adapter_memory});
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    assert_int_equal(jj_serve(crew->client, NULL), JJ_OK);
    ear_init(&ear);
    assert_int_equal(jj_listen(crew->client, "job.>", hear, &ear, &ear.listener, NULL), JJ_OK);
    crew_enqueue(crew, "mail", "1");
    assert_true(crew_wait_runs(crew, "mail", 1));
    list_tasks(&after);
    assert_true(after.count > before.count);
    for (size_t i = 0; i < after.count; i++)
        if (!has_task(&before, after.ids[i]) && takes_signals(after.ids[i]))
            fail_msg("thread %ld of %zu takes signals", after.ids[i], after.count);
    ear_done(&ear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_listener_hears_what_becomes_of_jobs_in_order, crew_begin,
                                        crew_end),
        cmocka_unit_test_setup_teardown(a_callback_may_call_the_library, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(a_callback_that_has_enough_is_not_called_again, crew_begin,
                                        crew_end),
        cmocka_unit_test_setup_teardown(a_slow_listener_misses_events_and_is_told_how_many,
                                        crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(a_listener_outlives_the_connection, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(what_is_no_live_subject_is_refused, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(without_a_broker_nobody_listens, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(what_one_may_not_listen_to_is_said, world_begin_empty,
                                        world_end),
        cmocka_unit_test_setup_teardown(no_thread_of_ours_takes_signals, crew_begin, crew_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

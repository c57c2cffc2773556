/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of handlers and of the worker's life: register, start, stop, and who gets the slots. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

static jj_verdict idle(jj_attempt *attempt, void *user)
{
    (void)user;
    return jj_done(attempt, NULL, 0);
}

static jj_status try_register(struct crew *crew, const char *name, jj_error *err)
{
    return jj_register(crew->client, name, idle, NULL, NULL, err);
}

/* ---- registering ---- */

static void a_name_has_one_handler(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(try_register(crew, "mail", &err), JJ_OK);
    assert_int_equal(try_register(crew, "mail", &err), JJ_ERR_EXISTS);
    assert_string_equal(err.text, "handler 'mail' is registered already");
    assert_int_equal(try_register(crew, "Mail", &err), JJ_OK);
}

static void a_name_that_is_none_is_refused(void **state)
{
    struct crew *crew = *state;
    char long_name[JJ_NAME_MAX + 2] = {0};
    const char *const bad[] = {
        NULL, "", "a.b", "*", ">", "a b", "a\n", "\xC3\xA4", memset(long_name, 'n', 65)};
    jj_error err;

    crew_open(crew, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(try_register(crew, bad[i], &err), JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, "job name"));
    }
    assert_int_equal(jj_register(crew->client, "mail", NULL, NULL, NULL, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "handler 'mail' is NULL");
    long_name[JJ_NAME_MAX] = '\0';
    assert_int_equal(try_register(crew, long_name, &err), JJ_OK);
}

static void an_option_of_a_handler_that_is_out_of_range_is_named(void **state)
{
    struct crew *crew = *state;
    static const struct {
        jj_handler_options options;
        const char *field;
    } bad[] = {
        {{.concurrency = 6}, "concurrency is 6"}, /* the client has 5 */
        {{.max_attempts = 1001}, "max_attempts is 1001"},
        {{.timeout_ms = -1}, "timeout_ms is -1"},
        {{.backoff_initial_ms = -1}, "backoff_initial_ms is -1"},
        {{.backoff_max_ms = -1}, "backoff_max_ms is -1"},
        {{.backoff_initial_ms = 400000}, "backoff_max_ms is 300000"},
    };
    jj_error err;

    crew_open(crew, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(jj_register(crew->client, "mail", idle, &bad[i].options, NULL, &err),
                         JJ_ERR_INVALID);
        if (strstr(err.text, bad[i].field) == NULL)
            fail_msg("'%s' does not say %s", err.text, bad[i].field);
    }
    assert_int_equal(try_register(crew, "mail", &err), JJ_OK);
}

static void an_option_of_a_client_that_is_out_of_range_is_named(void **state)
{
    struct crew *crew = *state;
    const struct {
        jj_options options;
        const char *field;
    } bad[] = {
        {{.concurrency = 10001}, "concurrency is 10001"},
        {{.timeout_ms = -1}, "timeout_ms is -1"},
        {{.connect_timeout_ms = -2}, "connect_timeout_ms is -2"},
        {{.replicas = 6}, "replicas is 6"},
        {{.jobs_bytes = -1}, "jobs_bytes is -1"},
        {{.max_attempts = 1001}, "max_attempts is 1001"},
        {{.ack_wait_ms = 999}, "ack_wait_ms is 999"},
        {{.shutdown_grace_ms = -1}, "shutdown_grace_ms is -1"},
        {{.max_lost = 1001}, "max_lost is 1001"},
        {{.backoff_max_ms = 1}, "backoff_max_ms is 1"},
        {{.worker = "a.b"}, "worker 'a.b'"},
    };
    jj_client *client = NULL;
    jj_error err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        jj_options options = bad[i].options;
        options.url = crew->server.url;
        assert_int_equal(jj_open(&options, &client, &err), JJ_ERR_INVALID);
        assert_null(client);
        if (strstr(err.text, bad[i].field) == NULL)
            fail_msg("'%s' does not say %s", err.text, bad[i].field);
    }
}

/* ---- starting and stopping ---- */

static void a_client_without_handlers_does_not_start(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_start(crew->client, &err), JJ_ERR_STATE);
    assert_string_equal(err.text, "no handler is registered");
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
}

static void a_started_client_takes_no_more_handlers(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    assert_int_equal(try_register(crew, "report", &err), JJ_ERR_STATE);
    assert_string_equal(err.text, "handler 'report': the client has been started");
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
    crew_register(crew, "report", NULL, NULL);
    crew_start(crew);
    crew_enqueue(crew, "report", NULL);
    assert_true(crew_wait_runs(crew, "report", 1));
}

static void to_start_or_stop_twice_does_no_harm(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
    crew_start(crew);
    crew_start(crew);
    crew_enqueue(crew, "mail", NULL);
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "mail"), 1);
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
}

static void a_stopped_client_can_start_again(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    for (size_t round = 1; round <= 5; round++) {
        crew_start(crew);
        crew_enqueue(crew, "mail", NULL);
        assert_true(crew_wait_runs(crew, "mail", round));
        assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
        assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 0);
    }
    assert_int_equal(crew_runs(crew, NULL), 5);
}

/* Waits while the gate is closed, whatever it is told. */
static jj_verdict wait_at_gate(struct crew *crew, jj_attempt *attempt)
{
    bool closed = true;

    while (closed) {
        wait_a_moment();
        pthread_mutex_lock(&crew->lock);
        closed = crew->gate_closed;
        pthread_mutex_unlock(&crew->lock);
    }
    return jj_done(attempt, NULL, 0);
}

static void a_client_does_not_start_again_while_its_handlers_run(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, &(jj_options){.shutdown_grace_ms = 50});
    crew_register(crew, "mail", wait_at_gate, NULL);
    crew_close_gate(crew);
    crew_start(crew);
    crew_enqueue(crew, "mail", NULL);
    assert_true(crew_wait_running(crew, 1));
    assert_int_equal(jj_stop(crew->client, &err), JJ_ERR_TIMEOUT);
    assert_int_equal(jj_start(crew->client, &err), JJ_ERR_STATE);
    assert_string_equal(err.text, "a handler still runs since the client was stopped");
    crew_open_gate(crew);
    assert_true(crew_wait_running(crew, 0));
    while (jj_start(crew->client, &err) == JJ_ERR_STATE) /* it is about to return */
        wait_a_moment();
    assert_true(crew_wait_runs(crew, "mail", 2));
    assert_true(crew_wait_over(crew));
}

static void to_close_without_a_start_does_no_harm(void **state)
{
    struct crew *crew = *state;

    jj_close(NULL);
    crew_open(crew, NULL);
    crew_close(crew);
    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_close(crew);
    assert_int_equal(log_book_count(&crew->book, JJ_LOG_WARN), 0);
}

#define THREADS 4
#define ROUNDS  5

struct pusher {
    pthread_t thread;
    struct crew *crew;
    size_t number;
    size_t unexpected;
};

static void *start_and_stop(void *arg)
{
    struct pusher *pusher = arg;
    jj_client *client = pusher->crew->client;
    jj_error err;

    for (int round = 0; round < ROUNDS; round++) {
        jj_status s = jj_start(client, &err);
        pusher->unexpected += s != JJ_OK && s != JJ_ERR_STATE;
        pusher->unexpected += jj_stop(client, &err) != JJ_OK;
    }
    return NULL;
}

static void *start_and_register(void *arg)
{
    struct pusher *pusher = arg;
    char name[24];
    jj_error err;

    for (int round = 0; round < ROUNDS; round++) {
        jj_status s = jj_start(pusher->crew->client, &err);
        pusher->unexpected += s != JJ_OK && s != JJ_ERR_STATE;
        snprintf(name, sizeof(name), "n%zu-%d", pusher->number, round);
        s = try_register(pusher->crew, name, &err);
        pusher->unexpected += s != JJ_OK && s != JJ_ERR_STATE;
    }
    return NULL;
}

static void assert_all_as_expected(struct crew *crew, void *(*push)(void *))
{
    struct pusher pushers[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        pushers[i] = (struct pusher){.crew = crew, .number = i};
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push, &pushers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(pushers[i].thread, NULL);
        assert_int_equal(pushers[i].unexpected, 0);
    }
}

static void several_threads_may_start_and_stop(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    assert_all_as_expected(crew, start_and_stop);
    crew_start(crew);
    crew_enqueue(crew, "mail", NULL);
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 1);
}

static void several_threads_may_start_and_register(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_all_as_expected(crew, start_and_register);
    assert_int_equal(jj_start(crew->client, &err), JJ_OK);
}

/* ---- slots ---- */

static jj_verdict take_a_while(struct crew *crew, jj_attempt *attempt)
{
    int64_t until_ms = jj__clock_mono_ms() + 5;

    (void)crew;
    while (jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    return jj_done(attempt, NULL, 0);
}

static void enqueue_many(struct crew *crew, const char *name, size_t count)
{
    jj_spec *specs = calloc(count, sizeof(*specs));
    jj_error err;

    assert_non_null(specs);
    for (size_t i = 0; i < count; i++)
        specs[i] = (jj_spec){.name = name};
    if (jj_enqueue_many(crew->client, specs, count, NULL, NULL, &err) != JJ_OK)
        fail_msg("jj_enqueue_many: %s", err.text);
    free(specs);
}

/* How many of the first runs were of that name. */
static size_t among_the_first(struct crew *crew, const char *name, size_t count)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += strcmp(crew_run(crew, i).name, name) == 0;
    return found;
}

static void no_more_jobs_run_at_once_than_there_are_slots(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, &(jj_options){.concurrency = 3});
    crew_register(crew, "mail", crew_pass, NULL);
    crew_register(crew, "report", crew_pass, NULL);
    enqueue_many(crew, "mail", 20);
    enqueue_many(crew, "report", 20);
    crew_close_gate(crew);
    crew_start(crew);
    assert_true(crew_wait_running(crew, 3));
    crew_open_gate(crew);
    assert_true(crew_wait_runs(crew, NULL, 40));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew->most, 3);
}

static void a_name_has_no_more_slots_than_its_own_concurrency(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, &(jj_options){.concurrency = 5});
    crew_register(crew, "mail", crew_pass, &(jj_handler_options){.concurrency = 2});
    crew_register(crew, "report", take_a_while, NULL);
    crew_close_gate(crew);
    crew_start(crew);
    enqueue_many(crew, "mail", 20);
    assert_true(crew_wait_running(crew, 2));
    enqueue_many(crew, "report", 20); /* these go on */
    assert_true(crew_wait_runs(crew, "report", 20));
    assert_true(crew_wait_running(crew, 2));
    assert_int_equal(crew_runs(crew, "mail"), 2);
    assert_in_range(crew->most, 3, 5);
    crew_open_gate(crew);
    assert_true(crew_wait_runs(crew, "mail", 20));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 40);
}

static void names_share_the_slots(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, &(jj_options){.concurrency = 4});
    crew_register(crew, "mail", take_a_while, NULL);
    crew_register(crew, "report", take_a_while, NULL);
    enqueue_many(crew, "mail", 150);
    enqueue_many(crew, "report", 150);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, NULL, 300));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "mail"), 150);
    size_t reports = among_the_first(crew, "report", 150);
    if (reports < 40 || reports > 110)
        fail_msg("%zu of the first 150 jobs were reports", reports);
}

/* Most end at once. */
static jj_verdict wait_if_told(struct crew *crew, jj_attempt *attempt)
{
    size_t len;
    const char *data = jj_attempt_data(attempt, &len);

    return len > 0 && data[0] == 'w' ? crew_pass(crew, attempt) : jj_done(attempt, NULL, 0);
}

/* Jobs in one call, of which those wait that the pattern has a 'w' for. */
static void enqueue_pattern(struct crew *crew, const char *pattern)
{
    jj_spec specs[64];
    size_t count = strlen(pattern);
    jj_error err;

    assert_in_range(count, 1, 64);
    for (size_t i = 0; i < count; i++)
        specs[i] = (jj_spec){.name = "mail", .data = &pattern[i], .data_len = 1};
    if (jj_enqueue_many(crew->client, specs, count, NULL, NULL, &err) != JJ_OK)
        fail_msg("jj_enqueue_many: %s", err.text);
}

static void open_quick_crew(struct crew *crew, uint32_t concurrency)
{
    crew_open(crew, &(jj_options){.concurrency = concurrency});
    crew_register(crew, "mail", wait_if_told, NULL);
    crew_start(crew);
    enqueue_many(crew, "mail", 1000);
    assert_true(crew_wait_runs(crew, "mail", 1000));
    assert_true(crew_wait_over(crew));
    crew_close_gate(crew);
}

static void no_job_waits_for_one_that_was_quick_so_far(void **state)
{
    struct crew *crew = *state;

    open_quick_crew(crew, 3);
    enqueue_pattern(crew, "wqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqwqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq");
    assert_true(crew_wait_backlog(crew, 2));
    assert_int_equal(crew_running(crew), 2);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
}

static void what_quick_jobs_did_is_stored_while_slow_ones_run(void **state)
{
    struct crew *crew = *state;

    open_quick_crew(crew, 2);
    enqueue_pattern(crew, "qqqwwqqqq");
    assert_true(crew_wait_running(crew, 2));
    assert_true(crew_wait_backlog(crew, 6));
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
}

/* Longer than a job is held that gets no slot. */
static jj_verdict take_long(struct crew *crew, jj_attempt *attempt)
{
    int64_t until_ms = jj__clock_mono_ms() + 1200;

    (void)crew;
    while (jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    return jj_done(attempt, NULL, 0);
}

/* Each is given back now and then, so that other workers may have it. That costs it nothing. */
static void names_with_long_jobs_share_one_slot_and_lose_none(void **state)
{
    struct crew *crew = *state;
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);

    crew_open(crew, &(jj_options){.concurrency = 1, .max_lost = 1});
    crew_register(crew, "mail", take_long, NULL);
    crew_register(crew, "report", take_long, NULL);
    enqueue_many(crew, "mail", 4);
    enqueue_many(crew, "report", 4);
    crew_start(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(listener_count(failed), 0);
    assert_int_equal(crew_runs(crew, "mail"), 4);
    assert_int_equal(crew_runs(crew, "report"), 4);
    assert_in_range(among_the_first(crew, "report", 6), 2, 4);
    listener_close(failed);
}

static void the_fleet_keeps_its_limit(void **state)
{
    struct crew *crew = *state;
    const jj_handler_options options = {.fleet_concurrency = 2};

    crew_open(crew, NULL);
    crew_register(crew, "mail", take_a_while, &options);
    crew_start(crew);
    jj_client *first = crew->client;
    crew_open(crew, NULL);
    crew_register(crew, "mail", take_a_while, &options);
    crew_start(crew);
    enqueue_many(crew, "mail", 60);
    assert_true(crew_wait_runs(crew, "mail", 60));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew->most, 2);
    jj_close(first);
}

static jj_verdict hand_on(struct crew *crew, jj_attempt *attempt)
{
    const jj_spec spec = {.name = "second", .data = "from first", .data_len = 10};
    jj_receipt receipt;
    jj_error err;

    if (jj_enqueue(crew->client, &spec, &receipt, &err) != JJ_OK)
        return jj_fail(attempt, "%s", err.text);
    if (!crew_wait_runs(crew, "second", 1))
        return jj_fail(attempt, "the other one did not run");
    return jj_done(attempt, NULL, 0);
}

static void a_handler_may_enqueue_and_wait_for_what_it_enqueued(void **state)
{
    struct crew *crew = *state;
    struct listener *completed = nats_client_listen(crew->stranger, "job.first.completed", NULL);

    crew_open(crew, NULL);
    crew_register(crew, "first", hand_on, NULL);
    crew_register(crew, "second", NULL, NULL);
    crew_start(crew);
    crew_enqueue(crew, "first", NULL);
    assert_true(listener_wait(completed, 1));
    assert_string_equal(crew_run(crew, 1).data, "from first");
    assert_true(crew_wait_over(crew));
    listener_close(completed);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_name_has_one_handler),
        STORY(a_name_that_is_none_is_refused),
        STORY(an_option_of_a_handler_that_is_out_of_range_is_named),
        STORY(an_option_of_a_client_that_is_out_of_range_is_named),
        STORY(a_client_without_handlers_does_not_start),
        STORY(a_started_client_takes_no_more_handlers),
        STORY(to_start_or_stop_twice_does_no_harm),
        STORY(a_stopped_client_can_start_again),
        STORY(a_client_does_not_start_again_while_its_handlers_run),
        STORY(to_close_without_a_start_does_no_harm),
        STORY(several_threads_may_start_and_stop),
        STORY(several_threads_may_start_and_register),
        STORY(no_more_jobs_run_at_once_than_there_are_slots),
        STORY(a_name_has_no_more_slots_than_its_own_concurrency),
        STORY(names_share_the_slots),
        STORY(no_job_waits_for_one_that_was_quick_so_far),
        STORY(what_quick_jobs_did_is_stored_while_slow_ones_run),
        STORY(names_with_long_jobs_share_one_slot_and_lose_none),
        STORY(the_fleet_keeps_its_limit),
        STORY(a_handler_may_enqueue_and_wait_for_what_it_enqueued),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

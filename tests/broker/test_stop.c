/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of stopping: running jobs end, others get the rest, nothing is lost. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

/* Can another worker have a job of that name right now? */
static bool can_be_had(struct crew *crew, const char *name)
{
    char subject[128];
    const struct note pull = {.subject = subject, .data = "{\"batch\":1,\"expires\":2000000000}"};

    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.JOBS.%s", name);
    json_t *job = nats_client_ask(crew->stranger, &pull);
    bool had = json_is_object(job);

    json_decref(job);
    return had;
}

/* jj_stop() on a thread of its own, to look at the world meanwhile. */
struct stopper {
    pthread_t thread;
    jj_client *client;
    int64_t grace_ms; /* 0: as the options say */
    jj_status status;
};

static void *stop(void *arg)
{
    struct stopper *stopper = arg;

    stopper->status = stopper->grace_ms == 0
                          ? jj_stop(stopper->client, NULL)
                          : jj_stop_within(stopper->client, stopper->grace_ms, NULL);
    return NULL;
}

static void begin_stop(struct stopper *stopper, struct crew *crew)
{
    stopper->client = crew->client;
    assert_int_equal(pthread_create(&stopper->thread, NULL, stop, stopper), 0);
}

static jj_status end_stop(struct stopper *stopper)
{
    assert_int_equal(pthread_join(stopper->thread, NULL), 0);
    return stopper->status;
}

static bool is_stopping(void *ctx)
{
    struct crew *crew = ctx;

    return jj_start(crew->client, NULL) == JJ_ERR_STATE;
}

static void stop_waits_for_running_handlers_and_leaves_the_rest(void **state)
{
    struct crew *crew = *state;
    struct stopper stopper = {0};

    crew_open(crew, NULL);
    crew_register(crew, "slow", crew_pass, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    for (int i = 0; i < 20; i++)
        crew_enqueue(crew, "slow", "x");
    assert_true(crew_wait_running(crew, 5));
    begin_stop(&stopper, crew);
    assert_true(wait_until(is_stopping, crew, WAIT_MS));
    assert_int_equal(crew_running(crew), 5);
    crew_open_gate(crew);
    assert_int_equal(end_stop(&stopper), JJ_OK);
    assert_int_equal(crew_runs(crew, NULL), 5);
    assert_true(crew_wait_backlog(crew, 15));
    /* What was not started can be had by others at once. */
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "slow", "num_ack_pending", 0));
    crew_start(crew);
    assert_true(crew_wait_runs(crew, NULL, 20));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 20);
}

/* Goes on whatever it is told, until the gate opens. */
static jj_verdict obstinate(struct crew *crew, jj_attempt *attempt)
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

static void after_the_grace_the_jobs_are_given_back(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.shutdown_grace_ms = 200};

    crew_open(crew, &options);
    crew_register(crew, "endless", obstinate, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "endless", "{}");
    assert_true(crew_wait_running(crew, 1));
    assert_int_equal(jj_stop(crew->client, NULL), JJ_ERR_TIMEOUT);
    assert_int_equal(crew_running(crew), 1);
    assert_true(can_be_had(crew, "endless"));
    crew_open_gate(crew);
    crew_close(crew); /* waits for the handler; its verdict comes too late */
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
}

static void a_second_stop_ends_the_grace_of_the_first(void **state)
{
    struct crew *crew = *state;
    struct stopper stopper = {0};

    crew_open(crew, NULL);
    crew_register(crew, "endless", obstinate, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "endless", "{}");
    assert_true(crew_wait_running(crew, 1));
    begin_stop(&stopper, crew);
    assert_true(wait_until(is_stopping, crew, WAIT_MS));
    assert_int_equal(crew_running(crew), 1);
    assert_int_equal(jj_stop_within(crew->client, 0, NULL), JJ_ERR_TIMEOUT);
    assert_int_equal(end_stop(&stopper), JJ_ERR_TIMEOUT);
    assert_true(can_be_had(crew, "endless"));
    crew_open_gate(crew);
    crew_close(crew); /* waits for the handler; its verdict comes too late */
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
}

/* The grace of the options is over long before the handler is, and does not matter. */
static void a_stop_may_wait_for_as_long_as_it_takes(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.shutdown_grace_ms = 1};
    struct stopper stopper = {.grace_ms = -1};

    crew_open(crew, &options);
    crew_register(crew, "endless", obstinate, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "endless", "{}");
    assert_true(crew_wait_running(crew, 1));
    begin_stop(&stopper, crew);
    assert_true(wait_until(is_stopping, crew, WAIT_MS));
    crew_open_gate(crew);
    assert_int_equal(end_stop(&stopper), JJ_OK);
    assert_true(crew_wait_backlog(crew, 0));
}

static void a_grace_beyond_any_sense_is_refused(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    assert_int_equal(jj_stop_within(crew->client, -2, NULL), JJ_ERR_INVALID);
    assert_int_equal(jj_stop_within(crew->client, INT64_MAX, NULL), JJ_ERR_INVALID);
    assert_int_equal(jj_stop_within(crew->client, 0, NULL), JJ_OK);
}

static void a_handler_that_watches_ends_when_the_grace_is_over(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.shutdown_grace_ms = 200};

    crew_open(crew, &options);
    crew_register(crew, "polite", crew_pass, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "polite", "x");
    assert_true(crew_wait_running(crew, 1));
    assert_int_equal(jj_stop(crew->client, NULL), JJ_ERR_TIMEOUT);
    assert_true(crew_wait_running(crew, 0));
}

static void a_stopped_worker_takes_nothing(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "idle", NULL, NULL);
    crew_start(crew);
    crew_enqueue(crew, "idle", "x");
    assert_true(crew_wait_runs(crew, "idle", 1));
    assert_int_equal(jj_stop(crew->client, NULL), JJ_OK);
    crew_enqueue(crew, "idle", "y");
    assert_true(crew_wait_backlog(crew, 1));
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "idle", "num_ack_pending", 0));
    assert_int_equal(crew_runs(crew, NULL), 1);
}

static void close_ends_a_worker_in_full_swing(void **state)
{
    struct crew *crew = *state;
    enum { JOBS = 3000 };
    static jj_spec specs[JOBS];

    crew_open(crew, NULL);
    for (size_t i = 0; i < JOBS; i++)
        specs[i] = (jj_spec){.name = "busy", .data = "x", .data_len = 1};
    crew_register(crew, "busy", NULL, NULL);
    crew_start(crew);
    assert_int_equal(jj_enqueue_many(crew->client, specs, JOBS, NULL, NULL, NULL), JJ_OK);
    assert_true(crew_wait_runs(crew, "busy", 100));
    crew_close(crew);
    size_t ran = crew_runs(crew, NULL);
    assert_true(crew_wait_backlog(crew, JOBS - ran));
    crew_open(crew, NULL);
    crew_register(crew, "busy", NULL, NULL);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "busy", JOBS));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), JOBS);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(stop_waits_for_running_handlers_and_leaves_the_rest),
        STORY(after_the_grace_the_jobs_are_given_back),
        STORY(a_second_stop_ends_the_grace_of_the_first),
        STORY(a_stop_may_wait_for_as_long_as_it_takes),
        STORY(a_grace_beyond_any_sense_is_refused),
        STORY(a_handler_that_watches_ends_when_the_grace_is_over),
        STORY(a_stopped_worker_takes_nothing),
        STORY(close_ends_a_worker_in_full_swing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of a broker that goes away and comes back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "keeper.h"

#define JOBS 300

static bool ids_seen(struct crew *crew, const char *name, size_t count)
{
    bool seen[JOBS] = {false};
    size_t distinct = 0;
    size_t runs = crew_runs(crew, NULL);

    for (size_t i = 0; i < runs; i++) {
        struct run run = crew_run(crew, i);
        size_t number = strtoul(run.data, NULL, 10);
        if (strcmp(run.name, name) == 0 && number < JOBS && !seen[number]) {
            seen[number] = true;
            distinct++;
        }
    }
    return distinct == count;
}

struct expected {
    struct crew *crew;
    size_t count;
};

static bool all_ran(void *ctx)
{
    struct expected *expected = ctx;

    return ids_seen(expected->crew, "steady", expected->count);
}

/* Enqueues on a thread of its own; a call that fails is repeated with the same id. */
struct producer {
    pthread_t thread;
    struct crew *crew;
    size_t failed;
};

static void *produce(void *arg)
{
    struct producer *producer = arg;
    char id[24], data[24];

    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        snprintf(data, sizeof(data), "%d", i);
        const jj_spec spec = {.name = "steady", .id = id, .data = data, .data_len = strlen(data)};
        while (jj_enqueue(producer->crew->client, &spec, NULL, NULL) != JJ_OK)
            producer->failed++;
    }
    return NULL;
}

static void nothing_acknowledged_is_lost_when_the_broker_restarts(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.timeout_ms = 20000, .ack_wait_ms = 2000};
    struct producer producer = {.crew = crew};
    struct expected expected = {crew, JOBS};

    crew_open(crew, &options);
    crew_register(crew, "steady", NULL, NULL);
    crew_start(crew);
    assert_int_equal(pthread_create(&producer.thread, NULL, produce, &producer), 0);
    for (size_t i = 1; i <= 3; i++) {
        assert_true(crew_wait_runs(crew, "steady", i * 60));
        if (i == 2)
            server_kill(&crew->server);
        else
            server_stop(&crew->server);
        server_restart(&crew->server);
    }
    assert_int_equal(pthread_join(producer.thread, NULL), 0);
    assert_int_equal(producer.failed, 0);
    assert_true(wait_until(all_ran, &expected, WAIT_MS));
    keeper_begin(crew); /* it deletes what a killed server kept though it was acknowledged */
    assert_true(crew_wait_backlog(crew, 0));
    assert_false(log_book_has(&crew->book, JJ_LOG_ERROR, ""));
}

static void jobs_that_run_while_the_broker_is_away_complete(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "slow", crew_pass, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    for (int i = 0; i < 5; i++)
        crew_enqueue(crew, "slow", "x");
    assert_true(crew_wait_running(crew, 5));
    server_stop(&crew->server);
    crew_open_gate(crew);
    assert_true(crew_wait_running(crew, 0));
    server_restart(&crew->server);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 5);
}

static void a_call_waits_no_longer_than_its_caller_chose(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.timeout_ms = 300};
    const jj_spec spec = {.name = "steady", .id = "patient", .data = "1", .data_len = 1};
    jj_receipt receipt;
    jj_error err;

    crew_open(crew, &options);
    crew_register(crew, "steady", NULL, NULL);
    server_stop(&crew->server);
    int64_t before_ms = jj__clock_mono_ms();
    jj_status s = jj_enqueue(crew->client, &spec, &receipt, &err);
    assert_true(s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE);
    assert_in_range(jj__clock_mono_ms() - before_ms, 250, 10000);
    server_restart(&crew->server);
    while (jj_start(crew->client, &err) != JJ_OK)
        assert_true(jj__clock_mono_ms() < before_ms + WAIT_MS);
    while (jj_enqueue(crew->client, &spec, &receipt, &err) != JJ_OK)
        assert_true(jj__clock_mono_ms() < before_ms + WAIT_MS);
    assert_true(crew_wait_runs(crew, "steady", 1));
}

static void a_call_that_gives_up_says_why_there_is_no_broker(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "steady", .id = "patient"};
    jj_error err = {0};
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    crew_open(crew, &(jj_options){.timeout_ms = 1000});
    server_stop(&crew->server);
    while (strstr(err.text, "publish to jobs.enqueue.steady: not connected: ") == NULL) {
        if (jj__clock_mono_ms() > until_ms)
            fail_msg("%s", err.text);
        assert_int_not_equal(jj_enqueue(crew->client, &spec, NULL, &err), JJ_OK);
    }
}

static void stop_and_close_end_while_the_broker_is_away(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.timeout_ms = 300, .shutdown_grace_ms = 500};

    crew_open(crew, &options);
    crew_register(crew, "slow", crew_pass, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "slow", "x");
    assert_true(crew_wait_running(crew, 1));
    server_stop(&crew->server);
    assert_int_equal(jj_stop(crew->client, NULL), JJ_ERR_TIMEOUT);
    crew_close(crew);
    assert_int_equal(crew_running(crew), 0);
    server_restart(&crew->server);
}

static void a_worker_starts_again_when_its_consumer_is_gone(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "steady", NULL, NULL);
    crew_start(crew);
    crew_enqueue(crew, "steady", "0");
    assert_true(crew_wait_runs(crew, "steady", 1));
    assert_true(crew_wait_backlog(crew, 0));
    json_decref(nats_client_api(crew->stranger, "CONSUMER.DELETE.JOBS.steady", NULL));
    crew_enqueue(crew, "steady", "1");
    assert_true(crew_wait_runs(crew, "steady", 2));
    assert_true(crew_wait_backlog(crew, 0));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_when_the_broker_restarts,
                                        crew_begin, keepers_end),
        STORY(jobs_that_run_while_the_broker_is_away_complete),
        STORY(a_call_waits_no_longer_than_its_caller_chose),
        STORY(a_call_that_gives_up_says_why_there_is_no_broker),
        STORY(stop_and_close_end_while_the_broker_is_away),
        STORY(a_worker_starts_again_when_its_consumer_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

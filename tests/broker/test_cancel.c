/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of cancelling: what is cancelled never starts, and what has started is not cancelled. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "codec_pb.h"
#include "desk.h"

#define RACES 300
#define BURST 20

static void a_pending_job_is_cancelled_and_leaves_the_queue(void **state)
{
    struct desk *desk = *state;
    jj_error err;

    desk_enqueue(desk, "mail", "a", "data");
    if (jj_cancel(desk->asker, "a", &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj_job *job = desk_get(desk, "a");
    assert_int_equal(jj_job_state(job), JJ_CANCELLED);
    assert_true(jj_job_completed_at_ms(job) > 0);
    assert_int_equal(jj_job_attempts(job), 0);
    jj_job_free(job);
    assert_true(crew_wait_backlog(desk->crew, 0));
}

static void a_scheduled_job_is_cancelled_and_its_schedule_removed(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .id = "later"};

    assert_int_equal(jj_schedule(desk->asker, &spec, jj__clock_wall_ms() + 3600000, NULL, NULL),
                     JJ_OK);
    assert_int_equal(jj_cancel(desk->asker, "later", NULL), JJ_OK);
    desk_expect_state(desk, "later", JJ_CANCELLED);
    assert_true(nats_client_wait_messages(desk->crew->stranger, "JOBS_SCHEDULE", 0));
}

/* Whoever builds an index from the history alone learns of the job, too. */
static void the_stored_event_carries_the_job(void **state)
{
    struct desk *desk = *state;
    const jj_header tenant = {"X-Tenant", "acme"};
    const jj_spec spec = {.name = "mail",
                          .id = "a",
                          .data = "hello",
                          .data_len = 5,
                          .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                          .max_attempts = 7,
                          .headers = &tenant,
                          .header_count = 1};

    assert_int_equal(jj_enqueue(desk->asker, &spec, NULL, NULL), JJ_OK);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    struct history *history = crew_read_history(desk->crew);
    const struct entry *entry = history_event(history, "a", EVENT_CANCELLED);
    assert_non_null(entry);
    assert_null(entry->worker);
    assert_int_equal(entry->event->max_attempts, 7);
    assert_string_equal(entry->event->traceparent, spec.traceparent);
    const struct job *job = entry->event->job;
    assert_non_null(job);
    assert_string_equal(job->id, "a");
    assert_string_equal(job->name, "mail");
    assert_memory_equal(job->data, "hello", 5);
    assert_string_equal(jj__header_find(job->headers, job->header_count, "X-Tenant"), "acme");
    assert_true(job->created_at_ms > 0);
    history_free(history);
}

static void data_too_large_for_the_event_is_left_out(void **state)
{
    struct desk *desk = *state;
    size_t len = 1024 * 1024 - 200;
    char *data = calloc(1, len);
    const jj_header id = {"Job-Id", "large"};
    const struct note note = {.subject = "jobs.enqueue.mail",
                              .headers = &id,
                              .header_count = 1,
                              .data = data,
                              .len = len};

    assert_non_null(data);
    nats_client_store(desk->crew->stranger, &note);
    free(data);
    desk_enqueue(desk, "mail", NULL, NULL); /* then the one before has been read */
    assert_int_equal(jj_cancel(desk->asker, "large", NULL), JJ_OK);
    struct history *history = crew_read_history(desk->crew);
    assert_null(history_event(history, "large", EVENT_CANCELLED)->event->job);
    history_free(history);
}

static void a_cancellation_is_told_live(void **state)
{
    struct desk *desk = *state;
    struct listener *all = nats_client_listen(desk->crew->stranger, "job.cancelled", NULL);
    struct listener *named = nats_client_listen(desk->crew->stranger, "job.mail.cancelled", NULL);

    desk_enqueue(desk, "mail", "a", NULL);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    assert_true(listener_wait(all, 1));
    assert_true(listener_wait(named, 1));
    assert_string_equal(event_member(listener_get(all, 0), "jobId"), "a");
    assert_string_equal(event_member(listener_get(all, 0), "type"), "cancelled");
    assert_string_equal(event_member(listener_get(all, 0), "worker"), "");
    listener_close(all);
    listener_close(named);
}

static void a_cancelled_job_is_not_run(void **state)
{
    struct desk *desk = *state;

    desk_enqueue(desk, "mail", "a", NULL);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", NULL, NULL);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "b", NULL);
    desk_expect_end(desk, "b", JJ_COMPLETED);
    assert_int_equal(crew_runs(desk->crew, NULL), 1);
}

static void expect_refusal(struct desk *desk, const char *id, const char *why)
{
    jj_error err;

    assert_int_equal(jj_cancel(desk->asker, id, &err), JJ_ERR_STATE);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void what_runs_or_is_over_is_not_cancelled(void **state)
{
    struct desk *desk = *state;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", crew_pass, NULL);
    crew_close_gate(desk->crew);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "a", NULL);
    assert_true(crew_wait_running(desk->crew, 1));
    expect_refusal(desk, "a", "job 'a' was not cancelled: it is running");
    crew_open_gate(desk->crew);
    desk_expect_end(desk, "a", JJ_COMPLETED);
    expect_refusal(desk, "a", "it is completed");
    desk_enqueue(desk, "idle", "b", NULL);
    assert_int_equal(jj_cancel(desk->asker, "b", NULL), JJ_OK);
    expect_refusal(desk, "b", "it is cancelled");
}

static jj_verdict fail_first(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 3600000, "not now");
    return jj_done(attempt, NULL, 0);
}

static bool is_scheduled(void *ctx)
{
    struct desk *desk = ctx;
    jj_job *job = desk_get(desk, "a");
    bool is = jj_job_state(job) == JJ_SCHEDULED;

    jj_job_free(job);
    return is;
}

static void a_job_that_waits_for_its_retry_is_cancelled(void **state)
{
    struct desk *desk = *state;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", fail_first, NULL);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "a", NULL);
    assert_true(wait_until(is_scheduled, desk, WAIT_MS));
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    desk_expect_state(desk, "a", JJ_CANCELLED);
    assert_true(nats_client_wait_messages(desk->crew->stranger, "JOBS_SCHEDULE", 0));
    assert_int_equal(crew_runs(desk->crew, NULL), 1);
}

/* ---- races ---- */

static void enqueue_burst(struct desk *desk, size_t first, char ids[][JJ_NAME_SIZE])
{
    jj_spec specs[BURST];
    jj_receipt receipts[BURST];

    for (size_t i = 0; i < BURST; i++)
        specs[i] = (jj_spec){.name = "mail"};
    assert_int_equal(jj_enqueue_many(desk->asker, specs, BURST, receipts, NULL, NULL), JJ_OK);
    for (size_t i = 0; i < BURST; i++)
        memcpy(ids[first + i], receipts[i].id, JJ_NAME_SIZE);
}

/* Each job is cancelled while the workers take it: either it runs, or the answer was yes. */
static void each_job_is_either_run_or_cancelled(void **state)
{
    struct desk *desk = *state;
    char ids[RACES][JJ_NAME_SIZE];
    bool cancelled[RACES];
    size_t count = 0;
    jj_error err;

    crew_open(desk->crew, &(jj_options){.concurrency = 4});
    crew_register(desk->crew, "mail", crew_pass, NULL);
    crew_start(desk->crew);
    for (size_t i = 0; i < RACES; i++) {
        if (i % BURST == 0) {
            crew_close_gate(desk->crew);
            enqueue_burst(desk, i, ids);
        } else if (i % BURST == BURST / 4) {
            crew_open_gate(desk->crew); /* now the workers run after us */
        }
        size_t at = i + BURST - 1 - 2 * (i % BURST); /* the last one has most time */
        jj_status s = jj_cancel(desk->asker, ids[at], &err);
        if (s != JJ_OK && s != JJ_ERR_STATE)
            fail_msg("%s", err.text);
        cancelled[at] = s == JJ_OK;
        count += cancelled[at];
    }
    assert_true(crew_wait_over(desk->crew));
    assert_true(crew_wait_runs(desk->crew, "mail", RACES - count));
    for (size_t i = 0; i < RACES; i++)
        desk_expect_end(desk, ids[i], cancelled[i] ? JJ_CANCELLED : JJ_COMPLETED);
    for (size_t run = 0; run < crew_runs(desk->crew, NULL); run++)
        for (size_t i = 0; i < RACES; i++)
            assert_false(cancelled[i] && strcmp(crew_run(desk->crew, run).id, ids[i]) == 0);
    assert_int_equal(crew_runs(desk->crew, NULL), RACES - count);
    print_message("%zu of %d were cancelled in time\n", count, RACES);
}

static jj_verdict put_off(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_snooze(attempt, 3600000);
}

/* Each job runs once and is then put off for an hour: however far it was when the cancellation was
 * aimed, in the end it is cancelled, or it was running when it was looked at. */
static void a_job_that_goes_on_meanwhile_is_aimed_at_again(void **state)
{
    struct desk *desk = *state;
    char ids[BURST][JJ_NAME_SIZE];
    size_t again = 0, waiting = 0;
    jj_error err;

    crew_open(desk->crew, &(jj_options){.concurrency = 4});
    crew_register(desk->crew, "mail", put_off, NULL);
    crew_start(desk->crew);
    for (int round = 0; round < 10; round++) {
        enqueue_burst(desk, 0, ids);
        for (size_t i = 0; i < BURST; i++) {
            jj_status s = jj_cancel(desk->asker, ids[i], &err);
            if (s == JJ_OK)
                desk_expect_state(desk, ids[i], JJ_CANCELLED);
            else if (s == JJ_ERR_STATE)
                waiting++;
            else
                fail_msg("%s", err.text);
        }
    }
    struct history *history = crew_read_history(desk->crew);
    for (size_t i = 0; i < history->count; i++) {
        const struct event *event = history->entries[i].event;
        again += event != NULL && event->type == EVENT_CANCELLED && event->snoozes > 0 &&
                 history_events(history, event->id, EVENT_CANCELLED) > 1;
    }
    history_free(history);
    print_message("%zu were aimed at again, %zu ran at that moment\n", again, waiting);
    assert_true(crew_wait_backlog(desk->crew, 0));
    assert_true(nats_client_wait_messages(desk->crew->stranger, "JOBS_SCHEDULE", waiting));
}

struct canceller {
    struct desk *desk;
    pthread_t thread;
    atomic_int yes;
    atomic_int no;
    atomic_int other;
};

static void *cancel_all(void *arg)
{
    struct canceller *canceller = arg;
    char id[JJ_NAME_SIZE];

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        jj_status s = jj_cancel(canceller->desk->asker, id, NULL);
        atomic_fetch_add(s == JJ_OK          ? &canceller->yes
                         : s == JJ_ERR_STATE ? &canceller->no
                                             : &canceller->other,
                         1);
    }
    return NULL;
}

/* Who asks at the same time gets a yes together, or one before the other; the event is one. */
static void two_who_cancel_at_the_same_time_write_one_event(void **state)
{
    struct desk *desk = *state;
    struct canceller cancellers[3];
    char id[JJ_NAME_SIZE];
    int yes = 0;

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        desk_enqueue(desk, "mail", id, NULL);
    }
    memset(cancellers, 0, sizeof(cancellers));
    for (size_t i = 0; i < 3; i++) {
        cancellers[i].desk = desk;
        assert_int_equal(pthread_create(&cancellers[i].thread, NULL, cancel_all, &cancellers[i]),
                         0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(cancellers[i].thread, NULL);
        yes += atomic_load(&cancellers[i].yes);
        assert_int_equal(atomic_load(&cancellers[i].other), 0);
    }
    assert_true(yes >= 50);
    struct history *history = crew_read_history(desk->crew);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        desk_expect_state(desk, id, JJ_CANCELLED);
        assert_int_equal(history_events(history, id, EVENT_CANCELLED), 1);
    }
    history_free(history);
}

static jj_verdict fail_first_soon(struct crew *crew, jj_attempt *attempt)
{
    crew_pass(crew, attempt);
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 1, "once more");
    return jj_done(attempt, NULL, 0);
}

/* A canceller that lost against the claim has left its event in the history; the job's next attempt
 * is not what it was aimed at. Its worker asks the service. */
static void a_cancellation_that_came_too_late_does_not_hit_the_next_attempt(void **state)
{
    struct desk *desk = *state;
    struct buf body = {0};
    const struct event event = {.type = EVENT_CANCELLED,
                                .id = "a",
                                .name = "mail",
                                .time_ms = jj__clock_wall_ms(),
                                .attempts = 0};

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", fail_first_soon, NULL);
    crew_close_gate(desk->crew);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "a", NULL);
    assert_true(crew_wait_running(desk->crew, 1));
    assert_int_equal(jj__pb_write_events(&body, NULL, &event, 1, NULL), JJ_OK);
    const struct note late = {
        .subject = "jobs.events.mail.cancelled", .data = body.data, .len = body.len};
    nats_client_store(desk->crew->stranger, &late);
    jj__buf_done(&body);
    crew_open_gate(desk->crew);
    desk_expect_end(desk, "a", JJ_COMPLETED);
    assert_int_equal(crew_runs(desk->crew, NULL), 2);
}

/* The index is told only by the wire: with nobody to answer, nothing is written. */
static void without_the_broker_the_outcome_is_not_claimed(void **state)
{
    struct desk *desk = *state;
    jj_client *client =
        desk_client(desk, &(jj_options){.adapter = &jj_adapter_memory, .timeout_ms = 500});
    const jj_spec spec = {.name = "mail", .id = "a"};
    jj_error err;

    assert_int_equal(jj_enqueue(client, &spec, NULL, NULL), JJ_OK);
    jj_job *job = NULL;
    assert_int_equal(jj_get(client, "a", &job, NULL), JJ_OK);
    jj_job_free(job);
    server_freeze(&desk->crew->server);
    assert_int_equal(jj_cancel(client, "a", &err), JJ_ERR_TIMEOUT);
    server_thaw(&desk->crew->server);
    jj_status s;
    do { /* until the broker is back */
        s = jj_cancel(client, "a", &err);
    } while (s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE);
    assert_int_equal(jj_get(client, "a", &job, NULL), JJ_OK);
    assert_int_equal(jj_job_state(job), JJ_CANCELLED);
    jj_job_free(job);
    jj_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TESTS(a_pending_job_is_cancelled_and_leaves_the_queue),
        DESK_TESTS(a_scheduled_job_is_cancelled_and_its_schedule_removed),
        DESK_TEST(the_stored_event_carries_the_job, DESK_OWN_MEMORY),
        DESK_TEST(data_too_large_for_the_event_is_left_out, DESK_REMOTE_MEMORY),
        DESK_TEST(a_cancellation_is_told_live, DESK_OWN_MEMORY),
        DESK_TEST(a_cancellation_is_told_live, DESK_REMOTE_MEMORY),
        DESK_TESTS(a_cancelled_job_is_not_run),
        DESK_TESTS(what_runs_or_is_over_is_not_cancelled),
        DESK_TESTS(a_job_that_waits_for_its_retry_is_cancelled),
        DESK_TESTS(each_job_is_either_run_or_cancelled),
        DESK_TESTS(a_job_that_goes_on_meanwhile_is_aimed_at_again),
        DESK_TEST(two_who_cancel_at_the_same_time_write_one_event, DESK_OWN_MEMORY),
        DESK_TEST(two_who_cancel_at_the_same_time_write_one_event, DESK_REMOTE_SQLITE),
        DESK_TEST(a_cancellation_that_came_too_late_does_not_hit_the_next_attempt,
                  DESK_REMOTE_MEMORY),
        DESK_TEST(a_cancellation_that_came_too_late_does_not_hit_the_next_attempt,
                  DESK_REMOTE_SQLITE),
        DESK_TEST(without_the_broker_the_outcome_is_not_claimed, DESK_OWN_MEMORY),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of reviving jobs that had failed or were cancelled. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "codec_pb.h"
#include "desk.h"

static atomic_bool healed; /* what makes handlers fail is over */

static jj_verdict fail_until_healed(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (!atomic_load(&healed))
        return jj_fail(attempt, "ill");
    return jj_done(attempt, NULL, 0);
}

static void start_worker(struct desk *desk, crew_act act)
{
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", act, NULL);
    crew_start(desk->crew);
}

static void a_failed_job_runs_again_under_its_id(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .id = "a", .data = "hello", .data_len = 5};
    jj_error err;

    atomic_store(&healed, false);
    start_worker(desk, fail_until_healed);
    assert_int_equal(jj_enqueue(desk->asker, &spec, NULL, NULL), JJ_OK);
    desk_expect_end(desk, "a", JJ_FAILED);
    jj_job *before = desk_get(desk, "a");
    assert_string_equal(jj_job_error(before), "ill");
    atomic_store(&healed, true);
    if (jj_redrive(desk->asker, "a", &err) != JJ_OK)
        fail_msg("%s", err.text);
    desk_expect_end(desk, "a", JJ_COMPLETED);
    jj_job *after = desk_get(desk, "a");
    assert_int_equal(jj_job_redrives(after), 1);
    assert_int_equal(jj_job_attempts(after), 1);
    assert_int_equal(jj_job_created_at_ms(after), jj_job_created_at_ms(before));
    assert_int_equal(crew_runs(desk->crew, "mail"), 2);
    assert_string_equal(crew_run(desk->crew, 1).id, "a");
    assert_string_equal(crew_run(desk->crew, 1).data, "hello");
    assert_int_equal(crew_run(desk->crew, 1).attempt, 1);
    jj_job_free(before);
    jj_job_free(after);
}

static void it_can_be_revived_again_and_again(void **state)
{
    struct desk *desk = *state;

    atomic_store(&healed, false);
    start_worker(desk, fail_until_healed);
    desk_enqueue(desk, "mail", "a", NULL);
    for (uint32_t life = 1; life <= 5; life++) {
        desk_expect_end(desk, "a", JJ_FAILED);
        assert_int_equal(jj_redrive(desk->asker, "a", NULL), JJ_OK);
        jj_job *job = desk_get(desk, "a");
        assert_int_equal(jj_job_redrives(job), life);
        jj_job_free(job);
    }
    desk_expect_end(desk, "a", JJ_FAILED);
    assert_int_equal(crew_runs(desk->crew, "mail"), 6);
}

static void a_cancelled_job_comes_back_and_can_be_cancelled_again(void **state)
{
    struct desk *desk = *state;

    desk_enqueue(desk, "mail", "a", "hello");
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    assert_int_equal(jj_redrive(desk->asker, "a", NULL), JJ_OK);
    desk_expect_state(desk, "a", JJ_PENDING);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    desk_expect_state(desk, "a", JJ_CANCELLED);
    assert_int_equal(jj_redrive(desk->asker, "a", NULL), JJ_OK);
    start_worker(desk, NULL);
    desk_expect_end(desk, "a", JJ_COMPLETED);
    assert_int_equal(crew_runs(desk->crew, NULL), 1);
    assert_string_equal(crew_run(desk->crew, 0).data, "hello");
}

static void a_cancelled_schedule_comes_back_at_once(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .id = "later", .data = "x", .data_len = 1};

    assert_int_equal(jj_schedule(desk->asker, &spec, jj__clock_wall_ms() + 3600000, NULL, NULL),
                     JJ_OK);
    assert_int_equal(jj_cancel(desk->asker, "later", NULL), JJ_OK);
    assert_int_equal(jj_redrive(desk->asker, "later", NULL), JJ_OK);
    start_worker(desk, NULL);
    desk_expect_end(desk, "later", JJ_COMPLETED);
}

static void the_message_has_the_headers_of_the_first(void **state)
{
    struct desk *desk = *state;
    static const jj_header headers[] = {{"Job-Id", "a"},
                                        {"Nats-Msg-Id", "a"},
                                        {"Job-Max-Attempts", "7"},
                                        {"Job-Timeout", "30000"},
                                        {"Job-Created-At", "2026-11-23T22:19:16.244Z"},
                                        {"Content-Type", "text/plain"},
                                        {"X-Tenant", "acme"},
                                        {"X-Tenant", "beta"}};
    static const jj_header wanted[] = {{"Job-Id", "a"},
                                       {"Nats-Msg-Id", "a:0:r1"},
                                       {"Job-Redrives", "1"},
                                       {"Job-Max-Attempts", "7"},
                                       {"Job-Timeout", "30000"},
                                       {"Job-Created-At", "2026-11-23T22:19:16.244Z"},
                                       {"Content-Type", "text/plain"},
                                       {"X-Tenant", "acme"}};
    const struct note note = {
        .subject = "jobs.enqueue.mail", .headers = headers, .header_count = 8, .data = "hello"};

    nats_client_store(desk->crew->stranger, &note);
    desk_enqueue(desk, "mail", "b", NULL);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    assert_int_equal(jj_redrive(desk->asker, "a", NULL), JJ_OK);
    struct heard *heard = nats_client_get(desk->crew->stranger, "JOBS", 3);
    assert_non_null(heard);
    assert_string_equal(heard->subject, "jobs.enqueue.mail");
    assert_string_equal(heard->data, "hello");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_non_null(heard_header(heard, wanted[i].name));
        assert_string_equal(heard_header(heard, wanted[i].name), wanted[i].value);
    }
    assert_null(heard_header(heard, "Job-Run-At"));
    assert_null(heard_header(heard, "Job-Attempts"));
    assert_null(heard_header(heard, "Job-Snoozes"));
    assert_int_equal(heard->header_count, 9);
    heard_free(heard);
}

static void expect_refusal(struct desk *desk, const char *id, const char *why)
{
    jj_error err;

    assert_int_equal(jj_redrive(desk->asker, id, &err), JJ_ERR_STATE);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void what_waits_runs_or_is_completed_is_not_revived(void **state)
{
    struct desk *desk = *state;

    desk_enqueue(desk, "idle", "waits", NULL);
    expect_refusal(desk, "waits", "job 'waits' was not redriven: it is pending");
    crew_close_gate(desk->crew);
    start_worker(desk, crew_pass);
    desk_enqueue(desk, "mail", "a", NULL);
    desk_wait_state(desk, "a", JJ_RUNNING);
    expect_refusal(desk, "a", "it is running");
    crew_open_gate(desk->crew);
    desk_expect_end(desk, "a", JJ_COMPLETED);
    expect_refusal(desk, "a", "it is completed");
    assert_int_equal(crew_runs(desk->crew, NULL), 1);
}

/* A job of another client that leaves no room for its data in the claim, and was over before the
 * index looked. */
static void without_its_data_a_job_is_not_revived(void **state)
{
    struct desk *desk = *state;
    struct buf body = {0};
    const struct job job = {.id = "gone", .name = "mail"};
    const struct claim claim = {.job = &job,
                                .seq = 1,
                                .attempt = 1,
                                .max_attempts = 1,
                                .with_job = true,
                                .omit_data = true};
    const struct event event = {
        .type = EVENT_FAILED, .id = "gone", .time_ms = 2, .attempts = 1, .error = "ill"};

    assert_int_equal(jj__pb_write_claims(&body, "w", 1, 1, &claim, 1, NULL), JJ_OK);
    struct note note = {.subject = "jobs.claims.w", .data = body.data, .len = body.len};
    nats_client_store(desk->crew->stranger, &note);
    assert_int_equal(jj__pb_write_events(&body, "w", &event, 1, NULL), JJ_OK);
    note = (struct note){.subject = "jobs.events.mail.failed", .data = body.data, .len = body.len};
    nats_client_store(desk->crew->stranger, &note);
    jj__buf_done(&body);
    desk_enqueue(desk, "mail", "b", NULL); /* a cancellation waits for all events before it */
    assert_int_equal(jj_cancel(desk->asker, "b", NULL), JJ_OK);
    desk_expect_state(desk, "gone", JJ_FAILED);
    expect_refusal(desk, "gone", "its data is not known");
    desk_expect_state(desk, "gone", JJ_FAILED);
}

struct reviver {
    struct desk *desk;
    pthread_t thread;
    bool cancels;
    int yes;
    int other;
};

static void *revive(void *arg)
{
    struct reviver *reviver = arg;
    char id[JJ_NAME_SIZE];

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        jj_status s = jj_redrive(reviver->desk->asker, id, NULL);
        reviver->yes += s == JJ_OK;
        reviver->other += s != JJ_OK && s != JJ_ERR_STATE;
    }
    return NULL;
}

static void asked_twice_at_the_same_time_it_is_revived_once(void **state)
{
    struct desk *desk = *state;
    struct reviver revivers[3];
    char id[JJ_NAME_SIZE];
    int yes = 0;

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        desk_enqueue(desk, "mail", id, NULL);
        assert_int_equal(jj_cancel(desk->asker, id, NULL), JJ_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        revivers[i] = (struct reviver){.desk = desk};
        assert_int_equal(pthread_create(&revivers[i].thread, NULL, revive, &revivers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(revivers[i].thread, NULL);
        assert_int_equal(revivers[i].other, 0);
        yes += revivers[i].yes;
    }
    assert_true(yes >= 50);
    assert_true(crew_wait_backlog(desk->crew, 50));
    start_worker(desk, NULL);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        desk_expect_end(desk, id, JJ_COMPLETED);
    }
    assert_int_equal(crew_runs(desk->crew, NULL), 50);
}

/* ---- cancel and revive against each other ---- */

#define TIMES 20

/* Again and again until it was done so often: neither gets far without the other. */
static void *change_often(void *arg)
{
    struct reviver *reviver = arg;
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (reviver->yes < TIMES && jj__clock_mono_ms() < until_ms) {
        jj_status s = reviver->cancels ? jj_cancel(reviver->desk->asker, "torn", NULL)
                                       : jj_redrive(reviver->desk->asker, "torn", NULL);
        reviver->yes += s == JJ_OK;
        reviver->other += s != JJ_OK && s != JJ_ERR_STATE && s != JJ_ERR_TIMEOUT;
    }
    return NULL;
}

/* In the end it is one or the other, and the queue holds it if and only if it waits. */
static void cancelling_and_reviving_at_once_leaves_one_outcome(void **state)
{
    struct desk *desk = *state;
    struct reviver canceller = {.desk = desk, .cancels = true}, reviver = {.desk = desk};

    desk_enqueue(desk, "mail", "torn", "x");
    assert_int_equal(pthread_create(&canceller.thread, NULL, change_often, &canceller), 0);
    assert_int_equal(pthread_create(&reviver.thread, NULL, change_often, &reviver), 0);
    pthread_join(canceller.thread, NULL);
    pthread_join(reviver.thread, NULL);
    assert_int_equal(canceller.other, 0);
    assert_int_equal(reviver.other, 0);
    assert_int_equal(canceller.yes, TIMES);
    assert_int_equal(reviver.yes, TIMES);
    jj_job *job = desk_get(desk, "torn");
    bool waits = jj_job_state(job) == JJ_PENDING;
    assert_true(waits || jj_job_state(job) == JJ_CANCELLED);
    jj_job_free(job);
    assert_true(crew_wait_backlog(desk->crew, waits ? 1 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TESTS(a_failed_job_runs_again_under_its_id),
        DESK_TESTS(it_can_be_revived_again_and_again),
        DESK_TESTS(a_cancelled_job_comes_back_and_can_be_cancelled_again),
        DESK_TEST(a_cancelled_schedule_comes_back_at_once, DESK_OWN_MEMORY),
        DESK_TEST(the_message_has_the_headers_of_the_first, DESK_OWN_MEMORY),
        DESK_TEST(the_message_has_the_headers_of_the_first, DESK_OWN_SQLITE),
        DESK_TESTS(what_waits_runs_or_is_completed_is_not_revived),
        DESK_TEST(without_its_data_a_job_is_not_revived, DESK_OWN_MEMORY),
        DESK_TEST(without_its_data_a_job_is_not_revived, DESK_REMOTE_SQLITE),
        DESK_TEST(asked_twice_at_the_same_time_it_is_revived_once, DESK_OWN_MEMORY),
        DESK_TEST(asked_twice_at_the_same_time_it_is_revived_once, DESK_REMOTE_SQLITE),
        DESK_TEST(cancelling_and_reviving_at_once_leaves_one_outcome, DESK_OWN_MEMORY),
        DESK_TEST(cancelling_and_reviving_at_once_leaves_one_outcome, DESK_REMOTE_SQLITE),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

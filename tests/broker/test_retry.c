/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of jobs that fail: retried after their delay, failed for good, unreadable. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

#define DELAY_MS 700

static jj_verdict fail_first(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, DELAY_MS, "not yet");
    return jj_done(attempt, NULL, 0);
}

static void a_retry_runs_after_its_delay(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "flaky", fail_first, NULL);
    crew_start(crew);
    struct listener *retrying = nats_client_listen(crew->stranger, "job.retrying", NULL);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    const char *id = crew_enqueue(crew, "flaky", "x");

    assert_true(listener_wait(completed, 1));
    assert_int_equal(crew_runs(crew, NULL), 2);
    assert_int_equal(listener_count(retrying), 1);
    assert_string_equal(event_member(listener_get(retrying, 0), "error"), "not yet");
    assert_string_not_equal(event_member(listener_get(retrying, 0), "runAt"), "");
    assert_string_equal(event_member(listener_get(completed, 0), "attempts"), "2");
    struct run first = crew_run(crew, 0), second = crew_run(crew, 1);
    assert_string_equal(second.id, id);
    assert_string_equal(second.data, "x");
    assert_int_equal(second.attempt, 2);
    assert_true(second.started_ms - first.started_ms >= DELAY_MS);
    assert_true(second.started_at_ms >= second.run_at_ms);
    assert_true(crew_wait_backlog(crew, 0));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 0));
    listener_close(retrying);
    listener_close(completed);
}

static jj_verdict fail_the_sick(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (strncmp(jj_attempt_data(attempt, NULL), "sick", 4) == 0)
        return jj_retry_in(attempt, 60000, "sick");
    return jj_done(attempt, NULL, 0);
}

static void a_retry_that_waits_holds_no_slot(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "work", fail_the_sick, NULL);
    crew_start(crew);
    for (int i = 0; i < 100; i++)
        crew_enqueue(crew, "work", "sick");
    assert_true(crew_wait_runs(crew, "work", 100));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 100);
    assert_int_equal(nats_client_consumer_number(crew->stranger, "JOBS", "work", "num_ack_pending"),
                     0);
    crew_enqueue(crew, "work", "healthy");
    assert_true(crew_wait_runs(crew, "work", 101));
    assert_string_equal(crew_run(crew, 100).data, "healthy");
}

static jj_verdict always_fail(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_retry(attempt, "attempt %u", (unsigned)jj_attempt_number(attempt));
}

static void the_last_attempt_fails_for_good_and_says_so_once(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.max_attempts = 4, .backoff_initial_ms = 10};

    crew_open(crew, &options);
    crew_register(crew, "doomed", always_fail, NULL);
    crew_register(crew, "after", NULL, NULL);
    crew_start(crew);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    struct listener *retrying = nats_client_listen(crew->stranger, "job.retrying", NULL);
    crew_enqueue(crew, "doomed", NULL);

    assert_true(listener_wait(failed, 1));
    assert_string_equal(event_member(listener_get(failed, 0), "error"), "attempt 4");
    assert_string_equal(event_member(listener_get(failed, 0), "attempts"), "4");
    assert_string_equal(event_member(listener_get(failed, 0), "maxAttempts"), "4");
    assert_int_equal(listener_count(retrying), 3);
    assert_true(crew_wait_backlog(crew, 0));
    crew_enqueue(crew, "after", NULL); /* what would have been said twice is said by now */
    assert_true(crew_wait_runs(crew, "after", 1));
    assert_int_equal(crew_runs(crew, "doomed"), 4);
    assert_int_equal(listener_count(failed), 1);
    listener_close(failed);
    listener_close(retrying);
}

static void a_retry_without_delay_goes_back_to_the_queue(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.max_attempts = 5};

    crew_open(crew, &options);
    crew_register(crew, "again", always_fail, NULL);
    crew_start(crew);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    const jj_header attempts[] = {{"Job-Max-Attempts", "2"}, {"Job-Id", "mine"}};
    const struct note note = {
        .subject = "jobs.enqueue.again", .headers = attempts, .header_count = 2, .data = "x"};
    nats_client_store(crew->stranger, &note);
    assert_true(listener_wait(failed, 1));
    assert_string_equal(event_member(listener_get(failed, 0), "jobId"), "mine");
    assert_string_equal(event_member(listener_get(failed, 0), "maxAttempts"), "2");
    assert_int_equal(crew_runs(crew, "again"), 2);
    listener_close(failed);
}

static void a_bad_header_fails_the_one_job_and_the_next_one_runs(void **state)
{
    struct crew *crew = *state;
    static const jj_header bad[] = {{"Job-Max-Attempts", "abc"},
                                    {"Job-Id", "a b"},
                                    {"Job-Run-At", "tomorrow"},
                                    {"Job-Timeout", "-1"},
                                    {"Job-Attempts", "1e9"}};
    const size_t count = sizeof(bad) / sizeof(bad[0]);

    crew_open(crew, NULL);
    crew_register(crew, "picky", NULL, NULL);
    crew_start(crew);
    struct listener *failed = nats_client_listen(crew->stranger, "job.picky.failed", NULL);
    for (size_t i = 0; i < count; i++) {
        const struct note note = {
            .subject = "jobs.enqueue.picky", .headers = &bad[i], .header_count = 1, .data = "x"};
        nats_client_store(crew->stranger, &note);
    }
    nats_client_store_text(crew->stranger, "jobs.enqueue.picky", "good");

    assert_true(crew_wait_runs(crew, "picky", 1));
    assert_true(listener_wait(failed, count));
    assert_string_equal(crew_run(crew, 0).data, "good");
    for (size_t i = 0; i < count; i++)
        assert_non_null(strstr(event_member(listener_get(failed, i), "error"), bad[i].name));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 1);
    listener_close(failed);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_retry_runs_after_its_delay),
        STORY(a_retry_that_waits_holds_no_slot),
        STORY(the_last_attempt_fails_for_good_and_says_so_once),
        STORY(a_retry_without_delay_goes_back_to_the_queue),
        STORY(a_bad_header_fails_the_one_job_and_the_next_one_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of leases: kept while a handler runs, lost by a worker that is cut off. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

#define ACK_WAIT_MS 1000

static bool ack_wait_has_passed_thrice(void *ctx)
{
    const int64_t *since_ms = ctx;

    return jj__clock_mono_ms() > *since_ms + 3 * ACK_WAIT_MS;
}

static void a_job_that_takes_longer_than_ack_wait_runs_once(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = ACK_WAIT_MS};
    int64_t since_ms = jj__clock_mono_ms();

    crew_open(crew, &options);
    crew_register(crew, "long", crew_pass, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue(crew, "long", "x");
    assert_true(crew_wait_running(crew, 1));
    assert_true(wait_until(ack_wait_has_passed_thrice, &since_ms, WAIT_MS));
    crew_open_gate(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 1);
    assert_int_equal(nats_client_consumer_number(crew->stranger, "JOBS", "long", "num_redelivered"),
                     0);
}

static bool lease_is_lost(void *ctx)
{
    struct crew *crew = ctx;

    return log_book_has(&crew->book, JJ_LOG_WARN, "lease lost");
}

static jj_verdict fail_when_told(struct crew *crew, jj_attempt *attempt)
{
    crew_pass(crew, attempt);
    if (jj_attempt_stopping(attempt))
        return jj_fail(attempt, "cut off");
    return jj_done(attempt, NULL, 0);
}

static void a_worker_that_was_cut_off_says_nothing_of_its_failed_job(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = ACK_WAIT_MS};

    crew_open(crew, &options);
    crew_register(crew, "far", fail_when_told, NULL);
    crew_start(crew);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    crew_close_gate(crew);
    crew_enqueue(crew, "far", "x");
    assert_true(crew_wait_running(crew, 1));
    server_freeze(&crew->server);
    assert_true(wait_until(lease_is_lost, crew, WAIT_MS));
    assert_true(crew_wait_running(crew, 0)); /* the handler was told, and gave up */
    crew_open_gate(crew);
    server_thaw(&crew->server);
    assert_true(crew_wait_runs(crew, "far", 2)); /* as it was never said to have failed */
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(listener_count(failed), 0);
    listener_close(failed);
}

static void a_job_that_completed_in_spite_of_a_lost_lease_is_acknowledged(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = ACK_WAIT_MS};

    crew_open(crew, &options);
    crew_register(crew, "far", crew_pass, NULL);
    crew_start(crew);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    crew_close_gate(crew);
    crew_enqueue(crew, "far", "x");
    assert_true(crew_wait_running(crew, 1));
    server_freeze(&crew->server);
    assert_true(wait_until(lease_is_lost, crew, WAIT_MS));
    assert_true(crew_wait_running(crew, 0));
    crew_open_gate(crew);
    server_thaw(&crew->server);
    assert_true(listener_wait(completed, 1));
    assert_true(crew_wait_backlog(crew, 0));
    listener_close(completed);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_job_that_takes_longer_than_ack_wait_runs_once),
        STORY(a_worker_that_was_cut_off_says_nothing_of_its_failed_job),
        STORY(a_job_that_completed_in_spite_of_a_lost_lease_is_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of jobs: enqueued, run, retried, told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

static jj_verdict answer_42(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_done(attempt, "{\"answer\":42}", 13);
}

static void an_enqueued_job_runs_and_is_told_on_job(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "sum", answer_42, NULL);
    crew_start(crew);
    struct listener *all = nats_client_listen(crew->stranger, "job.completed", NULL);
    struct listener *named = nats_client_listen(crew->stranger, "job.sum.*", NULL);
    const char *id = crew_enqueue(crew, "sum", "{\"a\":1}");

    assert_true(listener_wait(all, 1));
    assert_true(listener_wait(named, 2));
    assert_string_equal(crew_run(crew, 0).data, "{\"a\":1}");
    assert_string_equal(crew_run(crew, 0).id, id);
    assert_int_equal(crew_run(crew, 0).attempt, 1);
    assert_int_equal(crew_run(crew, 0).max_attempts, 3);
    const struct heard *done = listener_get(all, 0);
    assert_string_equal(event_member(done, "type"), "completed");
    assert_string_equal(event_member(done, "jobId"), id);
    assert_string_equal(event_member(done, "name"), "sum");
    assert_string_equal(event_member(done, "result"), "{\"answer\":42}");
    assert_string_equal(event_member(done, "attempts"), "1");
    assert_string_equal(listener_get(named, 0)->subject, "job.sum.started");
    assert_string_equal(listener_get(named, 1)->subject, "job.sum.completed");
    assert_true(crew_wait_backlog(crew, 0));
    listener_close(all);
    listener_close(named);
}

static void
a_job_from_a_foreign_client_without_any_header_runs_and_its_id_is_its_sequence(void **state)
{
    struct crew *crew = *state;
    char id[24];

    crew_open(crew, NULL);
    crew_register(crew, "plain", NULL, NULL);
    crew_start(crew);
    uint64_t seq = nats_client_store_text(crew->stranger, "jobs.enqueue.plain", "any bytes");
    assert_true(crew_wait_runs(crew, "plain", 1));
    snprintf(id, sizeof(id), "%llu", (unsigned long long)seq);
    assert_string_equal(crew_run(crew, 0).id, id);
    assert_string_equal(crew_run(crew, 0).data, "any bytes");
    assert_true(crew_wait_backlog(crew, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_enqueued_job_runs_and_is_told_on_job, crew_begin,
                                        crew_end),
        cmocka_unit_test_setup_teardown(
            a_job_from_a_foreign_client_without_any_header_runs_and_its_id_is_its_sequence,
            crew_begin, crew_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

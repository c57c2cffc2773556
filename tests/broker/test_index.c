/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of an index: it sees what its client has just done, is the same whether it lived through
 * everything or was built afterwards, and survives what happens to streams, broker and file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "keeper.h"

/* ---- seeing one's own writes ---- */

static void what_was_enqueued_is_found_at_once(void **state)
{
    enum { JOBS = 2000 };
    struct crew *crew = *state;
    struct keeper *keeper;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "quick", NULL, NULL); /* takes them away while we ask */
    crew_start(crew);
    keeper = keeper_begin(crew);
    for (int i = 0; i < JOBS; i++) {
        const jj_spec spec = {.name = "quick", .data = "1", .data_len = 1};
        jj_receipt receipt;
        if (jj_enqueue(keeper->client, &spec, &receipt, &err) != JJ_OK)
            fail_msg("%s", err.text);
        jj_job_free(keeper_get(keeper, receipt.id));
    }
}

static void what_was_scheduled_is_found_at_once_wherever_it_is(void **state)
{
    enum { JOBS = 300 };
    struct crew *crew = *state;
    struct keeper *keeper;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "quick", NULL, NULL);
    crew_start(crew);
    keeper = keeper_begin(crew);
    for (int i = 0; i < JOBS; i++) { /* some wait, some are due, some are run when we ask */
        const jj_spec spec = {.name = "quick", .data = "1", .data_len = 1};
        int64_t run_at_ms = jj__clock_wall_ms() + (i * 7) % 600;
        jj_receipt receipt;
        if (jj_schedule(keeper->client, &spec, run_at_ms, &receipt, &err) != JJ_OK)
            fail_msg("%s", err.text);
        jj_job *job = keeper_get(keeper, receipt.id);
        assert_int_equal(jj_job_run_at_ms(job), run_at_ms);
        jj_job_free(job);
    }
}

static jj_verdict fail_once(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 200, "not yet");
    jj__ignore(jj_progress(attempt, 50, NULL), "told if it can be");
    return jj_done(attempt, "{\"n\":2}", 7);
}

static void a_job_is_seen_through_its_whole_life(void **state)
{
    struct crew *crew = *state;
    struct keeper *keeper;

    crew_open(crew, NULL);
    crew_register(crew, "gated", crew_pass, NULL);
    crew_register(crew, "flaky", fail_once, NULL);
    keeper = keeper_begin(crew);
    crew_close_gate(crew);
    char id[JJ_NAME_SIZE];
    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "gated", "{\"a\":1}"));
    keeper_wait_state(keeper, id, JJ_PENDING);
    crew_start(crew);
    assert_true(crew_wait_running(crew, 1));
    keeper_wait_state(keeper, id, JJ_RUNNING);
    crew_open_gate(crew);
    jj_job *job = keeper_wait_over(keeper, id);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 1);
    assert_memory_equal(jj_job_data(job, NULL), "{\"a\":1}", 7);
    assert_true(jj_job_started_at_ms(job) <= jj_job_completed_at_ms(job));
    jj_job_free(job);

    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "flaky", "x"));
    keeper_wait_state(keeper, id, JJ_SCHEDULED);
    job = keeper_wait_over(keeper, id);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 2);
    assert_string_equal(jj_job_error(job), "not yet");
    assert_memory_equal(jj_job_result(job, NULL), "{\"n\":2}", 7);
    assert_int_equal(jj_job_progress(job), 50);
    jj_job_free(job);
}

/* ---- the same, whenever it is built ---- */

static void an_index_built_afterwards_is_the_same(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    keeper_run_all_kinds(crew, one, 300);
    other = keeper_begin(crew);
    keepers_expect_same(one, other, "mixed");
}

static void an_index_goes_on_where_it_was(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    keeper_run_all_kinds(crew, one, 100);
    keeper_close(one);
    other = keeper_begin(crew);
    keeper_run_all_kinds(crew, other, 100);
    keeper_open(crew, one);
    keepers_expect_same(one, other, "mixed");
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "built anew"));
}

/* ---- what happens to streams, broker and file ---- */

static void a_broker_that_was_killed_is_read_on(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    keeper_run_all_kinds(crew, one, 50);
    server_kill(&crew->server);
    server_restart(&crew->server);
    keeper_run_all_kinds(crew, one, 50);
    other = keeper_begin(crew);
    keepers_expect_same(one, other, "mixed");
}

static void streams_made_anew_build_the_index_anew(void **state)
{
    struct crew *crew = *state;
    struct keeper *keeper;
    jj_error err;
    jj_job *job = NULL;

    crew_open(crew, NULL);
    keeper = keeper_begin(crew);
    char id[JJ_NAME_SIZE];
    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "work", "x"));
    keeper_wait_state(keeper, id, JJ_PENDING);
    keeper_close(keeper);
    json_decref(nats_client_api(crew->stranger, "STREAM.DELETE.JOBS", NULL));
    keeper_open(crew, keeper); /* makes the stream again */
    assert_true(log_book_has(&crew->book, JJ_LOG_WARN, "stream JOBS was made anew"));
    assert_int_equal(jj_get(keeper->client, id, &job, &err), JJ_ERR_NOT_FOUND);
}

static void events_that_were_dropped_unread_build_the_index_anew(void **state)
{
    struct crew *crew = *state;
    struct keeper *keeper;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    keeper = keeper_begin(crew);
    keeper_run_all_kinds(crew, keeper, 20);
    keeper_close(keeper);
    for (int i = 0; i < 5; i++)
        nats_client_store_text(crew->stranger, "jobs.events.mixed.log", "");
    json_t *config = nats_client_stream_config(crew->stranger, "JOBS_EVENTS");
    json_object_set_new(config, "max_msgs", json_integer(1));
    json_decref(nats_client_api(crew->stranger, "STREAM.UPDATE.JOBS_EVENTS", config));
    keeper_open(crew, keeper);
    assert_true(log_book_has(&crew->book, JJ_LOG_WARN, "were dropped before they were read"));
}

static void a_file_that_was_deleted_is_built_again(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    keeper_run_all_kinds(crew, one, 30);
    other = keeper_begin(crew);
    keeper_close(one);
    assert_int_equal(unlink(one->path), 0);
    keeper_open(crew, one);
    keepers_expect_same(one, other, "mixed");
}

static void a_damaged_file_is_kept_and_built_again(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", keeper_act, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    keeper_run_all_kinds(crew, one, 30);
    other = keeper_begin(crew);
    keeper_close(one);
    FILE *file = fopen(one->path, "r+");
    assert_non_null(file);
    assert_int_equal(fwrite("this is no database at all", 1, 26, file), 26);
    assert_int_equal(fclose(file), 0);
    keeper_open(crew, one);
    keepers_expect_same(one, other, "mixed");
    assert_true(log_book_has(&crew->book, JJ_LOG_WARN, "the old one is kept as"));
}

static void a_second_index_on_one_file_is_refused(void **state)
{
    struct crew *crew = *state;
    struct keeper *one;
    jj_client *second = NULL;
    jj_error err;

    one = keeper_begin(crew);
    const jj_options options = {.url = crew->server.url, .index_path = one->path};
    assert_int_equal(jj_open(&options, &second, &err), JJ_ERR_STATE);
    char pid[32];
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_enqueued_is_found_at_once, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(what_was_scheduled_is_found_at_once_wherever_it_is,
                                        crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_job_is_seen_through_its_whole_life, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(an_index_built_afterwards_is_the_same, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(an_index_goes_on_where_it_was, crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_broker_that_was_killed_is_read_on, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(streams_made_anew_build_the_index_anew, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(events_that_were_dropped_unread_build_the_index_anew,
                                        crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(a_file_that_was_deleted_is_built_again, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_kept_and_built_again, crew_begin,
                                        keepers_end),
        cmocka_unit_test_setup_teardown(a_second_index_on_one_file_is_refused, crew_begin,
                                        keepers_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

#include "buf.h"
#include "clock.h"
#include "crew.h"
#include "temp.h"
#include "wait.h"

/* ---- a client with an index ---- */

struct keeper {
    char dir[TEMP_PATH_SIZE];
    char path[TEMP_PATH_SIZE + 16];
    jj_client *client;
};

/* Those of the present test; what is left of them is ended with it. */
static struct keeper keepers[2];

static void keeper_open(struct crew *crew, struct keeper *keeper)
{
    const jj_options options = {.url = crew->server.url,
                                .index_path = keeper->path,
                                .timeout_ms = 20000,
                                .poll_interval_ms = 200,
                                .log = log_book_sink,
                                .log_user = &crew->book};
    jj_error err;

    if (jj_open(&options, &keeper->client, &err) != JJ_OK)
        fail_msg("jj_open: %s", err.text);
}

static struct keeper *keeper_begin(struct crew *crew)
{
    struct keeper *keeper = keepers[0].dir[0] == '\0' ? &keepers[0] : &keepers[1];

    temp_dir_make(keeper->dir);
    snprintf(keeper->path, sizeof(keeper->path), "%s/index.db", keeper->dir);
    keeper_open(crew, keeper);
    return keeper;
}

static void keeper_close(struct keeper *keeper)
{
    jj_close(keeper->client);
    keeper->client = NULL;
}

static int end_all(void **state)
{
    for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
        keeper_close(&keepers[i]);
        if (keepers[i].dir[0] != '\0')
            temp_dir_remove(keepers[i].dir);
        keepers[i].dir[0] = '\0';
    }
    return crew_end(state);
}

static jj_job *get(struct keeper *keeper, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_get(keeper->client, id, &job, &err) != JJ_OK)
        fail_msg("jj_get(%s): %s", id, err.text);
    return job;
}

static void wait_for_state(struct keeper *keeper, const char *id, jj_state wanted)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_job *job = NULL;
    bool so = false;

    while (!so && jj__clock_mono_ms() < until_ms) {
        if (jj_get(keeper->client, id, &job, NULL) == JJ_OK) { /* another client enqueued it */
            so = jj_job_state(job) == wanted;
            jj_job_free(job);
        }
        wait_a_moment();
    }
    assert_true(so);
}

static jj_job *wait_over(struct keeper *keeper, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_wait(keeper->client, id, WAIT_MS, &job, &err) != JJ_OK)
        fail_msg("jj_wait(%s): %s", id, err.text);
    return job;
}

/* ---- all rows as text, to be compared ---- */

static void write_job(struct buf *out, const jj_job *job)
{
    const char *texts[] = {jj_job_id(job),
                           jj_job_name(job),
                           jj_state_text(jj_job_state(job)),
                           jj_job_error(job),
                           jj_job_worker(job),
                           jj_job_schedule_id(job),
                           jj_job_header(job, "Content-Type"),
                           jj_job_header(job, "X-Own")};
    const int64_t numbers[] = {jj_job_created_at_ms(job), jj_job_run_at_ms(job),
                               jj_job_started_at_ms(job), jj_job_completed_at_ms(job),
                               jj_job_attempts(job),      jj_job_max_attempts(job),
                               jj_job_lost(job),          jj_job_redrives(job),
                               jj_job_progress(job),      jj_job_data_known(job)};
    size_t data_len = 0, result_len = 0;
    const void *data = jj_job_data(job, &data_len);
    const void *result = jj_job_result(job, &result_len);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        jj__buf_str(out, texts[i] == NULL ? "-" : texts[i]);
        jj__buf_char(out, ' ');
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        jj__buf_i64(out, numbers[i]);
        jj__buf_char(out, ' ');
    }
    jj__buf_add(out, data, data_len);
    jj__buf_char(out, ' ');
    jj__buf_add(out, result, result_len);
    jj__buf_char(out, '\n');
}

static char *all_jobs(struct keeper *keeper, const char *name)
{
    struct buf out = {0};
    char cursor[256] = "";
    jj_page *page = NULL;
    jj_error err;

    do {
        const jj_query query = {
            .name = name, .limit = 37, .cursor = cursor[0] == '\0' ? NULL : cursor};
        jj_page_free(page);
        if (jj_get_by_name(keeper->client, &query, &page, &err) != JJ_OK)
            fail_msg("jj_get_by_name: %s", err.text);
        for (size_t i = 0; i < jj_page_count(page); i++)
            write_job(&out, jj_page_job(page, i));
        snprintf(cursor, sizeof(cursor), "%s",
                 jj_page_cursor(page) == NULL ? "" : jj_page_cursor(page));
    } while (cursor[0] != '\0');
    jj_page_free(page);
    jj__buf_char(&out, '\0');
    assert_false(out.failed);
    return out.data;
}

static void expect_same(struct keeper *one, struct keeper *other, const char *name)
{
    char *a = all_jobs(one, name);
    char *b = all_jobs(other, name);

    assert_string_equal(a, b);
    assert_true(strlen(a) > 0);
    free(a);
    free(b);
}

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
        jj_job_free(get(keeper, receipt.id));
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
        jj_job *job = get(keeper, receipt.id);
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
    wait_for_state(keeper, id, JJ_PENDING);
    crew_start(crew);
    assert_true(crew_wait_running(crew, 1));
    wait_for_state(keeper, id, JJ_RUNNING);
    crew_open_gate(crew);
    jj_job *job = wait_over(keeper, id);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 1);
    assert_memory_equal(jj_job_data(job, NULL), "{\"a\":1}", 7);
    assert_true(jj_job_started_at_ms(job) <= jj_job_completed_at_ms(job));
    jj_job_free(job);

    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "flaky", "x"));
    wait_for_state(keeper, id, JJ_SCHEDULED);
    job = wait_over(keeper, id);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 2);
    assert_string_equal(jj_job_error(job), "not yet");
    assert_memory_equal(jj_job_result(job, NULL), "{\"n\":2}", 7);
    assert_int_equal(jj_job_progress(job), 50);
    jj_job_free(job);
}

/* ---- the same, whenever it is built ---- */

static jj_verdict act_by_data(struct crew *crew, jj_attempt *attempt)
{
    const char *data = jj_attempt_data(attempt, NULL);

    (void)crew;
    jj__ignore(jj_log(attempt, JJ_LOG_INFO, NULL, "attempt %u", jj_attempt_number(attempt)),
               "told if it can be");
    switch (data[0]) {
    case 'f':
        return jj_fail(attempt, "no use");
    case 'r':
        return jj_attempt_number(attempt) < 3
                   ? jj_retry_in(attempt, data[1] == '0' ? 0 : 30, "again")
                   : jj_done(attempt, "3", 1);
    default:
        return jj_done(attempt, data, 2);
    }
}

/* Jobs of all kinds; returns when they are over. */
static void run_all_kinds(struct crew *crew, struct keeper *keeper, size_t count)
{
    static const char *const kinds[] = {"d0", "f0", "r0", "r1", "d1"};
    const jj_header own = {"X-Own", "yes"};
    jj_receipt *receipts = calloc(count, sizeof(*receipts));
    jj_error err;

    assert_non_null(receipts);
    for (size_t i = 0; i < count; i++) {
        const jj_spec spec = {.name = "mixed",
                              .data = kinds[i % 5],
                              .data_len = 2,
                              .content_type = i % 2 == 0 ? "text/plain" : NULL,
                              .headers = &own,
                              .header_count = i % 3 == 0 ? 1 : 0};
        jj_status s = i % 7 == 0 ? jj_schedule(keeper->client, &spec, jj__clock_wall_ms() + 300,
                                               &receipts[i], &err)
                                 : jj_enqueue(keeper->client, &spec, &receipts[i], &err);
        if (s != JJ_OK)
            fail_msg("%s", err.text);
        if (i % 11 == 0)
            jj__ignore(jj_cancel(keeper->client, receipts[i].id, NULL), "it may run already");
    }
    for (size_t i = 0; i < count; i++) {
        jj_job *job = wait_over(keeper, receipts[i].id);
        bool revive = i % 10 == 1;
        jj_job_free(job);
        if (revive && jj_redrive(keeper->client, receipts[i].id, &err) != JJ_OK)
            fail_msg("%s", err.text);
        if (revive)
            jj_job_free(wait_over(keeper, receipts[i].id));
    }
    free(receipts);
    assert_true(crew_wait_over(crew));
}

static void an_index_built_afterwards_is_the_same(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    run_all_kinds(crew, one, 300);
    other = keeper_begin(crew);
    expect_same(one, other, "mixed");
}

static void an_index_goes_on_where_it_was(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    run_all_kinds(crew, one, 100);
    keeper_close(one);
    other = keeper_begin(crew);
    run_all_kinds(crew, other, 100);
    keeper_open(crew, one);
    expect_same(one, other, "mixed");
    assert_false(log_book_has(&crew->book, JJ_LOG_WARN, "built anew"));
}

/* ---- what happens to streams, broker and file ---- */

static void a_broker_that_was_killed_is_read_on(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    run_all_kinds(crew, one, 50);
    server_kill(&crew->server);
    server_restart(&crew->server);
    run_all_kinds(crew, one, 50);
    other = keeper_begin(crew);
    expect_same(one, other, "mixed");
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
    wait_for_state(keeper, id, JJ_PENDING);
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
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    keeper = keeper_begin(crew);
    run_all_kinds(crew, keeper, 20);
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
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    run_all_kinds(crew, one, 30);
    other = keeper_begin(crew);
    keeper_close(one);
    assert_int_equal(unlink(one->path), 0);
    keeper_open(crew, one);
    expect_same(one, other, "mixed");
}

static void a_damaged_file_is_kept_and_built_again(void **state)
{
    struct crew *crew = *state;
    struct keeper *one, *other;

    crew_open(crew, NULL);
    crew_register(crew, "mixed", act_by_data, NULL);
    crew_start(crew);
    one = keeper_begin(crew);
    run_all_kinds(crew, one, 30);
    other = keeper_begin(crew);
    keeper_close(one);
    FILE *file = fopen(one->path, "r+");
    assert_non_null(file);
    assert_int_equal(fwrite("this is no database at all", 1, 26, file), 26);
    assert_int_equal(fclose(file), 0);
    keeper_open(crew, one);
    expect_same(one, other, "mixed");
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
        cmocka_unit_test_setup_teardown(what_was_enqueued_is_found_at_once, crew_begin, end_all),
        cmocka_unit_test_setup_teardown(what_was_scheduled_is_found_at_once_wherever_it_is,
                                        crew_begin, end_all),
        cmocka_unit_test_setup_teardown(a_job_is_seen_through_its_whole_life, crew_begin, end_all),
        cmocka_unit_test_setup_teardown(an_index_built_afterwards_is_the_same, crew_begin, end_all),
        cmocka_unit_test_setup_teardown(an_index_goes_on_where_it_was, crew_begin, end_all),
        cmocka_unit_test_setup_teardown(a_broker_that_was_killed_is_read_on, crew_begin, end_all),
        cmocka_unit_test_setup_teardown(streams_made_anew_build_the_index_anew, crew_begin,
                                        end_all),
        cmocka_unit_test_setup_teardown(events_that_were_dropped_unread_build_the_index_anew,
                                        crew_begin, end_all),
        cmocka_unit_test_setup_teardown(a_file_that_was_deleted_is_built_again, crew_begin,
                                        end_all),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_kept_and_built_again, crew_begin,
                                        end_all),
        cmocka_unit_test_setup_teardown(a_second_index_on_one_file_is_refused, crew_begin, end_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

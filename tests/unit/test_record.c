/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "record.h"

static const jj_record known = {
    .id = "id-1",
    .name = "sendEmail",
    .state = JJ_FAILED,
    .created_at_ms = 1,
    .run_at_ms = 2,
    .started_at_ms = 3,
    .completed_at_ms = 4,
    .attempts = 5,
    .max_attempts = 6,
    .lost = 7,
    .redrives = 8,
    .snoozes = 9,
    .progress = 10,
    .worker = "host-1",
    .schedule_id = "nightly",
    .error = "no",
    .result = "r\0s",
    .result_len = 3,
    .marks = "\0m",
    .marks_len = 2,
    .data_known = true,
    .data = "\0data",
    .data_len = 5,
    .headers = "a\0b\0traceparent\0x\0",
    .headers_len = 18,
};

static jj_job *copy(const jj_record *record)
{
    jj_job *job = NULL;

    assert_int_equal(jj__record_copy(record, &job, NULL), JJ_OK);
    return job;
}

static void accessors_tell_what_the_row_says(void **state)
{
    (void)state;
    jj_job *job = copy(&known);
    size_t len = 99;

    assert_string_equal(jj_job_id(job), "id-1");
    assert_string_equal(jj_job_name(job), "sendEmail");
    assert_int_equal(jj_job_state(job), JJ_FAILED);
    assert_int_equal(jj_job_created_at_ms(job), 1);
    assert_int_equal(jj_job_run_at_ms(job), 2);
    assert_int_equal(jj_job_started_at_ms(job), 3);
    assert_int_equal(jj_job_completed_at_ms(job), 4);
    assert_int_equal(jj_job_attempts(job), 5);
    assert_int_equal(jj_job_max_attempts(job), 6);
    assert_int_equal(jj_job_lost(job), 7);
    assert_int_equal(jj_job_redrives(job), 8);
    assert_int_equal(jj_job_progress(job), 10);
    assert_string_equal(jj_job_worker(job), "host-1");
    assert_string_equal(jj_job_schedule_id(job), "nightly");
    assert_string_equal(jj_job_error(job), "no");
    assert_true(jj_job_data_known(job));
    assert_memory_equal(jj_job_data(job, &len), "\0data", 5);
    assert_int_equal(len, 5);
    assert_memory_equal(jj_job_result(job, &len), "r\0s", 3);
    assert_int_equal(len, 3);
    assert_non_null(jj_job_data(job, NULL));
    assert_non_null(jj_job_result(job, NULL));
    jj_job_free(job);
}

static void headers_are_found_by_name(void **state)
{
    (void)state;
    jj_record record = known;
    jj_job *job = copy(&record);

    assert_string_equal(jj_job_header(job, "traceparent"), "x");
    assert_string_equal(jj_job_header(job, "a"), "b");
    assert_null(jj_job_header(job, "Traceparent"));
    assert_null(jj_job_header(job, "b"));
    jj_job_free(job);

    record.headers = NULL;
    record.headers_len = 0;
    job = copy(&record);
    assert_null(jj_job_header(job, "a"));
    jj_job_free(job);
}

static void a_copy_does_not_need_the_row(void **state)
{
    (void)state;
    char id[] = "id-1", worker[] = "host-1", data[] = "data", marks[] = "marks";
    jj_record record = {.id = id,
                        .name = id,
                        .worker = worker,
                        .data_known = true,
                        .data = data,
                        .data_len = 4,
                        .marks = marks,
                        .marks_len = 5};
    jj_job *job = copy(&record);

    memset(id, 'x', 4);
    memset(worker, 'x', 6);
    memset(data, 'x', 4);
    memset(marks, 'x', 5);
    assert_string_equal(jj_job_id(job), "id-1");
    assert_string_equal(jj_job_name(job), "id-1");
    assert_string_equal(jj_job_worker(job), "host-1");
    assert_memory_equal(jj_job_data(job, NULL), "data", 4);
    assert_memory_equal(job->record.marks, "marks", 5);
    jj_job_free(job);
}

static void a_copy_can_be_copied(void **state)
{
    (void)state;
    jj_job *first = copy(&known);
    jj_job *second = copy(&first->record);

    jj_job_free(first);
    assert_string_equal(jj_job_error(second), "no");
    assert_memory_equal(jj_job_data(second, NULL), "\0data", 5);
    assert_memory_equal(second->record.marks, "\0m", 2);
    jj_job_free(second);
}

static void what_is_not_known_is_null(void **state)
{
    (void)state;
    const jj_record record = {.id = "a", .name = "b", .progress = JJ_NO_PROGRESS};
    jj_job *job = copy(&record);
    size_t len = 99;

    assert_null(jj_job_worker(job));
    assert_null(jj_job_schedule_id(job));
    assert_null(jj_job_error(job));
    assert_null(jj_job_result(job, &len));
    assert_int_equal(len, 0);
    assert_false(jj_job_data_known(job));
    len = 99;
    assert_null(jj_job_data(job, &len));
    assert_int_equal(len, 0);
    assert_int_equal(jj_job_progress(job), -1);
    assert_null(job->record.marks);
    jj_job_free(job);
}

static void no_bytes_are_not_the_same_as_none(void **state)
{
    (void)state;
    const jj_record record = {
        .id = "a", .name = "b", .data_known = true, .data = "x", .result = "x"};
    jj_job *job = copy(&record);
    size_t len = 99;

    assert_non_null(jj_job_data(job, &len));
    assert_int_equal(len, 0);
    assert_non_null(jj_job_result(job, &len));
    assert_int_equal(len, 0);
    jj_job_free(job);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    jj_job_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accessors_tell_what_the_row_says),
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(a_copy_does_not_need_the_row),
        cmocka_unit_test(a_copy_can_be_copied),
        cmocka_unit_test(what_is_not_known_is_null),
        cmocka_unit_test(no_bytes_are_not_the_same_as_none),
        cmocka_unit_test(freeing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "job.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SIXTY_FIVE "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-x"

static struct job_message message_with(const jj_header *headers, size_t count)
{
    return (struct job_message){
        .subject = "jobs.enqueue.mail",
        .data = "{}",
        .data_len = 2,
        .headers = headers,
        .header_count = count,
        .seq = 90,
        .stored_at_ms = 1234,
    };
}

static void bare_message_is_a_job_named_by_its_subject(void **state)
{
    (void)state;
    struct job_message message = message_with(NULL, 0);
    struct job job;

    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.name, "mail");
    assert_string_equal(job.id, "90");
    assert_ptr_equal(job.data, message.data);
    assert_int_equal(job.data_len, 2);
    assert_int_equal(job.header_count, 0);
    assert_int_equal(job.created_at_ms, 1234);
    assert_int_equal(job.max_attempts, 0);
    assert_int_equal(job.run_at_ms, 0);
    assert_int_equal(job.timeout_ms, 0);
    assert_null(job.schedule_id);
    assert_null(job.traceparent);
}

static void every_header_is_read(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"Nats-Msg-Id", "17"},
        {"Job-Id", "17-a"},
        {"Job-Max-Attempts", "5"},
        {"Job-Attempts", "2"},
        {"Job-Redrives", "1"},
        {"Job-Snoozes", "1000000"},
        {"Job-Timeout", "9223372036854775807"},
        {"Job-Run-At", "1970-01-01T00:00:02.500Z"},
        {"Job-Created-At", "1970-01-01T01:00:01+01:00"},
        {"Job-Schedule-Id", "nightly"},
        {"traceparent", "00-abc"},
        {"tracestate", "x=y"},
        {"Content-Type", "text/plain"},
    };
    struct job_message message = message_with(headers, COUNT(headers));
    struct job job;

    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.id, "17-a");
    assert_int_equal(job.max_attempts, 5);
    assert_int_equal(job.attempts, 2);
    assert_int_equal(job.redrives, 1);
    assert_int_equal(job.snoozes, 1000000);
    assert_true(job.timeout_ms == INT64_MAX);
    assert_int_equal(job.run_at_ms, 2500);
    assert_int_equal(job.created_at_ms, 1000);
    assert_string_equal(job.schedule_id, "nightly");
    assert_string_equal(job.traceparent, "00-abc");
    assert_ptr_equal(job.headers, headers);
    assert_int_equal(job.header_count, COUNT(headers));
}

static void due_message_is_a_job_too(void **state)
{
    (void)state;
    struct job_message message = message_with(NULL, 0);
    struct job job;

    message.subject = "jobs.due.mail";
    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.name, "mail");
}

static void message_on_another_subject_is_no_job(void **state)
{
    (void)state;
    static const char *const subjects[] = {"",
                                           "jobs.enqueue",
                                           "jobs.enqueue.*",
                                           "jobs.claims.w",
                                           "jobs.enqueue.a.b",
                                           "jobs.due.a\r\n"};

    for (size_t i = 0; i < COUNT(subjects); i++) {
        struct job_message message = message_with(NULL, 0);
        struct job job;
        jj_error err = {0};
        message.subject = subjects[i];
        assert_int_equal(jj__job_read(&message, &job, &err), JJ_ERR_PROTOCOL);
        assert_non_null(strstr(err.text, "is not that of a job"));
        assert_string_equal(job.name, "");
        assert_string_equal(job.id, "");
        assert_null(job.data);
    }
}

static void sequence_of_any_size_serves_as_id(void **state)
{
    (void)state;
    struct job_message message = message_with(NULL, 0);
    struct job job;

    message.seq = 0;
    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.id, "0");
    message.seq = UINT64_MAX;
    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.id, "18446744073709551615");
}

static void header_that_can_not_be_read_is_named(void **state)
{
    (void)state;
    const jj_header headers[] = {{"Job-Max-Attempts", "a\x1B[2Jc"}};
    struct job_message message = message_with(headers, COUNT(headers));
    struct job job;
    jj_error err = {0};

    assert_int_equal(jj__job_read(&message, &job, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "header Job-Max-Attempts is 'a?[2Jc': allowed is 1 to 1000");
}

static void values_beyond_their_range_can_not_be_read(void **state)
{
    (void)state;
    static const jj_header wrong[] = {
        {"Job-Id", ""},
        {"Job-Id", "*"},
        {"Job-Id", "a.b"},
        {"Job-Id", SIXTY_FIVE},
        {"Job-Schedule-Id", ""},
        {"Job-Schedule-Id", "a b"},
        {"Job-Max-Attempts", ""},
        {"Job-Max-Attempts", "0"},
        {"Job-Max-Attempts", "1001"},
        {"Job-Max-Attempts", "-1"},
        {"Job-Max-Attempts", "+1"},
        {"Job-Max-Attempts", " 1"},
        {"Job-Max-Attempts", "1 "},
        {"Job-Max-Attempts", "1e2"},
        {"Job-Max-Attempts", "99999999999999999999999"},
        {"Job-Attempts", "1000001"},
        {"Job-Attempts", "-1"},
        {"Job-Redrives", "4294967296"},
        {"Job-Snoozes", "x"},
        {"Job-Timeout", "0"},
        {"Job-Timeout", "-5"},
        {"Job-Timeout", "9223372036854775808"},
        {"Job-Timeout", "5s"},
        {"Job-Run-At", "tomorrow"},
        {"Job-Run-At", "1234"},
        {"Job-Created-At", ""},
        {"Job-Created-At", "2026-02-30T00:00:00Z"},
    };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct job_message message = message_with(&wrong[i], 1);
        struct job job;
        jj_error err = {0};
        assert_int_equal(jj__job_read(&message, &job, &err), JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, wrong[i].name));
        assert_string_equal(job.id, "90");
        assert_string_equal(job.name, "mail");
    }
}

static void what_can_be_read_is_read_in_spite_of_an_error(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"Job-Attempts", "many"},
        {"Job-Id", "17"},
        {"Job-Timeout", "soon"},
        {"Job-Redrives", "3"},
    };
    struct job_message message = message_with(headers, COUNT(headers));
    struct job job;
    jj_error err = {0};

    assert_int_equal(jj__job_read(&message, &job, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "Job-Attempts")); /* the first one */
    assert_string_equal(job.id, "17");
    assert_int_equal(job.redrives, 3);
    assert_int_equal(job.attempts, 0);
    assert_int_equal(job.timeout_ms, 0);
}

static void first_header_of_a_name_counts(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"Job-Id", "first"},  {"Job-Id", "second"}, {"Job-Id", "a.b"},
        {"traceparent", "1"}, {"traceparent", "2"},
    };
    struct job_message message = message_with(headers, COUNT(headers));
    struct job job;

    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.id, "first");
    assert_string_equal(job.traceparent, "1");
}

static void names_of_headers_compare_exactly(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"job-id", "a"}, {"Job-Id ", "b"}, {"JOB-ID", "c"}, {"Job-", "d"},   {"Job", "e"},
        {"", "f"},       {"t", "g"},       {"Job-I", "h"},  {"Job-Xx", "i"},
    };
    struct job_message message = message_with(headers, COUNT(headers));
    struct job job;

    assert_int_equal(jj__job_read(&message, &job, NULL), JJ_OK);
    assert_string_equal(job.id, "90");
    assert_null(job.traceparent);
}

static void header_is_found_by_its_exact_name(void **state)
{
    (void)state;
    const jj_header headers[] = {{"A", "1"}, {"B", "2"}, {"B", "3"}};

    assert_string_equal(jj__header_find(headers, COUNT(headers), "B"), "2");
    assert_null(jj__header_find(headers, COUNT(headers), "b"));
    assert_null(jj__header_find(NULL, 0, "A"));
}

static void header_may_not_break_out_of_its_line(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a b", "a:b", "a\r", "a\nb", "\t", "a\x7F", " a", NULL};

    assert_true(jj__header_name_valid("X-Colour"));
    assert_true(jj__header_name_valid("\xC3\xBC"));
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_false(jj__header_name_valid(wrong[i]));
    assert_true(jj__header_value_valid(""));
    assert_true(jj__header_value_valid("a: b\t\xC3\xBC"));
    assert_false(jj__header_value_valid("a\r"));
    assert_false(jj__header_value_valid("a\nb"));
    assert_false(jj__header_value_valid(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_message_is_a_job_named_by_its_subject),
        cmocka_unit_test(every_header_is_read),
        cmocka_unit_test(due_message_is_a_job_too),
        cmocka_unit_test(message_on_another_subject_is_no_job),
        cmocka_unit_test(sequence_of_any_size_serves_as_id),
        cmocka_unit_test(header_that_can_not_be_read_is_named),
        cmocka_unit_test(values_beyond_their_range_can_not_be_read),
        cmocka_unit_test(what_can_be_read_is_read_in_spite_of_an_error),
        cmocka_unit_test(first_header_of_a_name_counts),
        cmocka_unit_test(names_of_headers_compare_exactly),
        cmocka_unit_test(header_is_found_by_its_exact_name),
        cmocka_unit_test(header_may_not_break_out_of_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

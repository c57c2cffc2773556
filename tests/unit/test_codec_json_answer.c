/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_request.h"
#include "json_write.h"
#include "record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define INVOICE "{\"to\":\"bob@example.org\",\"subject\":\"Invoice\"}"

/* Those of broker/README.md. */
static jj_job completed = {{
    .id = "01a20a7d-f394-709e-b135-5d9bf1459d8f",
    .name = "sendEmail",
    .state = JJ_COMPLETED,
    .created_at_ms = INT64_C(1795472356244),
    .run_at_ms = INT64_C(1795472357506),
    .started_at_ms = INT64_C(1795472357508),
    .completed_at_ms = INT64_C(1795472357700),
    .attempts = 2,
    .max_attempts = 5,
    .redrives = 3,
    .snoozes = 4,
    .progress = 40,
    .worker = "mail1-4711-q7x2ka",
    .result = "{\"messageId\":\"a91\"}",
    .result_len = 19,
    .data_known = true,
    .data = INVOICE,
    .data_len = sizeof(INVOICE) - 1,
}};

static jj_job scheduled = {{
    .id = "01a20a7d-f953-7e82-a03c-a00a6ae1392b",
    .name = "sendEmail",
    .state = JJ_SCHEDULED,
    .created_at_ms = INT64_C(1795472357715),
    .run_at_ms = INT64_C(1795475957715),
    .progress = JJ_NO_PROGRESS,
    .data_known = true,
    .data = INVOICE,
    .data_len = sizeof(INVOICE) - 1,
}};

#define COMPLETED                                                                                  \
    "{\"id\":\"01a20a7d-f394-709e-b135-5d9bf1459d8f\",\"name\":\"sendEmail\",\"data\":" INVOICE    \
    ",\"status\":\"completed\",\"createdAt\":\"2026-11-23T22:19:16.244Z\","                        \
    "\"runAt\":\"2026-11-23T22:19:17.506Z\",\"startedAt\":\"2026-11-23T22:19:17.508Z\","           \
    "\"completedAt\":\"2026-11-23T22:19:17.700Z\",\"result\":{\"messageId\":\"a91\"},"             \
    "\"attempts\":2,\"maxAttempts\":5,\"lost\":0,\"worker\":\"mail1-4711-q7x2ka\","                \
    "\"progress\":40}"

#define SCHEDULED                                                                                  \
    "{\"id\":\"01a20a7d-f953-7e82-a03c-a00a6ae1392b\",\"name\":\"sendEmail\",\"data\":" INVOICE    \
    ",\"status\":\"scheduled\",\"createdAt\":\"2026-11-23T22:19:17.715Z\","                        \
    "\"runAt\":\"2026-11-23T23:19:17.715Z\",\"attempts\":0,\"lost\":0}"

/* Text that is one line of JSON. */
static void assert_json(struct buf *out, const char *json)
{
    assert_false(out->failed);
    assert_true(jj__json_valid(out->data, out->len));
    assert_null(memchr(out->data, '\n', out->len));
    jj__buf_char(out, '\0');
    assert_string_equal(out->data, json);
    jj__buf_done(out);
}

static void assert_answer(struct answer answer, const char *json)
{
    struct buf out = {0};

    assert_int_equal(jj__json_write_answer(&out, &answer, NULL), JJ_OK);
    assert_json(&out, json);
}

static void assert_job(const jj_record *record, const char *json)
{
    struct buf out = {0};

    jj__json_job(&out, record);
    assert_json(&out, json);
}

/* ---- jobs ---- */

static void get_answers_the_job_or_null(void **state)
{
    (void)state;
    assert_answer((struct answer){.verb = VERB_GET, .job = &completed}, COMPLETED);
    assert_answer((struct answer){.verb = VERB_GET}, "null");
}

static void what_is_not_known_is_absent(void **state)
{
    (void)state;
    const jj_record record = {
        .id = "17", .name = "mail", .state = JJ_PENDING, .progress = JJ_NO_PROGRESS};

    assert_job(&record, "{\"id\":\"17\",\"name\":\"mail\",\"status\":\"pending\",\"attempts\":0,"
                        "\"lost\":0}");
}

static void all_that_is_known_is_there(void **state)
{
    (void)state;
    const jj_record record = {
        .id = "17",
        .name = "mail",
        .state = JJ_FAILED,
        .created_at_ms = -1,
        .run_at_ms = 1,
        .started_at_ms = INT64_MAX,
        .completed_at_ms = INT64_MIN,
        .attempts = UINT32_MAX,
        .max_attempts = UINT32_MAX,
        .lost = 3,
        .progress = 0,
        .worker = "w1",
        .schedule_id = "nightly",
        .error = "no \"route\"\n\xFF",
        .data_known = true,
        .data = "[\n1]",
        .data_len = 4,
        .result = "7",
        .result_len = 1,
    };

    assert_job(&record, "{\"id\":\"17\",\"name\":\"mail\",\"data\":[ 1],\"status\":\"failed\","
                        "\"createdAt\":\"1969-12-31T23:59:59.999Z\","
                        "\"runAt\":\"1970-01-01T00:00:00.001Z\","
                        "\"startedAt\":\"9999-12-31T23:59:59.999Z\","
                        "\"completedAt\":\"0000-01-01T00:00:00.000Z\",\"result\":7,"
                        "\"error\":\"no \\\"route\\\"\\n\xEF\xBF\xBD\","
                        "\"attempts\":4294967295,\"maxAttempts\":4294967295,\"lost\":3,"
                        "\"worker\":\"w1\",\"scheduleId\":\"nightly\",\"progress\":0}");
}

static void bytes_that_are_not_json_go_out_in_base64(void **state)
{
    (void)state;
    const jj_record record = {
        .id = "17",
        .name = "mail",
        .state = JJ_COMPLETED,
        .progress = JJ_NO_PROGRESS,
        .data_known = true,
        .data = "\xFF\0\x10>",
        .data_len = 4,
        .result = "{\"a\":",
        .result_len = 5,
    };

    assert_job(&record, "{\"id\":\"17\",\"name\":\"mail\",\"dataBase64\":\"/wAQPg==\","
                        "\"status\":\"completed\",\"resultBase64\":\"eyJhIjo=\",\"attempts\":0,"
                        "\"lost\":0}");
}

static void empty_and_unknown_data_are_absent(void **state)
{
    (void)state;
    jj_record record = {
        .id = "17",
        .name = "mail",
        .state = JJ_RUNNING,
        .progress = JJ_NO_PROGRESS,
        .data_known = true,
        .data = "",
        .result = "",
    };
    const char *json =
        "{\"id\":\"17\",\"name\":\"mail\",\"status\":\"running\",\"attempts\":0,\"lost\":0}";

    assert_job(&record, json);
    record.data_known = false;
    record.data = "1";
    record.data_len = 1;
    assert_job(&record, json);
}

/* ---- the other answers ---- */

static void page_has_jobs_and_perhaps_a_cursor(void **state)
{
    (void)state;
    jj_job *jobs[] = {&scheduled, &completed};
    jj_page page = {.jobs = jobs, .count = 1, .cursor = (char *)"b3BhcXVl"};
    const struct answer answer = {.verb = VERB_GET_BY_NAME, .page = &page};

    assert_answer(answer, "{\"jobs\":[" SCHEDULED "],\"cursor\":\"b3BhcXVl\"}");
    page = (jj_page){.jobs = jobs, .count = 2};
    assert_answer(answer, "{\"jobs\":[" SCHEDULED "," COMPLETED "]}");
    page = (jj_page){0};
    assert_answer(answer, "{\"jobs\":[]}");
}

static void cancel_and_retry_answer_yes_or_no(void **state)
{
    (void)state;
    assert_answer((struct answer){.verb = VERB_CANCEL, .yes = true}, "{\"cancelled\":true}");
    assert_answer((struct answer){.verb = VERB_CANCEL}, "{\"cancelled\":false}");
    assert_answer((struct answer){.verb = VERB_RETRY, .yes = true}, "{\"retried\":true}");
    assert_answer((struct answer){.verb = VERB_RETRY}, "{\"retried\":false}");
}

static void logs_have_one_object_a_line(void **state)
{
    (void)state;
    jj_log_line log_lines[] = {
        {.time_ms = INT64_C(1795472357622),
         .level = JJ_LOG_WARN,
         .message = "relay was slow",
         .data = "{\"ms\":63}",
         .attempt = 2},
        {.level = JJ_LOG_DEBUG, .message = "a\nb", .attempt = 3},
        {.level = JJ_LOG_INFO, .message = "", .event = "half", .data = "[1]", .attempt = 4},
        {.level = JJ_LOG_INFO, .message = "", .event = "\"", .attempt = 4},
    };
    jj_lines lines = {.lines = log_lines, .count = 1};
    const struct answer answer = {.verb = VERB_LOGS, .lines = &lines};

    assert_answer(answer, "{\"logs\":[{\"time\":\"2026-11-23T22:19:17.622Z\",\"level\":\"warn\","
                          "\"message\":\"relay was slow\",\"data\":{\"ms\":63},\"attempt\":2}]}");
    lines.lines = log_lines + 1;
    assert_answer(answer, "{\"logs\":[{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"debug\","
                          "\"message\":\"a\\nb\",\"attempt\":3}]}");
    lines = (jj_lines){.lines = log_lines + 2, .count = 2};
    assert_answer(answer, "{\"logs\":[{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"half\","
                          "\"data\":[1],\"attempt\":4},{\"time\":\"1970-01-01T00:00:00.000Z\","
                          "\"event\":\"\\\"\",\"attempt\":4}]}");
    lines.count = 0;
    assert_answer(answer, "{\"logs\":[]}");
}

static void stats_count_by_name_and_state(void **state)
{
    (void)state;
    jj_name_stats names[] = {
        {.name = "sendEmail",
         .counts = {[JJ_PENDING] = 3, [JJ_RUNNING] = 1, [JJ_COMPLETED] = 2, [JJ_CANCELLED] = 1}},
        {.name = "x", .counts = {[JJ_SCHEDULED] = UINT64_MAX, [JJ_FAILED] = 7}},
    };
    jj_stats stats = {.names = names, .count = 1};
    const struct answer answer = {.verb = VERB_STATS, .stats = &stats};

    assert_answer(answer, "{\"names\":{\"sendEmail\":{\"pending\":3,\"scheduled\":0,\"running\":1,"
                          "\"completed\":2,\"failed\":0,\"cancelled\":1}},\"lag\":{\"jobs\":0,"
                          "\"events\":0}}");
    stats = (jj_stats){.names = names + 1, .count = 1, .lag_jobs = 5, .lag_events = UINT64_MAX};
    assert_answer(answer, "{\"names\":{\"x\":{\"pending\":0,\"scheduled\":18446744073709551615,"
                          "\"running\":0,\"completed\":0,\"failed\":7,\"cancelled\":0}},"
                          "\"lag\":{\"jobs\":5,\"events\":18446744073709551615}}");
    stats = (jj_stats){.names = names, .count = 0};
    assert_answer(answer, "{\"names\":{},\"lag\":{\"jobs\":0,\"events\":0}}");
    stats.count = 2;
    struct buf out = {0};
    assert_int_equal(jj__json_write_answer(&out, &answer, NULL), JJ_OK);
    assert_true(jj__json_valid(out.data, out.len));
    jj__buf_done(&out);
}

static void error_has_code_and_message(void **state)
{
    (void)state;
    struct buf out = {0};

    assert_int_equal(jj__json_write_error(&out, "invalid_argument", "id is missing", NULL), JJ_OK);
    assert_json(&out, "{\"error\":{\"code\":\"invalid_argument\",\"message\":\"id is missing\"}}");
    assert_int_equal(jj__json_write_error(&out, "internal", "a \"b\"\r\n", NULL), JJ_OK);
    assert_json(&out, "{\"error\":{\"code\":\"internal\",\"message\":\"a \\\"b\\\"\\r\\n\"}}");
}

/* ---- limits ---- */

static void answer_that_does_not_fit_leaves_what_was_there(void **state)
{
    (void)state;
    jj_job *jobs[] = {&scheduled, &completed};
    jj_page page = {.jobs = jobs, .count = 2};
    const struct answer answer = {.verb = VERB_GET_BY_NAME, .page = &page};
    const size_t len = strlen("{\"jobs\":[" SCHEDULED "," COMPLETED "]}");
    jj_error err = {0};

    for (size_t max = 3; max < len + 3; max++) {
        struct buf out = {.max = max};
        jj__buf_str(&out, "abc");
        assert_int_equal(jj__json_write_answer(&out, &answer, &err), JJ_ERR_TOO_LARGE);
        assert_int_equal(out.len, 3);
        assert_memory_equal(out.data, "abc", 3);
        assert_false(out.failed); /* an error can be written instead */
        jj__buf_done(&out);
    }
    struct buf out = {.max = len + 3};
    jj__buf_str(&out, "abc");
    assert_int_equal(jj__json_write_answer(&out, &answer, NULL), JJ_OK);
    assert_int_equal(out.len, len + 3);
    jj__buf_done(&out);

    struct buf tiny = {.max = 20};
    assert_int_equal(jj__json_write_error(&tiny, "internal", "x", &err), JJ_ERR_TOO_LARGE);
    assert_string_equal(err.text, "answer would have more than 20 bytes");
    jj__buf_done(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_answers_the_job_or_null),
        cmocka_unit_test(what_is_not_known_is_absent),
        cmocka_unit_test(all_that_is_known_is_there),
        cmocka_unit_test(bytes_that_are_not_json_go_out_in_base64),
        cmocka_unit_test(empty_and_unknown_data_are_absent),
        cmocka_unit_test(page_has_jobs_and_perhaps_a_cursor),
        cmocka_unit_test(cancel_and_retry_answer_yes_or_no),
        cmocka_unit_test(logs_have_one_object_a_line),
        cmocka_unit_test(stats_count_by_name_and_state),
        cmocka_unit_test(error_has_code_and_message),
        cmocka_unit_test(answer_that_does_not_fit_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

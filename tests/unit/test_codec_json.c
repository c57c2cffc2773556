/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "codec_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, NULs within included. */
#define BYTES(literal) literal, sizeof(literal) - 1

static void assert_string(const char *text, size_t len, const char *json)
{
    struct buf out = {0};

    jj__json_string(&out, text, len);
    jj__buf_char(&out, '\0');
    assert_string_equal(out.data, json);
    jj__buf_done(&out);
}

static void assert_event(const struct event *event, const char *json)
{
    struct buf out = {0};

    jj__json_event(&out, event);
    assert_false(out.failed);
    assert_true(jj__json_valid(out.data, out.len));
    jj__buf_char(&out, '\0');
    assert_string_equal(out.data, json);
    jj__buf_done(&out);
}

static void any_value_is_json(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null",
        "true",
        "0",
        "-0.5e+3",
        "\"\"",
        "\"gr\xC3\xBC\xC3\x9F\"",
        "[]",
        "{}",
        " \t\r\n{ \"a\" : [ 1 , { } ] }\n",
        "\"\\u0000\\ud83d\\ude00\"",
        "{\"a\":1,\"a\":2}",                             /* names may repeat */
        "123456789012345678901234567890123456789012345", /* no limit to digits */
    };

    for (size_t i = 0; i < COUNT(values); i++)
        assert_true(jj__json_valid(values[i], strlen(values[i])));
}

static void anything_else_is_not_json(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        " ",
        "x",
        "nul",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "'a'",
        "\"",
        "\"a",
        "[1,]",
        "{a:1}",
        "{\"a\"}",
        "{} {}",
        "1 2",
        "{}x",
        "[1",
        "\"\n\"",
        "\"\\x\"",
        "\"\xFF\"",
        "\"\xED\xA0\x80\"",
        "\"\\ud800\"",      /* lone surrogate */
        "\xEF\xBB\xBF{}",   /* byte order mark */
        "1e999",            /* beyond a double */
        "{\"a\\u0000\":1}", /* beyond jansson */
        "// no comments\n1",
    };

    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(jj__json_valid(others[i], strlen(others[i])));
    assert_false(jj__json_valid(NULL, 0));
    assert_false(jj__json_valid(BYTES("{}\0")));
    assert_false(jj__json_valid(BYTES("\"a\0b\"")));
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char nest[20000];

    memset(nest, '[', 10000);
    memset(nest + 10000, ']', 10000);
    assert_false(jj__json_valid(nest, sizeof(nest)));
    assert_true(jj__json_valid(nest + 9900, 200));
}

static void length_ends_the_value_not_a_nul(void **state)
{
    (void)state;
    assert_true(jj__json_valid("12x", 2));
}

static void string_is_quoted_and_escaped(void **state)
{
    (void)state;
    assert_string(BYTES(""), "\"\"");
    assert_string(BYTES("plain text"), "\"plain text\"");
    assert_string(BYTES("\"\\/"), "\"\\\"\\\\/\"");
    assert_string(BYTES("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    assert_string(BYTES("\0\x01\x1B\x1F\x7F"), "\"\\u0000\\u0001\\u001b\\u001f\x7F\"");
}

static void string_keeps_characters_and_replaces_other_bytes(void **state)
{
    (void)state;
    assert_string(BYTES("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"),
                  "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\"");
    assert_string(BYTES("\xFF"
                        "a\xC3"),
                  "\"\xEF\xBF\xBD"
                  "a\xEF\xBF\xBD\"");
    assert_string("\xC3\xBC", 1, "\"\xEF\xBF\xBD\"");
}

static void string_of_any_bytes_is_json(void **state)
{
    (void)state;
    struct buf out = {0};
    char bytes[512];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 256);
    jj__json_string(&out, bytes, sizeof(bytes));
    assert_true(jj__json_valid(out.data, out.len));
    jj__buf_done(&out);
}

static struct event event_of(enum event_type type)
{
    return (struct event){
        .type = type,
        .id = "17",
        .name = "mail",
        .worker = "w1",
        .time_ms = INT64_C(1769903999123),
        .attempts = 1,
        .max_attempts = 3,
    };
}

#define HEAD(type)                                                                                 \
    "{\"type\":\"" type "\",\"jobId\":\"17\",\"name\":\"mail\","                                   \
    "\"time\":\"2026-01-31T23:59:59.123Z\",\"attempts\":1,\"maxAttempts\":3,\"worker\":\"w1\""

static void started_event_says_who_and_when(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_STARTED);

    assert_event(&event, HEAD("started") "}");
}

static void completed_event_carries_the_result_as_it_is(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_COMPLETED);

    event.duration_ms = 12;
    event.result = "{\"sent\": true}";
    event.result_len = strlen(event.result);
    assert_event(&event, HEAD("completed") ",\"result\":{\"sent\": true},\"durationMs\":12}");
}

static void event_is_one_line_however_its_values_are_laid_out(void **state)
{
    (void)state;
    struct event completed = event_of(EVENT_COMPLETED);
    struct event custom = event_of(EVENT_EVENT);

    completed.result = "[\r\n1\n]";
    completed.result_len = strlen(completed.result);
    assert_event(&completed, HEAD("completed") ",\"result\":[  1 ],\"durationMs\":0}");
    custom.event = "e";
    custom.data = "{\n}";
    assert_event(&custom, HEAD("event") ",\"event\":\"e\",\"data\":{ }}");
}

static void empty_result_is_no_member(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_COMPLETED);

    event.result = "";
    assert_event(&event, HEAD("completed") ",\"durationMs\":0}");
    event.result = NULL;
    assert_event(&event, HEAD("completed") ",\"durationMs\":0}");
}

static void result_that_is_not_json_goes_out_in_base64(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_COMPLETED);

    event.result = "\xFF\0\x10>";
    event.result_len = 1;
    assert_event(&event, HEAD("completed") ",\"resultBase64\":\"/w==\",\"durationMs\":0}");
    event.result_len = 2;
    assert_event(&event, HEAD("completed") ",\"resultBase64\":\"/wA=\",\"durationMs\":0}");
    event.result_len = 3;
    assert_event(&event, HEAD("completed") ",\"resultBase64\":\"/wAQ\",\"durationMs\":0}");
    event.result_len = 4;
    assert_event(&event, HEAD("completed") ",\"resultBase64\":\"/wAQPg==\",\"durationMs\":0}");
}

static void failed_event_tells_the_error(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_FAILED);

    event.error = "smtp: \"no\"\n";
    event.duration_ms = 5;
    assert_event(&event, HEAD("failed") ",\"error\":\"smtp: \\\"no\\\"\\n\",\"durationMs\":5}");
}

static void retrying_event_tells_when_it_runs_again(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_RETRYING);

    event.error = "busy";
    event.run_at_ms = INT64_C(1769904000000);
    assert_event(&event, HEAD("retrying") ",\"error\":\"busy\","
                                          "\"runAt\":\"2026-02-01T00:00:00.000Z\","
                                          "\"durationMs\":0}");
    event.error = NULL; /* a snooze, and at once */
    event.run_at_ms = 0;
    assert_event(&event, HEAD("retrying") ",\"runAt\":\"2026-01-31T23:59:59.123Z\","
                                          "\"durationMs\":0}");
}

static void cancelled_event_may_come_from_nobody_who_knows_more(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_CANCELLED);

    event.worker = NULL;
    event.attempts = 0;
    event.max_attempts = 0;
    assert_event(&event, "{\"type\":\"cancelled\",\"jobId\":\"17\",\"name\":\"mail\","
                         "\"time\":\"2026-01-31T23:59:59.123Z\",\"attempts\":0}");
}

static void progress_event_tells_how_far_it_is(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_PROGRESS);

    event.percent = 40;
    assert_event(&event, HEAD("progress") ",\"percent\":40}");
    event.message = "half";
    assert_event(&event, HEAD("progress") ",\"percent\":40,\"message\":\"half\"}");
}

static void custom_event_carries_its_data(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_EVENT);

    event.event = "opened";
    assert_event(&event, HEAD("event") ",\"event\":\"opened\"}");
    event.data = "[1]";
    assert_event(&event, HEAD("event") ",\"event\":\"opened\",\"data\":[1]}");
}

static void log_event_tells_level_and_line(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_LOG);

    event.level = JJ_LOG_WARN;
    event.message = "slow";
    event.data = "{\"ms\":900}";
    assert_event(&event, HEAD("log") ",\"level\":\"warn\",\"message\":\"slow\","
                                     "\"data\":{\"ms\":900}}");
}

static void trace_context_comes_last(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_FAILED);

    event.error = "x";
    event.traceparent = "00-ab-cd-01";
    assert_event(&event, HEAD("failed") ",\"error\":\"x\",\"durationMs\":0,"
                                        "\"traceparent\":\"00-ab-cd-01\"}");
}

static void event_that_does_not_fit_fails_as_a_whole(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_COMPLETED);
    char result[300];

    memset(result, '1', sizeof(result));
    event.result = result;
    event.result_len = sizeof(result);

    struct buf whole = {0};
    jj__json_event(&whole, &event);
    for (size_t max = 1; max < whole.len; max++) {
        struct buf out = {.max = max};
        jj__json_event(&out, &event);
        assert_true(out.failed);
        assert_true(out.len <= max);
        jj__buf_done(&out);
    }
    jj__buf_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_is_json),
        cmocka_unit_test(anything_else_is_not_json),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(length_ends_the_value_not_a_nul),
        cmocka_unit_test(string_is_quoted_and_escaped),
        cmocka_unit_test(string_keeps_characters_and_replaces_other_bytes),
        cmocka_unit_test(string_of_any_bytes_is_json),
        cmocka_unit_test(started_event_says_who_and_when),
        cmocka_unit_test(completed_event_carries_the_result_as_it_is),
        cmocka_unit_test(event_is_one_line_however_its_values_are_laid_out),
        cmocka_unit_test(empty_result_is_no_member),
        cmocka_unit_test(result_that_is_not_json_goes_out_in_base64),
        cmocka_unit_test(failed_event_tells_the_error),
        cmocka_unit_test(retrying_event_tells_when_it_runs_again),
        cmocka_unit_test(cancelled_event_may_come_from_nobody_who_knows_more),
        cmocka_unit_test(progress_event_tells_how_far_it_is),
        cmocka_unit_test(custom_event_carries_its_data),
        cmocka_unit_test(log_event_tells_level_and_line),
        cmocka_unit_test(trace_context_comes_last),
        cmocka_unit_test(event_that_does_not_fit_fails_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

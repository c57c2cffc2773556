/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_json.h"

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

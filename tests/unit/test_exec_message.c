/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "exec_message.h"

static struct exec_message read_line(const char *line)
{
    struct exec_message message;
    jj_error err;

    if (jj__exec_message_read(line, strlen(line), &message, &err) != JJ_OK)
        fail_msg("%s: %s", line, err.text);
    return message;
}

static void progress_has_a_percentage_and_perhaps_a_text(void **state)
{
    (void)state;
    struct exec_message message = read_line("{\"progress\": 40, \"message\": \"resize\"}");

    assert_int_equal(message.kind, MESSAGE_PROGRESS);
    assert_int_equal(message.percent, 40);
    assert_string_equal(message.text, "resize");
    jj__exec_message_done(&message);
    message = read_line("{\"progress\":99.9}");
    assert_int_equal(message.percent, 99);
    assert_null(message.text);
    jj__exec_message_done(&message);
}

static void an_event_has_a_name_and_perhaps_data(void **state)
{
    (void)state;
    struct exec_message message = read_line("{\"event\":\"sent\",\"data\":{\"to\": [1, \"b\"]}}");

    assert_int_equal(message.kind, MESSAGE_EVENT);
    assert_string_equal(message.text, "sent");
    assert_string_equal(message.data, "{\"to\":[1,\"b\"]}");
    jj__exec_message_done(&message);
    message = read_line("{\"event\":\"sent\",\"data\":null,\"more\":1}");
    assert_string_equal(message.data, "null");
    jj__exec_message_done(&message);
}

static void a_log_line_has_a_level(void **state)
{
    (void)state;
    struct exec_message message = read_line("{\"log\":\"slow\",\"level\":\"warn\",\"data\":1}");

    assert_int_equal(message.kind, MESSAGE_LOG);
    assert_int_equal(message.level, JJ_LOG_WARN);
    assert_string_equal(message.text, "slow");
    assert_string_equal(message.data, "1");
    jj__exec_message_done(&message);
    message = read_line("{\"log\":\"\"}");
    assert_int_equal(message.level, JJ_LOG_INFO);
    jj__exec_message_done(&message);
}

static void what_is_no_message_is_told(void **state)
{
    static const struct {
        const char *line;
        const char *why;
    } bad[] = {
        {"", "no JSON"},
        {"hello", "no JSON"},
        {"{\"progress\":1} {}", "no JSON"},
        {"{\"log\":\"\\u0000\"}", "no JSON"},
        {"[1]", "no JSON object"},
        {"{}", "but none"},
        {"{\"progress\":1,\"log\":\"x\"}", "but several"},
        {"{\"event\":\"a\",\"log\":\"x\"}", "but several"},
        {"{\"progress\":101}", "0 to 100"},
        {"{\"progress\":-1}", "0 to 100"},
        {"{\"progress\":\"40\"}", "0 to 100"},
        {"{\"progress\":1,\"message\":2}", "\"message\" is not a string"},
        {"{\"event\":7}", "\"event\" is not a string"},
        {"{\"event\":null}", "\"event\" is not a string"},
        {"{\"log\":[]}", "\"log\" is not a string"},
        {"{\"log\":\"x\",\"level\":\"loud\"}", "'loud': allowed is debug, info, warn or error"},
        {"{\"log\":\"x\",\"level\":3}", "\"level\" is not a string"},
    };
    struct exec_message message;
    jj_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *line = bad[i].line;
        assert_int_equal(jj__exec_message_read(line, strlen(line), &message, &err), JJ_ERR_INVALID);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("'%s' gives: %s", line, err.text);
        jj__exec_message_done(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_has_a_percentage_and_perhaps_a_text),
        cmocka_unit_test(an_event_has_a_name_and_perhaps_data),
        cmocka_unit_test(a_log_line_has_a_level),
        cmocka_unit_test(what_is_no_message_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

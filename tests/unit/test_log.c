/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "log.h"

struct heard {
    int lines;
    jj_log_level level;
    char text[2048];
};

static void hear(jj_log_level level, const char *text, void *user)
{
    struct heard *heard = user;

    heard->lines++;
    heard->level = level;
    snprintf(heard->text, sizeof(heard->text), "%s", text);
}

static void line_reaches_the_sink_with_its_level(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct log log = {.sink = hear, .user = &heard};

    jj__log(&log, JJ_LOG_WARN, "%d jobs of %s", 3, "x");
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.level, JJ_LOG_WARN);
    assert_string_equal(heard.text, "3 jobs of x");
}

static void without_a_sink_nothing_happens(void **state)
{
    (void)state;
    const struct log log = {0};

    jj__log(&log, JJ_LOG_ERROR, "%s", "x");
}

static void one_call_is_one_line(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct log log = {.sink = hear, .user = &heard};

    jj__log(&log, JJ_LOG_INFO, "job '%s'", "a\r\nall is well\x1B[2J");
    assert_string_equal(heard.text, "job 'a??all is well?[2J'");
}

static void long_line_is_cut(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct log log = {.sink = hear, .user = &heard};
    char longer[1500];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    jj__log(&log, JJ_LOG_INFO, "%s", longer);
    assert_int_equal(strlen(heard.text), 1024);
}

static void line_that_can_not_be_formatted_is_a_question_mark(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct log log = {.sink = hear, .user = &heard};

    jj__log(&log, JJ_LOG_INFO, "%ls", L"\x20AC");
    assert_string_equal(heard.text, "?");
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(jj__log_level_text(JJ_LOG_DEBUG), "debug");
    assert_string_equal(jj__log_level_text(JJ_LOG_INFO), "info");
    assert_string_equal(jj__log_level_text(JJ_LOG_WARN), "warn");
    assert_string_equal(jj__log_level_text(JJ_LOG_ERROR), "error");
    assert_string_equal(jj__log_level_text((jj_log_level)99), "info");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_reaches_the_sink_with_its_level),
        cmocka_unit_test(without_a_sink_nothing_happens),
        cmocka_unit_test(one_call_is_one_line),
        cmocka_unit_test(long_line_is_cut),
        cmocka_unit_test(line_that_can_not_be_formatted_is_a_question_mark),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

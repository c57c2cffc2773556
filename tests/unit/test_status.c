/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "status.h"

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int status = JJ_OK; status <= JJ_ERR_INTERNAL; status++) {
        assert_string_not_equal(jj_status_text((jj_status)status), "");
        assert_string_not_equal(jj_status_text((jj_status)status), "unknown");
    }
    assert_string_equal(jj_status_text(JJ_ERR_TIMEOUT), "timeout");
    assert_string_equal(jj_status_text((jj_status)(JJ_ERR_INTERNAL + 1)), "unknown");
    assert_string_equal(jj_status_text((jj_status)-1), "unknown");
}

static void failing_fills_the_error_and_returns_its_status(void **state)
{
    (void)state;
    jj_error err = {0};

    assert_int_equal(jj__fail(&err, JJ_ERR_NOT_FOUND, "job '%s'", "x"), JJ_ERR_NOT_FOUND);
    assert_int_equal(err.status, JJ_ERR_NOT_FOUND);
    assert_string_equal(err.text, "job 'x'");
}

static void nobody_need_take_the_text(void **state)
{
    (void)state;
    assert_int_equal(jj__fail(NULL, JJ_ERR_STATE, "%s", "x"), JJ_ERR_STATE);
    assert_int_equal(jj__fail_errno(NULL, JJ_ERR_STORAGE, ENOENT, "x"), JJ_ERR_STORAGE);
}

static void long_text_is_cut_to_fit(void **state)
{
    (void)state;
    char longer[2 * JJ_ERROR_TEXT_SIZE];
    jj_error err = {0};

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(jj__fail(&err, JJ_ERR_INVALID, "%s", longer), JJ_ERR_INVALID);
    assert_int_equal(strlen(err.text), JJ_ERROR_TEXT_SIZE - 1);
}

static void quoted_text_can_not_forge_a_line(void **state)
{
    (void)state;
    jj_error err = {0};

    assert_int_equal(jj__fail(&err, JJ_ERR_INVALID, "name '%s'", "a\r\nall is well\x1B[2J\xFF"),
                     JJ_ERR_INVALID);
    assert_string_equal(err.text, "name 'a??all is well?[2J?'");
}

static void text_that_can_not_be_formatted_is_a_question_mark(void **state)
{
    (void)state;
    jj_error err = {0};

    assert_int_equal(jj__fail(&err, JJ_ERR_INTERNAL, "%ls", L"\x20AC"), JJ_ERR_INTERNAL);
    assert_string_equal(err.text, "?");
}

static void system_errors_are_told_in_words(void **state)
{
    (void)state;
    jj_error err = {0};

    assert_int_equal(jj__fail_errno(&err, JJ_ERR_STORAGE, ENOENT, "open x"), JJ_ERR_STORAGE);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(jj__fail_errno(&err, JJ_ERR_STORAGE, 99999, "open x"), JJ_ERR_STORAGE);
    assert_non_null(strstr(err.text, "error 99999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_text),
        cmocka_unit_test(failing_fills_the_error_and_returns_its_status),
        cmocka_unit_test(nobody_need_take_the_text),
        cmocka_unit_test(long_text_is_cut_to_fit),
        cmocka_unit_test(quoted_text_can_not_forge_a_line),
        cmocka_unit_test(text_that_can_not_be_formatted_is_a_question_mark),
        cmocka_unit_test(system_errors_are_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

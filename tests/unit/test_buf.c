/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"

static void assert_holds(const struct buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    if (buf->len != 0)
        assert_memory_equal(buf->data, text, buf->len);
}

static void appends_follow_each_other(void **state)
{
    (void)state;
    struct buf buf = {0};

    jj__buf_add(&buf, "a\0b", 3);
    jj__buf_str(&buf, "cd");
    jj__buf_char(&buf, 'e');
    assert_int_equal(buf.len, 6);
    assert_memory_equal(buf.data, "a\0bcde", 6);
    assert_false(buf.failed);
    jj__buf_done(&buf);
}

static void numbers_are_decimal_to_both_ends(void **state)
{
    (void)state;
    struct buf buf = {0};

    jj__buf_u64(&buf, 0);
    jj__buf_char(&buf, ' ');
    jj__buf_u64(&buf, UINT64_MAX);
    jj__buf_char(&buf, ' ');
    jj__buf_i64(&buf, -120);
    jj__buf_char(&buf, ' ');
    jj__buf_i64(&buf, INT64_MIN);
    jj__buf_char(&buf, ' ');
    jj__buf_i64(&buf, INT64_MAX);
    assert_holds(&buf, "0 18446744073709551615 -120 -9223372036854775808 9223372036854775807");
    jj__buf_done(&buf);
}

static void nothing_can_be_appended_anywhere(void **state)
{
    (void)state;
    struct buf buf = {.max = 1};

    jj__buf_add(&buf, NULL, 0);
    jj__buf_str(&buf, "");
    assert_false(buf.failed);
    assert_null(buf.data);
    assert_non_null(jj__buf_reserve(&buf, 0));
    jj__buf_char(&buf, 'x');
    assert_non_null(jj__buf_reserve(&buf, 0));
    jj__buf_add(&buf, "", 0);
    assert_false(buf.failed);
    assert_holds(&buf, "x");
    jj__buf_done(&buf);
}

static void content_survives_growth(void **state)
{
    (void)state;
    struct buf buf = {0};

    for (int i = 0; i < 10000; i++)
        jj__buf_char(&buf, (char)('a' + i % 26));
    assert_false(buf.failed);
    assert_int_equal(buf.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    jj__buf_done(&buf);
}

static void append_beyond_the_maximum_fails_and_changes_nothing(void **state)
{
    (void)state;
    struct buf buf = {.max = 5};

    jj__buf_str(&buf, "abc");
    assert_true(jj__buf_fits(&buf, 2));
    assert_false(jj__buf_fits(&buf, 3));
    jj__buf_str(&buf, "def");
    assert_true(buf.failed);
    assert_true(buf.beyond_max);
    assert_holds(&buf, "abc");
    jj__buf_char(&buf, 'd'); /* would fit, but comes after what did not */
    assert_null(jj__buf_reserve(&buf, 1));
    assert_holds(&buf, "abc");
    jj__buf_done(&buf);
}

static void maximum_can_be_filled_exactly(void **state)
{
    (void)state;
    struct buf buf = {.max = 1000};
    char block[300] = {0};

    jj__buf_add(&buf, block, 300);
    jj__buf_add(&buf, block, 300);
    jj__buf_add(&buf, block, 300);
    jj__buf_add(&buf, block, 100);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.cap, 1000);
    jj__buf_char(&buf, 'x');
    assert_true(buf.failed);
    jj__buf_done(&buf);
}

static void maximum_is_64_mib_unless_said(void **state)
{
    (void)state;
    struct buf buf = {0};

    assert_true(jj__buf_fits(&buf, (size_t)64 << 20));
    assert_false(jj__buf_fits(&buf, ((size_t)64 << 20) + 1));
    assert_null(jj__buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    jj__buf_done(&buf);
}

static void reserved_room_is_the_callers_to_fill(void **state)
{
    (void)state;
    struct buf buf = {0};

    jj__buf_str(&buf, "ab");
    char *at = jj__buf_reserve(&buf, 600);
    assert_non_null(at);
    assert_ptr_equal(at, buf.data + 2);
    memcpy(at, "cd", 2);
    assert_holds(&buf, "ab");
    buf.len += 2;
    assert_holds(&buf, "abcd");
    jj__buf_done(&buf);
}

static void truncating_and_resetting_forget_a_failure(void **state)
{
    (void)state;
    struct buf buf = {.max = 4};

    jj__buf_str(&buf, "abcd");
    jj__buf_char(&buf, 'e');
    jj__buf_truncate(&buf, 2);
    assert_false(buf.failed);
    assert_holds(&buf, "ab");
    jj__buf_truncate(&buf, 3); /* never longer */
    assert_holds(&buf, "ab");
    jj__buf_str(&buf, "xyz");
    assert_true(buf.failed);
    jj__buf_reset(&buf);
    assert_false(buf.failed);
    assert_false(buf.beyond_max);
    assert_holds(&buf, "");
    jj__buf_str(&buf, "wxyz");
    assert_holds(&buf, "wxyz");
    jj__buf_done(&buf);
}

static void done_makes_it_new_with_its_maximum(void **state)
{
    (void)state;
    struct buf buf = {.max = 3};

    jj__buf_str(&buf, "abcd");
    jj__buf_done(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 3);
    jj__buf_str(&buf, "abc");
    assert_holds(&buf, "abc");
    jj__buf_done(&buf);
    jj__buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(numbers_are_decimal_to_both_ends),
        cmocka_unit_test(nothing_can_be_appended_anywhere),
        cmocka_unit_test(content_survives_growth),
        cmocka_unit_test(append_beyond_the_maximum_fails_and_changes_nothing),
        cmocka_unit_test(maximum_can_be_filled_exactly),
        cmocka_unit_test(maximum_is_64_mib_unless_said),
        cmocka_unit_test(reserved_room_is_the_callers_to_fill),
        cmocka_unit_test(truncating_and_resetting_forget_a_failure),
        cmocka_unit_test(done_makes_it_new_with_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

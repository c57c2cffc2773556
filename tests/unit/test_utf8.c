/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "utf8.h"

static void character_has_one_to_four_bytes(void **state)
{
    (void)state;
    assert_int_equal(jj__utf8_len("a", 1), 1);
    assert_int_equal(jj__utf8_len("\xC2\xA0", 2), 2);
    assert_int_equal(jj__utf8_len("\xDF\xBF", 2), 2);
    assert_int_equal(jj__utf8_len("\xE0\xA0\x80", 3), 3);
    assert_int_equal(jj__utf8_len("\xED\x9F\xBF", 3), 3);
    assert_int_equal(jj__utf8_len("\xEF\xBF\xBD", 3), 3);
    assert_int_equal(jj__utf8_len("\xF0\x90\x80\x80", 4), 4);
    assert_int_equal(jj__utf8_len("\xF1\x80\x80\x80", 4), 4);
    assert_int_equal(jj__utf8_len("\xF4\x8F\xBF\xBF", 4), 4);
}

static void what_is_no_character_has_no_length(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80",             /* continues nothing */
        "\xC0\x80",         /* overlong NUL */
        "\xC1\xBF",         /* overlong */
        "\xC3",             /* cut */
        "\xC3\x28",         /* not continued */
        "\xC3\xC3",         /* a start where the rest should be */
        "\xE0\x9F\xBF",     /* overlong */
        "\xED\xA0\x80",     /* surrogate */
        "\xE2\x82\x28",     /* not continued */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xF4\x90\x80\x80", /* beyond U+10FFFF */
        "\xF0\x9F\x98\x28", /* not continued */
        "\xF5\x80\x80\x80", /* never a start */
        "\xFF",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(jj__utf8_len(wrong[i], strlen(wrong[i])), 0);
        assert_false(jj__utf8_valid(wrong[i]));
    }
    assert_int_equal(jj__utf8_len("a", 0), 0);
    assert_int_equal(jj__utf8_len("\xE2\x82\xAC", 2), 0);
}

static void a_character_has_a_code_point(void **state)
{
    (void)state;
    assert_int_equal(jj__utf8_code("a", 1), 0x61);
    assert_int_equal(jj__utf8_code("\xC2\x9B", 2), 0x9B);
    assert_int_equal(jj__utf8_code("\xE2\x82\xAC", 3), 0x20AC);
    assert_int_equal(jj__utf8_code("\xF0\x9F\x98\x80", 4), 0x1F600);
}

static void text_is_valid_if_each_character_is(void **state)
{
    (void)state;
    assert_true(jj__utf8_valid(""));
    assert_true(jj__utf8_valid("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80"));
    assert_false(jj__utf8_valid("gr\xFC\xDF"));
}

static void mending_replaces_bytes_and_keeps_the_length(void **state)
{
    (void)state;
    char text[] = "a\n\x80 \xC3\xBC \xE2\x82";

    jj__utf8_mend(text);
    assert_string_equal(text, "a\n? \xC3\xBC ??");
}

static void printable_text_holds_nothing_that_acts(void **state)
{
    (void)state;
    char controls[] = "a\r\nb\tc\x1B[0m\x7F";
    char c1[] = "\xC2\x9B"
                "31m \xC2\xA0\xC3\x80";
    char separators[] = "\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xAE\xE2\x80\xAF";
    char isolates[] = "\xE2\x81\x9F\xE2\x81\xA6\xE2\x81\xA9\xE2\x81\xAA\xE2\x82\xA8";
    char hidden[] =
        "\xD8\x9C\xE2\x80\x8B\xE2\x80\x8D\xE2\x80\x8F\xEF\xBB\xBF\xEF\xBF\xB9\xF3\xA0\x81\x81";
    char other[] = "\xE1\x80\xA8\xF0\x9F\x98\x80\xFF";

    jj__utf8_printable(controls);
    assert_string_equal(controls, "a??b?c?[0m?");
    jj__utf8_printable(c1);
    assert_string_equal(c1, "??31m \xC2\xA0\xC3\x80");
    jj__utf8_printable(separators);
    assert_string_equal(separators, "\xE2\x80\xA7??????\xE2\x80\xAF");
    jj__utf8_printable(isolates);
    assert_string_equal(isolates, "\xE2\x81\x9F??????\xE2\x81\xAA\xE2\x82\xA8");
    jj__utf8_printable(hidden);
    assert_string_equal(hidden, "?????\xE2\x80\x8D?????????????");
    jj__utf8_printable(other);
    assert_string_equal(other, "\xE1\x80\xA8\xF0\x9F\x98\x80?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(character_has_one_to_four_bytes),
        cmocka_unit_test(what_is_no_character_has_no_length),
        cmocka_unit_test(a_character_has_a_code_point),
        cmocka_unit_test(text_is_valid_if_each_character_is),
        cmocka_unit_test(mending_replaces_bytes_and_keeps_the_length),
        cmocka_unit_test(printable_text_holds_nothing_that_acts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

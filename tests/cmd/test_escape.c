/* SPDX-License-Identifier: Apache-2.0 */

/* Text that others wrote, made visible. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "escape.h"
#include "json_write.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct text_case {
    const char *text;
    const char *escaped;
};

static void expect(const struct text_case *cases, size_t count,
                   void (*escape)(struct buf *out, const char *text, size_t len))
{
    for (size_t i = 0; i < count; i++) {
        struct buf out = {0};
        escape(&out, cases[i].text, strlen(cases[i].text));
        jj__buf_char(&out, '\0');
        assert_string_equal(out.data, cases[i].escaped);
        jj__buf_done(&out);
    }
}

static void what_acts_on_a_terminal_is_seen(void **state)
{
    static const struct text_case cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\033[2Jb", "a\\x1b[2Jb"},
        {"\a\b\v\f\177", "\\x07\\x08\\x0b\\x0c\\x7f"},
        {"one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"},
        {"\xC2\x9B"
         "31m",
         "\\u009b31m"},
        {"ab\xE2\x80\xAE"
         "dc",
         "ab\\u202edc"},
        {"\xF3\xA0\x81\x81", "\\U000e0041"},
        {"\xFF\xC3", "\\xff\\xc3"},
        {"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC "
                                                             "\xF0\x9F\x98\x80"},
    };

    (void)state;
    expect(cases, COUNT(cases), escape_text);
}

static void bytes_may_hold_nul(void **state)
{
    struct buf out = {0};

    (void)state;
    escape_text(&out, "a\0b", 3);
    jj__buf_char(&out, '\0');
    assert_string_equal(out.data, "a\\x00b");
    jj__buf_done(&out);
}

static void json_stays_the_same_value(void **state)
{
    static const struct text_case cases[] = {
        {"{\"a\": 1}", "{\"a\": 1}"},
        {"{\t\"a\"\n:\r1}", "{ \"a\" : 1}"},
        {"\"\xC2\x9B\177\"", "\"\\u009b\\u007f\""},
        {"\"\xE2\x80\xAE\"", "\"\\u202e\""},
        {"\"\xF3\xA0\x81\x81\"", "\"\\udb40\\udc41\""},
        {"\"\\u001b \xC3\xBC\"", "\"\\u001b \xC3\xBC\""},
    };

    (void)state;
    expect(cases, COUNT(cases), escape_json);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(jj__json_valid(cases[i].escaped, strlen(cases[i].escaped)));
}

static void no_byte_that_acts_is_left_over(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            const char text[2] = {(char)first, (char)second};
            struct buf out = {0};
            escape_text(&out, text, sizeof(text));
            for (size_t i = 0; i < out.len; i++) {
                unsigned char byte = (unsigned char)out.data[i];
                assert_true(byte >= 0x20 && byte != 0x7F);
                assert_false(byte == 0xC2 && (unsigned char)out.data[i + 1] < 0xA0);
            }
            jj__buf_done(&out);
        }
    }
}

static void text_is_cut_between_characters(void **state)
{
    const char *text = "gr\xC3\xBC\xC3\x9F";

    (void)state;
    assert_int_equal(escape_columns(text, 6), 4);
    assert_int_equal(escape_fit(text, 6, 0), 0);
    assert_int_equal(escape_fit(text, 6, 2), 2);
    assert_int_equal(escape_fit(text, 6, 3), 4);
    assert_int_equal(escape_fit(text, 6, 9), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_acts_on_a_terminal_is_seen),
        cmocka_unit_test(bytes_may_hold_nul),
        cmocka_unit_test(json_stays_the_same_value),
        cmocka_unit_test(no_byte_that_acts_is_left_over),
        cmocka_unit_test(text_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json_write.h"

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

/* ---- members ---- */

static void assert_member(struct buf *out, const char *json)
{
    assert_false(out->failed);
    jj__buf_char(out, '\0');
    assert_string_equal(out->data, json);
    jj__buf_reset(out);
}

static void member_is_appended_with_its_key(void **state)
{
    (void)state;
    struct buf out = {0};

    jj__json_add_text(&out, ",\"a\":", "x\"y");
    assert_member(&out, ",\"a\":\"x\\\"y\"");
    jj__json_add_number(&out, ",\"a\":", INT64_MIN);
    assert_member(&out, ",\"a\":-9223372036854775808");
    jj__json_add_time(&out, ",\"a\":", 0);
    assert_member(&out, ",\"a\":\"1970-01-01T00:00:00.000Z\"");
    jj__json_add_value(&out, ",\"a\":", "[\r\n1]");
    assert_member(&out, ",\"a\":[  1]");
    jj__buf_done(&out);
}

static void what_is_not_there_is_no_member(void **state)
{
    (void)state;
    struct buf out = {0};

    jj__json_add_text(&out, ",\"a\":", NULL);
    jj__json_add_value(&out, ",\"a\":", NULL);
    jj__json_add_bytes(&out, "a", "x", 0);
    jj__json_add_bytes(&out, "a", NULL, 0);
    assert_int_equal(out.len, 0);
    jj__buf_done(&out);
}

static void bytes_are_a_value_or_base64(void **state)
{
    (void)state;
    struct buf out = {0};

    jj__json_add_bytes(&out, "data", BYTES("{\"a\":\n1}"));
    assert_member(&out, ",\"data\":{\"a\": 1}");
    jj__json_add_bytes(&out, "data", BYTES("{\"a\":"));
    assert_member(&out, ",\"dataBase64\":\"eyJhIjo=\"");
    jj__json_add_bytes(&out, "data", BYTES("\0"));
    assert_member(&out, ",\"dataBase64\":\"AA==\"");
    jj__buf_done(&out);
}

static void a_byte_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t at = 0; at < 24; at++) {
        char text[] = "abcdefghijklmnopqrstuvwx";
        char expected[40];
        struct buf out = {0};
        text[at] = at % 2 == 0 ? '"' : '\\';
        snprintf(expected, sizeof(expected), "\"%.*s\\%s\"", (int)at, text, text + at);
        jj__json_string(&out, text, strlen(text));
        assert_int_equal(out.len, strlen(expected));
        assert_memory_equal(out.data, expected, out.len);
        jj__buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(any_value_is_json),
        cmocka_unit_test(anything_else_is_not_json),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(length_ends_the_value_not_a_nul),
        cmocka_unit_test(string_is_quoted_and_escaped),
        cmocka_unit_test(string_keeps_characters_and_replaces_other_bytes),
        cmocka_unit_test(string_of_any_bytes_is_json),
        cmocka_unit_test(member_is_appended_with_its_key),
        cmocka_unit_test(what_is_not_there_is_no_member),
        cmocka_unit_test(bytes_are_a_value_or_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

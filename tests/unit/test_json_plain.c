/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "json_plain.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool jansson_agrees(const char *data, size_t len)
{
    json_t *value =
        json_loadb(data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

    json_decref(value);
    return value != NULL;
}

static const char *const plain[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1.50",
    "12345678901234567890.12345678901234567890",
    "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \x7F\"",
    "[]",
    "{}",
    " \t\r\n[ ] \n",
    "{ \"a\" : [ 1 , { } , \"x\" ] , \"\" : null }",
    "{\"to\":\"bob@example.org\",\"subject\":\"Invoice\",\"n\":[1,-2,3.5]}",
    "{\"a\":1,\"a\":2}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

/* JSON, but not at a glance. */
static const char *const doubtful[] = {
    "1e3",
    "1E-3",
    "\"\\u0041\"",
    "\"\\ud83d\\ude00\"",
    "{\"\\u0041\":1}",
    "123456789012345678901",
    "0.123456789012345678901",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

static const char *const others[] = {
    "",
    " ",
    "x",
    "nul",
    "nulll",
    "tru",
    "True",
    "NaN",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "1..2",
    "--1",
    "0x10",
    "1_000",
    "\"",
    "\"a",
    "\"\\",
    "\"\\\"",
    "\"\\x\"",
    "\"\n\"",
    "\"\x1F\"",
    "\"\xFF\"",
    "\"\xC3\"",
    "\"\xC3",
    "'a'",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{",
    "}",
    "{]",
    "{1:2}",
    "{a:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\":1 \"b\":2}",
    "{,}",
    "{} {}",
    "{}x",
    "1 2",
    "[]]",
    "\xEF\xBB\xBF{}",
    "\"\xED\xA0\x80\"",
    "//\n1",
    "\"\xC0\x80\"",
    "\"\xF4\x90\x80\x80\"",
    "1e999",
    "\"\\ud800\"",
    "{\"a\\u0000\":1}",
};

static void plain_values_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(plain); i++) {
        assert_true(jj__json_plain(plain[i], strlen(plain[i])));
        assert_true(jansson_agrees(plain[i], strlen(plain[i])));
    }
}

static void what_is_not_plain_is_left_to_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(doubtful); i++) {
        assert_false(jj__json_plain(doubtful[i], strlen(doubtful[i])));
        assert_true(jansson_agrees(doubtful[i], strlen(doubtful[i])));
    }
}

static void what_is_not_json_is_not_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(jj__json_plain(others[i], strlen(others[i])));
        assert_false(jansson_agrees(others[i], strlen(others[i])));
    }
    assert_false(jj__json_plain(NULL, 0));
    assert_false(jj__json_plain("{}\0", 3));
    assert_false(jj__json_plain("\"a\0b\"", 5));
    assert_false(jj__json_plain("\"a\\\0\"", 5));
    assert_false(jj__json_plain("1\0", 2));
}

static void nothing_is_read_beyond_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(plain); i++) {
        for (size_t len = 0; len < strlen(plain[i]); len++) {
            char *exact = malloc(len + 1);
            assert_non_null(exact);
            memcpy(exact + 1, plain[i], len);
            if (jj__json_plain(exact + 1, len))
                assert_true(jansson_agrees(exact + 1, len));
            free(exact);
        }
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void damaged_values_are_plain_only_if_they_are_json(void **state)
{
    (void)state;
    static const char bytes[] = "{}[]\",:\\ue.-019 \n\0\x1F\x80\xC3\xA4";
    uint32_t seed = 7;
    size_t still_plain = 0;

    for (int round = 0; round < 200000; round++) {
        char value[128];
        const char *from = plain[next_random(&seed) % COUNT(plain)];
        size_t len = strlen(from);
        memcpy(value, from, len);
        for (uint32_t i = next_random(&seed) % 3; i > 0; i--)
            value[next_random(&seed) % len] = bytes[next_random(&seed) % (sizeof(bytes) - 1)];
        if (!jj__json_plain(value, len))
            continue;
        still_plain++;
        assert_true(jansson_agrees(value, len));
    }
    assert_true(still_plain > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_values_are_told),
        cmocka_unit_test(what_is_not_plain_is_left_to_others),
        cmocka_unit_test(what_is_not_json_is_not_plain),
        cmocka_unit_test(nothing_is_read_beyond_the_end),
        cmocka_unit_test(damaged_values_are_plain_only_if_they_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

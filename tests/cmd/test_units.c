/* SPDX-License-Identifier: Apache-2.0 */

/* Durations and sizes as people write them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec.h"
#include "units.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"0s", 0},          {"500ms", 500},
        {"15s", 15000},     {"5m", 300000},
        {"2h", 7200000},    {"7d", 604800000},
        {"1h30m", 5400000}, {"1d2h3m4s5ms", 93784005},
        {"007s", 7000},     {"36525d", JJ__TIME_MAX_MS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        assert_true(units_read_duration(cases[i].text, &ms));
        assert_int_equal(ms, cases[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "5",
        "s",
        "5 s",
        " 5s",
        "5s ",
        "-5s",
        "+5s",
        "1.5s",
        "5sec",
        "5S",
        "30m1h",
        "1m1m",
        "5s3",
        "5msx",
        "\xC2\xB5s",
        "1ns",
        "5\n",
        "36526d",
        "36525d1ms",
        "99999999999999999999s",
        "9223372036854775807d",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t ms = -1;
        assert_false(units_read_duration(texts[i], &ms));
        assert_int_equal(ms, -1);
    }
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        {"0", 0},
        {"65536", 65536},
        {"64KiB", 65536},
        {"3MiB", INT64_C(3145728)},
        {"8GiB", INT64_C(8589934592)},
        {"2TiB", INT64_C(2199023255552)},
        {"9223372036854775807", INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t bytes = -1;
        assert_true(units_read_size(cases[i].text, &bytes));
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    static const char *const texts[] = {
        "",       "KiB",   "1KB",      "1kib",  "1K",         "-1",
        "1.5GiB", "1 KiB", "1GiB1KiB", "1GiB1", "8388608TiB", "9223372036854775808",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t bytes = -1;
        assert_false(units_read_size(texts[i], &bytes));
        assert_int_equal(bytes, -1);
    }
}

static void durations_are_written_short(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0ms"},         {734, "734ms"},     {1000, "1s"},
        {1550, "1.5s"},     {9999, "9.9s"},     {42999, "42s"},
        {60000, "1m"},      {200000, "3m20s"},  {3599999, "59m59s"},
        {3600000, "1h"},    {5400000, "1h30m"}, {3601000, "1h"},
        {90000000, "1d1h"}, {604800000, "7d"},  {JJ__TIME_MAX_MS, "36525d"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[UNITS_DURATION_SIZE];
        units_write_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(durations_are_written_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

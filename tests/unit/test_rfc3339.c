/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rfc3339.h"

static void assert_written(int64_t unix_ms, const char *text)
{
    char out[JJ__RFC3339_SIZE];

    jj__rfc3339_write(unix_ms, out);
    assert_string_equal(out, text);
}

static void assert_read(const char *text, int64_t unix_ms)
{
    int64_t out = -1;

    assert_true(jj__rfc3339_read(text, &out));
    assert_int_equal(out, unix_ms);
}

static void assert_refused(const char *text)
{
    int64_t out = 4711;

    assert_false(jj__rfc3339_read(text, &out));
    assert_int_equal(out, 4711);
}

static void time_is_written_as_utc_with_milliseconds(void **state)
{
    (void)state;
    assert_written(0, "1970-01-01T00:00:00.000Z");
    assert_written(1, "1970-01-01T00:00:00.001Z");
    assert_written(-1, "1969-12-31T23:59:59.999Z");
    assert_written(INT64_C(1709164800000), "2024-02-29T00:00:00.000Z");
    assert_written(INT64_C(951782399999), "2000-02-28T23:59:59.999Z");
    assert_written(INT64_C(951782400000), "2000-02-29T00:00:00.000Z");
    assert_written(INT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
    assert_written(INT64_C(1769903999123), "2026-01-31T23:59:59.123Z");
}

static void times_beyond_the_limits_are_written_as_the_limit(void **state)
{
    (void)state;
    assert_written(JJ__RFC3339_MAX_MS, "9999-12-31T23:59:59.999Z");
    assert_written(JJ__RFC3339_MAX_MS + 1, "9999-12-31T23:59:59.999Z");
    assert_written(INT64_MAX, "9999-12-31T23:59:59.999Z");
    assert_written(JJ__RFC3339_MIN_MS, "0000-01-01T00:00:00.000Z");
    assert_written(JJ__RFC3339_MIN_MS - 1, "0000-01-01T00:00:00.000Z");
    assert_written(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

/* Some ten days at a time, so that every month and every hour of every kind of year is met. */
static void what_is_written_reads_back_through_all_years(void **state)
{
    (void)state;
    char last[JJ__RFC3339_SIZE] = "";

    for (int64_t ms = JJ__RFC3339_MIN_MS; ms <= JJ__RFC3339_MAX_MS; ms += 888888889) {
        char text[JJ__RFC3339_SIZE];
        int64_t back = 0;
        jj__rfc3339_write(ms, text);
        if (!jj__rfc3339_read(text, &back) || back != ms || strcmp(text, last) <= 0)
            fail_msg("%lld is written as %s after %s", (long long)ms, text, last);
        memcpy(last, text, sizeof(last));
    }
}

static void offset_is_taken_off(void **state)
{
    (void)state;
    assert_read("1970-01-01T00:00:00Z", 0);
    assert_read("1970-01-01T01:00:00+01:00", 0);
    assert_read("1969-12-31T18:29:00-05:31", 0);
    assert_read("1970-01-01T00:00:00-00:00", 0);
    assert_read("2026-01-31T23:59:59.123+00:00", INT64_C(1769903999123));
    assert_read("1970-01-02T00:00:00+23:59", 60000);
}

static void fraction_is_cut_to_milliseconds(void **state)
{
    (void)state;
    assert_read("1970-01-01T00:00:00.5Z", 500);
    assert_read("1970-01-01T00:00:00.05Z", 50);
    assert_read("1970-01-01T00:00:00.0019999999999999999999999Z", 1);
    assert_read("1970-01-01T00:00:00.999999Z", 999);
    assert_read("1969-12-31T23:59:59.9999Z", -1);
}

static void leap_second_is_the_second_after(void **state)
{
    (void)state;
    assert_read("2016-12-31T23:59:60Z", INT64_C(1483228800000));
    assert_read("2016-12-31T15:59:60.5-08:00", INT64_C(1483228800500));
}

static void leap_days_are_those_of_the_calendar(void **state)
{
    (void)state;
    assert_read("2024-02-29T00:00:00Z", INT64_C(1709164800000));
    assert_read("2000-02-29T00:00:00Z", INT64_C(951782400000));
    assert_read("0000-02-29T00:00:00Z", INT64_C(-62162121600000));
    assert_refused("2023-02-29T00:00:00Z");
    assert_refused("1900-02-29T00:00:00Z");
    assert_refused("2024-02-30T00:00:00Z");
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "x",
        "2026",
        "2026-",
        "2026-01",
        "2026-01-",
        "2026-01-31",
        "2026-01-31T",
        "2026-01-31T23",
        "2026-01-31T23:",
        "2026-01-31T23:59",
        "2026-01-31T23:59:",
        "2026-01-31T23:59:59",
        "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59.:",
        "2026-01-31T23:59:59.1",
        "2026-01-31T23:59:59+",
        "2026-01-31T23:59:59+01",
        "2026-01-31T23:59:59+01:",
        "2026-01-31T23:59:59+01:0",
        "2026-01-31T23:59:59+24:00",
        "2026-01-31T23:59:59+01:60",
        "2026-01-31T23:59:59Zx",
        "2026-01-31T23:59:59Z ",
        " 2026-01-31T23:59:59Z",
        "2026-01-31 23:59:59Z",
        "2026-01-31t23:59:59z",
        "2026-01-31T23:59:59z",
        "2026-13-31T23:59:59Z",
        "2026-00-31T23:59:59Z",
        "2026-01-00T23:59:59Z",
        "2026-01-32T23:59:59Z",
        "2026-04-31T23:59:59Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:61Z",
        "26-01-31T23:59:59Z",
        "12026-01-31T23:59:59Z",
        "-026-01-31T23:59:59Z",
        "2026-1-31T23:59:59Z",
        "2026/01/31T23:59:59Z",
        "2026-01/31T23:59:59Z",
        "2026-01-31T23.59:59Z",
        "2026-01-31T23:59.59Z",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(wrong[i]);
}

static void times_that_can_not_be_written_are_not_read(void **state)
{
    (void)state;
    assert_read("9999-12-31T23:59:59.999Z", JJ__RFC3339_MAX_MS);
    assert_read("0000-01-01T00:00:00Z", JJ__RFC3339_MIN_MS);
    assert_refused("9999-12-31T23:59:60Z");
    assert_refused("9999-12-31T23:59:59-00:01");
    assert_refused("0000-01-01T00:00:00+00:01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_written_as_utc_with_milliseconds),
        cmocka_unit_test(times_beyond_the_limits_are_written_as_the_limit),
        cmocka_unit_test(what_is_written_reads_back_through_all_years),
        cmocka_unit_test(offset_is_taken_off),
        cmocka_unit_test(fraction_is_cut_to_milliseconds),
        cmocka_unit_test(leap_second_is_the_second_after),
        cmocka_unit_test(leap_days_are_those_of_the_calendar),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(times_that_can_not_be_written_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

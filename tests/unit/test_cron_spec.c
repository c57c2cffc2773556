/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cron_spec.h"
#include "rfc3339.h"

static void what_the_server_takes_is_taken(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "* * * * * *",      "0 0 6 * * 1",
        "0 0 6 * * mon",    "0,30 * * * * *",
        "*/5 * * * * *",    "10/20 * * * * *",
        "0 0 9-17 * * 1-5", "0 0 9-17/2 * * MON-FRI",
        "0 0 0 1 jan *",    "0 0 0 1 Jan,JUL ?",
        "0 0 0 31 12 *",    "0 0 0 29 2 *",
        "  0  0 6 * *\t1 ", "1,2,3-5,*/9 * * * * *",
        "@every 1s",        "@every 90s",
        "@every 1h30m",     "@every 1500ms",
        "@hourly",          "@daily",
        "@midnight",        "@weekly",
        "@monthly",         "@yearly",
        "@annually",        "59 59 23 31 12 6",
    };
    jj_error err;

    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
        if (jj__cron_check(specs[i], NULL, &err) != JJ_OK)
            fail_msg("'%s': %s", specs[i], err.text);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        const char *text;
    } cases[] = {
        {"60 * * * * *", "second '60' is not allowed: that is 0 to 59"},
        {"* 60 * * * *", "minute '60'"},
        {"* * 24 * * *", "hour '24' is not allowed: that is 0 to 23"},
        {"* * * 0 * *", "day of the month '0' is not allowed: that is 1 to 31"},
        {"* * * 32 * *", "day of the month '32'"},
        {"* * * * 13 *", "month '13' is not allowed: that is 1 to 12 or jan to dec"},
        {"* * * * janu *", "month 'janu'"},
        {"* * * * * 7", "day of the week '7' is not allowed: that is 0 to 6 or sun to sat"},
        {"* * * * * mon-sun", "day of the week 'mon-sun'"},
        {"5-1 * * * * *", "second '5-1'"},
        {"1-2-3 * * * * *", "second '1-2-3'"},
        {"*/0 * * * * *", "second '*/0'"},
        {"*/x * * * * *", "second '*/x'"},
        {"1/2/3 * * * * *", "second '1/2/3'"},
        {"1,,2 * * * * *", "second ''"},
        {"1, * * * * *", "second ''"},
        {"-1 * * * * *", "second '-1'"},
        {"+1 * * * * *", "second '+1'"},
        {"** * * * * *", "second '**'"},
        {"99999999999999999999 * * * * *", "second '99999999999999999999'"},
        {"*/4294967297 * * * * *", "second '*/4294967297'"},
        {"0 0 6 * *", "has 5 fields: allowed are 6"},
        {"0 0 6 * * 1 2026", "has 7 fields: allowed are 6"},
        {"   ", "has 0 fields"},
        {"", "the schedule is missing"},
        {NULL, "the schedule is missing"},
        {"0 0 0 30 2 *", "names a day that never comes"},
        {"0 0 0 31 4,6,9,11 ?", "names a day that never comes"},
        {"@every", "has 1 fields"},
        {"@every ", "@every with a duration from 1s on"},
        {"@every 999ms", "@every with a duration from 1s on"},
        {"@every 5", "@every with a duration from 1s on"},
        {"@every 5d", "@every with a duration from 1s on"},
        {"@every -5s", "@every with a duration from 1s on"},
        {"@every 5s ", "@every with a duration from 1s on"},
        {"@every 999999999h", "@every with a duration from 1s on"},
        {"@at 2026-01-01T00:00:00Z", "has 2 fields"},
        {"@fortnightly", "has 1 fields"},
        {"0 0 6 * * 1\r\nPUB x 1", "has 8 fields"},
    };
    char longest[JJ__CRON_SPEC_MAX + 2];
    jj_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(jj__cron_check(cases[i].spec, NULL, &err), JJ_ERR_INVALID);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("'%s' is not in: %s", cases[i].text, err.text);
    }
    memset(longest, '*', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(jj__cron_check(longest, NULL, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "the schedule is longer than 256 characters");
}

static void a_time_zone_is_a_name(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/Port-au-Prince",
                                        "Etc/GMT+5"};
    static const char *const others[] = {"", "a b", "a\r\n", "..", "Europe.Berlin", "\xC3\xBC"};
    char longest[JJ__CRON_ZONE_MAX + 2];
    jj_error err;

    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
        assert_int_equal(jj__cron_check("@daily", zones[i], NULL), JJ_OK);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(jj__cron_check("@daily", others[i], NULL), JJ_ERR_INVALID);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(jj__cron_check("@daily", longest, NULL), JJ_ERR_INVALID);
    assert_int_equal(jj__cron_check("@every 5m", "UTC", &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "a time zone is not allowed with @every");
}

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;

    assert_true(jj__rfc3339_read(text, &ms));
    return ms;
}

static void the_next_time_is_the_first_that_matches(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        const char *after;
        const char *next;
    } cases[] = {
        {"* * * * * *", "2026-01-31T23:59:59.000Z", "2026-02-01T00:00:00Z"},
        {"* * * * * *", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"},
        {"*/15 * * * * *", "2026-01-31T10:00:00Z", "2026-01-31T10:00:15Z"},
        {"7/20 * * * * *", "2026-01-31T10:00:08Z", "2026-01-31T10:00:27Z"},
        {"0 30 9-17 * * mon-fri", "2026-11-20T17:30:00Z", "2026-11-23T09:30:00Z"}, /* Friday */
        {"0 0 6 * * 1", "2026-11-24T06:00:00Z", "2026-11-30T06:00:00Z"},
        {"0 0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"0 0 0 31 * *", "2026-04-01T00:00:00Z", "2026-05-31T00:00:00Z"},
        {"0 0 0 13 * 5", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"}, /* either */
        {"0 0 0 13 * *", "2026-11-01T00:00:00Z", "2026-11-13T00:00:00Z"},
        {"0 0 0 */2 * 5", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"}, /* a step restricts */
        {"0 0 0 */1 * 5", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"}, /* by one it does not */
        {"@hourly", "2026-11-01T23:00:00.001Z", "2026-11-02T00:00:00Z"},
        {"@daily", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
        {"@weekly", "2026-11-24T00:00:00Z", "2026-11-29T00:00:00Z"},
        {"@monthly", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
        {"@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
    };
    struct cron_times times;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[JJ__RFC3339_SIZE];
        assert_int_equal(jj__cron_read(cases[i].spec, &times, NULL), JJ_OK);
        int64_t next_ms = jj__cron_next(&times, 0, ms_of(cases[i].after));
        jj__rfc3339_write(next_ms, text);
        if (next_ms != ms_of(cases[i].next))
            fail_msg("%s after %s is %s", cases[i].spec, cases[i].after, text);
    }
}

static void an_interval_counts_from_a_whole_second(void **state)
{
    (void)state;
    struct cron_times times;
    int64_t begun_ms = ms_of("2026-11-24T10:00:00.400Z");

    assert_int_equal(jj__cron_read("@every 90s", &times, NULL), JJ_OK);
    assert_int_equal(times.every_ms, 90000);
    assert_int_equal(jj__cron_next(&times, begun_ms, begun_ms), ms_of("2026-11-24T10:01:30Z"));
    assert_int_equal(jj__cron_next(&times, begun_ms, ms_of("2026-11-24T10:01:30Z")),
                     ms_of("2026-11-24T10:03:00Z"));
    assert_int_equal(jj__cron_next(&times, begun_ms + 200, begun_ms),
                     ms_of("2026-11-24T10:01:31Z"));
    assert_int_equal(jj__cron_read("@every 1h30m5s", &times, NULL), JJ_OK);
    assert_int_equal(times.every_ms, 5405000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_takes_is_taken),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_time_zone_is_a_name),
        cmocka_unit_test(the_next_time_is_the_first_that_matches),
        cmocka_unit_test(an_interval_counts_from_a_whole_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

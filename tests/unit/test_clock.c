/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"

static void wall_time_is_unix_time(void **state)
{
    (void)state;
    time_t before = time(NULL);
    int64_t wall_ms = jj__clock_wall_ms();
    time_t after = time(NULL);

    /* time() may lag by a tick */
    assert_true(wall_ms >= (int64_t)before * 1000);
    assert_true(wall_ms < ((int64_t)after + 2) * 1000);
}

static void steady_time_never_goes_back(void **state)
{
    (void)state;
    int64_t last_us = jj__clock_mono_us();

    for (int i = 0; i < 10000; i++) {
        int64_t now_us = jj__clock_mono_us();
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
}

static void both_units_are_of_one_clock(void **state)
{
    (void)state;
    int64_t before_us = jj__clock_mono_us();
    int64_t ms = jj__clock_mono_ms();
    int64_t after_us = jj__clock_mono_us();

    assert_true(before_us / 1000 <= ms);
    assert_true(ms <= after_us / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_unix_time),
        cmocka_unit_test(steady_time_never_goes_back),
        cmocka_unit_test(both_units_are_of_one_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

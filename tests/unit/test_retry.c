/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "retry.h"

#define MIDDLE UINT32_C(0x80000000)

static const struct retry_policy policy = {.max_attempts = 3, .initial_ms = 1000, .max_ms = 300000};

static void delay_doubles_and_stops_at_the_maximum(void **state)
{
    (void)state;
    assert_int_equal(jj__retry_delay(&policy, 1, MIDDLE), 1000);
    assert_int_equal(jj__retry_delay(&policy, 2, MIDDLE), 2000);
    assert_int_equal(jj__retry_delay(&policy, 9, MIDDLE), 256000);
    assert_int_equal(jj__retry_delay(&policy, 10, MIDDLE), 300000);
    assert_int_equal(jj__retry_delay(&policy, UINT32_MAX, MIDDLE), 300000);
}

static void attempt_nought_is_delayed_like_the_first(void **state)
{
    (void)state;
    assert_int_equal(jj__retry_delay(&policy, 0, MIDDLE), 1000);
}

static void chance_moves_the_delay_by_a_fifth_either_way(void **state)
{
    (void)state;
    assert_int_equal(jj__retry_delay(&policy, 1, 0), 800);
    assert_int_equal(jj__retry_delay(&policy, 1, UINT32_MAX), 1199);
    assert_int_equal(jj__retry_delay(&policy, 20, 0), 240000);
    assert_int_equal(jj__retry_delay(&policy, 20, UINT32_MAX), 359999);
}

static void initial_delay_never_exceeds_the_maximum(void **state)
{
    (void)state;
    const struct retry_policy steep = {.max_attempts = 3, .initial_ms = 5000, .max_ms = 100};

    assert_int_equal(jj__retry_delay(&steep, 1, MIDDLE), 100);
}

static void delays_saturate_and_are_never_negative(void **state)
{
    (void)state;
    const struct retry_policy endless = {.initial_ms = INT64_MAX, .max_ms = INT64_MAX};
    const struct retry_policy steep = {.initial_ms = 3, .max_ms = INT64_MAX};
    const struct retry_policy negative = {.initial_ms = -5, .max_ms = INT64_MIN};
    const struct retry_policy none = {.initial_ms = 0, .max_ms = 1000};

    assert_true(jj__retry_delay(&endless, 1, UINT32_MAX) == INT64_MAX);
    assert_true(jj__retry_delay(&endless, 1, 0) == INT64_MAX - INT64_MAX / 5);
    assert_true(jj__retry_delay(&endless, 1, MIDDLE) >= INT64_MAX - 5);
    assert_true(jj__retry_delay(&steep, UINT32_MAX, UINT32_MAX) == INT64_MAX);
    assert_int_equal(jj__retry_delay(&negative, 3, UINT32_MAX), 0);
    assert_int_equal(jj__retry_delay(&none, UINT32_MAX, UINT32_MAX), 0);
}

static void done_job_is_completed(void **state)
{
    (void)state;
    struct decision decision = jj__retry_decide(&policy, JJ_VERDICT_DONE, 3, -1, 0);

    assert_int_equal(decision.outcome, OUTCOME_COMPLETED);
    assert_int_equal(decision.delay_ms, 0);
}

static void failure_for_good_is_not_retried(void **state)
{
    (void)state;
    assert_int_equal(jj__retry_decide(&policy, JJ_VERDICT_FAIL, 1, -1, 0).outcome, OUTCOME_FAILED);
}

static void failed_attempt_is_retried_after_the_policys_delay(void **state)
{
    (void)state;
    struct decision decision = jj__retry_decide(&policy, JJ_VERDICT_RETRY, 2, -1, MIDDLE);

    assert_int_equal(decision.outcome, OUTCOME_RETRY);
    assert_int_equal(decision.delay_ms, 2000);
}

static void handler_may_choose_the_delay(void **state)
{
    (void)state;
    struct decision at_once = jj__retry_decide(&policy, JJ_VERDICT_RETRY, 2, 0, MIDDLE);
    struct decision later = jj__retry_decide(&policy, JJ_VERDICT_RETRY, 2, 77, MIDDLE);

    assert_int_equal(at_once.outcome, OUTCOME_RETRY);
    assert_int_equal(at_once.delay_ms, 0);
    assert_int_equal(later.delay_ms, 77);
}

static void last_attempt_is_not_retried(void **state)
{
    (void)state;
    assert_int_equal(jj__retry_decide(&policy, JJ_VERDICT_RETRY, 3, 0, 0).outcome, OUTCOME_FAILED);
    assert_int_equal(jj__retry_decide(&policy, JJ_VERDICT_RETRY, 4, 0, 0).outcome, OUTCOME_FAILED);
}

static void snooze_costs_no_attempt(void **state)
{
    (void)state;
    struct decision later = jj__retry_decide(&policy, JJ_VERDICT_SNOOZE, 3, 5000, 0);
    struct decision usual = jj__retry_decide(&policy, JJ_VERDICT_SNOOZE, 1, -1, MIDDLE);

    assert_int_equal(later.outcome, OUTCOME_SNOOZE);
    assert_int_equal(later.delay_ms, 5000);
    assert_int_equal(usual.outcome, OUTCOME_SNOOZE);
    assert_int_equal(usual.delay_ms, 1000);
}

static void verdict_that_is_none_counts_as_a_failed_attempt(void **state)
{
    (void)state;
    const jj_verdict forged = (jj_verdict)99;

    assert_int_equal(jj__retry_decide(&policy, forged, 1, 0, 0).outcome, OUTCOME_RETRY);
    assert_int_equal(jj__retry_decide(&policy, forged, 3, 0, 0).outcome, OUTCOME_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_doubles_and_stops_at_the_maximum),
        cmocka_unit_test(attempt_nought_is_delayed_like_the_first),
        cmocka_unit_test(chance_moves_the_delay_by_a_fifth_either_way),
        cmocka_unit_test(initial_delay_never_exceeds_the_maximum),
        cmocka_unit_test(delays_saturate_and_are_never_negative),
        cmocka_unit_test(done_job_is_completed),
        cmocka_unit_test(failure_for_good_is_not_retried),
        cmocka_unit_test(failed_attempt_is_retried_after_the_policys_delay),
        cmocka_unit_test(handler_may_choose_the_delay),
        cmocka_unit_test(last_attempt_is_not_retried),
        cmocka_unit_test(snooze_costs_no_attempt),
        cmocka_unit_test(verdict_that_is_none_counts_as_a_failed_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a job after an attempt: pure, so that every policy can be tested without a clock.
 * Chance is an argument for the same reason. */

#include "retry.h"

/* a * b / 2^32 for a fraction b of 2^32, without overflow. */
static int64_t scale(int64_t a, uint32_t b)
{
    int64_t high = (a >> 32) * b;
    int64_t low = ((a & 0xFFFFFFFF) * b) >> 32;

    return high + low;
}

int64_t jj__retry_delay(const struct retry_policy *policy, uint32_t attempt, uint32_t random)
{
    int64_t max_ms = policy->max_ms > 0 ? policy->max_ms : 0;
    int64_t delay_ms = policy->initial_ms > 0 ? policy->initial_ms : 0;

    /* from 1 on it reaches any maximum after 63 doublings; 0 never does, and need not */
    for (uint32_t i = 1; i < attempt && delay_ms > 0 && delay_ms < max_ms; i++)
        delay_ms = delay_ms > max_ms / 2 ? max_ms : delay_ms * 2;
    if (delay_ms > max_ms)
        delay_ms = max_ms;

    int64_t spread_ms = delay_ms / 5;
    int64_t jitter_ms = scale(2 * spread_ms, random);
    delay_ms -= spread_ms;
    return delay_ms > INT64_MAX - jitter_ms ? INT64_MAX : delay_ms + jitter_ms;
}

struct decision jj__retry_decide(const struct retry_policy *policy, jj_verdict verdict,
                                 uint32_t attempt, int64_t delay_ms, uint32_t random)
{
    if (verdict == JJ_VERDICT_DONE)
        return (struct decision){.outcome = OUTCOME_COMPLETED};
    if (verdict == JJ_VERDICT_FAIL)
        return (struct decision){.outcome = OUTCOME_FAILED};
    if (delay_ms < 0)
        delay_ms = jj__retry_delay(policy, attempt, random);
    if (verdict == JJ_VERDICT_SNOOZE)
        return (struct decision){.outcome = OUTCOME_SNOOZE, .delay_ms = delay_ms};

    /* JJ_VERDICT_RETRY, and whatever else a handler may have returned */
    if (attempt >= policy->max_attempts)
        return (struct decision){.outcome = OUTCOME_FAILED};
    return (struct decision){.outcome = OUTCOME_RETRY, .delay_ms = delay_ms};
}

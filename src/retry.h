/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_RETRY_H
#define JJ_SRC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <jetjobs/worker.h>

struct retry_policy {
    uint32_t max_attempts;
    int64_t initial_ms;
    int64_t max_ms;
};

/* What happens to a job after an attempt. */
enum outcome { OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_RETRY, OUTCOME_SNOOZE };

struct decision {
    enum outcome outcome;
    int64_t delay_ms; /* of a retry or snooze; 0: at once */
};

/* The delay after attempt number attempt (from 1): initial, doubling, at most max, then 20 % more
 * or less; random is 0..UINT32_MAX. Saturates, never negative. */
int64_t jj__retry_delay(const struct retry_policy *policy, uint32_t attempt, uint32_t random);

/* delay_ms < 0 means the policy's delay. */
struct decision jj__retry_decide(const struct retry_policy *policy, jj_verdict verdict,
                                 uint32_t attempt, int64_t delay_ms, uint32_t random);

#endif

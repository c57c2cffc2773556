/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_HOOKS_H
#define JJ_TESTS_FAULTS_HOOKS_H

#include <stdint.h>

/* Die (SIGKILL) at the nth pass of a point, from 1; point NULL: never. */
void hooks_die_at(const char *point, unsigned nth);
/* Put the wall clock of our code forward (or back). */
void hooks_shift_clock(int64_t ms);
/* Tell the broker that a job is over before it runs. */
void hooks_ack_first(void);

#endif

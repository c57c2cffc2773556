/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_STARVED_H
#define JJ_TESTS_FAULTS_STARVED_H

/* A machine with more to do than it can is a fault that nobody injects: leases end while their
 * holders wait for a core. A thread that only looks at the clock sees it. */

#include "trail.h"

/* From now on, watch for pauses of limit_ms. One watch at a time. */
void starved_begin(int64_t limit_ms);
/* End it, and add what was seen to the faults, as ones that hit everybody. */
void starved_end(struct fault_list *faults);

#endif

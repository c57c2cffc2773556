/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_LATE_H
#define JJ_TESTS_FAULTS_LATE_H

/* A broker reads acknowledgements from a queue, one by one, and each is a message to be deleted on
 * disk. Where that is slower than the jobs, an acknowledgement waits in there while its lease ends,
 * and the message is delivered again: a fault that nobody injects. A probe that goes through the
 * same queue and changes nothing shows how long it is. */

#include "trail.h"

/* From now on, watch the broker at this port for answers later than limit_ms. One watch at a time.
 */
void late_begin(int port, int64_t limit_ms);
/* End it, and add what was seen to the faults, as ones that hit everybody. */
void late_end(struct fault_list *faults);

#endif

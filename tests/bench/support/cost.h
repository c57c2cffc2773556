/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_COST_H
#define JJ_TESTS_COST_H

/* What a process takes, as the kernel counts it. 0: there is no such process. */

#include <sys/types.h>

/* CPU seconds so far, of all its threads, to a hundredth. */
double cost_cpu_seconds(pid_t pid);
/* Resident memory, in MiB. */
double cost_resident_mib(pid_t pid);

#endif

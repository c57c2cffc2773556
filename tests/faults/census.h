/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_CENSUS_H
#define JJ_TESTS_FAULTS_CENSUS_H

/* What the processes of a run hold when all is done, and which are left when all have ended. */

#include <stddef.h>

#include "fleet.h"

struct census {
    size_t descriptors, threads, memory_kb; /* the most that one of them has */
};

void census_take(const struct fleet *fleet, struct census *census);
/* Processes that still know of the run: handlers that outlived their workers. */
size_t census_left(const struct fleet *fleet);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_RUN_H
#define JJ_TESTS_FAULTS_RUN_H

/* What all runs have in common; what happens in between is the test's. */

#include "checker.h"
#include "inject.h"

/* Watch for the faults that nobody injects. */
void run_begin(const struct fleet *fleet);
bool run_producers_are_through(const struct fleet *fleet);
/* No more faults: all jobs end, then all actors. Is the checker content? */
bool run_finish(struct fleet *fleet, struct injector *injector, struct findings *findings);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_ROWS_H
#define JJ_TESTS_FAULTS_ROWS_H

#include "checker.h"

/* Read what the index has in the end into the fates, and compare it with an index that is built
 * anew. */
void rows_read(struct fleet *fleet, struct trail *trail, struct findings *findings);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_FAULT_H
#define JJ_SRC_FAULT_H

/* Where a program can be made to die, and how far its wall clock is put forward: for tests/faults,
 * which builds the library a second time, for itself, with JETJOBS_FAULT_POINTS. In the library
 * that is installed this is nothing. */

#ifdef JETJOBS_FAULT_POINTS
#include <stdbool.h>
#include <stdint.h>

/* The point is passed. */
void jj__fault_point(const char *name);
int64_t jj__fault_clock_ms(void);
/* A mistake, for the harness to see that it is found. */
bool jj__fault_acks_first(void);
#else
#define jj__fault_point(name)  ((void)0)
#define jj__fault_clock_ms()   0
#define jj__fault_acks_first() 0
#endif

#endif

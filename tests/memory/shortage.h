/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_MEMORY_SHORTAGE_H
#define JJ_TESTS_MEMORY_SHORTAGE_H

#include <stdbool.h>

/* Memory that runs out, for our own code: allocations of libnats, jansson and SQLite do not fail.
 */

enum shortage_kind {
    SHORT_ONCE,
    SHORT_FOR_GOOD /* until its end */
};

/* From now on, after so many allocations of any thread but the spared ones, one fails. */
void shortage_begin(int after, enum shortage_kind kind);
/* The same for the calling thread alone. */
void shortage_begin_here(int after, enum shortage_kind kind);
/* True if an allocation has failed meanwhile. */
bool shortage_end(void);

/* Let it rest, and go on with it if it had begun before. */
bool shortage_pause(void);
void shortage_resume(bool had_begun);

/* How many allocations have failed since it began. */
int shortage_failures(void);

/* On the calling thread nothing fails from now on. */
void shortage_spare(bool spared);

#endif

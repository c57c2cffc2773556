/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_MEMORY_WORKSHOP_H
#define JJ_TESTS_MEMORY_WORKSHOP_H

/* Where a worker works while memory runs out. The index is another process's, so that what fails
 * here is the worker's own; the test's thread is spared. It works one job at a time. */

#include <stddef.h>

#include <jetjobs/jetjobs.h>

#include "stage.h"

#define ALLOCATIONS_MAX 200 /* from a job's coming to its end: more is an endless loop */

struct workshop {
    struct stage *stage;
    jj_client *client; /* open, and not started */
};

extern struct workshop workshop;

/* Setup and teardown of a group. */
int workshop_begin(void **state);
int workshop_end(void **state);

void workshop_register(const char *name, jj_handler run);
void workshop_start(void);

/* As somebody else: our own client needs no memory for it. max_attempts NULL: the worker's. */
void workshop_enqueue(const char *name, const char *id, const char *max_attempts);

/* Wait until JOBS is empty: the jobs are over, or put off. */
void workshop_wait_empty(void);

/* Wait until a job is over, and the index knows; free it. */
jj_job *workshop_wait_over(const char *id);
/* The same, and it has that result. */
void workshop_expect_result(const char *id, const char *result);

/* Have jobs of a name go their way, one after the other, while an allocation fails: the first, the
 * second, and so on until they need no more. Each is judged when it is over, or put off. */
void workshop_try_jobs(const char *name, void (*judge)(const char *id));

/* How many lines and custom events a job has. */
size_t workshop_count_lines(const char *id);

/* What must not fail here. */
void workshop_must(jj_status s, const jj_error *err);

#endif

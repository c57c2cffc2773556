/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_KEEPER_H
#define JJ_TESTS_SUPPORT_KEEPER_H

/* What a story about an index itself needs: clients that each keep one in a file, beside a crew,
 * and a look at all their rows. */

#include "crew.h"
#include "temp.h"

struct keeper {
    char dir[TEMP_PATH_SIZE];
    char path[TEMP_PATH_SIZE + 16];
    jj_client *client; /* NULL: closed */
};

/* A new file in a folder of its own, and a client on it; up to three in a test. */
struct keeper *keeper_begin(struct crew *crew);
/* A client on the file that is there. */
void keeper_open(struct crew *crew, struct keeper *keeper);
void keeper_close(struct keeper *keeper);

/* Teardown of a test: of all keepers, and of the crew. */
int keepers_end(void **state);

/* A job; fails the test if it is not known. Free it. */
jj_job *keeper_get(struct keeper *keeper, const char *id);
/* Wait until it is known and in that state. */
void keeper_wait_state(struct keeper *keeper, const char *id, jj_state wanted);
/* Wait until it is over. Free it. */
jj_job *keeper_wait_over(struct keeper *keeper, const char *id);

/* All rows of a name are the same, to the last byte, and there are some. */
void keepers_expect_same(struct keeper *one, struct keeper *other, const char *name);

/* The handler of "mixed", and jobs of all kinds and ends for it, enqueued, cancelled and revived by
 * the keeper; returns when they are over. */
jj_verdict keeper_act(struct crew *crew, jj_attempt *attempt);
void keeper_run_all_kinds(struct crew *crew, struct keeper *keeper, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_DESK_H
#define JJ_TESTS_SUPPORT_DESK_H

/* What a story about questions to an index needs: a crew, whose client works, a client that keeps
 * an index, and one that asks: the same, or another one that has none. */

#include "crew.h"
#include "temp.h"

enum desk_kind { DESK_OWN_MEMORY, DESK_OWN_SQLITE, DESK_REMOTE_MEMORY, DESK_REMOTE_SQLITE };

struct desk {
    struct crew *crew; /* its client is not open yet */
    enum desk_kind kind;
    jj_client *keeper;
    jj_client *asker;
    char dir[TEMP_PATH_SIZE];
};

/* Setup and teardown of a test; the initial state is a const enum desk_kind *, NULL for
 * DESK_REMOTE_MEMORY. */
int desk_begin(void **state);
int desk_end(void **state);

/* The four kinds of one test, for the list of a group. */
extern const enum desk_kind desk_kinds[4];
#define DESK_TEST(test, kind)                                                                      \
    {                                                                                              \
#test " (" #kind ")", test, desk_begin, desk_end, (void *)&desk_kinds[kind]                \
    }
#define DESK_TESTS(test)                                                                           \
    DESK_TEST(test, DESK_OWN_MEMORY), DESK_TEST(test, DESK_OWN_SQLITE),                            \
        DESK_TEST(test, DESK_REMOTE_MEMORY), DESK_TEST(test, DESK_REMOTE_SQLITE)

/* Another client, to be closed with jj_close(); options NULL for defaults. */
jj_client *desk_client(struct desk *desk, const jj_options *options);

/* The one that keeps the index ends, and comes again with the same file. */
void desk_close_keeper(struct desk *desk);
void desk_open_keeper(struct desk *desk);

/* Enqueue by the asker: an id, NULL for a new one; returns it in a static buffer. */
const char *desk_enqueue(struct desk *desk, const char *name, const char *id, const char *data);

/* Ask for a job; fails the test if it is not known. Free it. */
jj_job *desk_get(struct desk *desk, const char *id);
void desk_expect_state(struct desk *desk, const char *id, jj_state state);
/* Wait until the index has read that from what another client did. */
void desk_wait_state(struct desk *desk, const char *id, jj_state state);

/* Wait until the index knows of a job that another client enqueued. */
void desk_wait_known(struct desk *desk, const char *id);

/* Wait for a job's end, and let it be that one. */
void desk_expect_end(struct desk *desk, const char *id, jj_state state);

/* As a stranger, without headers: the answer is this text. */
void desk_expect_answer(struct desk *desk, const char *subject, const char *request,
                        const char *answer);

#endif

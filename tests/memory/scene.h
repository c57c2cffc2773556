/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_MEMORY_SCENE_H
#define JJ_TESTS_MEMORY_SCENE_H

/* Where public calls are made while memory runs out: a client that works and keeps an index, and
 * one that has none and asks. */

#include <jetjobs/jetjobs.h>

#include "server.h"
#include "temp.h"

struct scene {
    struct server server;
    char dir[TEMP_PATH_SIZE];
    char path[TEMP_PATH_SIZE + 16];
    jj_client *client; /* works "done", "failed" and "later", and keeps the index */
    jj_client *remote;
    char failed_id[JJ_NAME_SIZE];
};

extern struct scene scene;

/* Setup and teardown of a group. */
int scene_begin(void **state);
int scene_end(void **state);

/* With short times; index_path NULL: no index. */
jj_options scene_options(const char *index_path);

/* How often the job of the name "later" ran. */
int scene_later_runs(void);

/* What must not fail here. */
void must(jj_status s, const jj_error *err);

/* A job goes all its way, if not within the client's timeout. */
void expect_alive(void);

/* Make the call while memory runs out: at the first allocation of ours, then at the second, and so
 * on until it does not come that far; once, and from there on for as long as it lasts. It says so,
 * or says that its outcome is not known where another thread had no memory, or succeeds all the
 * same; and the same client works afterwards. */
typedef jj_status (*scene_call)(jj_client *client, jj_error *err);
void try_call(const char *what, scene_call make, jj_client *client);

/* Tests that do so, by both clients. */
#define CALL_TEST(name)                                                                            \
    static void name##_without_memory(void **state)                                                \
    {                                                                                              \
        (void)state;                                                                               \
        try_call(#name, name, scene.client);                                                       \
        try_call(#name ", remote", name, scene.remote);                                            \
    }

#endif

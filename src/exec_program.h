/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EXEC_PROGRAM_H
#define JJ_SRC_EXEC_PROGRAM_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <jetjobs/handlers.h>

#include "arena.h"

#define JJ__EXEC_LIMITS 5

struct exec_limit {
    int resource; /* RLIMIT_* */
    struct rlimit limit;
};

struct exec_user {
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t group_count;
};

/* A program as it was registered: checked, copied, and all that can be decided before there is a
 * job. */
struct exec_program {
    struct arena memory; /* of all below */
    char **argv;         /* ended by NULL */
    char **paths;        /* where it may be, in that order; ended by NULL */
    char *dir;           /* NULL: where we are */
    char **env;          /* "NAME=value", ended by NULL */
    size_t env_count;
    struct exec_limit limits[JJ__EXEC_LIMITS];
    size_t limit_count;
    const struct exec_user *user; /* NULL: the same as ours */
};

/* Free with jj__exec_program_done(), also on failure. INVALID: an option; NOT_PERMITTED: the user.
 */
jj_status jj__exec_program_make(const jj_exec_options *options, struct exec_program *program_out,
                                jj_error *err);
void jj__exec_program_done(struct exec_program *program);

#endif

/* SPDX-License-Identifier: Apache-2.0 */

/* Whom a handler's program runs as, looked up when it is registered: between fork and exec nothing
 * may be looked up any more. */

#define _GNU_SOURCE /* getgrouplist() */

#include "exec_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "status.h"

#define TEXTS_MAX  65536
#define GROUPS_MAX 65536 /* as many as Linux has for a process */

static jj_status find_groups(const struct passwd *entry, struct arena *memory,
                             struct exec_user *user, jj_error *err)
{
    int count = 64;

    for (;;) {
        user->groups = jj__arena_array(memory, (size_t)count, sizeof(*user->groups));
        if (user->groups == NULL)
            return jj__fail(err, JJ_ERR_NO_MEMORY, "groups of user '%.64s'", entry->pw_name);
        int room = count;
        if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &count) >= 0)
            break;
        if (count <= room || count > GROUPS_MAX)
            return jj__fail(err, JJ_ERR_INVALID, "user '%.64s' has too many groups",
                            entry->pw_name);
    }
    user->group_count = (size_t)count;
    return JJ_OK;
}

jj_status jj__exec_user_find(const char *name, struct arena *memory,
                             const struct exec_user **user_out, jj_error *err)
{
    struct passwd entry, *found = NULL;
    char *texts = jj__arena_alloc(memory, TEXTS_MAX);
    struct exec_user *user = jj__arena_array(memory, 1, sizeof(*user));

    if (texts == NULL || user == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "user '%.64s'", name);
    int failed = getpwnam_r(name, &entry, texts, TEXTS_MAX, &found);
    if (failed != 0)
        return jj__fail_errno(err, JJ_ERR_INVALID, failed, "user");
    if (found == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "there is no user '%.64s'", name);
    if (entry.pw_uid == geteuid() && entry.pw_uid == getuid()) {
        *user_out = NULL;
        return JJ_OK;
    }
    if (geteuid() != 0)
        return jj__fail(err, JJ_ERR_NOT_PERMITTED,
                        "only root may run a program as another user ('%.64s')", name);
    user->uid = entry.pw_uid;
    user->gid = entry.pw_gid;
    *user_out = user;
    return find_groups(&entry, memory, user, err);
}

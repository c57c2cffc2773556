/* SPDX-License-Identifier: Apache-2.0 */

#define _GNU_SOURCE /* unshare() */

#include "mounts.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

void mounts_of_our_own(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
        fail_msg(
            "this test mounts file systems, for which it must be root, and in a container have "
            "the capability CAP_SYS_ADMIN: %s",
            strerror(errno));
}

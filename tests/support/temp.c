/* SPDX-License-Identifier: Apache-2.0 */

/* Folders that live as long as a test. */

#define _XOPEN_SOURCE 700 /* nftw */

#include "temp.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

void temp_dir_make(char out[TEMP_PATH_SIZE])
{
    const char *parent = getenv("TMPDIR");

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    int len = snprintf(out, TEMP_PATH_SIZE, "%s/jetjobs-test.XXXXXX", parent);
    if (len < 0 || len > TEMP_PATH_SIZE - 64 || mkdtemp(out) == NULL)
        fail_msg("can't make a folder in %s", parent);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    if (remove(path) != 0)
        perror(path);
    return 0;
}

void temp_dir_remove(const char *path)
{
    if (path[0] == '\0')
        return;
    if (getenv("JETJOBS_TEST_KEEP") != NULL) {
        print_message("kept: %s\n", path);
        return;
    }
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

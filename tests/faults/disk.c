/* SPDX-License-Identifier: Apache-2.0 */

#include "disk.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static void make_folder(const struct disk *disk, const char *name, char out[TEMP_PATH_SIZE + 16])
{
    snprintf(out, TEMP_PATH_SIZE + 16, "%s/%s", disk->dir, name);
    assert_int_equal(mkdir(out, 0700), 0);
}

void disk_begin(struct disk *disk)
{
    char kept[TEMP_PATH_SIZE + 16];

    *disk = (struct disk){0};
    temp_dir_make(disk->dir);
    make_folder(disk, "kept", kept);
    make_folder(disk, "disk", disk->path);
    disk_get_power(disk);
}

void disk_get_power(struct disk *disk)
{
    char kept[TEMP_PATH_SIZE + 16];
    const char *const args[] = {JETJOBS_FORGETFUL, kept, disk->path, NULL};

    snprintf(kept, sizeof(kept), "%s/kept", disk->dir);
    disk->process = process_start(args, NULL);
    if (!process_wait_output(disk->process, "mounted"))
        fail_msg("no forgetful disk, for which there must be /dev/fuse: %s",
                 process_errors(disk->process));
}

void disk_lose_power(struct disk *disk)
{
    if (disk->process == NULL)
        return;
    process_signal(disk->process, SIGTERM);
    assert_int_equal(process_wait(disk->process, 0), 0);
    process_free(disk->process);
    disk->process = NULL;
}

void disk_end(struct disk *disk)
{
    disk_lose_power(disk);
    temp_dir_remove(disk->dir);
}

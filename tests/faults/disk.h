/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_DISK_H
#define JJ_TESTS_FAULTS_DISK_H

/* A disk that forgets what was not synced when its power is lost (forgetful.c). The test has called
 * mounts_of_our_own(). */

#include "process.h"
#include "temp.h"

struct disk {
    char dir[TEMP_PATH_SIZE];
    char path[TEMP_PATH_SIZE + 16]; /* where it is mounted */
    struct process *process;        /* NULL: without power */
};

void disk_begin(struct disk *disk);
/* Whoever uses it has ended. */
void disk_lose_power(struct disk *disk);
void disk_get_power(struct disk *disk);
void disk_end(struct disk *disk);

#endif

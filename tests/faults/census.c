/* SPDX-License-Identifier: Apache-2.0 */

#include "census.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wait.h"

static size_t count_descriptors(pid_t pid)
{
    char path[64];
    size_t count = 0;

    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void keep_most(size_t *most, size_t value)
{
    if (value > *most)
        *most = value;
}

static void read_status(pid_t pid, struct census *census)
{
    char path[64], line[256];
    size_t value;

    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "Threads: %zu", &value) == 1)
            keep_most(&census->threads, value);
        if (sscanf(line, "VmRSS: %zu", &value) == 1)
            keep_most(&census->memory_kb, value);
    }
    fclose(file);
}

void census_take(const struct fleet *fleet, struct census *census)
{
    *census = (struct census){0};
    for (size_t i = 0; i < ACTORS; i++) {
        if (fleet->actors[i].pid == 0)
            continue;
        keep_most(&census->descriptors, count_descriptors(fleet->actors[i].pid));
        read_status(fleet->actors[i].pid, census);
    }
}

/* The folder of the run is an argument of all its processes but the brokers and "jetjobs worker",
 * whose end was waited for. */
static bool knows_of(const struct fleet *fleet, const char *pid)
{
    char path[300], text[1024];

    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[len] = '\0';
    return strstr(text, fleet->dir) != NULL;
}

static size_t count_left(const struct fleet *fleet)
{
    size_t count = 0;
    DIR *dir = opendir("/proc");

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count +=
            entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && knows_of(fleet, entry->d_name);
    closedir(dir);
    return count;
}

static bool none_is_left(void *ctx)
{
    return count_left(ctx) == 0;
}

size_t census_left(const struct fleet *fleet)
{
    struct fleet copy = *fleet;

    return wait_until(none_is_left, &copy, WAIT_MS) ? 0 : count_left(fleet);
}

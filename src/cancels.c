/* SPDX-License-Identifier: Apache-2.0 */

/* The set of recent cancellations: a hash table whose entries also hang in a list by age. */

#include "cancels.h"

#include <stdlib.h>
#include <string.h>

#include <jetjobs/job.h>

#define FIRST_BUCKETS 64

struct cancel {
    struct cancel *bucket_next;
    struct cancel *newer;
    uint32_t redrives;
    int64_t noted_ms;
    char id[JJ_NAME_SIZE];
};

/* FNV-1a: ids are short, and an attacker who may cancel could do worse. */
static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (const char *c = id; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return (size_t)(h ^ (h >> 32));
}

static struct cancel **bucket_of(const struct cancels *cancels, const char *id)
{
    return &cancels->buckets[hash(id) & (cancels->bucket_count - 1)];
}

static bool grow(struct cancels *cancels)
{
    size_t count = cancels->bucket_count == 0 ? FIRST_BUCKETS : cancels->bucket_count * 2;
    struct cancel **buckets = calloc(count, sizeof(struct cancel *));

    if (buckets == NULL)
        return false;
    free(cancels->buckets);
    cancels->buckets = buckets;
    cancels->bucket_count = count;
    for (struct cancel *cancel = cancels->oldest; cancel != NULL; cancel = cancel->newer) {
        struct cancel **bucket = bucket_of(cancels, cancel->id);
        cancel->bucket_next = *bucket;
        *bucket = cancel;
    }
    return true;
}

bool jj__cancels_add(struct cancels *cancels, const char *id, uint32_t redrives, int64_t now_ms)
{
    if (cancels->count >= cancels->bucket_count && !grow(cancels))
        return false;
    struct cancel *cancel = calloc(1, sizeof(*cancel));
    if (cancel == NULL)
        return false;
    struct cancel **bucket = bucket_of(cancels, id);

    strncpy(cancel->id, id, sizeof(cancel->id) - 1);
    cancel->redrives = redrives;
    cancel->noted_ms = now_ms;
    cancel->bucket_next = *bucket;
    *bucket = cancel;
    if (cancels->newest == NULL)
        cancels->oldest = cancel;
    else
        cancels->newest->newer = cancel;
    cancels->newest = cancel;
    cancels->count++;
    return true;
}

bool jj__cancels_has(const struct cancels *cancels, const char *id, uint32_t redrives)
{
    if (cancels->count == 0)
        return false;
    for (struct cancel *cancel = *bucket_of(cancels, id); cancel != NULL;
         cancel = cancel->bucket_next)
        if (cancel->redrives >= redrives && strcmp(cancel->id, id) == 0)
            return true;
    return false;
}

void jj__cancels_forget(struct cancels *cancels, int64_t before_ms)
{
    while (cancels->oldest != NULL && cancels->oldest->noted_ms < before_ms) {
        struct cancel *cancel = cancels->oldest;
        struct cancel **link = bucket_of(cancels, cancel->id);
        while (*link != cancel)
            link = &(*link)->bucket_next;
        *link = cancel->bucket_next;
        cancels->oldest = cancel->newer;
        if (cancels->oldest == NULL)
            cancels->newest = NULL;
        cancels->count--;
        free(cancel);
    }
}

void jj__cancels_done(struct cancels *cancels)
{
    jj__cancels_forget(cancels, INT64_MAX);
    free(cancels->buckets);
    *cancels = (struct cancels){0};
}

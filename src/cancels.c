/* SPDX-License-Identifier: Apache-2.0 */

/* The recent cancellations, and what they mean for a job: a hash table by id whose entries also
 * hang in a list by age. */

#include "cancels.h"

#include <stdlib.h>
#include <string.h>

#include <jetjobs/job.h>

#define FIRST_BUCKETS 64

struct cancel {
    struct cancel *bucket_next;
    struct cancel *newer;
    uint32_t redrives;
    uint64_t generation;
    uint64_t number;
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

bool jj__cancels_add(struct cancels *cancels, const char *id, uint32_t redrives,
                     uint64_t generation, int64_t now_ms)
{
    if (cancels->count >= cancels->bucket_count && !grow(cancels))
        return false;
    struct cancel *cancel = calloc(1, sizeof(*cancel));
    if (cancel == NULL)
        return false;
    struct cancel **bucket = bucket_of(cancels, id);

    strncpy(cancel->id, id, sizeof(cancel->id) - 1);
    cancel->redrives = redrives;
    cancel->generation = generation;
    cancel->number = ++cancels->added;
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

static enum cancel_verdict judge_one(const struct cancel *cancel,
                                     const struct cancel_question *question)
{
    if (cancel->number > question->until || cancel->redrives < question->redrives)
        return CANCEL_NONE;
    if (cancel->redrives > question->redrives || cancel->generation > question->generation)
        return CANCEL_DROP; /* the job has gone further than this message */
    if (cancel->number <= question->cleared)
        return CANCEL_NONE;
    if (cancel->generation < question->unclaimed)
        return CANCEL_NONE; /* refused: what it was aimed at was run */
    /* Aimed at this message, or at one that was put off: whoever had it before may have claimed it
     * in time. */
    return cancel->generation == question->generation && question->first ? CANCEL_DROP : CANCEL_ASK;
}

enum cancel_verdict jj__cancels_judge(const struct cancels *cancels,
                                      const struct cancel_question *question)
{
    enum cancel_verdict verdict = CANCEL_NONE;

    if (cancels->count == 0)
        return CANCEL_NONE;
    for (struct cancel *cancel = *bucket_of(cancels, question->id); cancel != NULL;
         cancel = cancel->bucket_next) {
        if (strcmp(cancel->id, question->id) != 0)
            continue;
        enum cancel_verdict one = judge_one(cancel, question);
        if (one == CANCEL_DROP)
            return CANCEL_DROP;
        if (one == CANCEL_ASK)
            verdict = CANCEL_ASK;
    }
    return verdict;
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

/* SPDX-License-Identifier: Apache-2.0 */

/* What is held, by sequence: a hash table of entries that lie in what they stand for, so that
 * neither adding nor removing takes memory of its own. It only grows. */

#include "held.h"

#include <stdlib.h>

#define FIRST_BUCKETS 64

/* Workers that share a stream may get every second or tenth message: so the upper bits of a product
 * (Knuth's multiplicative hashing) instead of the sequence's lowest. */
static struct held_entry **bucket_of(const struct held *held, uint64_t seq)
{
    uint64_t hash = seq * UINT64_C(11400714819323198485);

    return &held->buckets[(size_t)(hash >> 32) & (held->bucket_count - 1)];
}

static bool grow(struct held *held)
{
    struct held old = *held;
    size_t count = old.bucket_count == 0 ? FIRST_BUCKETS : old.bucket_count * 2;
    struct held_entry **buckets = calloc(count, sizeof(struct held_entry *));

    if (buckets == NULL)
        return false;
    held->buckets = buckets;
    held->bucket_count = count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct held_entry *following;
        struct held_entry *reversed = NULL;
        for (struct held_entry *entry = old.buckets[i]; entry != NULL; entry = following) {
            following = entry->next; /* twice turned round, the newest stays first */
            entry->next = reversed;
            reversed = entry;
        }
        for (struct held_entry *entry = reversed; entry != NULL; entry = following) {
            struct held_entry **bucket = bucket_of(held, entry->seq);
            following = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    free(old.buckets);
    return true;
}

void jj__held_add(struct held *held, struct held_entry *entry)
{
    if (held->count >= held->bucket_count && !grow(held) && held->bucket_count == 0)
        return;
    struct held_entry **bucket = bucket_of(held, entry->seq);

    entry->next = *bucket;
    *bucket = entry;
    entry->listed = true;
    held->count++;
}

void jj__held_remove(struct held *held, struct held_entry *entry)
{
    if (!entry->listed)
        return;
    struct held_entry **link = bucket_of(held, entry->seq);

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    entry->listed = false;
    held->count--;
}

struct held_entry *jj__held_find(const struct held *held, uint64_t seq)
{
    if (held->count == 0)
        return NULL;
    struct held_entry *entry = *bucket_of(held, seq);

    while (entry != NULL && entry->seq != seq)
        entry = entry->next;
    return entry;
}

void jj__held_done(struct held *held)
{
    for (size_t i = 0; i < held->bucket_count; i++)
        for (struct held_entry *entry = held->buckets[i]; entry != NULL; entry = entry->next)
            entry->listed = false;
    free(held->buckets);
    *held = (struct held){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_HELD_H
#define JJ_SRC_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages of one stream that are held, found by their sequence. Zero is empty. An entry is part of
 * what holds the message and must stay where it is; its sequence must not change meanwhile. */
struct held_entry {
    struct held_entry *next;
    void *holder; /* for whoever finds it */
    uint64_t seq;
    int64_t stored_at_ms; /* tells a message from another of that sequence, in a stream made anew */
    bool listed;          /* ours */
};

struct held {
    struct held_entry **buckets;
    size_t bucket_count; /* a power of two; 0: none yet */
    size_t count;
};

/* No memory: it is not listed, and won't be found. */
void jj__held_add(struct held *held, struct held_entry *entry);
/* Also for one that is not listed. */
void jj__held_remove(struct held *held, struct held_entry *entry);
/* The one that was added last, or NULL. */
struct held_entry *jj__held_find(const struct held *held, uint64_t seq);
/* Free what it takes itself; entries are listed no more. */
void jj__held_done(struct held *held);

#endif

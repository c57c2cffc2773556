/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_ACKED_H
#define JJ_SRC_ACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The messages of one stream that were acknowledged lately: a broker that goes down may not have
 * heard it, or not have remembered. Zero is empty. A message is known by its sequence and by when
 * it was stored, so that one of a stream made anew is another. */

struct acked_message {
    uint64_t seq;
    int64_t stored_at_ms;
};

struct acked {
    /* The last ones while all is well: a ring. */
    struct acked_message *ring;
    int64_t *ring_at_ms; /* when each was noted; as long as the ring */
    size_t ring_size;    /* a power of two; 0: none yet */
    size_t ring_next;
    size_t ring_count;

    /* Those in doubt: a hash table, open addressing, sequence 0 is a free place. */
    struct acked_message *table;
    size_t table_size; /* a power of two; 0: none yet */
    size_t table_count;
    int64_t doubted_at_ms; /* when the last one came in */
};

/* Note an acknowledgement. Cheap: done for each job. */
void jj__acked_note(struct acked *acked, struct acked_message message, int64_t now_ms);

/* The connection was lost: all those noted are in doubt. */
void jj__acked_doubt_noted(struct acked *acked, int64_t now_ms);

/* Put one in doubt that is acknowledged now, for a delivery that the broker may have forgotten. */
void jj__acked_doubt(struct acked *acked, struct acked_message message, int64_t now_ms);

/* True if it was acknowledged and is in doubt. Doubts end some time after the last one began. */
bool jj__acked_has(struct acked *acked, struct acked_message message, int64_t now_ms);

void jj__acked_done(struct acked *acked);

#endif

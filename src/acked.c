/* SPDX-License-Identifier: Apache-2.0 */

/* What was acknowledged lately.
 *
 * Each acknowledgement is noted in a ring, which costs two stores. Only when the connection breaks
 * are they of interest, and then those of the last seconds: more than that no broker forgets. So a
 * hash table is made of the ring at that moment and looked at from then on. */

#include "acked.h"

#include <stdlib.h>

#define RING_FIRST  256
#define RING_MAX    ((size_t)1 << 18) /* 6 MiB: more than a second of the fastest worker */
#define KEEP_MS     5000              /* the ring grows rather than lose what is younger */
#define TABLE_FIRST 1024
#define TABLE_MAX   ((size_t)1 << 21) /* 32 MiB; half of it is used at most */
#define DOUBT_MS    (INT64_C(10) * 60 * 1000)

/* ---- the ring ---- */

/* Make it larger, the oldest one first. False: it stays as it is. */
static bool grow_ring(struct acked *acked)
{
    size_t size = acked->ring_size == 0 ? RING_FIRST : acked->ring_size * 2;
    struct acked_message *ring = malloc(size * sizeof(*ring));
    int64_t *at_ms = malloc(size * sizeof(*at_ms));

    if (ring == NULL || at_ms == NULL) {
        free(ring);
        free(at_ms);
        return false;
    }
    for (size_t i = 0; i < acked->ring_count; i++) { /* it is full: next is the oldest */
        size_t from = (acked->ring_next + i) & (acked->ring_size - 1);
        ring[i] = acked->ring[from];
        at_ms[i] = acked->ring_at_ms[from];
    }
    free(acked->ring);
    free(acked->ring_at_ms);
    acked->ring = ring;
    acked->ring_at_ms = at_ms;
    acked->ring_size = size;
    acked->ring_next = acked->ring_count;
    return true;
}

static bool must_grow(const struct acked *acked, int64_t now_ms)
{
    if (acked->ring_count < acked->ring_size)
        return false;
    return acked->ring_size == 0 ||
           (acked->ring_size < RING_MAX && now_ms - acked->ring_at_ms[acked->ring_next] < KEEP_MS);
}

void jj__acked_note(struct acked *acked, struct acked_message message, int64_t now_ms)
{
    if (must_grow(acked, now_ms) && !grow_ring(acked) && acked->ring_size == 0)
        return; /* no memory: its job may run twice */
    acked->ring[acked->ring_next] = message;
    acked->ring_at_ms[acked->ring_next] = now_ms;
    acked->ring_next = (acked->ring_next + 1) & (acked->ring_size - 1);
    if (acked->ring_count < acked->ring_size)
        acked->ring_count++;
}

/* ---- the table ---- */

/* Its place, or the free one where it belongs. */
static struct acked_message *place_of(const struct acked *acked, struct acked_message message)
{
    size_t mask = acked->table_size - 1;
    size_t at = (size_t)((message.seq * UINT64_C(11400714819323198485)) >> 32) & mask;

    while (acked->table[at].seq != 0 && (acked->table[at].seq != message.seq ||
                                         acked->table[at].stored_at_ms != message.stored_at_ms))
        at = (at + 1) & mask;
    return &acked->table[at];
}

static bool grow_table(struct acked *acked)
{
    struct acked old = *acked;
    size_t size = old.table_size == 0 ? TABLE_FIRST : old.table_size * 2;
    struct acked_message *table = calloc(size, sizeof(*table));

    if (table == NULL)
        return false;
    acked->table = table;
    acked->table_size = size;
    for (size_t i = 0; i < old.table_size; i++)
        if (old.table[i].seq != 0)
            *place_of(acked, old.table[i]) = old.table[i];
    free(old.table);
    return true;
}

static void forget_doubts(struct acked *acked)
{
    free(acked->table);
    acked->table = NULL;
    acked->table_size = 0;
    acked->table_count = 0;
}

void jj__acked_doubt(struct acked *acked, struct acked_message message, int64_t now_ms)
{
    if (acked->table_count > 0 && now_ms - acked->doubted_at_ms > DOUBT_MS)
        forget_doubts(acked);
    acked->doubted_at_ms = now_ms;
    if (acked->table_count >= TABLE_MAX / 2)
        forget_doubts(acked); /* rather the old ones, all at once, than the new ones */
    if (message.seq == 0 || (acked->table_count >= acked->table_size / 2 && !grow_table(acked)))
        return;
    struct acked_message *place = place_of(acked, message);

    if (place->seq != 0)
        return;
    *place = message;
    acked->table_count++;
}

void jj__acked_doubt_noted(struct acked *acked, int64_t now_ms)
{
    size_t oldest = acked->ring_next + acked->ring_size - acked->ring_count;

    for (size_t i = 0; i < acked->ring_count; i++)
        jj__acked_doubt(acked, acked->ring[(oldest + i) & (acked->ring_size - 1)], now_ms);
    acked->ring_next = 0;
    acked->ring_count = 0;
}

bool jj__acked_has(struct acked *acked, struct acked_message message, int64_t now_ms)
{
    if (acked->table_count == 0)
        return false;
    if (now_ms - acked->doubted_at_ms > DOUBT_MS) {
        forget_doubts(acked);
        return false;
    }
    return message.seq != 0 && place_of(acked, message)->seq != 0;
}

void jj__acked_done(struct acked *acked)
{
    free(acked->ring);
    free(acked->ring_at_ms);
    free(acked->table);
    *acked = (struct acked){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_ARENA_H
#define JJ_SRC_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Memory that is taken in pieces and freed at once, for what is decoded from one message. Start
 * with
 * {.max = bytes}: no more than that is ever handed out. */
struct arena {
    void *chunks;
    char *at; /* the rest of the newest chunk */
    size_t left;
    size_t max;
    bool beyond_max; /* an allocation was refused because of max */
    bool no_memory;  /* or because malloc failed */
};

/* Memory for any type; NULL if there is none, or beyond max. */
void *jj__arena_alloc(struct arena *arena, size_t size);

/* The same for count zeroed elements; never NULL for count 0. */
void *jj__arena_array(struct arena *arena, size_t count, size_t size);

/* A copy of len bytes and a NUL. */
char *jj__arena_text(struct arena *arena, const void *data, size_t len);

/* Free everything. chunks is all that needs to be kept for that. */
void jj__arena_done(struct arena *arena);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for one decoded message. What a decoder gives back early is not used again: so the maximum
 * limits all that was ever asked for, and with it the time that hostile bytes can make a decoder
 * spend on copying. */

#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   _Alignof(max_align_t)
#define CHUNK_BYTES ((size_t)32 * 1024)

struct chunk {
    struct chunk *next;
    _Alignas(max_align_t) char bytes[];
};

/* Begin a chunk with room for size bytes at least; what is left of the last one is lost. */
static bool add_chunk(struct arena *arena, size_t size)
{
    size_t bytes = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct chunk *chunk = malloc(sizeof(*chunk) + bytes);

    if (chunk == NULL) {
        arena->no_memory = true;
        return false;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = chunk->bytes;
    arena->left = bytes;
    return true;
}

void *jj__arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    if (rounded < size || rounded > arena->max) {
        arena->beyond_max = true;
        return NULL;
    }
    if ((arena->chunks == NULL || rounded > arena->left) && !add_chunk(arena, rounded))
        return NULL;

    void *memory = arena->at;
    arena->at += rounded;
    arena->left -= rounded;
    arena->max -= rounded;
    return memory;
}

void *jj__arena_array(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        arena->beyond_max = true;
        return NULL;
    }

    void *memory = jj__arena_alloc(arena, count * size);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

char *jj__arena_text(struct arena *arena, const void *data, size_t len)
{
    char *text = jj__arena_alloc(arena, len + 1);

    if (text == NULL)
        return NULL;
    if (len != 0)
        memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

void jj__arena_done(struct arena *arena)
{
    struct chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct arena){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CANCELS_H
#define JJ_SRC_CANCELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Remembers cancellations for a while: a set of ids, each with the redrive it was cancelled in and
 * when. Zero is empty. */
struct cancels {
    struct cancel **buckets;
    size_t bucket_count; /* a power of two; 0: none yet */
    size_t count;
    struct cancel *oldest, *newest;
};

/* Note one. False: no memory, it is not noted. */
bool jj__cancels_add(struct cancels *cancels, const char *id, uint32_t redrives, int64_t now_ms);

/* True if the id was cancelled in this redrive or a later one. */
bool jj__cancels_has(const struct cancels *cancels, const char *id, uint32_t redrives);

/* Forget those noted before before_ms. */
void jj__cancels_forget(struct cancels *cancels, int64_t before_ms);

void jj__cancels_done(struct cancels *cancels);

#endif

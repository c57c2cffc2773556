/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BUF_H
#define JJ_SRC_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Growing bytes with a maximum from birth. Start with {.max = bytes}; max 0 means 64 MiB.
 *
 * An append that fails (no memory, or beyond max) sets failed and leaves the content as it was;
 * later appends do nothing. So a sequence of appends is checked once, at its end. */
struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
    bool beyond_max; /* failed because of max, not because there was no memory */
};

void jj__buf_add(struct buf *buf, const void *data, size_t len);
void jj__buf_str(struct buf *buf, const char *text);
void jj__buf_char(struct buf *buf, char c);
void jj__buf_u64(struct buf *buf, uint64_t number);
void jj__buf_i64(struct buf *buf, int64_t number);

/* True if len more bytes stay within max: tells "too large" from "no memory". */
bool jj__buf_fits(const struct buf *buf, size_t len);

/* Make room for len more bytes and return where they go, or NULL; buf->len is the caller's to
 * raise. */
char *jj__buf_reserve(struct buf *buf, size_t len);

/* Empty it and forget a failure, keep its memory. */
void jj__buf_reset(struct buf *buf);

/* Cut it back to len bytes and forget a failure. */
void jj__buf_truncate(struct buf *buf, size_t len);

/* Free its memory; it is then as new. */
void jj__buf_done(struct buf *buf);

#endif

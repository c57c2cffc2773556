/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_LINES_H
#define JJ_SRC_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Cuts a stream of bytes into lines. Start with {.buf.max = longest line, its NUL included}. */
struct lines {
    struct buf buf;
    bool skipping; /* the rest of a line that was too long */
};

/* A line without its end, which is LF or CR LF; ended by NUL. cut: it was too long, and this is how
 * it begins. */
typedef void (*jj__line_taker)(void *ctx, char *line, size_t len, bool cut);

void jj__lines_add(struct lines *lines, const char *data, size_t len, jj__line_taker take,
                   void *ctx);
/* The stream has ended: what is left is a line, too. */
void jj__lines_end(struct lines *lines, jj__line_taker take, void *ctx);
void jj__lines_done(struct lines *lines);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Lines out of bytes that come in pieces. No line is kept beyond its maximum, and none is lost: one
 * that is too long, or for which there is no memory, is handed on cut. */

#include "lines.h"

#include <string.h>

static void take_line(struct lines *lines, bool cut, jj__line_taker take, void *ctx)
{
    struct buf *buf = &lines->buf;
    char empty[1] = "";
    char *line = buf->len == 0 ? empty : buf->data;
    size_t len = buf->len;

    if (!cut && len > 0 && line[len - 1] == '\r')
        len--;
    line[len] = '\0'; /* there is room: see add_part() */
    take(ctx, line, len, cut);
    jj__buf_reset(buf);
}

/* Add a part of a line; one byte is always left free, for the NUL. False: not all of it. */
static bool add_part(struct lines *lines, const char *data, size_t len)
{
    struct buf *buf = &lines->buf;
    size_t room = buf->max - 1 - buf->len;
    size_t part = len < room ? len : room;

    if (jj__buf_reserve(buf, part + 1) == NULL)
        return len == 0; /* no memory */
    jj__buf_add(buf, data, part);
    return part == len;
}

void jj__lines_add(struct lines *lines, const char *data, size_t len, jj__line_taker take,
                   void *ctx)
{
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t part = end == NULL ? len : (size_t)(end - data);
        if (!lines->skipping && !add_part(lines, data, part)) {
            take_line(lines, true, take, ctx);
            lines->skipping = true;
        }
        if (end == NULL)
            return;
        if (!lines->skipping)
            take_line(lines, false, take, ctx);
        lines->skipping = false;
        data += part + 1;
        len -= part + 1;
    }
}

void jj__lines_end(struct lines *lines, jj__line_taker take, void *ctx)
{
    if (lines->buf.len > 0 && !lines->skipping)
        take_line(lines, false, take, ctx);
    lines->skipping = false;
}

void jj__lines_done(struct lines *lines)
{
    jj__buf_done(&lines->buf);
}

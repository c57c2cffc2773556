/* SPDX-License-Identifier: Apache-2.0 */
/* Growing bytes. It doubles, so that n appends cost no more than some log n copies, and it never
 * grows beyond the maximum it was born with, so that nobody's input decides how much memory goes.
 */

#include "buf.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX ((size_t)64 * 1024 * 1024)
#define FIRST_CAP   ((size_t)256)

/* 2^64 - 1 has twenty digits. */
#define DIGITS_MAX 20

static size_t max_of(const struct buf *buf)
{
    return buf->max != 0 ? buf->max : DEFAULT_MAX;
}

bool jj__buf_fits(const struct buf *buf, size_t len)
{
    return len <= max_of(buf) - buf->len;
}

/* The next capacity that holds need bytes, which is within max. */
static size_t next_cap(const struct buf *buf, size_t need)
{
    size_t max = max_of(buf);
    size_t cap = buf->cap != 0 ? buf->cap : FIRST_CAP;

    while (cap < need)
        cap = cap > max / 2 ? max : cap * 2;
    return cap < max ? cap : max;
}

static char *grow(struct buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;

    char *data = NULL;
    size_t cap = 0;
    if (jj__buf_fits(buf, len)) {
        cap = next_cap(buf, buf->len + len);
        data = realloc(buf->data, cap);
    } else {
        buf->beyond_max = true;
    }
    if (data == NULL) {
        buf->failed = true;
        return NULL;
    }
    buf->data = data;
    buf->cap = cap;
    return buf->data + buf->len;
}

/* Inlined: each live event is written in some thirty appends. */
static inline char *reserve(struct buf *buf, size_t len)
{
    if (!buf->failed && buf->data != NULL && len <= buf->cap - buf->len)
        return buf->data + buf->len;
    return grow(buf, len);
}

char *jj__buf_reserve(struct buf *buf, size_t len)
{
    return reserve(buf, len);
}

void jj__buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;

    char *at = reserve(buf, len);
    if (at == NULL)
        return;
    memcpy(at, data, len);
    buf->len += len;
}

void jj__buf_str(struct buf *buf, const char *text)
{
    jj__buf_add(buf, text, strlen(text));
}

void jj__buf_char(struct buf *buf, char c)
{
    char *at = reserve(buf, 1);

    if (at == NULL)
        return;
    *at = c;
    buf->len++;
}

void jj__buf_u64(struct buf *buf, uint64_t number)
{
    char digits[DIGITS_MAX];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    jj__buf_add(buf, digits + at, sizeof(digits) - at);
}

void jj__buf_i64(struct buf *buf, int64_t number)
{
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    if (number < 0)
        jj__buf_char(buf, '-');
    jj__buf_u64(buf, magnitude);
}

void jj__buf_reset(struct buf *buf)
{
    jj__buf_truncate(buf, 0);
}

void jj__buf_truncate(struct buf *buf, size_t len)
{
    if (len < buf->len)
        buf->len = len;
    buf->failed = false;
    buf->beyond_max = false;
}

void jj__buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Makes text visible. What is a character, and which ones act, utf8.c knows. */

#define _XOPEN_SOURCE 700 /* wcwidth */

#include "escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "utf8.h"

#define ESCAPED_SIZE 16

static void add(struct buf *out, const char *format, ...)
{
    char text[ESCAPED_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    jj__buf_str(out, text);
}

static void add_visible(struct buf *out, uint32_t code)
{
    switch (code) {
    case '\n':
        jj__buf_str(out, "\\n");
        break;
    case '\r':
        jj__buf_str(out, "\\r");
        break;
    case '\t':
        jj__buf_str(out, "\\t");
        break;
    default:
        add(out, code < 0x80 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)code);
    }
}

static void add_json(struct buf *out, uint32_t code)
{
    if (code < 0x20)
        jj__buf_char(out, ' '); /* between values */
    else if (code < 0x10000)
        add(out, "\\u%04x", (unsigned)code);
    else
        add(out, "\\u%04x\\u%04x", 0xD800 + (unsigned)((code - 0x10000) >> 10),
            0xDC00 + (unsigned)(code & 0x3FF));
}

/* Copy text, with what acts, and what is no character (bad), replaced. */
static void replace(struct buf *out, const char *text, size_t len,
                    void (*acts)(struct buf *out, uint32_t code),
                    void (*bad)(struct buf *out, unsigned char byte))
{
    size_t copied = 0;
    size_t at = 0;

    while (at < len) {
        size_t char_len = jj__utf8_len(text + at, len - at);
        uint32_t code = char_len == 0 ? 0 : jj__utf8_code(text + at, char_len);
        if (char_len != 0 && !jj__utf8_acts(code)) {
            at += char_len;
            continue;
        }
        jj__buf_add(out, text + copied, at - copied);
        if (char_len == 0)
            bad(out, (unsigned char)text[at]);
        else
            acts(out, code);
        at += char_len == 0 ? 1 : char_len;
        copied = at;
    }
    jj__buf_add(out, text + copied, at - copied);
}

static void add_bad(struct buf *out, unsigned char byte)
{
    add(out, "\\x%02x", (unsigned)byte);
}

static void add_bad_json(struct buf *out, unsigned char byte)
{
    (void)byte;
    jj__buf_str(out, "\\ufffd");
}

void escape_text(struct buf *out, const char *text, size_t len)
{
    replace(out, text, len, add_visible, add_bad);
}

void escape_json(struct buf *out, const char *json, size_t len)
{
    replace(out, json, len, add_json, add_bad_json);
}

/* Whether wcwidth() knows a character depends on the locale. */
static unsigned columns_of(uint32_t code)
{
    int columns = code < 0x80 ? 1 : wcwidth((wchar_t)code);

    return columns < 0 ? 1 : (unsigned)columns;
}

/* Go over characters while they fit into so many columns: bytes; *taken_out is columns. */
static size_t measure(const char *text, size_t len, unsigned columns, unsigned *taken_out)
{
    unsigned taken = 0;
    size_t at = 0;

    while (at < len) {
        size_t char_len = jj__utf8_len(text + at, len - at);
        unsigned more = char_len == 0 ? 1 : columns_of(jj__utf8_code(text + at, char_len));
        if (more > columns - taken)
            break;
        taken += more;
        at += char_len == 0 ? 1 : char_len;
    }
    *taken_out = taken;
    return at;
}

unsigned escape_columns(const char *text, size_t len)
{
    unsigned taken;

    measure(text, len, (unsigned)-1, &taken);
    return taken;
}

size_t escape_fit(const char *text, size_t len, unsigned columns)
{
    unsigned taken;

    return measure(text, len, columns, &taken);
}

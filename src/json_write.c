/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, appended by hand: building jansson's tree to print it takes several times as long, and each
 * job is told of four times or more. What others send is never parsed by hand. */

#include "json_write.h"

#include <jansson.h>
#include <string.h>

#include "base64.h"
#include "json_plain.h"
#include "rfc3339.h"
#include "utf8.h"

bool jj__json_valid(const void *data, size_t len)
{
    /* any value, "\u0000" within strings, and integers beyond 64 bits: all are RFC 8259 */
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;

    if (jj__json_plain(data, len))
        return true;
    json_t *value = json_loadb(data, len, flags, NULL);
    json_decref(value);
    return value != NULL;
}

/* Whether a byte stands for itself in a JSON string, whatever is around it. */
static bool plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

#define EACH(byte) ((uint64_t)(byte)*UINT64_C(0x0101010101010101))

/* Bytes of a word that are below a limit of at most 0x80, as their highest bits: right as long as
 * none is 0x80 or more. */
static uint64_t below(uint64_t word, unsigned limit)
{
    return word - EACH(limit);
}

/* How many bytes are plain from the first one on, or some fewer: most texts are all plain, and
 * eight bytes are looked at together. */
static size_t plain_len(const char *text, size_t len)
{
    size_t at = 0;
    uint64_t word;

    for (; len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text + at, sizeof(word));
        uint64_t not_plain =
            word | below(word, 0x20) | below(word ^ EACH('"'), 1) | below(word ^ EACH('\\'), 1);
        if ((not_plain & EACH(0x80)) != 0)
            break;
    }
    return at;
}

static void add_escaped(struct buf *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";

    const char *name = byte != '\0' ? strchr(names, byte) : NULL;
    jj__buf_char(out, '\\');
    if (name != NULL) {
        jj__buf_char(out, letters[name - names]);
        return;
    }
    jj__buf_str(out, "u00");
    jj__buf_char(out, hex[byte >> 4]);
    jj__buf_char(out, hex[byte & 0xF]);
}

void jj__json_string(struct buf *out, const char *text, size_t len)
{
    size_t written = 0;
    size_t at = plain_len(text, len);

    jj__buf_char(out, '"');
    while (at < len) {
        unsigned char byte = (unsigned char)text[at];
        if (plain(byte)) {
            at++;
            continue;
        }
        size_t char_len = jj__utf8_len(text + at, len - at);
        if (char_len > 1) {
            at += char_len;
            continue;
        }
        jj__buf_add(out, text + written, at - written);
        if (char_len == 1)
            add_escaped(out, byte);
        else
            jj__buf_str(out, "\xEF\xBF\xBD");
        written = ++at;
    }
    jj__buf_add(out, text + written, at - written);
    jj__buf_char(out, '"');
}

static void add_base64(struct buf *out, const void *data, size_t len)
{
    char *at = jj__buf_reserve(out, JJ__BASE64_SIZE(len));

    if (at != NULL)
        out->len += jj__base64_write(at, data, len);
}

void jj__json_value(struct buf *out, const char *json, size_t len)
{
    char *at = jj__buf_reserve(out, len);

    if (at == NULL)
        return;
    for (size_t i = 0; i < len; i++) {
        at[i] = json[i];
        if (json[i] == '\n' || json[i] == '\r')
            at[i] = ' ';
    }
    out->len += len;
}

void jj__json_add_text(struct buf *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    jj__buf_str(out, key);
    jj__json_string(out, text, strlen(text));
}

void jj__json_add_number(struct buf *out, const char *key, int64_t number)
{
    jj__buf_str(out, key);
    jj__buf_i64(out, number);
}

void jj__json_add_time(struct buf *out, const char *key, int64_t unix_ms)
{
    char text[JJ__RFC3339_SIZE];

    jj__rfc3339_write(unix_ms, text);
    jj__buf_str(out, key);
    jj__buf_char(out, '"');
    jj__buf_add(out, text, sizeof(text) - 1);
    jj__buf_char(out, '"');
}

void jj__json_add_value(struct buf *out, const char *key, const char *json)
{
    if (json == NULL)
        return;
    jj__buf_str(out, key);
    jj__json_value(out, json, strlen(json));
}

void jj__json_add_bytes(struct buf *out, const char *name, const void *data, size_t len)
{
    if (len == 0)
        return;

    bool json = jj__json_valid(data, len);
    jj__buf_str(out, ",\"");
    jj__buf_str(out, name);
    jj__buf_str(out, json ? "\":" : "Base64\":\"");
    if (json) {
        jj__json_value(out, data, len);
        return;
    }
    add_base64(out, data, len);
    jj__buf_char(out, '"');
}

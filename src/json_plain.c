/* SPDX-License-Identifier: Apache-2.0 */
/* JSON at a glance. The data and the result of every job are looked at whenever they are shown, and
 * jansson takes ten times as long to build what is thrown away at once. So this says yes where
 * there can be no doubt, and leaves the rest to jansson: it must never say yes where that would say
 * no. It keeps nothing and reads no byte beyond the end; what calls itself does so 32 times at
 * most.
 */

#include "json_plain.h"

#include <string.h>

#include "utf8.h"

#define DEPTH_MAX 32

/* Far from the limits of a double. */
#define DIGITS_MAX 20

struct scan {
    const char *at;
    const char *end;
};

/* The next byte, NUL at the end; NUL itself stands for nothing here. */
static char peek(const struct scan *scan)
{
    return scan->at != scan->end ? *scan->at : '\0';
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_word(struct scan *scan, const char *word, size_t len)
{
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static void skip_space(struct scan *scan)
{
    char c = peek(scan);

    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        scan->at++;
        c = peek(scan);
    }
}

/* How many digits there are; they are taken. */
static size_t take_digits(struct scan *scan)
{
    const char *start = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return (size_t)(scan->at - start);
}

/* What follows a number shows whether that was all of it. */
static bool take_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0')) {
        size_t digits = take_digits(scan);
        if (digits == 0 || digits > DIGITS_MAX)
            return false;
    }
    if (!take(scan, '.'))
        return true;
    size_t digits = take_digits(scan);
    return digits != 0 && digits <= DIGITS_MAX;
}

static bool take_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at != scan->end) {
        unsigned char byte = (unsigned char)*scan->at;
        size_t len = 1;
        if (byte == '"') {
            scan->at++;
            return true;
        }
        if (byte == '\\') {
            scan->at++;
            if (peek(scan) == '\0' || strchr("\"\\/bfnrt", peek(scan)) == NULL)
                return false;
        } else if (byte >= 0x80) {
            len = jj__utf8_len(scan->at, (size_t)(scan->end - scan->at));
        }
        if (byte < 0x20 || len == 0)
            return false;
        scan->at += len;
    }
    return false;
}

static bool take_key(struct scan *scan)
{
    skip_space(scan);
    if (!take_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':');
}

static bool take_value(struct scan *scan, unsigned depth);

/* What is left of an object or array after its first bracket. */
static bool take_list(struct scan *scan, char close, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    skip_space(scan);
    if (take(scan, close))
        return true;
    do {
        if (close == '}' && !take_key(scan))
            return false;
        if (!take_value(scan, depth))
            return false;
    } while (take(scan, ','));
    return take(scan, close);
}

static bool take_bare_value(struct scan *scan, unsigned depth)
{
    switch (peek(scan)) {
    case '{':
        scan->at++;
        return take_list(scan, '}', depth + 1);
    case '[':
        scan->at++;
        return take_list(scan, ']', depth + 1);
    case '"':
        return take_string(scan);
    case 't':
        return take_word(scan, "true", 4);
    case 'f':
        return take_word(scan, "false", 5);
    case 'n':
        return take_word(scan, "null", 4);
    default:
        return take_number(scan);
    }
}

/* With the white space around it. */
static bool take_value(struct scan *scan, unsigned depth)
{
    skip_space(scan);
    if (!take_bare_value(scan, depth))
        return false;
    skip_space(scan);
    return true;
}

bool jj__json_plain(const void *data, size_t len)
{
    struct scan scan = {.at = data, .end = len != 0 ? (const char *)data + len : data};

    return take_value(&scan, 0) && scan.at == scan.end;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 in text that others wrote. Replacement never changes the length of a text, so it can be
 * done in place, and sizes that were computed before stay right. */

#include "utf8.h"

#include <string.h>

/* Enough of a text that ends in NUL: a NUL continues no character, so nothing reads past it. */
#define CHAR_MAX_LEN 4

size_t jj__utf8_len(const char *text, size_t len)
{
    if (len == 0)
        return 0;

    const unsigned char *byte = (const unsigned char *)text;
    size_t want;
    unsigned low = 0x80;  /* of the second byte; tighter where that would be overlong, */
    unsigned high = 0xBF; /* a surrogate, or beyond U+10FFFF */

    if (byte[0] < 0x80)
        return 1;
    if (byte[0] >= 0xC2 && byte[0] <= 0xDF) {
        want = 2;
    } else if (byte[0] >= 0xE0 && byte[0] <= 0xEF) {
        want = 3;
        if (byte[0] == 0xE0)
            low = 0xA0;
        if (byte[0] == 0xED)
            high = 0x9F;
    } else if (byte[0] >= 0xF0 && byte[0] <= 0xF4) {
        want = 4;
        if (byte[0] == 0xF0)
            low = 0x90;
        if (byte[0] == 0xF4)
            high = 0x8F;
    } else {
        return 0;
    }

    if (len < want || byte[1] < low || byte[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
    return want;
}

bool jj__utf8_valid(const char *text)
{
    while (*text != '\0') {
        size_t len = jj__utf8_len(text, CHAR_MAX_LEN);
        if (len == 0)
            return false;
        text += len;
    }
    return true;
}

/* Whether a well-formed character can move a cursor, end a line or turn the text around. */
static bool acts(const char *text, size_t len)
{
    const unsigned char *byte = (const unsigned char *)text;

    if (len == 1)
        return byte[0] < 0x20 || byte[0] == 0x7F;
    if (len == 2)
        return byte[0] == 0xC2 && byte[1] < 0xA0; /* U+0080 to U+009F */
    if (len != 3 || byte[0] != 0xE2)
        return false;
    return (byte[1] == 0x80 && byte[2] >= 0xA8 && byte[2] <= 0xAE) || /* U+2028 to U+202E */
           (byte[1] == 0x81 && byte[2] >= 0xA6 && byte[2] <= 0xA9);   /* U+2066 to U+2069 */
}

static void replace(char *text, bool printable)
{
    while (*text != '\0') {
        size_t len = jj__utf8_len(text, CHAR_MAX_LEN);
        if (len == 0) {
            *text++ = '?';
            continue;
        }
        if (printable && acts(text, len))
            memset(text, '?', len);
        text += len;
    }
}

void jj__utf8_mend(char *text)
{
    replace(text, false);
}

void jj__utf8_printable(char *text)
{
    replace(text, true);
}

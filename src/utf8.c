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
    for (;;) {
        while ((unsigned char)(*text - 1) < 0x7F) /* most texts are nothing else */
            text++;
        if (*text == '\0')
            return true;
        size_t len = jj__utf8_len(text, CHAR_MAX_LEN);
        if (len == 0)
            return false;
        text += len;
    }
}

uint32_t jj__utf8_code(const char *text, size_t len)
{
    static const unsigned char bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07}; /* of the first byte */
    uint32_t code = (unsigned char)text[0] & bits[len];

    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3F);
    return code;
}

bool jj__utf8_acts(uint32_t code)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } acting[] = {
        {0x0000, 0x001F},   /* C0 */
        {0x007F, 0x009F},   /* DEL and C1 */
        {0x061C, 0x061C},   /* a mark of the direction */
        {0x200B, 0x200B},   /* has no width */
        {0x200E, 0x200F},   /* marks of the direction */
        {0x2028, 0x202E},   /* separators of lines, overrides of the direction */
        {0x2060, 0x2069},   /* isolates, and what has no width */
        {0xFEFF, 0xFEFF},   /* has no width */
        {0xFFF9, 0xFFFB},   /* annotations */
        {0xE0000, 0xE007F}, /* tags, which nothing shows */
    };

    for (size_t i = 0; i < sizeof(acting) / sizeof(acting[0]); i++)
        if (code >= acting[i].first && code <= acting[i].last)
            return true;
    return false;
}

static void replace(char *text, bool printable)
{
    while (*text != '\0') {
        size_t len = jj__utf8_len(text, CHAR_MAX_LEN);
        if (len == 0) {
            *text++ = '?';
            continue;
        }
        if (printable && jj__utf8_acts(jj__utf8_code(text, len)))
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

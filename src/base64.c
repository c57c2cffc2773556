/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as letters (RFC 4648): what is no JSON inside JSON, and cursors. */

#include "base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t jj__base64_write(char *out, const void *data, size_t len)
{
    const unsigned char *byte = data;
    char *to = out;

    for (; len >= 3; len -= 3, byte += 3, to += 4) {
        to[0] = digits[byte[0] >> 2];
        to[1] = digits[(byte[0] & 0x03) << 4 | byte[1] >> 4];
        to[2] = digits[(byte[1] & 0x0F) << 2 | byte[2] >> 6];
        to[3] = digits[byte[2] & 0x3F];
    }
    if (len != 0) {
        unsigned second = len == 2 ? byte[1] : 0;
        to[0] = digits[byte[0] >> 2];
        to[1] = digits[(byte[0] & 0x03u) << 4 | second >> 4];
        to[2] = len == 2 ? digits[(second & 0x0F) << 2] : '=';
        to[3] = '=';
        to += 4;
    }
    return (size_t)(to - out);
}

bool jj__base64_read(const char *text, size_t len, char *out, size_t *len_out)
{
    unsigned bits = 0; /* those that make no whole byte yet */
    unsigned bit_count = 0;
    size_t written = 0;

    if (len % 4 == 1)
        return false;
    for (size_t at = 0; at < len; at++) {
        const char *digit = memchr(digits, text[at], sizeof(digits) - 1);
        if (digit == NULL)
            return false;
        bits = bits << 6 | (unsigned)(digit - digits);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[written++] = (char)(bits >> bit_count & 0xFF);
            bits &= (1u << bit_count) - 1;
        }
    }
    *len_out = written;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BASE64_H
#define JJ_SRC_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* How many characters len bytes become (RFC 4648, section 4), no NUL counted. */
#define JJ__BASE64_SIZE(len) (((len) + 2) / 3 * 4)

/* Write them, padded with '='; returns how many. No NUL is added. */
size_t jj__base64_write(char *out, const void *data, size_t len);

/* The way back, without padding, into out, which has room for len / 4 * 3 + 2 bytes. False: another
 * character, or a length that nothing is written as. Bits beyond the last byte are not looked at.
 */
bool jj__base64_read(const char *text, size_t len, char *out, size_t *len_out);

#endif

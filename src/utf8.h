/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_UTF8_H
#define JJ_SRC_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the well-formed character (RFC 3629) takes that text begins with, 1 to 4, looking
 * at no more than len bytes; 0 if it begins with none. */
size_t jj__utf8_len(const char *text, size_t len);

bool jj__utf8_valid(const char *text);

/* Make it valid: each byte that is part of no character becomes '?'. The length stays. */
void jj__utf8_mend(char *text);

/* Make it fit for one line of a log or terminal: mended, and with '?' for each byte of a control
 * character (C0, DEL, C1), a line or paragraph separator, or an override of the direction. */
void jj__utf8_printable(char *text);

#endif

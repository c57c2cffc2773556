/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_UTF8_H
#define JJ_SRC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the well-formed character (RFC 3629) takes that text begins with, 1 to 4, looking
 * at no more than len bytes; 0 if it begins with none. */
size_t jj__utf8_len(const char *text, size_t len);

/* The code point of a well-formed character, of the length that jj__utf8_len() gave. */
uint32_t jj__utf8_code(const char *text, size_t len);

/* Whether a character does something to a terminal or to the text around it, rather than being
 * seen: controls (C0, DEL, C1), separators of lines, overrides and marks of the direction, what has
 * no width. Joiners, which scripts and emoji need, do not count. */
bool jj__utf8_acts(uint32_t code);

bool jj__utf8_valid(const char *text);

/* Make it valid: each byte that is part of no character becomes '?'. The length stays. */
void jj__utf8_mend(char *text);

/* Make it fit for one line of a log or terminal: mended, and with '?' for each byte of a character
 * that acts. */
void jj__utf8_printable(char *text);

#endif

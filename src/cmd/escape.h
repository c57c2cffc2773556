/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_ESCAPE_H
#define JJ_CMD_ESCAPE_H

/* Text that others wrote, made fit to be seen: jobs carry any bytes, and a terminal obeys some. */

#include <stddef.h>

#include "buf.h"

/* Append text so that it is one line and all of it is seen: "\n", "\t", "\x1b" for control
 * characters, "\xff" for bytes that are no UTF-8, "\u202e" for what acts otherwise. */
void escape_text(struct buf *out, const char *text, size_t len);

/* Append JSON on one line, in which what acts is written as "\u202e": it can only stand in strings,
 * so the value stays the same. */
void escape_json(struct buf *out, const char *json, size_t len);

/* How many columns of a terminal an escaped text takes. */
unsigned escape_columns(const char *text, size_t len);

/* How many bytes of an escaped text fit into so many columns, in whole characters. */
size_t escape_fit(const char *text, size_t len, unsigned columns);

#endif

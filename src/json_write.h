/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_JSON_WRITE_H
#define JJ_SRC_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* True if the bytes are one JSON value (RFC 8259) and nothing else. What can't be told at a glance
 * (json_plain.h) jansson decides, which allows no numbers beyond a double, no NUL in the name of a
 * member, and no more than 2048 levels. */
bool jj__json_valid(const void *data, size_t len);

/* Append a JSON string; bytes that are not UTF-8 become U+FFFD. */
void jj__json_string(struct buf *out, const char *text, size_t len);

/* Append one JSON value as it is. Line ends can only be white space in it, and become spaces, so
 * that what is written is one line. */
void jj__json_value(struct buf *out, const char *json, size_t len);

/* Append a member. key is ",\"name\":", with the comma, since none is the first of its object; NULL
 * and nothing are no member. */
void jj__json_add_text(struct buf *out, const char *key, const char *text);
void jj__json_add_number(struct buf *out, const char *key, int64_t number);
void jj__json_add_time(struct buf *out, const char *key, int64_t unix_ms);
void jj__json_add_value(struct buf *out, const char *key, const char *json);

/* Append ,"<name>":<value> if the bytes are JSON, else ,"<name>Base64":"...". */
void jj__json_add_bytes(struct buf *out, const char *name, const void *data, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_JSON_PLAIN_H
#define JJ_SRC_JSON_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

/* True if the bytes are one JSON value and nothing else, and that can be told at a glance: numbers
 * short and without exponent, no \u in strings, up to 32 levels. False: it is not known. */
bool jj__json_plain(const void *data, size_t len);

#endif

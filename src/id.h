/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_ID_H
#define JJ_SRC_ID_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* A UUID in text and its NUL. */
#define JJ__ID_SIZE 37

/* A new UUIDv7 (RFC 9562), in lower case: 48 bits of unix_ms, then random bits. Ids that one
 * process makes in a row sort in that order: within a millisecond, or when the clock goes back, the
 * 74 bits after the time count up from a random start (RFC 9562, 6.2, method 2).
 * Thread: any. */
jj_status jj__id_new(int64_t unix_ms, char out[JJ__ID_SIZE], jj_error *err);

/* len random bytes written as lower-case letters and digits (a-z 2-7), NUL added: for names of
 * workers and inboxes. out has room for len + 1. */
jj_status jj__id_random(char *out, size_t len, jj_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_RFC3339_H
#define JJ_SRC_RFC3339_H

#include <stdbool.h>
#include <stdint.h>

/* "2026-01-31T23:59:59.123Z" and its NUL. */
#define JJ__RFC3339_SIZE 25

/* 9999-12-31T23:59:59.999Z, the last time that can be written; earlier than year 0 neither. */
#define JJ__RFC3339_MAX_MS INT64_C(253402300799999)
#define JJ__RFC3339_MIN_MS INT64_C(-62167219200000)

/* Write Unix ms as UTC with milliseconds. Beyond the limits it writes the limit. */
void jj__rfc3339_write(int64_t unix_ms, char out[JJ__RFC3339_SIZE]);

/* Read "YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm|-hh:mm)"; a finer fraction is cut to milliseconds,
 * a leap second counts as the second after. False if it is anything else, or beyond the limits. */
bool jj__rfc3339_read(const char *text, int64_t *unix_ms_out);

#endif

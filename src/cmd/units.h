/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_UNITS_H
#define JJ_CMD_UNITS_H

/* Durations and sizes as people write them, on the command line and in the configuration. */

#include <stdbool.h>
#include <stdint.h>

/* For errors: what is allowed. */
#define UNITS_DURATIONS "500ms, 15s, 5m, 2h, 7d or 1h30m"
#define UNITS_SIZES     "bytes as 65536, or 64KiB, 8MiB, 8GiB or 1TiB"

/* Read a duration: whole numbers with ms, s, m, h or d, the larger unit first. False if it is
 * anything else, or more than 100 years. */
bool units_read_duration(const char *text, int64_t *ms_out);

/* Read a size: a whole number of bytes, or of KiB, MiB, GiB or TiB. False if it is anything else,
 * or does not fit. */
bool units_read_size(const char *text, int64_t *bytes_out);

/* Enough for any duration and its NUL. */
#define UNITS_DURATION_SIZE 32

/* Write a duration that is not negative for people, with its two largest units: "734ms", "1.5s",
 * "42s", "3m20s", "7d". */
void units_write_duration(int64_t ms, char out[UNITS_DURATION_SIZE]);

#endif

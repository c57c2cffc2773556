/* SPDX-License-Identifier: Apache-2.0 */

/* Durations and sizes as text. Nothing here knows of locales. */

#include "units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "spec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MS_PER_SECOND INT64_C(1000)
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR   (60 * MS_PER_MINUTE)
#define MS_PER_DAY    (24 * MS_PER_HOUR)

struct unit {
    const char *name;
    int64_t worth;
};

/* The larger first. */
static const struct unit durations[] = {
    {"d", MS_PER_DAY}, {"h", MS_PER_HOUR}, {"m", MS_PER_MINUTE}, {"s", MS_PER_SECOND}, {"ms", 1},
};

static const struct unit sizes[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", INT64_C(1) << 30},
    {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10},
    {"", 1},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Read digits; false if there are none, or too many. */
static bool read_number(const char **at, int64_t *number_out)
{
    int64_t number = 0;

    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        int digit = **at - '0';
        if (number > (INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *number_out = number;
    return true;
}

/* Read the name of one of the units from first on, up to a digit or the end: its place, or count.
 */
static size_t read_unit(const char **at, const struct unit *units, size_t first, size_t count)
{
    size_t len = strcspn(*at, "0123456789");

    for (size_t i = first; i < count; i++) {
        if (strlen(units[i].name) == len && strncmp(*at, units[i].name, len) == 0) {
            *at += len;
            return i;
        }
    }
    return count;
}

/* Add a number of units to what was read before; false if that is more than max. */
static bool add(int64_t *total, int64_t number, int64_t worth, int64_t max)
{
    if (number > (max - *total) / worth)
        return false;
    *total += number * worth;
    return true;
}

bool units_read_duration(const char *text, int64_t *ms_out)
{
    int64_t total = 0;
    size_t next = 0;

    do {
        int64_t number;
        if (!read_number(&text, &number))
            return false;
        size_t unit = read_unit(&text, durations, next, COUNT(durations));
        if (unit == COUNT(durations) ||
            !add(&total, number, durations[unit].worth, JJ__TIME_MAX_MS))
            return false;
        next = unit + 1;
    } while (*text != '\0');
    *ms_out = total;
    return true;
}

bool units_read_size(const char *text, int64_t *bytes_out)
{
    int64_t total = 0;
    int64_t number;

    if (!read_number(&text, &number))
        return false;
    size_t unit = read_unit(&text, sizes, 0, COUNT(sizes));
    if (unit == COUNT(sizes) || *text != '\0' || !add(&total, number, sizes[unit].worth, INT64_MAX))
        return false;
    *bytes_out = total;
    return true;
}

/* Seconds with one digit after the point, unless that is 0. */
static void write_seconds(int64_t ms, char out[UNITS_DURATION_SIZE])
{
    int64_t tenths = ms / 100;

    if (tenths % 10 == 0)
        snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 "s", tenths / 10);
    else
        snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 ".%" PRId64 "s", tenths / 10, tenths % 10);
}

void units_write_duration(int64_t ms, char out[UNITS_DURATION_SIZE])
{
    size_t unit = 0;

    if (ms < MS_PER_SECOND) {
        snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 "ms", ms);
        return;
    }
    if (ms < 10 * MS_PER_SECOND) {
        write_seconds(ms, out);
        return;
    }
    while (ms < durations[unit].worth)
        unit++;
    int len = snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 "%s", ms / durations[unit].worth,
                       durations[unit].name);
    int64_t rest = ms % durations[unit].worth;
    if (durations[unit].worth > MS_PER_SECOND && rest >= durations[unit + 1].worth)
        snprintf(out + len, UNITS_DURATION_SIZE - (size_t)len, "%" PRId64 "%s",
                 rest / durations[unit + 1].worth, durations[unit + 1].name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text. The calendar is arithmetic here: gmtime and its kin know of time zones, locales
 * and locks, and printf parses a format, for what are seven numbers of fixed width in every event.
 *
 * The arithmetic counts years from the first of March, so that the leap day is the last day of a
 * year and the months before it have lengths that one formula gives (30.6 days each, rounded). */

#include "rfc3339.h"

#include <stddef.h>

#define MS_PER_SECOND INT64_C(1000)
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR   (60 * MS_PER_MINUTE)
#define MS_PER_DAY    (24 * MS_PER_HOUR)

#define DAYS_PER_400_YEARS 146097
#define DAYS_PER_100_YEARS 36524
#define DAYS_PER_4_YEARS   1461

/* From 0000-03-01 to 1970-01-01. */
#define EPOCH_DAYS 719468

/* Days since 1970-01-01; month and day from 1. */
static int64_t days_from_date(int year, int month, int day)
{
    int march_year = month > 2 ? year : year - 1;
    int march_month = month > 2 ? month - 3 : month + 9;
    int era = march_year < 0 ? -1 : march_year / 400;
    int year_of_era = march_year - era * 400;
    int day_of_year = (153 * march_month + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return (int64_t)era * DAYS_PER_400_YEARS + day_of_era - EPOCH_DAYS;
}

static void date_from_days(int days, int *year_out, int *month_out, int *day_out)
{
    int era_days = days + EPOCH_DAYS + DAYS_PER_400_YEARS; /* one era more: never negative */
    int era = era_days / DAYS_PER_400_YEARS - 1;
    int day_of_era = era_days % DAYS_PER_400_YEARS;
    int year_of_era = (day_of_era - day_of_era / (DAYS_PER_4_YEARS - 1) +
                       day_of_era / DAYS_PER_100_YEARS - day_of_era / (DAYS_PER_400_YEARS - 1)) /
                      365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153;

    *day_out = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month_out = march_month < 10 ? march_month + 3 : march_month - 9;
    *year_out = era * 400 + year_of_era + (*month_out <= 2 ? 1 : 0);
}

/* Write number as width digits and what follows them; returns where the next thing goes. */
static char *put(char *at, int number, int width, char after)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    at[width] = after;
    return at + width + 1;
}

void jj__rfc3339_write(int64_t unix_ms, char out[JJ__RFC3339_SIZE])
{
    if (unix_ms > JJ__RFC3339_MAX_MS)
        unix_ms = JJ__RFC3339_MAX_MS;
    if (unix_ms < JJ__RFC3339_MIN_MS)
        unix_ms = JJ__RFC3339_MIN_MS;

    int64_t since_min_ms = unix_ms - JJ__RFC3339_MIN_MS;
    int ms = (int)(since_min_ms % MS_PER_DAY);
    int days = (int)(since_min_ms / MS_PER_DAY + JJ__RFC3339_MIN_MS / MS_PER_DAY);
    int year;
    int month;
    int day;
    date_from_days(days, &year, &month, &day);

    char *at = put(out, year, 4, '-');
    at = put(at, month, 2, '-');
    at = put(at, day, 2, 'T');
    at = put(at, ms / (int)MS_PER_HOUR, 2, ':');
    at = put(at, ms / (int)MS_PER_MINUTE % 60, 2, ':');
    at = put(at, ms / (int)MS_PER_SECOND % 60, 2, '.');
    at = put(at, ms % (int)MS_PER_SECOND, 3, 'Z');
    *at = '\0';
}

/* The readers below move *at past what they read, and stop at NUL, which is never a digit. */

static bool read_char(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool read_number(const char **at, int width, int max, int *number_out)
{
    int number = 0;

    for (int i = 0; i < width; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = number * 10 + (**at - '0');
    }
    *number_out = number;
    return number <= max;
}

static bool read_date(const char **at, int64_t *days_out)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year;
    int month;
    int day;

    if (!read_number(at, 4, 9999, &year) || !read_char(at, '-') ||
        !read_number(at, 2, 12, &month) || !read_char(at, '-') || month == 0)
        return false;
    if (!read_number(at, 2, month_days[month - 1], &day) || day == 0)
        return false;

    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2 && day == 29 && !leap)
        return false;
    *days_out = days_from_date(year, month, day);
    return true;
}

/* ".5", ".123456": at least one digit; what is finer than a millisecond is cut. */
static bool read_fraction(const char **at, int *ms_out)
{
    *ms_out = 0;
    if (!read_char(at, '.'))
        return true;
    if (**at < '0' || **at > '9')
        return false;
    for (int scale = 100; **at >= '0' && **at <= '9'; scale /= 10, (*at)++)
        *ms_out += (**at - '0') * scale;
    return true;
}

static bool read_time(const char **at, int64_t *ms_out)
{
    int hour;
    int minute;
    int second;
    int ms;

    if (!read_number(at, 2, 23, &hour) || !read_char(at, ':') || !read_number(at, 2, 59, &minute) ||
        !read_char(at, ':') || !read_number(at, 2, 60, &second) || !read_fraction(at, &ms))
        return false;
    *ms_out = hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + ms;
    return true;
}

/* How far local time is ahead of UTC. */
static bool read_offset(const char **at, int64_t *ms_out)
{
    int hours;
    int minutes;

    *ms_out = 0;
    if (read_char(at, 'Z'))
        return true;

    int sign = **at == '-' ? -1 : 1;
    if (!read_char(at, '-') && !read_char(at, '+'))
        return false;
    if (!read_number(at, 2, 23, &hours) || !read_char(at, ':') || !read_number(at, 2, 59, &minutes))
        return false;
    *ms_out = sign * (hours * MS_PER_HOUR + minutes * MS_PER_MINUTE);
    return true;
}

bool jj__rfc3339_read(const char *text, int64_t *unix_ms_out)
{
    const char *at = text;
    int64_t days;
    int64_t ms;
    int64_t offset_ms;

    if (!read_date(&at, &days) || !read_char(&at, 'T') || !read_time(&at, &ms) ||
        !read_offset(&at, &offset_ms) || *at != '\0')
        return false;

    int64_t unix_ms = days * MS_PER_DAY + ms - offset_ms;
    if (unix_ms < JJ__RFC3339_MIN_MS || unix_ms > JJ__RFC3339_MAX_MS)
        return false;
    *unix_ms_out = unix_ms;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The text of a recurring schedule: six fields, seconds first, each a list of numbers, ranges and
 * steps; or an interval; or a name for one of these. nats-server has the last word on it, and says
 * no more than "invalid": so it is read here first. */

#include "cron_spec.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define S_PER_DAY   86400
#define SEARCH_DAYS (5 * 366)
#define EVERY       "@every "
#define EVERY_MAX   INT64_C(3155760000000) /* 100 years */

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct {
    const char *what;
    unsigned min, max;
    const char *const *names; /* of min and on; NULL: none */
    const char *allowed;
} fields[CRON_FIELDS] = {
    [CRON_SECOND] = {"second", 0, 59, NULL, "0 to 59"},
    [CRON_MINUTE] = {"minute", 0, 59, NULL, "0 to 59"},
    [CRON_HOUR] = {"hour", 0, 23, NULL, "0 to 23"},
    [CRON_DAY] = {"day of the month", 1, 31, NULL, "1 to 31"},
    [CRON_MONTH] = {"month", 1, 12, month_names, "1 to 12 or jan to dec"},
    [CRON_WEEKDAY] = {"day of the week", 0, 6, weekday_names, "0 to 6 or sun to sat"},
};

static const struct {
    const char *name;
    const char *spec;
} names[] = {
    {"@yearly", "0 0 0 1 1 *"}, {"@annually", "0 0 0 1 1 *"}, {"@monthly", "0 0 0 1 * *"},
    {"@weekly", "0 0 0 * * 0"}, {"@daily", "0 0 0 * * *"},    {"@midnight", "0 0 0 * * *"},
    {"@hourly", "0 0 * * * *"},
};

/* A piece of the text. */
struct piece {
    const char *at;
    size_t len;
};

/* Cut off what comes before the first of those characters, and leave the rest behind it. False:
 * that was the last. */
static bool cut(struct piece *rest, char mark, struct piece *piece_out)
{
    const char *found = memchr(rest->at, mark, rest->len);

    *piece_out = *rest;
    if (found == NULL)
        return false;
    piece_out->len = (size_t)(found - rest->at);
    rest->at = found + 1;
    rest->len -= piece_out->len + 1;
    return true;
}

static bool is(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && strncasecmp(piece.at, text, piece.len) == 0;
}

/* Up to nine digits. */
static bool read_number(struct piece piece, unsigned *number_out)
{
    unsigned number = 0;

    if (piece.len == 0 || piece.len > 9)
        return false;
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.at[i] < '0' || piece.at[i] > '9')
            return false;
        number = number * 10 + (unsigned)(piece.at[i] - '0');
    }
    *number_out = number;
    return true;
}

/* ---- fields ---- */

static bool read_value(enum cron_field field, struct piece piece, unsigned *value_out)
{
    const char *const *list = fields[field].names;

    for (unsigned i = 0; list != NULL && list[i] != NULL; i++)
        if (is(piece, list[i])) {
            *value_out = fields[field].min + i;
            return true;
        }
    return read_number(piece, value_out) && *value_out >= fields[field].min &&
           *value_out <= fields[field].max;
}

/* "*", "N", "N-M", and each with "/S"; "N/S" goes on to the end. */
static bool read_range(enum cron_field field, struct piece piece, struct cron_times *times)
{
    struct piece range, low;
    bool steps = cut(&piece, '/', &range);
    unsigned first = fields[field].min, last = fields[field].max, step = 1;

    if (steps && (!read_number(piece, &step) || step == 0))
        return false;
    if (is(range, "*") || is(range, "?")) {
        times->star[field] |= step == 1;
    } else {
        bool to = cut(&range, '-', &low);
        if (!read_value(field, low, &first) || (to && !read_value(field, range, &last)))
            return false;
        if (!to && !steps)
            last = first;
    }
    if (first > last)
        return false;
    for (unsigned value = first; value <= last; value += step)
        times->bits[field] |= UINT64_C(1) << value;
    return true;
}

static jj_status read_field(enum cron_field field, struct piece piece, struct cron_times *times,
                            jj_error *err)
{
    struct piece range;
    bool more = true;

    while (more) {
        more = cut(&piece, ',', &range);
        if (!read_range(field, range, times))
            return jj__fail(err, JJ_ERR_INVALID,
                            "schedule: %s '%.*s' is not allowed: that is %s, as N, N-M, *, with /S "
                            "for every S-th, and several with commas between them",
                            fields[field].what, (int)(range.len > 40 ? 40 : range.len), range.at,
                            fields[field].allowed);
    }
    return JJ_OK;
}

/* The next field of the text; false at its end. */
static bool next_field(const char **at, struct piece *piece_out)
{
    static const char blanks[] = " \t";

    *at += strspn(*at, blanks);
    *piece_out = (struct piece){*at, strcspn(*at, blanks)};
    *at += piece_out->len;
    return piece_out->len > 0;
}

static jj_status read_fields(const char *spec, struct cron_times *times, jj_error *err)
{
    struct piece piece;
    size_t count = 0;
    jj_status s = JJ_OK;

    for (const char *at = spec; next_field(&at, &piece);)
        count++;
    if (count != CRON_FIELDS)
        return jj__fail(
            err, JJ_ERR_INVALID,
            "schedule '%.80s' has %zu fields: allowed are 6, for second, minute, hour, day of the "
            "month, month, day of the week; or @every 5m, @hourly, @daily, @weekly, @monthly, "
            "@yearly",
            spec, count);
    for (unsigned field = 0; s == JJ_OK && next_field(&spec, &piece); field++)
        s = read_field((enum cron_field)field, piece, times, err);
    return s;
}

/* ---- intervals ---- */

/* A number and its unit. */
static bool read_part(const char **at, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = strspn(*at, "0123456789");
    const char *unit = *at + digits;
    size_t len = strspn(unit, "hms");
    unsigned number;

    if (!read_number((struct piece){*at, digits}, &number))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (is((struct piece){unit, len}, units[i].unit)) {
            *ms += (int64_t)number * units[i].ms;
            *at = unit + len;
            return true;
        }
    return false;
}

static jj_status read_every(const char *spec, struct cron_times *times, jj_error *err)
{
    const char *at = spec + strlen(EVERY);
    bool readable = *at != '\0';

    while (readable && *at != '\0')
        readable = read_part(&at, &times->every_ms) && times->every_ms <= EVERY_MAX;
    if (!readable || times->every_ms < 1000)
        return jj__fail(err, JJ_ERR_INVALID,
                        "schedule '%.80s': allowed is @every with a duration from 1s on, such as "
                        "30s, 5m or 1h30m",
                        spec);
    return JJ_OK;
}

jj_status jj__cron_read(const char *spec, struct cron_times *times_out, jj_error *err)
{
    struct cron_times times = {0};
    jj_status s;

    if (strncmp(spec, EVERY, strlen(EVERY)) == 0) {
        s = read_every(spec, &times, err);
    } else {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (strcmp(spec, names[i].name) == 0)
                spec = names[i].spec;
        s = read_fields(spec, &times, err);
    }
    if (s == JJ_OK)
        *times_out = times;
    return s;
}

static bool zone_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("_/+-", c) != NULL;
}

static jj_status check_zone(const char *zone, jj_error *err)
{
    size_t len = 0;

    while (zone[len] != '\0' && zone_char(zone[len]))
        len++;
    if (zone[len] != '\0' || len == 0 || len > JJ__CRON_ZONE_MAX)
        return jj__fail(err, JJ_ERR_INVALID,
                        "time zone '%.80s': allowed is a name such as Europe/Berlin, up to %d "
                        "characters",
                        zone, JJ__CRON_ZONE_MAX);
    return JJ_OK;
}

jj_status jj__cron_check(const char *spec, const char *time_zone, jj_error *err)
{
    struct cron_times times;

    if (spec == NULL || spec[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "the schedule is missing");
    if (strnlen(spec, JJ__CRON_SPEC_MAX + 1) > JJ__CRON_SPEC_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "the schedule is longer than %d characters",
                        JJ__CRON_SPEC_MAX);
    jj_status s = jj__cron_read(spec, &times, err);
    if (s == JJ_OK && times.every_ms == 0 && jj__cron_next(&times, 0, 0) == 0)
        s = jj__fail(err, JJ_ERR_INVALID, "schedule '%.80s' names a day that never comes", spec);
    if (s != JJ_OK || time_zone == NULL)
        return s;
    if (times.every_ms > 0)
        return jj__fail(err, JJ_ERR_INVALID, "a time zone is not allowed with @every");
    return check_zone(time_zone, err);
}

/* ---- the next time ---- */

/* Month (1 to 12) and day of a day after 1970-01-01; after Howard Hinnant's civil_from_days. */
static void month_and_day(int64_t days, unsigned *month_out, unsigned *day_out)
{
    uint64_t shifted = (uint64_t)(days + 719468);
    uint64_t of_era = shifted % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;

    *day_out = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    *month_out = (unsigned)(month < 10 ? month + 3 : month - 9);
}

static bool has(const struct cron_times *times, enum cron_field field, unsigned value)
{
    return (times->bits[field] & UINT64_C(1) << value) != 0;
}

/* Day of the month and of the week: either will do if both are restricted. */
static bool day_matches(const struct cron_times *times, int64_t days)
{
    unsigned month, day;

    month_and_day(days, &month, &day);
    bool by_day = has(times, CRON_DAY, day);
    bool by_weekday = has(times, CRON_WEEKDAY, (unsigned)((days + 4) % 7));
    if (!has(times, CRON_MONTH, month))
        return false;
    if (times->star[CRON_DAY] || times->star[CRON_WEEKDAY])
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/* The first matching second of a day from one on; -1: none. */
static int64_t time_of_day(const struct cron_times *times, int64_t from_s)
{
    for (int64_t at = from_s; at < S_PER_DAY;) {
        if (!has(times, CRON_HOUR, (unsigned)(at / 3600)))
            at = (at / 3600 + 1) * 3600;
        else if (!has(times, CRON_MINUTE, (unsigned)(at / 60 % 60)))
            at = (at / 60 + 1) * 60;
        else if (!has(times, CRON_SECOND, (unsigned)(at % 60)))
            at++;
        else
            return at;
    }
    return -1;
}

/* As the server does it: from a whole second on. */
static int64_t next_interval(int64_t every_ms, int64_t begun_at_ms, int64_t after_ms)
{
    int64_t begun = (begun_at_ms + 500) / 1000 * 1000;

    if (after_ms < begun)
        return begun + every_ms;
    return begun + ((after_ms - begun) / every_ms + 1) * every_ms;
}

int64_t jj__cron_next(const struct cron_times *times, int64_t begun_at_ms, int64_t after_ms)
{
    if (times->every_ms > 0)
        return next_interval(times->every_ms, begun_at_ms, after_ms);
    int64_t from_s = (after_ms < 0 ? 0 : after_ms / 1000) + 1;
    int64_t day = from_s / S_PER_DAY;
    int64_t in_day = from_s % S_PER_DAY;

    for (int64_t end = day + SEARCH_DAYS; day < end; day++, in_day = 0) {
        int64_t at = day_matches(times, day) ? time_of_day(times, in_day) : -1;
        if (at >= 0)
            return (day * S_PER_DAY + at) * 1000;
    }
    return 0;
}

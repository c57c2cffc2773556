/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CRON_SPEC_H
#define JJ_SRC_CRON_SPEC_H

/* When a recurring schedule fires, as text: read as nats-server reads it, but saying what is wrong.
 * Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

/* Longest text of a schedule, and of the name of a time zone. */
#define JJ__CRON_SPEC_MAX 256
#define JJ__CRON_ZONE_MAX 64

enum cron_field {
    CRON_SECOND,
    CRON_MINUTE,
    CRON_HOUR,
    CRON_DAY,
    CRON_MONTH,
    CRON_WEEKDAY, /* 0 is Sunday */
    CRON_FIELDS
};

/* Points in time that it matches; or an interval. */
struct cron_times {
    int64_t every_ms; /* 0: it has fields */
    uint64_t bits[CRON_FIELDS];
    bool star[CRON_FIELDS]; /* "*" stands in it, or "?" */
};

/* Read six fields, "@every <duration>", or a name such as "@daily". INVALID: the text says which
 * part is wrong and what is allowed. */
jj_status jj__cron_read(const char *spec, struct cron_times *times_out, jj_error *err);

/* The same for a schedule and its time zone (NULL: none) as a caller gives them. */
jj_status jj__cron_check(const char *spec, const char *time_zone, jj_error *err);

/* The first time after after_ms, in UTC; 0: none within five years. An interval counts from
 * begun_at_ms. */
int64_t jj__cron_next(const struct cron_times *times, int64_t begun_at_ms, int64_t after_ms);

#endif

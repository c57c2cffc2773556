/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_DOCTOR_H
#define JJ_SRC_DOCTOR_H

#include <jansson.h>

#include <jetjobs/client.h>

#include "broker.h"
#include "job.h"

/* Looks at the broker and says what is wrong, as far as the client's user may see it. Nothing is
 * changed. First all facts are asked for (doctor.c), then each check looks at them: doctor_broker.c
 * (the server, the account, this client), doctor_streams.c, doctor_consumers.c, doctor_kept.c. */

enum severity {
    SEVERITY_NOTE,    /* to know; nothing is wrong */
    SEVERITY_WARNING, /* jobs wait, or will */
    SEVERITY_ERROR    /* jobs are not run, or may be lost */
};
const char *jj__severity_text(enum severity severity);

struct finding {
    enum severity severity;
    const char *about; /* "stream JOBS": what it is about */
    const char *what;  /* what was found, and what it means */
    const char *todo;  /* what to do about it */
};

/* What the server's monitoring tells; NULL: nothing. */
struct doctor_monitor {
    json_t *jsz;
    json_t *healthz;
};

/* Look at all, and hand on what was found; all is borrowed for the call. UNAVAILABLE: the broker
 * went away meanwhile. Thread: any but the broker's. */
jj_status jj__doctor_run(jj_client *client, const struct doctor_monitor *monitor,
                         void (*take)(void *ctx, const struct finding *finding), void *ctx,
                         jj_error *err);

/* ---- inside ---- */

enum doctor_stream { DOCTOR_JOBS, DOCTOR_SCHEDULE, DOCTOR_EVENTS, DOCTOR_STREAMS };

/* An answer of the JetStream API. */
struct doctor_fact {
    json_t *answer;   /* NULL: there was none */
    jj_status status; /* why not, as jj__broker_request() */
    int code;         /* err_code in it; 0: none */
};

struct doctor {
    jj_client *client;
    const struct doctor_monitor *monitor;
    int64_t deadline_ms;
    int64_t now_ms;            /* Unix time when the account answered */
    struct doctor_fact server; /* who it is, as it tells any user */
    struct doctor_fact account;
    struct doctor_fact streams[DOCTOR_STREAMS];
    struct doctor_fact consumers; /* of JOBS */
    struct doctor_fact due;       /* the consumer */
    struct doctor_fact purge;     /* of a stream that is not there */
    void (*take)(void *ctx, const struct finding *finding);
    void *ctx;
};

extern const char *const jj__doctor_stream_names[DOCTOR_STREAMS];

/* Hand on a finding, whose text is that of a printf. */
void jj__doctor_say(struct doctor *doctor, enum severity severity, const char *about,
                    const char *todo, const char *format, ...) JJ_PRINTF(5, 6);

int64_t jj__doctor_number(const json_t *object, const char *key);

void jj__doctor_check_broker(struct doctor *doctor);
void jj__doctor_check_streams(struct doctor *doctor);
void jj__doctor_check_consumers(struct doctor *doctor);
void jj__doctor_check_kept(struct doctor *doctor);
void jj__doctor_check_schedules(struct doctor *doctor);

/* By how much a message of JOBS_SCHEDULE is overdue, in milliseconds; 0: it is not, or recurs. */
int64_t jj__doctor_overdue(const char *schedule, int64_t now_ms);

/* adapter_sqlite.c: the version of SQLite that runs. */
const char *jj__sqlite_version(void);

#endif

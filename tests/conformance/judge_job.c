/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs and schedules as producers publish them. What a worker reads, it reads here by the same code
 * (src/job.c), so that the two can't differ. */

#include "judge.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "job.h"
#include "rfc3339.h"
#include "schedule_request.h"
#include "spec.h"
#include "subject.h"

enum owner { PRODUCER, WORKER, SERVER, SCHEDULE };

/* The headers that mean something. Those of WORKER are for workers to set, those of SERVER belong
 * to any job, those of SCHEDULE to schedules only. */
static const struct {
    const char *name;
    enum owner owner;
} known[] = {
    {JJ__HEADER_ID, PRODUCER},
    {JJ__HEADER_MAX_ATTEMPTS, PRODUCER},
    {JJ__HEADER_RUN_AT, PRODUCER},
    {JJ__HEADER_TIMEOUT, PRODUCER},
    {JJ__HEADER_SCHEDULE_ID, PRODUCER},
    {JJ__HEADER_CREATED_AT, PRODUCER},
    {JJ__HEADER_KEY, PRODUCER},
    {JJ__HEADER_CONTENT_TYPE, PRODUCER},
    {JJ__HEADER_TRACEPARENT, PRODUCER},
    {JJ__HEADER_ATTEMPTS, WORKER},
    {JJ__HEADER_REDRIVES, WORKER},
    {JJ__HEADER_SNOOZES, WORKER},
    {JJ__HEADER_PUT_OFFS, WORKER},
    {JJ__HEADER_MSG_ID, SERVER},
    {JJ__HEADER_BATCH_ID, SERVER},
    {JJ__HEADER_BATCH_SEQUENCE, SERVER},
    {JJ__HEADER_BATCH_COMMIT, SERVER},
    {JJ__HEADER_SCHEDULE, SCHEDULE},
    {JJ__HEADER_SCHEDULE_TARGET, SCHEDULE},
    {JJ__HEADER_TIME_ZONE, SCHEDULE},
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

#define KEY_MAX       256
#define EARLY_MS      500
#define HEADERS_MAX   ((size_t)JJ__SPEC_OVERHEAD / 2)
#define HEADER_EXTRAS 4 /* colon, space, line end */

/* ---- headers ---- */

/* Where in known that name is; KNOWN: nowhere. */
static size_t find_known(const char *name, int (*compare)(const char *, const char *))
{
    size_t i = 0;

    while (i < KNOWN && compare(known[i].name, name) != 0)
        i++;
    return i;
}

static void judge_header(struct report *report, const char *name, bool scheduled)
{
    size_t at = find_known(name, strcmp);
    size_t alike = find_known(name, strcasecmp);

    report_judge(report, CLAUSE_EXACT_NAMES, at < KNOWN || alike == KNOWN,
                 "'%s' means nothing, is it to be '%s'?", name,
                 alike < KNOWN ? known[alike].name : "");
    if (at == KNOWN && alike < KNOWN)
        return;
    if (strncasecmp(name, "Job-", 4) == 0)
        report_judge(report, CLAUSE_KNOWN_NAMES, at < KNOWN, "'%s' is none of jetjobs", name);
    if (strncasecmp(name, "Nats-", 5) == 0)
        report_judge(report, CLAUSE_SERVER_NAMES,
                     at < KNOWN && (known[at].owner == SERVER || scheduled), "'%s'", name);
    if (at < KNOWN)
        report_judge(report, CLAUSE_WORKER_NAMES, known[at].owner != WORKER, "'%s'", name);
}

static void judge_headers(struct report *report, const struct heard *heard, bool scheduled)
{
    size_t own = 0;

    for (size_t i = 0; i < heard->header_count; i++) {
        const jj_header *header = &heard->headers[i];
        bool again = false;
        for (size_t before = 0; before < i; before++)
            again = again || strcmp(heard->headers[before].name, header->name) == 0;
        report_judge(report, CLAUSE_ONCE, !again, "'%s' stands more than once: the first counts",
                     header->name);
        if (!again)
            judge_header(report, header->name, scheduled);
        if (find_known(header->name, strcmp) == KNOWN)
            own += strlen(header->name) + strlen(header->value) + HEADER_EXTRAS;
    }
    report_judge(report, CLAUSE_HEADER_SIZE, own <= HEADERS_MAX, "%zu bytes", own);
}

static bool is_key(const char *key)
{
    size_t len = 0;

    while (key[len] > ' ' && key[len] < 0x7f)
        len++;
    return len >= 1 && len <= KEY_MAX && key[len] == '\0';
}

/* Is a message id the id, or that of the key? */
static bool is_message_id(const char *msg_id, const char *id, const char *key)
{
    if (key != NULL)
        return strncmp(msg_id, "key:", 4) == 0 && strcmp(msg_id + 4, key) == 0;
    return id == NULL || strcmp(msg_id, id) == 0;
}

static void judge_ids(struct report *report, const struct heard *heard, const char *name,
                      bool recurring)
{
    const char *id = heard_header(heard, JJ__HEADER_ID);
    const char *key = heard_header(heard, JJ__HEADER_KEY);
    const char *msg_id = heard_header(heard, JJ__HEADER_MSG_ID);

    if (!recurring) { /* its jobs get theirs later, and a new one may replace it */
        report_judge(report, CLAUSE_ID, id != NULL, "there is none");
        report_judge(report, CLAUSE_REPEATABLE, msg_id != NULL, "there is none");
    }
    if (id != NULL)
        report_judge(report, CLAUSE_ID_NOT_NAME, strcmp(id, name) != 0, "both are '%s'", id);
    if (key != NULL)
        report_judge(report, CLAUSE_KEY, is_key(key), "it is '%.80s'", key);
    if (msg_id != NULL)
        report_judge(report, CLAUSE_MESSAGE_ID, is_message_id(msg_id, id, key),
                     "it is '%.80s', Job-Id '%.80s', Job-Key '%.80s'", msg_id, id != NULL ? id : "",
                     key != NULL ? key : "");
}

/* ---- the whole message ---- */

static void judge_data(struct report *report, const struct heard *heard, size_t max_payload)
{
    const char *type = heard_header(heard, JJ__HEADER_CONTENT_TYPE);

    report_judge(report, CLAUSE_DATA_SIZE, heard->len + JJ__SPEC_OVERHEAD <= max_payload,
                 "%zu bytes, and max_payload is %zu", heard->len, max_payload);
    if (type == NULL || strcmp(type, "application/json") != 0)
        return;
    json_error_t error;
    json_t *json = json_loadb(heard->data, heard->len, JSON_DECODE_ANY, &error);
    report_judge(report, CLAUSE_CONTENT_TYPE, json != NULL, "it is not: %s", error.text);
    json_decref(json);
}

/* Only the last message of an atomic batch is acknowledged. */
static bool needs_reply(const struct heard *heard)
{
    return heard_header(heard, JJ__HEADER_BATCH_ID) == NULL ||
           heard_header(heard, JJ__HEADER_BATCH_COMMIT) != NULL;
}

static void judge_job(struct report *report, const struct heard *heard, const char *name,
                      size_t max_payload)
{
    const char *schedule = heard_header(heard, JJ__HEADER_SCHEDULE);
    bool scheduled = strncmp(heard->subject, "jobs.schedule.", 14) == 0;
    char subject[JJ__SUBJECT_SIZE];
    struct job job;
    jj_error err = {0};

    report_judge(report, CLAUSE_ACKNOWLEDGED, heard->reply != NULL || !needs_reply(heard),
                 "there is none");
    judge_headers(report, heard, scheduled);
    jj__subject_enqueue(subject, name);
    const struct job_message message = {
        .subject = subject, .headers = heard->headers, .header_count = heard->header_count};
    report_judge(report, CLAUSE_READABLE, jj__job_read(&message, &job, &err) == JJ_OK, "%s",
                 err.text);
    judge_ids(report, heard, name,
              scheduled && schedule != NULL && strncmp(schedule, "@at ", 4) != 0);
    judge_data(report, heard, max_payload);
}

/* ---- schedules ---- */

/* Six fields, or one of the words. What the server reads beyond that is its own business. */
static bool is_recurrence(const char *text)
{
    static const char *const words[] = {"@hourly",  "@daily",  "@midnight", "@weekly",
                                        "@monthly", "@yearly", "@annually"};
    char field[6][32], rest[2];

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    if (strncmp(text, "@every ", 7) == 0)
        return text[7] >= '0' && text[7] <= '9';
    return text[0] != '@' && sscanf(text, "%31s %31s %31s %31s %31s %31s %1s", field[0], field[1],
                                    field[2], field[3], field[4], field[5], rest) == 6;
}

static void judge_once(struct report *report, const struct heard *heard, int64_t at_ms,
                       const char *id)
{
    const char *job_id = heard_header(heard, JJ__HEADER_ID);
    const char *run_at = heard_header(heard, JJ__HEADER_RUN_AT);
    int64_t run_at_ms = at_ms;

    report_judge(report, CLAUSE_SCHEDULE_ID,
                 job_id != NULL && strcmp(job_id, id) == 0 &&
                     heard_header(heard, JJ__HEADER_SCHEDULE_ID) == NULL,
                 "Job-Id is '%.64s', the last token '%s'", job_id != NULL ? job_id : "", id);
    if (run_at != NULL && !jj__rfc3339_read(run_at, &run_at_ms))
        return; /* not readable: that was said */
    report_judge(report, CLAUSE_SCHEDULE_TIME, run_at_ms >= at_ms, "it is %lld ms before",
                 (long long)(at_ms - run_at_ms));
    report_judge(report, CLAUSE_SCHEDULE_EARLY, run_at_ms - at_ms == EARLY_MS, "it is %lld ms",
                 (long long)(run_at_ms - at_ms));
    report_judge(report, CLAUSE_SCHEDULE_CREATED,
                 heard_header(heard, JJ__HEADER_CREATED_AT) != NULL, "it is missing");
}

static void judge_recurring(struct report *report, const struct heard *heard, const char *id)
{
    const char *schedule_id = heard_header(heard, JJ__HEADER_SCHEDULE_ID);

    report_judge(
        report, CLAUSE_SCHEDULE_ID,
        schedule_id != NULL && strcmp(schedule_id, id) == 0 && strlen(id) <= JJ__SCHEDULE_ID_MAX &&
            heard_header(heard, JJ__HEADER_ID) == NULL,
        "Job-Schedule-Id is '%.64s', the last token '%s', Job-Id '%.64s'",
        schedule_id != NULL ? schedule_id : "", id,
        heard_header(heard, JJ__HEADER_ID) != NULL ? heard_header(heard, JJ__HEADER_ID) : "");
    report_judge(report, CLAUSE_SCHEDULE_TIME, heard_header(heard, JJ__HEADER_RUN_AT) == NULL,
                 "a recurring schedule has Job-Run-At");
}

static void judge_schedule(struct report *report, const struct heard *heard, const char *name,
                           const char *id)
{
    const char *schedule = heard_header(heard, JJ__HEADER_SCHEDULE);
    const char *target = heard_header(heard, JJ__HEADER_SCHEDULE_TARGET);
    char due[JJ__SUBJECT_SIZE];
    int64_t at_ms = 0;

    jj__subject_due(due, name);
    report_judge(report, CLAUSE_SCHEDULE_TARGET, target != NULL && strcmp(target, due) == 0,
                 "it is '%.80s'", target != NULL ? target : "");
    schedule = schedule != NULL ? schedule : "";
    bool once = strncmp(schedule, "@at ", 4) == 0;
    if (!report_judge(report, CLAUSE_SCHEDULE,
                      once ? jj__rfc3339_read(schedule + 4, &at_ms) : is_recurrence(schedule),
                      "it is '%.80s'", schedule))
        return;
    report_judge(report, CLAUSE_SCHEDULE_ZONE,
                 heard_header(heard, JJ__HEADER_TIME_ZONE) == NULL ||
                     (!once && strncmp(schedule, "@every", 6) != 0),
                 "there is one with '%.80s'", schedule);
    if (once)
        judge_once(report, heard, at_ms, id);
    else
        judge_recurring(report, heard, id);
}

void judge_published(struct report *report, const struct heard *heard, size_t max_payload)
{
    char name[JJ_NAME_SIZE], id[JJ_NAME_SIZE];
    bool enqueued = jj__subject_read_enqueue(heard->subject, name);
    bool scheduled = !enqueued && jj__subject_read_schedule(heard->subject, name, id);

    if (!report_judge(report, CLAUSE_SUBJECT, enqueued || scheduled, "it is '%s'", heard->subject))
        return;
    judge_job(report, heard, name, max_payload);
    if (scheduled)
        judge_schedule(report, heard, name, id);
}

void judge_answer(struct report *report, const struct heard *heard)
{
    const char *code = heard_header(heard, JJ__HEADER_ERROR_CODE);
    const char *text = heard_header(heard, JJ__HEADER_ERROR);
    bool is_error = code != NULL && strlen(code) == 3 && (code[0] == '4' || code[0] == '5') &&
                    strspn(code, "0123456789") == 3;

    report_judge(report, CLAUSE_ERROR_CODE, is_error || (code == NULL && text == NULL),
                 "the code is '%.20s', the error '%.80s'", code != NULL ? code : "",
                 text != NULL ? text : "");
    if (is_error)
        report_judge(report, CLAUSE_ERROR_TEXT, text != NULL && text[0] != '\0', "it has none");
}

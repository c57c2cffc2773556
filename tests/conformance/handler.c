/* SPDX-License-Identifier: Apache-2.0 */

/* Sends jobs to a request handler as a worker would, and some as only a bad day brings them. What
 * the handler makes of data it does not know is its business: an error is as good an answer as a
 * result, but an answer there must be, one to each job. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "modes.h"
#include "rfc3339.h"
#include "spec.h"
#include "subject.h"

#define BURST     50 /* jobs at once */
#define MAX_ASKED 80
#define QUIET_MS  300 /* so long nothing more has come: it was all */

/* A job that was sent, and what came back. */
struct asked {
    const char *what;
    bool good;      /* with good data */
    bool abandoned; /* nobody wants to know */
    unsigned answers;
    bool was_error;
};

struct session {
    const struct task *task;
    struct report *report;
    char inbox[64];
    natsSubscription *sub;
    struct asked asked[MAX_ASKED];
    size_t count;
};

/* What differs from a plain first attempt; zero means: as usual. */
struct probe {
    const char *what;
    const void *data; /* NULL: as the task says */
    size_t len;
    const char *id, *attempt, *attempts, *timeout, *header;
    bool abandoned;
};

/* ---- asking ---- */

static natsStatus add_headers(natsMsg *msg, const struct session *session,
                              const struct probe *probe)
{
    char id[JJ_NAME_SIZE], now[JJ__RFC3339_SIZE];
    natsStatus s = NATS_OK;

    jj__rfc3339_write(nats_Now(), now);
    snprintf(id, sizeof(id), "conformance-%zu", session->count + 1);
    const char *const headers[][2] = {
        {JJ__HEADER_ID, probe->id != NULL ? probe->id : id},
        {"Job-Name", "conformance"},
        {"Job-Attempt", probe->attempt != NULL ? probe->attempt : "1"},
        {JJ__HEADER_ATTEMPTS, probe->attempts},
        {JJ__HEADER_MAX_ATTEMPTS, "3"},
        {JJ__HEADER_TIMEOUT, probe->timeout},
        {JJ__HEADER_CREATED_AT, now},
        {"X-Conformance", probe->header},
    };
    for (size_t i = 0; s == NATS_OK && i < sizeof(headers) / sizeof(headers[0]); i++)
        if (headers[i][1] != NULL)
            s = natsMsgHeader_Set(msg, headers[i][0], headers[i][1]);
    return s;
}

/* Send a job; its answer comes to a subject that ends with its number. */
static bool ask(struct session *session, const struct probe *probe)
{
    const struct task *task = session->task;
    const char *usual = task->data != NULL ? task->data : "{}";
    const void *data = probe->data != NULL ? probe->data : usual;
    size_t len = probe->data != NULL ? probe->len : strlen(usual);
    char reply[96];
    natsMsg *msg = NULL;

    snprintf(reply, sizeof(reply), "%s.%zu", session->inbox, session->count);
    natsStatus s = natsMsg_Create(&msg, task->what, reply, data, (int)len);
    if (s == NATS_OK)
        s = add_headers(msg, session, probe);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(task->nc, msg);
    natsMsg_Destroy(msg);
    if (s != NATS_OK) {
        fprintf(stderr, "conformance: %s: can't send it: %s\n", probe->what, natsStatus_GetText(s));
        return false;
    }
    session->asked[session->count++] = (struct asked){
        .what = probe->what, .good = probe->data == NULL, .abandoned = probe->abandoned};
    return true;
}

/* ---- listening ---- */

static bool nobody_listens(const struct heard *heard)
{
    const char *status = heard_header(heard, "Status");

    return heard->len == 0 && status != NULL && strcmp(status, "503") == 0;
}

static void take(struct session *session, natsMsg *msg)
{
    const char *dot = strrchr(natsMsg_GetSubject(msg), '.');
    size_t at = (size_t)strtoul(dot + 1, NULL, 10);
    struct heard heard;

    if (at >= session->count)
        return;
    struct asked *asked = &session->asked[at];
    if (heard_read(msg, &heard) && !nobody_listens(&heard)) {
        asked->answers++;
        asked->was_error = heard_header(&heard, JJ__HEADER_ERROR_CODE) != NULL;
        printf("%s: %s, %zu bytes\n", asked->what, asked->was_error ? "an error" : "a result",
               heard.len);
        judge_answer(session->report, &heard);
    }
    heard_done(&heard);
}

static size_t unanswered(const struct session *session)
{
    size_t count = 0;

    for (size_t i = 0; i < session->count; i++)
        count += session->asked[i].answers == 0 && !session->asked[i].abandoned;
    return count;
}

/* Wait until all jobs are answered, and no more comes. */
static void listen_for_answers(struct session *session)
{
    int64_t deadline_ms = nats_Now() + session->task->timeout_ms;
    natsMsg *msg = NULL;

    for (;;) {
        int64_t left_ms = unanswered(session) > 0 ? deadline_ms - nats_Now() : QUIET_MS;
        if (left_ms <= 0 || natsSubscription_NextMsg(&msg, session->sub, left_ms) != NATS_OK)
            return;
        take(session, msg);
        natsMsg_Destroy(msg);
    }
}

/* ---- the jobs ---- */

/* Data as large as a job may have. */
static bool ask_large(struct session *session)
{
    size_t len = (size_t)natsConnection_GetMaxPayload(session->task->nc) - JJ__SPEC_OVERHEAD;
    char *data = malloc(len);
    if (data == NULL)
        return false;

    memset(data, 'x', len);
    bool asked = ask(session, &(struct probe){.what = "large data", .data = data, .len = len});
    free(data);
    return asked;
}

static bool ask_all(struct session *session)
{
    static const struct probe probes[] = {
        {.what = "a plain job"},
        {.what = "no data", .data = "", .len = 0},
        {.what = "binary data", .data = "\xff\x00\xfe{\x80\r\n", .len = 7},
        {.what = "half of JSON", .data = "{\"a\":", .len = 5},
        {.what = "a header in UTF-8",
         .header = "Gr\xc3\xbc\xc3\x9f"
                   "e \xe2\x9c\x93"},
        {.what = "a second attempt", .attempt = "2", .attempts = "1"},
        {.what = "delivered once", .id = "conformance-twice"},
        {.what = "delivered again", .id = "conformance-twice"},
        {.what = "a timeout of 1 ms, which nobody waits for", .timeout = "1", .abandoned = true},
        {.what = "after the one that nobody waited for"},
    };
    bool asked = true;

    for (size_t i = 0; asked && i < sizeof(probes) / sizeof(probes[0]); i++)
        asked = ask(session, &probes[i]);
    if (asked)
        asked = ask_large(session);
    for (size_t i = 0; asked && i < BURST; i++)
        asked = ask(session, &(struct probe){.what = "one of many at once"});
    return asked;
}

static void judge_all(struct session *session)
{
    for (size_t i = 0; i < session->count; i++) {
        const struct asked *asked = &session->asked[i];
        if (asked->answers == 0 && asked->abandoned)
            continue;
        report_judge(session->report, CLAUSE_ANSWERED, asked->answers > 0, "%s: no answer",
                     asked->what);
        report_judge(session->report, CLAUSE_ANSWERED_ONCE, asked->answers <= 1, "%s: %u answers",
                     asked->what, asked->answers);
        if (session->task->data != NULL && asked->good && asked->answers > 0)
            report_judge(session->report, CLAUSE_DONE, !asked->was_error, "%s: an error",
                         asked->what);
    }
}

bool ask_handler(const struct task *task, struct report *report)
{
    struct session session = {.task = task, .report = report};
    char subject[80];

    snprintf(session.inbox, sizeof(session.inbox), "_INBOX.conformance-%lld",
             (long long)nats_NowInNanoSeconds());
    snprintf(subject, sizeof(subject), "%s.*", session.inbox);
    bool asked = natsConnection_SubscribeSync(&session.sub, task->nc, subject) == NATS_OK &&
                 ask_all(&session);
    listen_for_answers(&session);
    judge_all(&session);
    natsSubscription_Destroy(session.sub);
    return asked;
}

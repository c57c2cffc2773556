/* SPDX-License-Identifier: Apache-2.0 */

/* Listens to what a producer publishes. The broker passes it on as it was sent; whether a stream
 * takes it, too, is of no account here. */

#include <inttypes.h>
#include <stdio.h>

#include "judge.h"
#include "modes.h"
#include "subject.h"

/* More than jobs of that name may have: so that a subject with a dot too many is seen as well. */
static const struct {
    const char *before, *after;
} patterns[] = {{"jobs.enqueue", ""}, {"jobs.enqueue", ".>"}, {"jobs.schedule", ".>"}};
#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

struct ears {
    natsConnection *nc;
    natsSubscription *subs[PATTERNS];
};

static bool listen_to(struct ears *ears, const char *name)
{
    char subject[JJ__SUBJECT_SIZE];

    for (size_t i = 0; i < PATTERNS; i++) {
        snprintf(subject, sizeof(subject), "%s.%s%s", patterns[i].before, name, patterns[i].after);
        if (natsConnection_SubscribeSync(&ears->subs[i], ears->nc, subject) != NATS_OK)
            return false;
    }
    return natsConnection_Flush(ears->nc) == NATS_OK;
}

static natsMsg *next(struct ears *ears, int64_t deadline_ms)
{
    natsMsg *msg = NULL;

    while (nats_Now() < deadline_ms)
        for (size_t i = 0; i < PATTERNS; i++)
            if (natsSubscription_NextMsg(&msg, ears->subs[i], 10) == NATS_OK)
                return msg;
    return NULL;
}

static void judge_message(const struct task *task, natsMsg *msg, struct report *report)
{
    struct heard heard;

    printf("%s, %d bytes\n", natsMsg_GetSubject(msg), natsMsg_GetDataLength(msg));
    if (heard_read(msg, &heard))
        judge_published(report, &heard, (size_t)natsConnection_GetMaxPayload(task->nc));
    heard_done(&heard);
}

bool listen_to_producer(const struct task *task, struct report *report)
{
    int64_t deadline_ms = nats_Now() + task->timeout_ms, judged = 0;
    struct ears ears = {.nc = task->nc};
    natsMsg *msg;

    bool listens = jj__token_valid(task->what) && listen_to(&ears, task->what);
    if (listens)
        fprintf(stderr, "conformance: listening\n");
    else
        fprintf(stderr, "conformance: can't listen to jobs of the name '%s'\n", task->what);
    while (listens && judged < task->count && (msg = next(&ears, deadline_ms)) != NULL) {
        judge_message(task, msg, report);
        natsMsg_Destroy(msg);
        judged++;
    }
    if (listens && judged < task->count)
        fprintf(stderr, "conformance: %" PRId64 " of %" PRId64 " messages came\n", judged,
                task->count);
    for (size_t i = 0; i < PATTERNS; i++)
        natsSubscription_Destroy(ears.subs[i]);
    return judged == task->count;
}

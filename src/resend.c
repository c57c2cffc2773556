/* SPDX-License-Identifier: Apache-2.0 */

/* Sending a job on, with all the headers it came with but those that the server or we set anew.
 *
 * The Nats-Msg-Id names the step, not the message: whoever has to repeat a step after a crash
 * writes the same id, and the stream stores it once. */

#include "resend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "place.h"
#include "rfc3339.h"
#include "schedule_ask.h"
#include "subject.h"

#define OWN_HEADERS 11
#define NUMBER_SIZE 12

struct texts {
    char msg_id[JJ_NAME_SIZE + 64];
    char at[JJ__AT_SIZE];
    char target[JJ__SUBJECT_SIZE];
    char attempts[NUMBER_SIZE];
    char snoozes[NUMBER_SIZE];
    char put_offs[NUMBER_SIZE];
    char run_at[JJ__RFC3339_SIZE];
    char created_at[JJ__RFC3339_SIZE];
    char expected[JJ__EXPECTED_SIZE];
};

struct headers {
    jj_header *list;
    size_t count;
};

static void add(struct headers *headers, const char *name, const char *value)
{
    headers->list[headers->count++] = (jj_header){.name = name, .value = value};
}

void jj__resend_at(int64_t run_at_ms, char out[JJ__AT_SIZE])
{
    memcpy(out, "@at ", 4);
    jj__rfc3339_write(run_at_ms - JJ__FIRE_EARLY_MS, out + 4);
}

/* What came due, and what has no delay: of two workers that repeat an attempt each may do one of
 * these. */
static bool goes_to_jobs(const struct resend *resend)
{
    return resend->due || resend->run_at_ms <= 0;
}

static void write_msg_id(const struct resend *resend, char *out, size_t size)
{
    const struct job *job = resend->job;
    char redrives[16] = "", snoozes[16] = "";

    if (resend->unreadable_seq > 0) {
        snprintf(out, size, "unreadable:%llu:due", (unsigned long long)resend->unreadable_seq);
        return;
    }
    if (job->redrives > 0)
        snprintf(redrives, sizeof(redrives), ":r%u", (unsigned)job->redrives);
    if (resend->snoozes > 0)
        snprintf(snoozes, sizeof(snoozes), ":s%u", (unsigned)resend->snoozes);
    snprintf(out, size, "%s:%u%s%s%s", job->id, (unsigned)resend->attempts, redrives, snoozes,
             goes_to_jobs(resend) ? ":due" : "");
}

/* Headers that are written anew, or that are the server's own. */
static bool replaced(const struct resend *resend, const char *name)
{
    static const char *const always[] = {JJ__HEADER_ID, JJ__HEADER_CREATED_AT};
    static const char *const unless_due[] = {JJ__HEADER_ATTEMPTS, JJ__HEADER_SNOOZES,
                                             JJ__HEADER_PUT_OFFS, JJ__HEADER_RUN_AT};

    if (strncasecmp(name, "Nats-", 5) == 0)
        return true;
    if (resend->unreadable_seq > 0)
        return false;
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (strcmp(name, always[i]) == 0)
            return true;
    for (size_t i = 0; !resend->due && i < sizeof(unless_due) / sizeof(unless_due[0]); i++)
        if (strcmp(name, unless_due[i]) == 0)
            return true;
    return false;
}

/* Servers check no headers, so others' jobs may have what we don't send. */
static bool can_be_sent(const jj_header *header)
{
    return jj__header_name_valid(header->name) && jj__header_value_valid(header->value);
}

static void add_own(const struct resend *resend, struct texts *texts, struct headers *headers)
{
    const struct job *job = resend->job;

    write_msg_id(resend, texts->msg_id, sizeof(texts->msg_id));
    add(headers, JJ__HEADER_MSG_ID, texts->msg_id);
    if (resend->unreadable_seq > 0)
        return;
    add(headers, JJ__HEADER_ID, job->id);
    jj__rfc3339_write(job->created_at_ms, texts->created_at);
    add(headers, JJ__HEADER_CREATED_AT, texts->created_at);
    if (resend->due)
        return;
    snprintf(texts->attempts, sizeof(texts->attempts), "%u", (unsigned)resend->attempts);
    add(headers, JJ__HEADER_ATTEMPTS, texts->attempts);
    if (resend->snoozes > 0) {
        snprintf(texts->snoozes, sizeof(texts->snoozes), "%u", (unsigned)resend->snoozes);
        add(headers, JJ__HEADER_SNOOZES, texts->snoozes);
    }
    if (resend->put_offs > 0) {
        snprintf(texts->put_offs, sizeof(texts->put_offs), "%u", (unsigned)resend->put_offs);
        add(headers, JJ__HEADER_PUT_OFFS, texts->put_offs);
    }
    if (resend->run_at_ms <= 0)
        return;
    jj__rfc3339_write(resend->run_at_ms, texts->run_at);
    jj__resend_at(resend->run_at_ms, texts->at);
    jj__subject_due(texts->target, job->name);
    add(headers, JJ__HEADER_RUN_AT, texts->run_at);
    add(headers, JJ__HEADER_SCHEDULE, texts->at);
    add(headers, JJ__HEADER_SCHEDULE_TARGET, texts->target);
    if (resend->ask || resend->blind)
        return;
    jj__place_expect(resend->place_seq, texts->expected);
    add(headers, JJ__HEADER_EXPECTED, texts->expected);
}

jj_status jj__resend_publish(struct broker *broker, const struct resend *resend,
                             void (*done)(void *ctx, const struct publish_result *result),
                             void *ctx, jj_error *err)
{
    const struct job *job = resend->job;
    char subject[JJ__SUBJECT_SIZE];
    struct texts texts;
    struct headers headers = {
        .list = malloc((job->header_count + OWN_HEADERS) * sizeof(*headers.list))};
    if (headers.list == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers");

    add_own(resend, &texts, &headers);
    for (size_t i = 0; i < job->header_count; i++)
        if (!replaced(resend, job->headers[i].name) && can_be_sent(&job->headers[i]))
            headers.list[headers.count++] = job->headers[i];
    if (goes_to_jobs(resend))
        jj__subject_enqueue(subject, job->name);
    else
        jj__subject_schedule(subject, job->name, job->id);
    const struct outgoing message = {.subject = subject,
                                     .headers = headers.list,
                                     .header_count = headers.count,
                                     .data = job->data,
                                     .len = job->data_len};
    const struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = INT64_MAX, .done = done, .ctx = ctx};
    jj_status s = resend->ask ? jj__schedule_ask_begin(broker, &message, job->name, done, ctx, err)
                              : jj__broker_publish(broker, &publication, err);
    free(headers.list);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Reading schedules without consuming them: one by a request, all by answers with many. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cron.h"
#include "direct.h"

#define BATCH_MESSAGES 500
#define BATCH_BYTES    (4 * 1024 * 1024)
#define QUIET_MS       2000 /* then it is asked again, but for what came */

static const char direct_get[] = "$JS.API.DIRECT.GET." JJ__STREAM_SCHEDULE;

bool jj__cron_message(struct broker_msg *msg, struct cron_message *message_out)
{
    const char *subject = jj__msg_header(msg, "Nats-Subject");
    struct cron_message message = {.msg = msg, .seq = jj__direct_number(msg, "Nats-Sequence")};

    if (subject == NULL || !jj__subject_read_schedule(subject, message.name, message.id))
        return false;
    *message_out = message;
    return true;
}

bool jj__cron_recurs(const struct cron_message *message)
{
    const char *schedule = jj__msg_header(message->msg, JJ__HEADER_SCHEDULE);

    return schedule != NULL && strncmp(schedule, "@at ", 4) != 0;
}

/* ---- one ---- */

jj_status jj__cron_read_next(struct broker *broker, const char *filter, uint64_t from_seq,
                             int64_t deadline_ms, struct cron_message *message_out, jj_error *err)
{
    char body[JJ__SUBJECT_SIZE + 64];
    struct broker_msg *msg = NULL;
    int len = snprintf(body, sizeof(body), "{\"seq\":%llu,\"next_by_subj\":\"%s\"}",
                       (unsigned long long)from_seq, filter);
    const struct outgoing question = {.subject = direct_get, .data = body, .len = (size_t)len};
    jj_status s = jj__broker_request(broker, &question, deadline_ms, &msg, err);
    if (s == JJ_ERR_UNAVAILABLE && jj__broker_connected(broker))
        return jj__fail(err, s, "the broker has no stream " JJ__STREAM_SCHEDULE " now");
    if (s != JJ_OK)
        return s;
    int status = jj__msg_status(msg);

    if (status == 404)
        s = jj__fail(err, JJ_ERR_NOT_FOUND, "no schedule matches %s", filter);
    else if (status != 0 || !jj__cron_message(msg, message_out))
        s = jj__fail(err, JJ_ERR_PROTOCOL, "the server refuses a direct get (%d)", status);
    if (s != JJ_OK)
        jj__msg_free(msg);
    return s;
}

/* ---- all ---- */

struct listing {
    void (*take)(void *ctx, const struct cron_message *message);
    void *ctx;
    uint64_t seq; /* of the last one */
};

static void take_message(void *ctx, struct broker_msg *msg)
{
    struct listing *listing = ctx;
    struct cron_message message;

    uint64_t seq = jj__direct_number(msg, "Nats-Sequence");
    bool is_new = seq > listing->seq;
    if (is_new)
        listing->seq = seq;
    if (is_new && jj__cron_message(msg, &message))
        listing->take(listing->ctx, &message);
    else
        jj__msg_free(msg);
}

/* An answer that does not come, or stops, is asked for again from where it was. */
static jj_status read_more(struct broker *broker, struct direct *direct, struct listing *listing,
                           int64_t deadline_ms, bool *more_out, jj_error *err)
{
    jj_status s = jj__broker_wait_connected(broker, deadline_ms, err);
    if (s != JJ_OK)
        return s;
    int64_t now_ms = jj__clock_mono_ms();

    direct->from_seq = listing->seq + 1;
    direct->deadline_ms = now_ms + QUIET_MS < deadline_ms ? now_ms + QUIET_MS : deadline_ms;
    s = jj__direct_read(broker, direct, more_out, err);
    if (s != JJ_ERR_TIMEOUT || jj__clock_mono_ms() >= deadline_ms)
        return s;
    *more_out = true;
    return JJ_OK;
}

jj_status jj__cron_read_all(struct broker *broker, const char *filter, int64_t deadline_ms,
                            void (*take)(void *ctx, const struct cron_message *message), void *ctx,
                            jj_error *err)
{
    struct listing listing = {.take = take, .ctx = ctx};
    struct direct direct = {.stream = JJ__STREAM_SCHEDULE,
                            .filter = filter,
                            .max_messages = BATCH_MESSAGES,
                            .max_bytes = BATCH_BYTES,
                            .take = take_message,
                            .ctx = &listing};
    struct cron_message first;
    bool more = true;
    /* The first one alone: a request is told when it is not permitted, a batch is not. */
    jj_status s = jj__cron_read_next(broker, filter, 1, deadline_ms, &first, err);

    if (s == JJ_ERR_NOT_FOUND)
        return JJ_OK;
    if (s != JJ_OK)
        return s;
    jj__msg_free(first.msg);
    while (s == JJ_OK && more)
        s = read_more(broker, &direct, &listing, deadline_ms, &more, err);
    return s;
}

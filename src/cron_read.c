/* SPDX-License-Identifier: Apache-2.0 */

/* Reading schedules without consuming them: one by a request, all by batches of direct gets, which
 * are followed on the broker thread. A batch that stops, as the connection broke, is asked for
 * again from where it was. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cron.h"

#define BATCH_MESSAGES 500
#define BATCH_BYTES    (4 * 1024 * 1024)
#define QUIET_MS       2000 /* then it is asked again */

static const char direct_get[] = "$JS.API.DIRECT.GET." JJ__STREAM_SCHEDULE;

static uint64_t number_of(struct broker_msg *msg, const char *header)
{
    const char *value = jj__msg_header(msg, header);

    return value == NULL ? 0 : strtoull(value, NULL, 10);
}

bool jj__cron_message(struct broker_msg *msg, struct cron_message *message_out)
{
    const char *subject = jj__msg_header(msg, "Nats-Subject");
    struct cron_message message = {.msg = msg, .seq = number_of(msg, "Nats-Sequence")};

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

struct reading {
    struct broker *broker;
    const char *filter;
    int64_t deadline_ms;
    void (*take)(void *ctx, const struct cron_message *message);
    void *ctx;
    struct broker_member member;
    struct port *port; /* NULL: nothing is asked */
    char inbox[JJ__INBOX_SIZE];
    uint64_t seq; /* of the last one */
    int64_t ask_again_ms;
    jj_status status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished; /* guarded by lock */
};

static void finish(struct reading *reading, jj_status status)
{
    reading->status = status;
    jj__broker_port_close(reading->port);
    jj__broker_member_remove(reading->broker, &reading->member);
    pthread_mutex_lock(&reading->lock);
    reading->finished = true;
    pthread_cond_signal(&reading->changed);
    pthread_mutex_unlock(&reading->lock);
}

/* The answer to this is asked for, or comes to nothing, in the next turn. */
static void drop_batch(struct reading *reading)
{
    jj__broker_port_close(reading->port);
    reading->port = NULL;
    reading->ask_again_ms = 0;
    jj__broker_wake(reading->broker);
}

static void take_message(struct reading *reading, struct broker_msg *msg)
{
    struct cron_message message;

    if (!jj__cron_message(msg, &message) || message.seq <= reading->seq) {
        jj__msg_free(msg);
        return;
    }
    reading->seq = message.seq;
    reading->ask_again_ms = jj__clock_mono_ms() + QUIET_MS;
    reading->take(reading->ctx, &message);
}

static void take_answer(void *ctx, struct broker_msg *msg)
{
    struct reading *reading = ctx;

    if (msg == NULL) {
        drop_batch(reading);
        reading->ask_again_ms = jj__clock_mono_ms() + QUIET_MS;
        return;
    }
    int status = jj__msg_status(msg);
    if (status == 0) {
        take_message(reading, msg);
        return;
    }
    bool more = status == 204 && number_of(msg, "Nats-Num-Pending") > 0;
    jj__msg_free(msg);
    if (more)
        drop_batch(reading);
    else
        finish(reading, status == 204 || status == 404 ? JJ_OK : JJ_ERR_PROTOCOL);
}

static void ask_batch(struct reading *reading)
{
    char body[JJ__SUBJECT_SIZE + 96];
    const struct port_options options = {
        .subject = reading->inbox, .take = take_answer, .ctx = reading};

    jj__broker_inbox(reading->broker, "s", reading->inbox);
    if (jj__broker_port_open(reading->broker, &options, &reading->port, NULL) != JJ_OK)
        return;
    int len = snprintf(
        body, sizeof(body), "{\"seq\":%llu,\"batch\":%d,\"max_bytes\":%d,\"next_by_subj\":\"%s\"}",
        (unsigned long long)reading->seq + 1, BATCH_MESSAGES, BATCH_BYTES, reading->filter);
    const struct outgoing request = {
        .subject = direct_get, .reply = reading->inbox, .data = body, .len = (size_t)len};
    if (!jj__broker_send(reading->broker, &request))
        drop_batch(reading);
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct reading *reading = ctx;

    if (now_ms >= reading->deadline_ms) {
        finish(reading, JJ_ERR_TIMEOUT);
        return INT64_MAX;
    }
    if (now_ms >= reading->ask_again_ms && jj__broker_connected(reading->broker)) {
        drop_batch(reading);
        ask_batch(reading);
        reading->ask_again_ms = now_ms + QUIET_MS;
    }
    return reading->ask_again_ms < reading->deadline_ms ? reading->ask_again_ms
                                                        : reading->deadline_ms;
}

static void begin(void *ctx)
{
    struct reading *reading = ctx;

    reading->member = (struct broker_member){.turn = turn, .ctx = reading};
    jj__broker_member_add(reading->broker, &reading->member);
}

jj_status jj__cron_read_all(struct broker *broker, const char *filter, int64_t deadline_ms,
                            void (*take)(void *ctx, const struct cron_message *message), void *ctx,
                            jj_error *err)
{
    struct reading reading = {
        .broker = broker, .filter = filter, .deadline_ms = deadline_ms, .take = take, .ctx = ctx};
    struct cron_message first;
    /* The first one alone: a request is told when it is not permitted, a batch is not. */
    jj_status s = jj__cron_read_next(broker, filter, 1, deadline_ms, &first, err);

    if (s == JJ_ERR_NOT_FOUND)
        return JJ_OK;
    if (s != JJ_OK)
        return s;
    jj__msg_free(first.msg);
    pthread_mutex_init(&reading.lock, NULL);
    pthread_cond_init(&reading.changed, NULL);
    jj__broker_call(broker, begin, &reading);
    jj__broker_wake(broker);
    pthread_mutex_lock(&reading.lock);
    while (!reading.finished)
        pthread_cond_wait(&reading.changed, &reading.lock);
    pthread_mutex_unlock(&reading.lock);
    pthread_cond_destroy(&reading.changed);
    pthread_mutex_destroy(&reading.lock);
    if (reading.status != JJ_OK)
        return jj__fail(err, reading.status, "can't read " JJ__STREAM_SCHEDULE ": %s",
                        jj_status_text(reading.status));
    return JJ_OK;
}

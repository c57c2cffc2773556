/* SPDX-License-Identifier: Apache-2.0 */

/* Questions to services: one message out, one answer back, or none.
 *
 * Each has a subscription of its own, because the client library swallows the server's "nobody
 * listens" but for the subscription it came to. That costs two lines of protocol, and questions are
 * rare: what is frequent are publications, and they share one. */

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "broker_nats.h"
#include "clock.h"

struct asked {
    struct asked *next;
    struct broker_member member; /* to watch the deadline and the connection */
    struct broker *broker;
    struct port *port;
    int64_t deadline_ms;
    bool patient;
    void (*answer)(void *ctx, struct broker_msg *msg, jj_status status);
    void *ctx;
    char subject[];
};

static void unlink_asked(struct asked *asked)
{
    struct asked **link = &asked->broker->asked;

    while (*link != asked)
        link = &(*link)->next;
    *link = asked->next;
}

static void end(struct asked *asked)
{
    unlink_asked(asked);
    jj__broker_member_remove(asked->broker, &asked->member);
    jj__broker_port_close(asked->port);
}

static void settle(struct asked *asked, struct broker_msg *msg, jj_status status)
{
    end(asked);
    asked->answer(asked->ctx, msg, status);
    free(asked);
}

static void take_answer(void *ctx, struct broker_msg *msg)
{
    settle(ctx, msg, msg == NULL ? JJ_ERR_UNAVAILABLE : JJ_OK);
}

static int64_t watch_deadline(void *ctx, int64_t now_ms)
{
    struct asked *asked = ctx;

    if (now_ms < asked->deadline_ms)
        return asked->deadline_ms;
    settle(asked, NULL, JJ_ERR_TIMEOUT);
    return INT64_MAX;
}

static void watch_connection(void *ctx, bool connected)
{
    struct asked *asked = ctx;

    if (!connected && !asked->patient)
        settle(asked, NULL, JJ_ERR_STATE);
}

jj_status jj__broker_ask(struct broker *broker, const struct question *question, jj_error *err)
{
    char inbox[JJ__INBOX_SIZE];

    jj__broker_inbox(broker, "q", inbox);
    const char *subject = question->message.subject == NULL ? inbox : question->message.subject;
    struct asked *asked = calloc(1, sizeof(*asked) + strlen(subject) + 1);
    if (asked == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "question");
    *asked = (struct asked){.broker = broker,
                            .deadline_ms = question->deadline_ms,
                            .patient = question->patient,
                            .answer = question->answer,
                            .ctx = question->ctx};
    asked->member =
        (struct broker_member){.turn = watch_deadline, .connected = watch_connection, .ctx = asked};
    const struct port_options options = {.subject = inbox, .take = take_answer, .ctx = asked};
    struct outgoing message = question->message;
    message.reply = inbox;
    message.subject = subject;
    memcpy(asked->subject, subject, strlen(subject) + 1);
    jj_status s = jj__broker_port_open(broker, &options, &asked->port, err);
    if (s == JJ_OK && !jj__broker_send(broker, &message))
        s = jj__fail(err, JJ_ERR_STATE, "not connected, not sent: %s", message.subject);
    if (s != JJ_OK) {
        jj__broker_port_close(asked->port);
        free(asked);
        return s;
    }
    jj__broker_member_add(broker, &asked->member);
    asked->next = broker->asked;
    broker->asked = asked;
    return JJ_OK;
}

void jj__broker_unask(struct broker *broker, const void *ctx)
{
    struct asked *asked = broker->asked;

    while (asked != NULL && asked->ctx != ctx)
        asked = asked->next;
    if (asked == NULL)
        return;
    end(asked);
    free(asked);
}

bool jj__request_denied(struct broker *broker, const char *text)
{
    struct asked *following;
    bool told = false;

    for (struct asked *asked = broker->asked; asked != NULL; asked = following) {
        following = asked->next;
        if (!jj__broker_denies(text, "Publish", asked->subject))
            continue;
        settle(asked, NULL, JJ_ERR_NOT_PERMITTED);
        told = true;
    }
    return told;
}

/* ---- waiting for the answer on another thread ---- */

struct waiter {
    struct broker *broker;
    const struct outgoing *message;
    int64_t deadline_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;          /* guarded by lock */
    jj_status status;       /* guarded by lock */
    struct broker_msg *msg; /* guarded by lock */
};

static void wake_waiter(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct waiter *waiter = ctx;

    pthread_mutex_lock(&waiter->lock);
    waiter->msg = msg;
    waiter->status = status;
    waiter->finished = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static void ask_for_waiter(void *ctx)
{
    struct waiter *waiter = ctx;
    const struct question question = {.message = *waiter->message,
                                      .deadline_ms = waiter->deadline_ms,
                                      .answer = wake_waiter,
                                      .ctx = waiter};
    jj_status s = jj__broker_ask(waiter->broker, &question, NULL);

    if (s != JJ_OK)
        wake_waiter(waiter, NULL, s);
}

static jj_status ask_and_wait(struct waiter *waiter)
{
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->changed, NULL);
    waiter->finished = false;
    jj__broker_call(waiter->broker, ask_for_waiter, waiter);
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->finished)
        pthread_cond_wait(&waiter->changed, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->lock);
    return waiter->status;
}

jj_status jj__broker_request(struct broker *broker, const struct outgoing *message,
                             int64_t deadline_ms, struct broker_msg **answer_out, jj_error *err)
{
    struct waiter waiter = {.broker = broker, .message = message, .deadline_ms = deadline_ms};
    const char *subject = message->subject == NULL ? "the broker" : message->subject;
    jj_status s;

    do {
        s = jj__broker_wait_connected(broker, deadline_ms, err);
        if (s != JJ_OK)
            return s;
        s = ask_and_wait(&waiter);
    } while (s == JJ_ERR_STATE && jj__clock_mono_ms() < deadline_ms);
    if (s == JJ_ERR_TIMEOUT)
        return jj__fail(err, s, "no answer from %s in time", subject);
    if (s == JJ_ERR_NOT_PERMITTED)
        return jj__fail(err, s, "not permitted: %s", subject);
    if (s == JJ_ERR_STATE)
        return jj__fail(err, JJ_ERR_TIMEOUT, "connection lost before %s answered", subject);
    if (s == JJ_ERR_NO_MEMORY)
        return jj__fail(err, s, "no memory to ask %s", subject);
    if (s != JJ_OK)
        return jj__fail(err, s, "nobody answers to %s", subject);
    *answer_out = waiter.msg;
    return JJ_OK;
}

void jj__broker_flush(struct broker *broker, int64_t limit_ms)
{
    const struct outgoing echo = {.subject = NULL};
    struct broker_msg *msg = NULL;

    if (jj__broker_connected(broker) &&
        jj__broker_request(broker, &echo, jj__clock_mono_ms() + limit_ms, &msg, NULL) == JJ_OK)
        jj__msg_free(msg);
}

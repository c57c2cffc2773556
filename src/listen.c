/* SPDX-License-Identifier: Apache-2.0 */

/* Listeners: live events on their way from the broker thread, which must not wait, to a callback
 * that may. Between them is a list of messages, bounded by bytes; each listener has a thread of its
 * own, so that a callback may ask the broker and wait for the answer. */

#include <pthread.h>
#include <stdlib.h>

#include <jetjobs/events.h>

#include "client.h"
#include "clock.h"
#include "subject.h"
#include "thread.h"

#define WAITING_MAX   ((size_t)32 * 1024 * 1024)
#define WAITING_EXTRA 256 /* of a message, beside its text */

struct told {
    struct told *next;
    struct broker_msg *msg;
    uint64_t missed; /* right before it */
};

struct jj_listener {
    struct broker *broker;
    struct port *port;
    jj_listen_fn take;
    void *user;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct told *first;     /* guarded by lock: in order, to be taken */
    struct told **end;      /* guarded by lock */
    size_t waiting;         /* guarded by lock: bytes of them */
    uint64_t missed;        /* guarded by lock: since the last that was not */
    uint64_t missed_before; /* guarded by lock: until then */
    bool ended;             /* guarded by lock: nothing is to be taken any more */
};

static size_t cost_of(const struct broker_msg *msg)
{
    return jj__msg_len(msg) + WAITING_EXTRA;
}

static void free_told(struct told *told)
{
    jj__msg_free(told->msg);
    free(told);
}

/* ---- on the broker thread ---- */

/* Keep it for the listener; false: it is to be dropped. Lock: listener->lock. */
static bool keep(jj_listener *listener, struct broker_msg *msg)
{
    size_t cost = cost_of(msg);

    if (listener->waiting > 0 && listener->waiting + cost > WAITING_MAX)
        return false;
    struct told *told = malloc(sizeof(*told));
    if (told == NULL)
        return false;
    *told = (struct told){.msg = msg, .missed = listener->missed};
    listener->missed_before += listener->missed;
    listener->missed = 0;
    listener->waiting += cost;
    *listener->end = told;
    listener->end = &told->next;
    pthread_cond_signal(&listener->changed);
    return true;
}

static void take_message(void *ctx, struct broker_msg *msg)
{
    jj_listener *listener = ctx;

    if (msg == NULL)
        return;
    pthread_mutex_lock(&listener->lock);
    bool kept = !listener->ended && keep(listener, msg);
    if (!kept && !listener->ended)
        listener->missed++;
    pthread_mutex_unlock(&listener->lock);
    if (!kept)
        jj__msg_free(msg);
}

struct opening {
    jj_listener *listener;
    const char *subject;
    jj_status status;
    jj_error *err;
};

static void open_port(void *ctx)
{
    struct opening *opening = ctx;
    jj_listener *listener = opening->listener;
    const struct port_options options = {
        .subject = opening->subject, .take = take_message, .ctx = listener};

    opening->status =
        jj__broker_port_open(listener->broker, &options, &listener->port, opening->err);
}

static void check_port(void *ctx)
{
    struct opening *opening = ctx;

    if (jj__broker_port_denied(opening->listener->port))
        opening->status = jj__fail(opening->err, JJ_ERR_NOT_PERMITTED,
                                   "not permitted to listen to %s", opening->subject);
}

static void close_port(void *ctx)
{
    jj_listener *listener = ctx;

    jj__broker_port_close(listener->port);
}

/* ---- on the listener's thread ---- */

/* Wait for the next one and take it out of the list; NULL: it has ended. */
static struct told *next_told(jj_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    while (listener->first == NULL && !listener->ended)
        pthread_cond_wait(&listener->changed, &listener->lock);
    struct told *told = listener->ended ? NULL : listener->first;
    if (told != NULL) {
        listener->first = told->next;
        if (listener->first == NULL)
            listener->end = &listener->first;
        listener->waiting -= cost_of(told->msg);
    }
    pthread_mutex_unlock(&listener->lock);
    return told;
}

static void end(jj_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    listener->ended = true;
    pthread_cond_signal(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

static void *listener_main(void *arg)
{
    jj_listener *listener = arg;
    struct told *told;

    while ((told = next_told(listener)) != NULL) {
        const jj_live live = {.subject = jj__msg_subject(told->msg),
                              .json = jj__msg_data(told->msg),
                              .json_len = jj__msg_len(told->msg),
                              .missed = told->missed};
        if (!listener->take(&live, listener->user))
            end(listener);
        free_told(told);
    }
    jj__broker_thread_done();
    return NULL;
}

/* ---- its life ---- */

static void free_listener(jj_listener *listener)
{
    while (listener->first != NULL) {
        struct told *told = listener->first;
        listener->first = told->next;
        free_told(told);
    }
    pthread_cond_destroy(&listener->changed);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
}

/* Subscribe, and wait until the broker knows of it or has refused. */
static jj_status subscribe(jj_listener *listener, const char *subject, int64_t deadline_ms,
                           jj_error *err)
{
    const struct outgoing echo = {.subject = NULL};
    struct opening opening = {.listener = listener, .subject = subject, .err = err};
    struct broker_msg *msg = NULL;

    jj__broker_call(listener->broker, open_port, &opening);
    if (opening.status != JJ_OK)
        return opening.status;
    jj_status s = jj__broker_request(listener->broker, &echo, deadline_ms, &msg, err);
    if (s != JJ_OK)
        return s;
    jj__msg_free(msg);
    jj__broker_call(listener->broker, check_port, &opening);
    return opening.status;
}

static jj_listener *new_listener(struct broker *broker, jj_listen_fn take, void *user)
{
    jj_listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL)
        return NULL;
    listener->broker = broker;
    listener->take = take;
    listener->user = user;
    listener->end = &listener->first;
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->changed, NULL);
    return listener;
}

jj_status jj_listen(jj_client *client, const char *subject, jj_listen_fn take, void *user,
                    jj_listener **listener_out, jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    jj_status s = jj__subject_live_check(subject, err);

    if (s == JJ_OK && take == NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "the function that listens is NULL");
    if (s != JJ_OK)
        return s;
    jj_listener *listener = new_listener(client->broker, take, user);
    if (listener == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "listener");
    s = subscribe(listener, subject, deadline_ms, err);
    if (s == JJ_OK) {
        int failure = jj__thread_create(&listener->thread, NULL, listener_main, listener);
        if (failure != 0)
            s = jj__fail_errno(err, JJ_ERR_NO_MEMORY, failure, "listener's thread");
    }
    if (s != JJ_OK) {
        jj__broker_call(client->broker, close_port, listener);
        free_listener(listener);
        return s;
    }
    *listener_out = listener;
    return JJ_OK;
}

uint64_t jj_listener_missed(jj_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    uint64_t missed = listener->missed_before + listener->missed;
    pthread_mutex_unlock(&listener->lock);
    return missed;
}

void jj_listener_close(jj_listener *listener)
{
    if (listener == NULL)
        return;
    jj__broker_call(listener->broker, close_port, listener);
    end(listener);
    pthread_join(listener->thread, NULL);
    free_listener(listener);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Publishing for those who wait: the result is handed from the broker thread to theirs. */

#include "broker.h"
#include "broker_nats.h"

static void finish(void *ctx, const struct publish_result *result)
{
    struct publishing *publishing = ctx;

    pthread_mutex_lock(&publishing->lock);
    publishing->result = *result;
    publishing->finished = true;
    pthread_cond_signal(&publishing->changed);
    pthread_mutex_unlock(&publishing->lock);
}

static void fail(struct publishing *publishing, jj_status s, const jj_error *err)
{
    const struct publish_result result = {.status = s, .err = *err};

    finish(publishing, &result);
}

void jj__broker_publish_begin(struct broker *broker, struct publication *publication,
                              struct publishing *publishing)
{
    jj_error err;

    publishing->broker = broker;
    publishing->number = UINT64_MAX; /* nobody's, if there is none */
    publishing->finished = false;
    pthread_mutex_init(&publishing->lock, NULL);
    pthread_cond_init(&publishing->changed, NULL);
    publication->done = finish;
    publication->ctx = publishing;
    jj_status s = jj__publisher_publish(broker, publication, &publishing->number, &err);
    if (s != JJ_OK)
        fail(publishing, s, &err);
}

struct letting {
    const struct publishing *publishing;
    int64_t deadline_ms;
};

static void let_go(void *ctx)
{
    const struct letting *letting = ctx;

    jj__publisher_let_go(letting->publishing->broker, letting->publishing->number,
                         letting->deadline_ms);
}

void jj__broker_let_go(struct publishing *publishing, int64_t deadline_ms)
{
    struct letting letting = {.publishing = publishing, .deadline_ms = deadline_ms};

    jj__broker_call(publishing->broker, let_go, &letting);
}

static void drop(void *ctx)
{
    const struct publishing *publishing = ctx;

    jj__publisher_drop(publishing->broker, publishing->number);
}

void jj__broker_drop(struct publishing *publishing)
{
    jj__broker_call(publishing->broker, drop, publishing);
}

void jj__broker_publish_end(struct publishing *publishing, struct publish_result *result_out)
{
    pthread_mutex_lock(&publishing->lock);
    while (!publishing->finished)
        pthread_cond_wait(&publishing->changed, &publishing->lock);
    *result_out = publishing->result;
    pthread_mutex_unlock(&publishing->lock);
    pthread_cond_destroy(&publishing->changed);
    pthread_mutex_destroy(&publishing->lock);
}

void jj__broker_publish_wait(struct broker *broker, struct publication *publication,
                             struct publish_result *result_out)
{
    struct publishing publishing;

    jj__broker_publish_begin(broker, publication, &publishing);
    jj__broker_publish_end(&publishing, result_out);
}

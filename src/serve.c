/* SPDX-License-Identifier: Apache-2.0 */

/* An index service: the answering of requests, and a mover beside it, so that jobs for later are
 * enqueued where no worker runs. */

#include "serve.h"

#include <pthread.h>
#include <stdlib.h>

#include "api.h"
#include "broker_provision.h"
#include "clock.h"
#include "mover.h"

#define IDLE_CHECK_MS 20
#define STOP_LIMIT_MS 2000

struct service {
    struct broker *broker;
    struct index *index;
    const jj_options *options;
    struct log log;
    struct api *api;             /* NULL until it is open */
    struct mover *mover;         /* likewise */
    struct broker_member member; /* while it stops */
    int64_t stop_by_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool mover_ended; /* guarded by lock */
};

struct opening {
    struct service *service;
    const struct consumer_facts *due;
    jj_status status;
    jj_error *err;
};

static void open_mover(void *ctx)
{
    struct opening *opening = ctx;
    struct service *service = opening->service;

    opening->status =
        jj__mover_open(service->broker, &service->log, opening->due, &service->mover, opening->err);
}

static jj_status start_mover(struct service *service, jj_error *err)
{
    const jj_options *options = service->options;
    const struct consumer_settings settings = {.name = NULL};
    struct consumer_facts due = {0};
    struct opening opening = {.service = service, .due = &due, .err = err};
    jj_status s = jj__provision_consumer(service->broker, &settings, !options->no_provision,
                                         jj__clock_mono_ms() + options->timeout_ms, &due, err);

    if (s == JJ_OK) {
        jj__broker_call(service->broker, open_mover, &opening);
        jj__broker_wake(service->broker);
        s = opening.status;
    }
    free(due.create_subject);
    free(due.create_body);
    return s;
}

struct service *jj__service_new(const struct service_setup *setup)
{
    struct service *service = calloc(1, sizeof(*service));

    if (service == NULL)
        return NULL;
    service->broker = setup->broker;
    service->index = setup->index;
    service->options = setup->options;
    service->log = setup->log;
    pthread_mutex_init(&service->lock, NULL);
    pthread_cond_init(&service->changed, NULL);
    return service;
}

jj_status jj__service_start(struct service *service, jj_error *err)
{
    const struct api_setup setup = {
        .broker = service->broker, .index = service->index, .log = service->log};
    jj_status s = JJ_OK;

    if (service->mover == NULL)
        s = start_mover(service, err);
    if (s == JJ_OK && service->api == NULL)
        s = jj__api_open(&setup, &service->api, err);
    return s;
}

/* ---- the end of the mover: what it has published is to be acknowledged first ---- */

static int64_t mover_turn(void *ctx, int64_t now_ms)
{
    struct service *service = ctx;

    if (!jj__mover_is_idle(service->mover) && now_ms < service->stop_by_ms)
        return now_ms + IDLE_CHECK_MS;
    jj__mover_close(service->mover);
    jj__broker_member_remove(service->broker, &service->member);
    pthread_mutex_lock(&service->lock);
    service->mover_ended = true;
    pthread_cond_signal(&service->changed);
    pthread_mutex_unlock(&service->lock);
    return INT64_MAX;
}

static void stop_mover(void *ctx)
{
    struct service *service = ctx;

    jj__mover_stop(service->mover);
    service->stop_by_ms = jj__clock_mono_ms() + STOP_LIMIT_MS;
    service->member = (struct broker_member){.turn = mover_turn, .ctx = service};
    jj__broker_member_add(service->broker, &service->member);
}

void jj__service_stop(struct service *service)
{
    if (service == NULL)
        return;
    if (service->mover != NULL) {
        jj__broker_call(service->broker, stop_mover, service);
        jj__broker_wake(service->broker);
    }
    jj__api_stop(service->api);
    pthread_mutex_lock(&service->lock);
    while (service->mover != NULL && !service->mover_ended)
        pthread_cond_wait(&service->changed, &service->lock);
    pthread_mutex_unlock(&service->lock);
}

void jj__service_free(struct service *service)
{
    if (service == NULL)
        return;
    jj__api_free(service->api);
    jj__mover_free(service->mover);
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* A client on a thread of its own. */

#include "part.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "status.h"
#include "thread.h"

#define CONNECT_TIMEOUT_MS 2000 /* of one attempt; a stop is noticed in between */
#define AGAIN_MS           500
#define SAY_AGAIN_MS       60000

struct part {
    struct part_setup setup;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop_wanted;
    bool stopping;          /* guarded by lock: it was asked to stop */
    int64_t grace_ms;       /* guarded by lock */
    enum part_state state;  /* guarded by lock */
    jj_error err;           /* guarded by lock: of what ended it */
    pthread_mutex_t in_use; /* held while another thread uses client, and to close it */
    jj_client *client;      /* guarded by in_use once the part is RUNNING */
};

static void set_state(struct part *part, enum part_state state, const jj_error *err)
{
    pthread_mutex_lock(&part->lock);
    part->state = state;
    if (err != NULL)
        part->err = *err;
    pthread_mutex_unlock(&part->lock);
    part->setup.changed(part->setup.changed_ctx);
}

/* Wait until it is asked to stop, for at most limit_ms; -1: for ever. */
static bool wait_for_stop(struct part *part, int64_t limit_ms)
{
    struct timespec until;
    int timed_out = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    until.tv_nsec += limit_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&part->lock);
    while (!part->stopping && timed_out == 0)
        timed_out = limit_ms < 0 ? pthread_cond_wait(&part->stop_wanted, &part->lock)
                                 : pthread_cond_timedwait(&part->stop_wanted, &part->lock, &until);
    bool stopping = part->stopping;
    pthread_mutex_unlock(&part->lock);
    return stopping;
}

/* ---- its thread ---- */

static jj_status open_once(struct part *part, jj_error *err)
{
    jj_client *client = NULL;
    jj_status s = jj_open(&part->setup.options, &client, err);

    if (s == JJ_OK)
        s = part->setup.begin(client, part->setup.ctx, err);
    if (s == JJ_OK)
        part->client = client;
    else
        jj_close(client);
    return s;
}

/* Until it works, can't work, or is to stop: then there is no client. */
static jj_status open_at_last(struct part *part, jj_error *err)
{
    int64_t say_at_ms = 0;
    bool stopping = false;
    jj_status s = JJ_ERR_UNAVAILABLE;

    while (!stopping && (s == JJ_ERR_UNAVAILABLE || s == JJ_ERR_TIMEOUT)) {
        s = open_once(part, err);
        if (s != JJ_ERR_UNAVAILABLE && s != JJ_ERR_TIMEOUT)
            break;
        if (jj__clock_mono_ms() >= say_at_ms) {
            logger_say(part->setup.logger, JJ_LOG_WARN, "%s: waiting: %s", part->setup.what,
                       err->text);
            say_at_ms = jj__clock_mono_ms() + SAY_AGAIN_MS;
        }
        stopping = wait_for_stop(part, AGAIN_MS);
    }
    return stopping ? JJ_OK : s;
}

static void close_client(struct part *part)
{
    pthread_mutex_lock(&part->in_use);
    jj_client *client = part->client;
    part->client = NULL;
    pthread_mutex_unlock(&part->in_use);
    jj_close(client);
}

static void run(struct part *part)
{
    jj_error err = {0};

    set_state(part, PART_RUNNING, NULL);
    wait_for_stop(part, -1);
    pthread_mutex_lock(&part->lock);
    int64_t grace_ms = part->grace_ms;
    pthread_mutex_unlock(&part->lock);
    set_state(part, PART_STOPPING, NULL);
    jj__ignore(jj_stop_within(part->client, grace_ms, &err), "err says it");
    set_state(part, PART_STOPPED, &err);
    close_client(part);
}

static void *part_main(void *arg)
{
    struct part *part = arg;
    jj_error err = {0};
    jj_status s = open_at_last(part, &err);

    if (part->client != NULL)
        run(part);
    else
        set_state(part, PART_STOPPED, s == JJ_OK ? NULL : &err);
    set_state(part, PART_ENDED, NULL);
    return NULL;
}

/* ---- the other threads ---- */

static struct part *new_part(const struct part_setup *setup)
{
    struct part *part = calloc(1, sizeof(*part));

    if (part == NULL)
        return NULL;
    part->setup = *setup;
    part->setup.options.log = logger_sink;
    part->setup.options.log_user = setup->logger;
    part->setup.options.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    pthread_mutex_init(&part->lock, NULL);
    pthread_mutex_init(&part->in_use, NULL);
    jj__thread_condition(&part->stop_wanted);
    return part;
}

static void delete_part(struct part *part)
{
    pthread_cond_destroy(&part->stop_wanted);
    pthread_mutex_destroy(&part->in_use);
    pthread_mutex_destroy(&part->lock);
    free(part);
}

jj_status part_start(const struct part_setup *setup, struct part **part_out, jj_error *err)
{
    struct part *part = new_part(setup);
    if (part == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "%s", setup->what);

    int failed = pthread_create(&part->thread, NULL, part_main, part);
    if (failed != 0) {
        delete_part(part);
        return jj__fail_errno(err, JJ_ERR_NO_MEMORY, failed, "can't start a thread");
    }
    *part_out = part;
    return JJ_OK;
}

enum part_state part_state(struct part *part, jj_error *err)
{
    pthread_mutex_lock(&part->lock);
    enum part_state state = part->state;
    if (err != NULL && state >= PART_STOPPED)
        *err = part->err;
    pthread_mutex_unlock(&part->lock);
    return state;
}

void part_stop(struct part *part, int64_t grace_ms)
{
    pthread_mutex_lock(&part->lock);
    bool sooner =
        !part->stopping || part->grace_ms < 0 || (grace_ms >= 0 && grace_ms < part->grace_ms);
    bool under_way = part->state == PART_STOPPING;
    if (sooner)
        part->grace_ms = grace_ms;
    part->stopping = true;
    pthread_cond_signal(&part->stop_wanted);
    pthread_mutex_unlock(&part->lock);
    if (!sooner || !under_way)
        return;
    pthread_mutex_lock(&part->in_use);
    if (part->client != NULL)
        jj__ignore(jj_stop_within(part->client, grace_ms, NULL), "its own thread tells");
    pthread_mutex_unlock(&part->in_use);
}

void part_free(struct part *part)
{
    if (part == NULL)
        return;
    pthread_join(part->thread, NULL);
    delete_part(part);
}

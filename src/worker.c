/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a worker: start, the turns that it takes on the broker thread, stop.
 *
 * It ends in two steps, because what it has published may still call back: jj__worker_stop() takes
 * it off the broker thread, jj__worker_free() frees it when the broker is closed. */

#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "subject.h"
#include "thread.h"

#define EVENTS_MAX     1000
#define STOP_CHECK_MS  20
#define DRAIN_LIMIT_MS 2000
/* What was delivered so soon after a connect may have been read before we knew of it. */
#define CONNECT_SLACK_MS 1000

/* ---- answering for a job ---- */

const char *jj__attempt_reply(const struct jj_attempt *attempt)
{
    return attempt->reply != NULL ? attempt->reply : jj__msg_reply(attempt->msg);
}

/* A broker that went down meanwhile may not know of this delivery, and ignores its acknowledgement;
 * the message then comes again. */
static void note_ack(struct jj_attempt *attempt, bool sent)
{
    struct worker *worker = attempt->worker;
    const struct acked_message message = {attempt->entry.seq, attempt->entry.stored_at_ms};
    int64_t now_ms = jj__clock_mono_ms();

    if (!sent ||
        (worker->connected_ms > 0 && attempt->taken_ms < worker->connected_ms + CONNECT_SLACK_MS))
        jj__acked_doubt(&worker->acked, message, now_ms);
    else
        jj__acked_note(&worker->acked, message, now_ms);
}

void jj__attempt_answer(struct jj_attempt *attempt, const char *text)
{
    const struct outgoing message = {
        .subject = jj__attempt_reply(attempt), .data = text, .len = strlen(text)};
    struct worker *worker = attempt->worker;

    if (attempt->orphan || (jj__lease_is_lost(attempt) && attempt->outcome != EVENT_COMPLETED))
        return;
    bool sent = jj__broker_send(worker->broker, &message);
    if (!sent)
        jj__log(&worker->log, JJ_LOG_DEBUG, "%s of job %s not sent, it will come again", text,
                attempt->job.id);
    if (text[0] == '+')
        note_ack(attempt, sent);
}

void jj__attempt_free(struct jj_attempt *attempt)
{
    jj__held_remove(&attempt->worker->held, &attempt->entry);
    jj__lease_drop(attempt);
    if (attempt->settled)
        attempt->worker->settled--;
    if (attempt->timeout_ms > 0)
        attempt->worker->timed--;
    jj__msg_free(attempt->msg);
    free(attempt->reply);
    free(attempt->headers);
    free(attempt->result);
    free(attempt->error);
    free(attempt);
}

void jj__attempt_ack(struct jj_attempt *attempt)
{
    jj__attempt_answer(attempt, "+ACK");
    jj__attempt_free(attempt);
}

void jj__attempt_give_back(struct jj_attempt *attempt)
{
    jj__attempt_answer(attempt, "-NAK");
    jj__attempt_free(attempt);
}

/* ---- stopping ---- */

static void close_ports(struct worker *worker)
{
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next) {
        jj__pull_close(handler->puller);
        handler->puller = NULL;
    }
    jj__claim_close(worker);
    jj__lease_close(worker);
    if (worker->mover != NULL) {
        jj__mover_stop(worker->mover);
        jj__mover_close(worker->mover);
    }
    jj__broker_member_remove(worker->broker, &worker->member);
}

/* The grace is over: others may run what is left, whatever our handlers still do. */
static void hand_back(struct jj_attempt *attempt)
{
    atomic_store(&attempt->stopping, true);
    jj__attempt_answer(attempt, "-NAK");
    attempt->sealed = true;
    attempt->settled = true;
    attempt->worker->settled++;
}

static bool is_with_slots(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;

    pthread_mutex_lock(&worker->lock);
    bool is = attempt->stage == STAGE_QUEUED || attempt->stage == STAGE_RUNNING;
    pthread_mutex_unlock(&worker->lock);
    return is && !attempt->sealed;
}

static void hand_back_the_rest(struct worker *worker)
{
    for (struct jj_attempt *attempt = worker->lease_first; attempt != NULL;
         attempt = attempt->lease_next)
        if (is_with_slots(attempt))
            hand_back(attempt);
}

/* Handlers have returned since this turn began. */
static bool some_ended(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool some = worker->ended != NULL;
    pthread_mutex_unlock(&worker->lock);
    return some;
}

static void finish_stop(struct worker *worker, bool overran)
{
    close_ports(worker);
    jj__run_end(worker);
    pthread_mutex_lock(&worker->lock);
    worker->stopped = true;
    worker->overran = overran;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static int64_t stop_turn(struct worker *worker, int64_t now_ms)
{
    bool mover_idle = jj__mover_is_idle(worker->mover);

    if (worker->drained && worker->attempts == worker->settled && jj__commit_is_idle(worker) &&
        mover_idle) {
        finish_stop(worker, worker->settled > 0);
        return INT64_MAX;
    }
    if (now_ms >= worker->stop_by_ms && !some_ended(worker)) {
        hand_back_the_rest(worker);
        finish_stop(worker, true);
        return INT64_MAX;
    }
    return worker->stop_by_ms < now_ms + STOP_CHECK_MS ? worker->stop_by_ms
                                                       : now_ms + STOP_CHECK_MS;
}

/* Whatever the answer: all that the server had sent us has come. */
static void drained(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct worker *worker = ctx;

    (void)status;
    worker->drained = true;
    if (msg != NULL)
        jj__msg_free(msg);
}

/* First the server forgets what we asked for, then it gets back what we hold: else it would send it
 * to us again. */
static void begin_stop(struct worker *worker)
{
    struct jj_attempt *attempt;
    const struct question echo = {
        .deadline_ms = jj__clock_mono_ms() + DRAIN_LIMIT_MS, .answer = drained, .ctx = worker};

    worker->stopping = true;
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        jj__pull_drain(handler->puller);
    jj__mover_stop(worker->mover);
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        while ((attempt = jj__queue_pop(&handler->held)) != NULL)
            jj__attempt_give_back(attempt);
    while ((attempt = jj__queue_pop(&worker->doubtful)) != NULL)
        jj__attempt_give_back(attempt);
    if (jj__broker_ask(worker->broker, &echo, NULL) != JJ_OK)
        worker->drained = true; /* not connected: nothing comes */
}

struct stop {
    struct worker *worker;
    int64_t grace_ms;
};

static void stop_or_hurry(void *ctx)
{
    const struct stop *stop = ctx;
    struct worker *worker = stop->worker;
    int64_t stop_by_ms = jj__clock_mono_ms() + stop->grace_ms;

    if (!worker->stopping || stop_by_ms < worker->stop_by_ms)
        worker->stop_by_ms = stop_by_ms;
    if (worker->stopping)
        return;
    begin_stop(worker);
    if (worker->attempts > worker->settled)
        jj__log(&worker->log, JJ_LOG_INFO, "stopping: waits for jobs that run: %zu",
                worker->attempts - worker->settled);
}

/* ---- turns ---- */

static void connected(void *ctx, bool is_connected)
{
    struct worker *worker = ctx;
    int64_t now_ms = jj__clock_mono_ms();

    if (!is_connected)
        jj__acked_doubt_noted(&worker->acked, now_ms);
    worker->connected_ms = now_ms;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct worker *worker = ctx;
    struct jj_attempt *ended = NULL;
    struct note *notes = NULL;

    jj__run_collect(worker, &ended, &notes);
    while (ended != NULL) {
        struct jj_attempt *attempt = ended;
        ended = attempt->ended_next;
        jj__commit_returned(attempt);
    }
    int64_t next_ms = jj__lease_turn(worker, now_ms);
    jj__commit_turn(worker, notes, now_ms);
    int64_t ask_ms = jj__ask_turn(worker, now_ms);
    if (ask_ms < next_ms)
        next_ms = ask_ms;
    jj__claim_turn(worker, now_ms);
    int64_t run_ms = jj__run_turn(worker, now_ms);
    if (run_ms < next_ms)
        next_ms = run_ms;
    if (worker->commit_again_ms > now_ms && worker->commit_again_ms < next_ms)
        next_ms = worker->commit_again_ms;
    if (worker->claim_again_ms > now_ms && worker->claim_again_ms < next_ms)
        next_ms = worker->claim_again_ms;
    if (worker->stopping) {
        int64_t wish_ms = stop_turn(worker, now_ms);
        return wish_ms < next_ms ? wish_ms : next_ms;
    }
    jj__pull_turn(worker, now_ms);
    return next_ms;
}

/* ---- starting ---- */

static jj_status copy_handlers(struct worker *worker, const struct handler *handlers, jj_error *err)
{
    struct handler **end = &worker->handlers;

    for (; handlers != NULL; handlers = handlers->next) {
        struct handler *handler = calloc(1, sizeof(*handler));
        if (handler == NULL)
            return jj__fail(err, JJ_ERR_NO_MEMORY, "handler");
        memcpy(handler->name, handlers->name, sizeof(handler->name));
        handler->run = handlers->run;
        handler->user = handlers->user;
        handler->options = handlers->options;
        handler->policy = handlers->policy;
        handler->worker = worker;
        for (int type = 0; type < EVENT_TYPES; type++)
            handler->notes_end[type] = &handler->notes[type];
        *end = handler;
        end = &handler->next;
    }
    return JJ_OK;
}

/* "<host>-<pid>-<random>": no two workers share a name, not even one after its restart. */
static jj_status name_worker(struct worker *worker, jj_error *err)
{
    char host[256] = "";
    char random[9];

    jj_status s = jj__id_random(random, sizeof(random) - 1, err);
    if (s != JJ_OK)
        return s;
    if (worker->options->worker != NULL) {
        snprintf(worker->name, sizeof(worker->name), "%.50s-%s", worker->options->worker, random);
        return JJ_OK;
    }
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        snprintf(host, sizeof(host), "host");
    for (char *c = host; *c != '\0'; c++) {
        const char one[2] = {*c, '\0'};
        if (!jj__token_valid(one))
            *c = '-';
    }
    snprintf(worker->name, sizeof(worker->name), "%.32s-%ld-%s", host, (long)getpid(), random);
    return JJ_OK;
}

static jj_status provision(struct worker *worker, const struct worker_setup *setup,
                           struct consumer_facts *due_facts, jj_error *err)
{
    bool allowed = !worker->options->no_provision;
    jj_status s = JJ_OK;

    for (struct handler *handler = worker->handlers; s == JJ_OK && handler != NULL;
         handler = handler->next) {
        const struct consumer_settings settings = {.name = handler->name,
                                                   .ack_wait_ms = setup->ack_wait_ms,
                                                   .fleet_concurrency =
                                                       handler->options.fleet_concurrency};
        s = jj__provision_consumer(worker->broker, &settings, allowed,
                                   jj__clock_mono_ms() + worker->options->timeout_ms,
                                   &handler->facts, err);
        if (s == JJ_OK &&
            (worker->ack_wait_ms == 0 || handler->facts.ack_wait_ms < worker->ack_wait_ms))
            worker->ack_wait_ms = handler->facts.ack_wait_ms;
    }
    const struct consumer_settings due = {.name = NULL};
    if (s == JJ_OK)
        s = jj__provision_consumer(worker->broker, &due, allowed,
                                   jj__clock_mono_ms() + worker->options->timeout_ms, due_facts,
                                   err);
    return s;
}

struct opening {
    struct worker *worker;
    const struct consumer_facts *due;
    jj_status status;
    jj_error *err;
};

static void open_ports(void *ctx)
{
    struct opening *opening = ctx;
    struct worker *worker = opening->worker;
    jj_status s = jj__lease_open(worker, opening->err);
    if (s == JJ_OK)
        s = jj__claim_open(worker, opening->err);

    for (struct handler *handler = worker->handlers; s == JJ_OK && handler != NULL;
         handler = handler->next)
        s = jj__pull_handler(worker, handler, opening->err);
    if (s == JJ_OK)
        s = jj__mover_open(worker->broker, &worker->log, opening->due, &worker->mover,
                           opening->err);
    if (s == JJ_OK) {
        worker->member =
            (struct broker_member){.turn = turn, .connected = connected, .ctx = worker};
        jj__broker_member_add(worker->broker, &worker->member);
    } else {
        close_ports(worker);
    }
    opening->status = s;
}

static void free_facts(struct consumer_facts *facts)
{
    free(facts->create_subject);
    free(facts->create_body);
}

static struct worker *new_worker(const struct worker_setup *setup)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (worker == NULL)
        return NULL;
    worker->broker = setup->broker;
    worker->options = setup->options;
    worker->log = setup->log;
    worker->notes_end = &worker->notes;
    worker->ended_end = &worker->ended;
    worker->claims_end = &worker->claims;
    worker->round_trip_us = 1000; /* until it is known */
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->work, NULL);
    pthread_cond_init(&worker->changed, NULL);
    jj__thread_condition(&worker->room);
    worker->events = calloc(EVENTS_MAX, sizeof(*worker->events));
    if (worker->events == NULL) {
        jj__worker_free(worker);
        return NULL;
    }
    return worker;
}

jj_status jj__worker_start(const struct worker_setup *setup, struct worker **worker_out,
                           jj_error *err)
{
    struct consumer_facts due = {0};
    struct worker *worker = new_worker(setup);
    if (worker == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "worker");
    struct opening opening = {.worker = worker, .due = &due, .err = err};

    jj_status s = copy_handlers(worker, setup->handlers, err);
    if (s == JJ_OK)
        s = name_worker(worker, err);
    if (s == JJ_OK)
        s = provision(worker, setup, &due, err);
    if (s == JJ_OK) {
        jj__broker_call(worker->broker, open_ports, &opening);
        s = opening.status;
    }
    free_facts(&due);
    if (s != JJ_OK) {
        jj__worker_free(worker);
        return s;
    }
    jj__broker_wake(worker->broker);
    *worker_out = worker;
    return JJ_OK;
}

jj_status jj__worker_stop(struct worker *worker, int64_t grace_ms, jj_error *err)
{
    struct stop stop = {.worker = worker, .grace_ms = grace_ms};

    jj__broker_call(worker->broker, stop_or_hurry, &stop);
    jj__broker_wake(worker->broker);
    pthread_mutex_lock(&worker->lock);
    while (!worker->stopped)
        pthread_cond_wait(&worker->changed, &worker->lock);
    bool overran = worker->overran;
    pthread_mutex_unlock(&worker->lock);
    jj__broker_flush(worker->broker, worker->options->timeout_ms);
    if (overran)
        return jj__fail(err, JJ_ERR_TIMEOUT, "jobs were not over after %lld ms and were given back",
                        (long long)grace_ms);
    return JJ_OK;
}

void jj__worker_join(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->threads > 0)
        pthread_cond_wait(&worker->changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
}

void jj__worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    while (worker->lease_first != NULL)
        jj__attempt_free(worker->lease_first);
    jj__notes_free(worker, worker->notes);
    while (worker->handlers != NULL) {
        struct handler *handler = worker->handlers;
        worker->handlers = handler->next;
        for (int type = 0; type < EVENT_TYPES; type++)
            jj__notes_free(worker, handler->notes[type]);
        free_facts(&handler->facts);
        free(handler);
    }
    jj__held_done(&worker->held);
    jj__acked_done(&worker->acked);
    jj__mover_free(worker->mover);
    jj__buf_done(&worker->scratch);
    jj__buf_done(&worker->live);
    free(worker->events);
    pthread_cond_destroy(&worker->room);
    pthread_cond_destroy(&worker->changed);
    pthread_cond_destroy(&worker->work);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

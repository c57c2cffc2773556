/* SPDX-License-Identifier: Apache-2.0 */

/* Slots: the threads that run handlers.
 *
 * The broker thread queues claimed jobs, one queue for each handler, so that a name which has used
 * up its concurrency does not hold up the others. A slot takes the next job that may run, runs it
 * with no lock held, and puts it among the ended, where the broker thread collects it. Slots are
 * made when there is work for them and none is idle.
 *
 * Each slot that takes a job wakes the next one, so that no job waits for one that is slow. Where
 * handlers take microseconds, that would cost more than they do: one slot then works off what is
 * ready, and says so when all of it is done. No handler need keep to what it did so far, so as long
 * as quick jobs are ready the broker thread looks every millisecond whether they still go on. */

#include "clock.h"
#include "fault.h"
#include "thread.h"
#include "worker.h"

#define QUICK_US 20

/* ---- queues ---- */

void jj__queue_push(struct attempt_queue *queue, struct jj_attempt *attempt)
{
    attempt->next = NULL;
    if (queue->last == NULL)
        queue->first = attempt;
    else
        queue->last->next = attempt;
    queue->last = attempt;
    queue->count++;
}

struct jj_attempt *jj__queue_pop(struct attempt_queue *queue)
{
    struct jj_attempt *attempt = queue->first;

    if (attempt == NULL)
        return NULL;
    queue->first = attempt->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    attempt->next = NULL;
    return attempt;
}

void jj__queue_append(struct attempt_queue *to, struct attempt_queue *from)
{
    if (from->first == NULL)
        return;
    if (to->last == NULL)
        to->first = from->first;
    else
        to->last->next = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct attempt_queue){0};
}

/* ---- what a slot does ---- */

static bool may_run(const struct handler *handler)
{
    return handler->ready.count > 0 && handler->running < handler->options.concurrency;
}

/* The next job in turn of the handlers, or NULL. Lock: held. */
static struct jj_attempt *take_next(struct worker *worker)
{
    struct handler *first = worker->turn == NULL ? worker->handlers : worker->turn;
    struct handler *handler = first;

    if (worker->ready == 0)
        return NULL;
    do {
        struct handler *following = handler->next == NULL ? worker->handlers : handler->next;
        if (may_run(handler)) {
            worker->turn = following;
            worker->ready--;
            handler->running++;
            worker->running++;
            worker->begun++;
            return jj__queue_pop(&handler->ready);
        }
        handler = following;
    } while (handler != first);
    return NULL;
}

static bool something_may_run(const struct worker *worker)
{
    if (worker->ready > 0)
        for (const struct handler *handler = worker->handlers; handler != NULL;
             handler = handler->next)
            if (may_run(handler))
                return true;
    return false;
}

/* A quick job may run: the broker thread looks whether it soon does. */
static bool is_watched(const struct worker *worker)
{
    if (worker->ready > 0)
        for (const struct handler *handler = worker->handlers; handler != NULL;
             handler = handler->next)
            if (handler->quick && may_run(handler))
                return true;
    return false;
}

/* Run a job's handler and hand over what it said. untold: the broker thread does not know of jobs
 * that ended before it. Lock: held, but not while the handler runs. */
static void run_one(struct worker *worker, struct jj_attempt *attempt, bool untold)
{
    struct handler *handler = attempt->handler;

    bool begins = !atomic_load(&attempt->stopping);
    jj_verdict verdict = JJ_VERDICT_RETRY;

    attempt->stage = STAGE_RUNNING;
    if (begins)
        attempt->started_us = jj__clock_mono_us();
    bool alone = handler->quick && is_watched(worker);
    if (!alone && worker->idle > 0 && something_may_run(worker))
        pthread_cond_signal(&worker->work);
    pthread_mutex_unlock(&worker->lock);
    if (!alone && untold)
        jj__broker_wake(worker->broker);

    jj__fault_point("run.begins");
    if (begins)
        verdict = handler->run(attempt, handler->user);
    jj__fault_point("run.ended");
    int64_t ended_us = jj__clock_mono_us();

    jj__notes_end(attempt);
    pthread_mutex_lock(&worker->lock);
    attempt->verdict = verdict;
    attempt->duration_us = begins ? ended_us - attempt->started_us : 0;
    attempt->returned = true;
    handler->running--;
    worker->running--;
    attempt->ended_next = NULL;
    *worker->ended_end = attempt;
    worker->ended_end = &attempt->ended_next;
}

static void *slot_main(void *arg)
{
    struct worker *worker = arg;
    bool untold = false;

    pthread_mutex_lock(&worker->lock);
    for (;;) {
        struct jj_attempt *attempt = take_next(worker);
        if (attempt != NULL) {
            run_one(worker, attempt, untold);
            untold = attempt->handler->quick && is_watched(worker);
            if (untold)
                continue;
            pthread_mutex_unlock(&worker->lock);
            jj__broker_wake(worker->broker);
            pthread_mutex_lock(&worker->lock);
            continue;
        }
        if (worker->ending)
            break;
        worker->idle++;
        pthread_cond_wait(&worker->work, &worker->lock);
        worker->idle--;
    }
    worker->threads--;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    jj__broker_thread_done();
    return NULL;
}

/* ---- what the broker thread does ---- */

/* Slots are detached: jj__run_end() counts them out. Lock: held. */
static bool start_slot(struct worker *worker)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int failed = jj__thread_create(&thread, &attr, slot_main, worker);
    pthread_attr_destroy(&attr);
    if (failed != 0) {
        jj__log(&worker->log, JJ_LOG_WARN, "can't start a thread for a slot: error %d, %u run",
                failed, (unsigned)worker->threads);
        return false;
    }
    worker->threads++;
    return true;
}

/* Have slots for what is ready: one is woken and wakes the next; more are made. Lock: held. */
static void staff(struct worker *worker)
{
    if (worker->idle > 0)
        pthread_cond_signal(&worker->work);
    while (worker->ready > worker->idle && worker->threads < worker->options->concurrency)
        if (worker->threads >= worker->running + worker->ready || !start_slot(worker))
            break;
}

void jj__run_queue(struct worker *worker, struct attempt_queue *attempts)
{
    struct jj_attempt *attempt;

    if (attempts->count == 0)
        return;
    pthread_mutex_lock(&worker->lock);
    if (worker->ready == 0)
        worker->begun_ms = jj__clock_mono_ms();
    while ((attempt = jj__queue_pop(attempts)) != NULL) {
        struct handler *handler = attempt->handler;
        attempt->stage = STAGE_QUEUED;
        handler->quick = handler->mean_us > 0 && handler->mean_us < QUICK_US;
        jj__queue_push(&handler->ready, attempt);
        worker->ready++;
    }
    staff(worker);
    pthread_mutex_unlock(&worker->lock);
}

int64_t jj__run_turn(struct worker *worker, int64_t now_ms)
{
    bool is_quick = false;

    pthread_mutex_lock(&worker->lock);
    bool goes_on = worker->begun != worker->begun_seen || now_ms <= worker->begun_ms + 1;
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next) {
        handler->quick = handler->quick && goes_on;
        is_quick |= handler->quick && handler->ready.count > 0;
    }
    if (!goes_on && worker->ready > 0)
        staff(worker);
    if (worker->begun != worker->begun_seen)
        worker->begun_ms = now_ms;
    worker->begun_seen = worker->begun;
    pthread_mutex_unlock(&worker->lock);
    return is_quick ? now_ms + 1 : INT64_MAX;
}

void jj__run_collect(struct worker *worker, struct jj_attempt **ended_out, struct note **notes_out)
{
    pthread_mutex_lock(&worker->lock);
    *ended_out = worker->ended;
    worker->ended = NULL;
    worker->ended_end = &worker->ended;
    *notes_out = worker->notes;
    worker->notes = NULL;
    worker->notes_end = &worker->notes;
    pthread_mutex_unlock(&worker->lock);
}

void jj__run_end(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_cond_broadcast(&worker->work);
    pthread_mutex_unlock(&worker->lock);
}

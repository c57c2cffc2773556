/* SPDX-License-Identifier: Apache-2.0 */

/* The threads that work on requests, so that neither a slow disk nor a slow broker holds up the
 * broker thread. Cancelling, reviving and scheduling wait for the broker; one thread keeps away
 * from these, so that questions are answered however many changes are stuck.
 *
 * Answers gather here for the broker thread, which sends them together; so that they don't pile up
 * faster than they leave, threads pause when there are many bytes of them. */

#include <errno.h>

#include "api_inside.h"
#include "thread.h"

#define DONE_BYTES_MAX ((size_t)16 * 1024 * 1024)

void jj__inquiry_push(struct inquiry_queue *queue, struct inquiry *inquiry)
{
    inquiry->next = NULL;
    if (queue->last == NULL)
        queue->first = inquiry;
    else
        queue->last->next = inquiry;
    queue->last = inquiry;
}

struct inquiry *jj__inquiry_pop(struct inquiry_queue *queue)
{
    struct inquiry *inquiry = queue->first;

    if (inquiry == NULL)
        return NULL;
    queue->first = inquiry->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return inquiry;
}

static bool changes_something(const struct inquiry *inquiry)
{
    return inquiry->verb == VERB_CANCEL || inquiry->verb == VERB_RETRY || inquiry->verb == VERBS;
}

/* Lock: held. */
static struct inquiry *take_next(struct pool *pool, bool reader)
{
    struct inquiry *inquiry = NULL;

    if (pool->ending)
        return NULL;
    if (!reader)
        inquiry = jj__inquiry_pop(&pool->changes);
    return inquiry != NULL ? inquiry : jj__inquiry_pop(&pool->reads);
}

/* Lock: held. */
static void hand_over(struct pool *pool, struct inquiry *inquiry)
{
    jj__inquiry_push(&pool->done, inquiry);
    pool->done_bytes += inquiry->body.len;
    pthread_mutex_unlock(&pool->lock);
    jj__broker_wake(pool->broker);
    pthread_mutex_lock(&pool->lock);
    while (pool->done_bytes > DONE_BYTES_MAX && !pool->ending)
        pthread_cond_wait(&pool->sent, &pool->lock);
}

static void *pool_main(void *arg)
{
    struct pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    bool reader = !pool->reader_taken;
    pool->reader_taken = true;
    while (!pool->ending) {
        struct inquiry *inquiry = take_next(pool, reader);
        if (inquiry == NULL) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        jj__api_work(inquiry);
        pthread_mutex_lock(&pool->lock);
        hand_over(pool, inquiry);
    }
    pthread_mutex_unlock(&pool->lock);
    jj__broker_thread_done();
    return NULL;
}

void jj__pool_add(struct pool *pool, struct inquiry *inquiry)
{
    bool changes = changes_something(inquiry);

    pthread_mutex_lock(&pool->lock);
    jj__inquiry_push(changes ? &pool->changes : &pool->reads, inquiry);
    if (changes)
        pthread_cond_broadcast(&pool->work); /* a signal might wake the reader only */
    else
        pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

struct inquiry_queue jj__pool_take_done(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct inquiry_queue done = pool->done;
    pool->done = (struct inquiry_queue){0};
    if (pool->done_bytes > DONE_BYTES_MAX)
        pthread_cond_broadcast(&pool->sent);
    pool->done_bytes = 0;
    pthread_mutex_unlock(&pool->lock);
    return done;
}

static jj_status start_threads(struct pool *pool, jj_error *err)
{
    int failed = 0;

    while (failed == 0 && pool->thread_count < JJ__POOL_THREADS) {
        failed = jj__thread_create(&pool->threads[pool->thread_count], NULL, pool_main, pool);
        if (failed == 0)
            pool->thread_count++;
    }
    return failed == 0 ? JJ_OK : jj__fail_errno(err, JJ_ERR_UNAVAILABLE, failed, "thread");
}

jj_status jj__pool_open(struct pool *pool, struct broker *broker, jj_error *err)
{
    *pool = (struct pool){.broker = broker};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->sent, NULL);
    return start_threads(pool, err);
}

struct inquiry_queue jj__pool_end(struct pool *pool)
{
    struct inquiry_queue rest;
    struct inquiry *inquiry;

    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_cond_broadcast(&pool->sent);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pool->thread_count = 0;
    rest = pool->reads;
    while ((inquiry = jj__inquiry_pop(&pool->changes)) != NULL)
        jj__inquiry_push(&rest, inquiry);
    pool->reads = (struct inquiry_queue){0};
    return rest;
}

void jj__pool_free(struct pool *pool)
{
    pthread_cond_destroy(&pool->sent);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
}

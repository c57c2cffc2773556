/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_API_INSIDE_H
#define JJ_SRC_API_INSIDE_H

/* Private to src/api*.c: a request on its way through the service. */

#include <pthread.h>

#include "api.h"
#include "buf.h"

/* A request in hand. It belongs to the broker thread or, while it is being worked on, to one thread
 * of the pool. */
struct inquiry {
    struct inquiry *next; /* in one queue at a time */
    struct api *api;
    struct broker_msg *msg;
    enum verb verb; /* VERBS: jobs.schedule */
    bool protobuf;
    char name[JJ_NAME_SIZE]; /* of the subject; "": none */
    struct index_waiter waiter;
    int64_t wait_until_ms; /* steady clock: answer when the job is over, or then; 0: at once */
    bool parks;            /* the pool found that the job is not over yet */

    /* The answer. */
    struct buf body;
    jj_header headers[2];
    size_t header_count;
    char seqs_text[2][24];
    char error_text[256];
};

/* ---- api_answer.c ---- */

/* Make the answer, whatever it is, or set parks. Waits. Thread: pool. */
void jj__api_work(struct inquiry *inquiry);

/* Make the answer an error. Thread: whose the inquiry is. */
void jj__api_fail(struct inquiry *inquiry, jj_status status, const char *text);

/* ---- api_schedule.c ---- */

jj_status jj__api_schedule(struct inquiry *inquiry, jj_error *err);

/* ---- api_pool.c ---- */

struct inquiry_queue {
    struct inquiry *first, *last;
};
void jj__inquiry_push(struct inquiry_queue *queue, struct inquiry *inquiry);
struct inquiry *jj__inquiry_pop(struct inquiry_queue *queue);

#define JJ__POOL_THREADS 4

struct pool {
    struct broker *broker;
    pthread_t threads[JJ__POOL_THREADS];
    size_t thread_count;
    pthread_mutex_t lock;
    pthread_cond_t work;          /* something is to do, or the end */
    pthread_cond_t sent;          /* answers have gone, or the end */
    struct inquiry_queue reads;   /* guarded by lock */
    struct inquiry_queue changes; /* guarded by lock: those that wait for the broker */
    struct inquiry_queue done;    /* guarded by lock: answers to be sent */
    size_t done_bytes;            /* guarded by lock */
    bool reader_taken;            /* guarded by lock: one thread does nothing but reads */
    bool ending;                  /* guarded by lock */
};
jj_status jj__pool_open(struct pool *pool, struct broker *broker, jj_error *err);
/* Thread: broker. */
void jj__pool_add(struct pool *pool, struct inquiry *inquiry);
/* What has been worked on since. Thread: broker. */
struct inquiry_queue jj__pool_take_done(struct pool *pool);
/* Finish what is being worked on, give back the rest. Thread: any but the broker's. */
struct inquiry_queue jj__pool_end(struct pool *pool);
void jj__pool_free(struct pool *pool);

/* ---- api.c ---- */

struct api {
    struct broker *broker;
    struct index *index;
    struct log log;
    struct pool pool;

    /* Broker thread only. */
    struct broker_member member;
    struct listening *listenings; /* one for each subject */
    size_t in_hand;
    size_t bytes;   /* of these requests */
    size_t waiting; /* of these, for a job to be over */
    bool stopping;
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */

/* Whose duplicate was it? The stream says only where the first job is.
 *
 * While it waits or runs it can be read there. Once it is over its message is gone, but its claim,
 * or its cancellation, is in JOBS_EVENTS: the last minutes of these are searched. A claim names the
 * job's message in JOBS. Of a schedule it has no more than the key, which a job that was enqueued
 * may have as well, as may an older schedule whose key was forgotten: the youngest one is meant. */

#include "duplicate.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "broker_tail.h"
#include "clock.h"
#include "codec_pb.h"
#include "subject.h"

#define SEARCH_BACK_MS (INT64_C(11) * 60 * 1000) /* the stream forgets a key after 10 */
#define QUIET_MS       1000                      /* nothing more of the past comes after so long */

static jj_status read_message(struct broker *broker, const struct duplicate *duplicate,
                              char id_out[JJ_NAME_SIZE], jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE], body[48], name[JJ_NAME_SIZE];
    struct broker_msg *msg = NULL;

    snprintf(subject, sizeof(subject), "$JS.API.DIRECT.GET.%s", duplicate->stream);
    int len = snprintf(body, sizeof(body), "{\"seq\":%llu}", (unsigned long long)duplicate->seq);
    const struct outgoing question = {.subject = subject, .data = body, .len = (size_t)len};
    jj_status s = jj__broker_request(broker, &question, duplicate->deadline_ms, &msg, err);
    if (s != JJ_OK)
        return s;
    const char *id = jj__msg_header(msg, JJ__HEADER_ID);
    const char *from = jj__msg_header(msg, "Nats-Subject");

    if (jj__msg_status(msg) == 404)
        s = jj__fail(err, JJ_ERR_NOT_FOUND, "gone");
    else if (id != NULL && jj__token_valid(id))
        memcpy(id_out, id, strlen(id) + 1);
    else if (from == NULL || !jj__subject_read_schedule(from, name, id_out))
        snprintf(id_out, JJ_NAME_SIZE, "%llu", (unsigned long long)duplicate->seq);
    jj__msg_free(msg);
    return s;
}

/* ---- searching the claims ---- */

struct search {
    struct broker *broker;
    const struct log *log;
    const struct duplicate *duplicate;
    struct broker_member member;
    struct tail *tail;
    int64_t heard_ms;
    bool over; /* it was found for sure, or that was the last of the past */
    char id[JJ_NAME_SIZE];
    int64_t created_at_ms;
    jj_status status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished; /* guarded by lock */
};

static bool is_in_jobs(const struct search *search)
{
    return strcmp(search->duplicate->stream, JJ__STREAM_JOBS) == 0;
}

/* Did the job's message get into a stream by the key itself? */
static bool was_stored_by_key(const struct search *search, const struct job *job)
{
    const char *msg_id = jj__header_find(job->headers, job->header_count, JJ__HEADER_MSG_ID);

    return msg_id != NULL && strncmp(msg_id, "key:", 4) == 0 &&
           strcmp(msg_id + 4, search->duplicate->key) == 0;
}

static bool has_key(const struct search *search, const struct job *job)
{
    const char *key = jj__header_find(job->headers, job->header_count, JJ__HEADER_KEY);

    return key != NULL && strcmp(key, search->duplicate->key) == 0;
}

static void note(struct search *search, const struct job *job)
{
    if (search->id[0] != '\0' && job->created_at_ms < search->created_at_ms)
        return;
    memcpy(search->id, job->id, sizeof(search->id));
    search->created_at_ms = job->created_at_ms;
}

static void look_at_claim(struct search *search, const struct claim *claim)
{
    if (!is_in_jobs(search)) {
        if (has_key(search, claim->job) && !was_stored_by_key(search, claim->job))
            note(search, claim->job);
    } else if (claim->seq == search->duplicate->seq) {
        note(search, claim->job);
        search->over = true;
    }
}

static bool search_claims(struct search *search, struct broker_msg *msg)
{
    struct pb_claims claims;

    jj_status s = jj__pb_read_claims(jj__msg_data(msg), jj__msg_len(msg), &claims, NULL);
    if (s != JJ_OK)
        return s != JJ_ERR_NO_MEMORY;
    for (size_t i = 0; i < claims.count; i++)
        look_at_claim(search, &claims.claims[i]);
    jj__pb_claims_free(&claims);
    return true;
}

static bool search_cancellations(struct search *search, struct broker_msg *msg)
{
    struct pb_events events;

    jj_status s = jj__pb_read_events(jj__msg_data(msg), jj__msg_len(msg), &events, NULL);
    if (s != JJ_OK)
        return s != JJ_ERR_NO_MEMORY;
    for (size_t i = 0; i < events.count; i++) {
        const struct job *job = events.events[i].job;
        if (job != NULL && (has_key(search, job) || was_stored_by_key(search, job)))
            note(search, job);
    }
    jj__pb_events_free(&events);
    return true;
}

static bool take(void *ctx, struct broker_msg *msg, const struct delivery *delivery)
{
    struct search *search = ctx;
    char worker[JJ_NAME_SIZE];

    search->heard_ms = jj__clock_mono_ms();
    bool taken = jj__subject_read_claims(jj__msg_subject(msg), worker)
                     ? search_claims(search, msg)
                     : search_cancellations(search, msg);
    search->over |= taken && delivery->pending == 0;
    jj__msg_free(msg);
    return taken;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct search *search = ctx;
    int64_t until_ms = search->heard_ms + QUIET_MS;

    if (until_ms > search->duplicate->deadline_ms)
        until_ms = search->duplicate->deadline_ms;
    if (!search->over && now_ms < until_ms)
        return until_ms;
    search->status = search->id[0] != '\0' ? JJ_OK : JJ_ERR_UNAVAILABLE;
    jj__tail_close(search->tail);
    jj__broker_member_remove(search->broker, &search->member);
    pthread_mutex_lock(&search->lock);
    search->finished = true;
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
    return INT64_MAX;
}

static void begin(void *ctx)
{
    struct search *search = ctx;
    const struct tail_options options = {.stream = JJ__STREAM_EVENTS,
                                         .filters = {"jobs.claims.*", JJ__SUBJECT_CANCELLED_ALL},
                                         .start_at_ms = jj__clock_wall_ms() - SEARCH_BACK_MS,
                                         .take = take,
                                         .ctx = search};

    search->heard_ms = jj__clock_mono_ms();
    search->status = jj__tail_open(search->broker, search->log, &options, &search->tail, NULL);
    if (search->status != JJ_OK) {
        search->finished = true;
        return;
    }
    search->member = (struct broker_member){.turn = turn, .ctx = search};
    jj__broker_member_add(search->broker, &search->member);
}

jj_status jj__duplicate_find(struct broker *broker, const struct log *log,
                             const struct duplicate *duplicate, char id_out[JJ_NAME_SIZE],
                             jj_error *err)
{
    jj_status s = read_message(broker, duplicate, id_out, err);
    if (s != JJ_ERR_NOT_FOUND)
        return s;
    struct search search = {.broker = broker, .log = log, .duplicate = duplicate};

    pthread_mutex_init(&search.lock, NULL);
    pthread_cond_init(&search.changed, NULL);
    jj__broker_call(broker, begin, &search);
    jj__broker_wake(broker);
    pthread_mutex_lock(&search.lock);
    while (!search.finished)
        pthread_cond_wait(&search.changed, &search.lock);
    pthread_mutex_unlock(&search.lock);
    pthread_cond_destroy(&search.changed);
    pthread_mutex_destroy(&search.lock);
    if (search.status != JJ_OK)
        return jj__fail(err, JJ_ERR_UNAVAILABLE,
                        "a job with unique key '%.80s' was enqueued before, as message %llu of %s, "
                        "and its id can't be found",
                        duplicate->key, (unsigned long long)duplicate->seq, duplicate->stream);
    memcpy(id_out, search.id, sizeof(search.id));
    return JJ_OK;
}

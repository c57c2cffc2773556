/* SPDX-License-Identifier: Apache-2.0 */

/* Those who wait for an index.
 *
 * A client that was told a sequence when it wrote wants to see that message applied. Most often the
 * readers have passed that sequence, and it is only for the writer to catch up. If they have not,
 * the message may be gone from its queue for good, because a worker was quick: then the events say
 * what became of it. So a round is made: one pass over JOBS_SCHEDULE, then one over JOBS, where
 * what was due may have gone, then the last sequence of JOBS_EVENTS. Whoever waited before the
 * round began has been served when all it read, up to that event, is applied.
 *
 * Direct gets are answered by any replica, also one that lags behind. Where a stream has several,
 * the leader is asked for a message that a pass did not bring: if it has it, the pass is repeated.
 * What the stream does not have yet is waited for in rounds. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "index_inner.h"
#include "subject.h"

#define ANSWER_LIMIT_MS 5000
#define RETRY_MS        200
#define LAGGING_MS      20
#define BEYOND_MS       100 /* between rounds for what is not there yet */

enum { WAITS_FOR_ROUND, WAITS_FOR_WRITER };

/* ---- rounds ---- */

static struct reader *reader_of(struct index *index, enum round_stage stage)
{
    return index->readers[stage == ROUND_SCHEDULE ? ORIGIN_SCHEDULE : ORIGIN_JOBS];
}

static const char *stream_of(enum round_stage stage)
{
    return stage == ROUND_SCHEDULE ? JJ__STREAM_SCHEDULE : JJ__STREAM_JOBS;
}

static void raise_seq(uint64_t *seq, uint64_t to)
{
    if (to > *seq)
        *seq = to;
}

static void begin_stage(struct index *index, enum round_stage stage)
{
    index->round.stage = stage;
    if (stage != ROUND_EVENTS)
        index->round.pass = jj__reader_pass(reader_of(index, stage));
}

static void end_round(struct index *index, uint64_t events_seq)
{
    index->round.stage = ROUND_NONE;
    index->round.ended = index->round.begun;
    index->round.items = index->handed;
    index->round.events_seq = events_seq;
}

static void ask(struct index *index, const char *subject, const char *body, int64_t now_ms,
                void (*answer)(void *ctx, struct broker_msg *msg, jj_status status))
{
    const struct question question = {
        .message = {.subject = subject, .data = body, .len = body == NULL ? 0 : strlen(body)},
        .deadline_ms = now_ms + ANSWER_LIMIT_MS,
        .answer = answer,
        .ctx = index};

    index->round.asking = jj__broker_ask(index->broker, &question, NULL) == JJ_OK;
    if (!index->round.asking)
        index->round.again_ms = now_ms + RETRY_MS;
}

static void took_events_end(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct index *index = ctx;
    json_t *info = msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    const json_t *seq = json_object_get(json_object_get(info, "state"), "last_seq");

    (void)status;
    index->round.asking = false;
    if (index->closed)
        index->round.stage = ROUND_NONE;
    else if (index->round.stage == ROUND_EVENTS && json_is_integer(seq))
        end_round(index, (uint64_t)json_integer_value(seq));
    else
        index->round.again_ms = jj__clock_mono_ms() + RETRY_MS;
    json_decref(info);
    jj__msg_free(msg);
}

static void go_on(struct index *index)
{
    begin_stage(index, index->round.stage == ROUND_SCHEDULE ? ROUND_JOBS : ROUND_EVENTS);
}

/* The leader's answer: does it have the message that the pass did not bring? */
static void took_message(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct index *index = ctx;
    json_t *answer = msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    bool is_there = json_object_get(answer, "message") != NULL;
    bool unreadable = msg != NULL && answer == NULL; /* no memory, most likely */
    enum round_stage stage = index->round.stage;

    json_decref(answer);
    jj__msg_free(msg);
    index->round.asking = false;
    if (index->closed || (stage != ROUND_SCHEDULE && stage != ROUND_JOBS))
        return;
    if (status == JJ_ERR_TIMEOUT || status == JJ_ERR_STATE || is_there || unreadable) {
        index->round.again_ms = jj__clock_mono_ms() + LAGGING_MS;
        begin_stage(index, stage);
    } else {
        go_on(index);
    }
}

static void ask_for_message(struct index *index, uint64_t seq)
{
    char subject[96];
    char body[48];

    snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.GET.%s", stream_of(index->round.stage));
    snprintf(body, sizeof(body), "{\"seq\":%llu}", (unsigned long long)seq);
    ask(index, subject, body, jj__clock_mono_ms(), took_message);
}

/* Where the stream ends, and whether its messages are to be had from several servers. */
static void took_queue_end(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct index *index = ctx;
    struct round *round = &index->round;
    json_t *info = msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    const json_t *end = json_object_get(json_object_get(info, "state"), "last_seq");
    uint64_t last = (uint64_t)json_integer_value(end);
    bool is_known = json_is_integer(end);
    bool several =
        json_integer_value(json_object_get(json_object_get(info, "config"), "num_replicas")) > 1;

    (void)status;
    json_decref(info);
    jj__msg_free(msg);
    round->asking = false;
    if (index->closed || (round->stage != ROUND_SCHEDULE && round->stage != ROUND_JOBS))
        return;
    if (!is_known) {
        round->again_ms = jj__clock_mono_ms() + RETRY_MS;
        return;
    }
    uint64_t *ends = round->stage == ROUND_SCHEDULE ? &round->ends.schedule : &round->ends.jobs;
    uint64_t sought = round->stage == ROUND_SCHEDULE ? round->sought.schedule : round->sought.jobs;
    raise_seq(ends, last);
    if (several && jj__reader_seq(reader_of(index, round->stage)) < (sought < last ? sought : last))
        ask_for_message(index, sought < last ? sought : last);
    else
        go_on(index);
}

/* The pass of this stage is over. */
static void end_stage(struct index *index, int64_t now_ms)
{
    struct round *round = &index->round;
    uint64_t sought = round->stage == ROUND_SCHEDULE ? round->sought.schedule : round->sought.jobs;
    uint64_t *ends = round->stage == ROUND_SCHEDULE ? &round->ends.schedule : &round->ends.jobs;
    char subject[96];

    *ends = jj__reader_seq(reader_of(index, round->stage));
    if (sought <= *ends) {
        go_on(index);
        return;
    }
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", stream_of(round->stage));
    ask(index, subject, NULL, now_ms, took_queue_end);
}

static void turn_round(struct index *index, int64_t now_ms)
{
    struct round *round = &index->round;

    if (round->asking || now_ms < round->again_ms || !jj__broker_connected(index->broker))
        return;
    if (round->stage == ROUND_NONE && round->wanted > round->ended) {
        round->begun++;
        round->sought = round->sought_next;
        round->sought_next = (struct seqs){0};
        begin_stage(index, ROUND_SCHEDULE);
    }
    if (round->stage == ROUND_EVENTS) {
        ask(index, "$JS.API.STREAM.INFO." JJ__STREAM_EVENTS, NULL, now_ms, took_events_end);
    } else if (round->stage != ROUND_NONE &&
               jj__reader_ended(reader_of(index, round->stage)) >= round->pass) {
        end_stage(index, now_ms);
        if (!round->asking)
            turn_round(index, now_ms); /* at most three stages deep */
    }
}

/* The number of the round that will serve whoever asks now. */
static uint64_t want_round(struct index *index, const struct seqs *seqs)
{
    struct round *round = &index->round;

    /* one that has begun may have passed by what was written since */
    round->wanted = round->begun + 1;
    raise_seq(&round->sought_next.jobs, seqs->jobs);
    raise_seq(&round->sought_next.schedule, seqs->schedule);
    return round->wanted;
}

/* ---- waiters ---- */

static uint64_t applied(const struct index *index, enum origin origin)
{
    return atomic_load(&index->applied_seqs[origin]);
}

bool jj__index_has(const struct index *index, const struct seqs *seqs)
{
    return atomic_load(&index->built) && applied(index, ORIGIN_JOBS) >= seqs->jobs &&
           applied(index, ORIGIN_SCHEDULE) >= seqs->schedule &&
           applied(index, ORIGIN_EVENTS) >= seqs->events;
}

static struct index_waiter **bucket_of(struct index *index, const char *id)
{
    unsigned hash = 2166136261u; /* FNV-1a */

    for (const char *c = id; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &index->sleepers[hash % SLEEPER_BUCKETS];
}

/* Nothing is known of its job's end yet: ask the writer, who knows all up to now, and hears of all
 * that comes. */
static void put_to_sleep(struct index *index, struct index_waiter *waiter)
{
    struct index_waiter **bucket = bucket_of(index, waiter->until_final);
    struct named *check = calloc(1, sizeof(*check));

    if (check == NULL) {
        waiter->ready(waiter->ctx, JJ_ERR_UNAVAILABLE, "no memory");
        return;
    }
    memcpy(check->id, waiter->until_final, sizeof(check->id));
    waiter->next = *bucket;
    *bucket = waiter;
    if (waiter->deadline_ms < index->sleepers_ms)
        index->sleepers_ms = waiter->deadline_ms;
    atomic_fetch_add(&index->sleeping, 1);
    pthread_mutex_lock(&index->lock);
    check->next = index->checks;
    index->checks = check;
    pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
}

static void raise_applied(struct index *index, enum origin origin, uint64_t to)
{
    uint_least64_t now = atomic_load(&index->applied_seqs[origin]);

    while (now < to && !atomic_compare_exchange_weak(&index->applied_seqs[origin], &now, to))
        ;
}

/* What it waited for is applied; all before that in the same stream, too. */
static void serve(struct index *index, struct index_waiter *waiter)
{
    if (waiter->stage == WAITS_FOR_WRITER && waiter->round > 0) {
        raise_applied(index, ORIGIN_JOBS, waiter->seqs.jobs);
        raise_applied(index, ORIGIN_SCHEDULE, waiter->seqs.schedule);
    }
    if (waiter->until_final[0] != '\0')
        put_to_sleep(index, waiter);
    else
        waiter->ready(waiter->ctx, JJ_OK, "");
}

/* Does it wait for messages that the streams did not have when the last round looked? */
static bool is_beyond(const struct index *index, const struct seqs *seqs)
{
    return seqs->jobs > index->round.ends.jobs || seqs->schedule > index->round.ends.schedule;
}

/* True if it has been served. */
static bool advance(struct index *index, struct index_waiter *waiter)
{
    if (waiter->stage == WAITS_FOR_ROUND && index->round.ended >= waiter->round &&
        is_beyond(index, &waiter->seqs)) {
        waiter->round = want_round(index, &waiter->seqs);
        index->round.again_ms = jj__clock_mono_ms() + BEYOND_MS;
        jj__broker_wake(index->broker);
    } else if (waiter->stage == WAITS_FOR_ROUND && index->round.ended >= waiter->round) {
        waiter->stage = WAITS_FOR_WRITER;
        waiter->ticket = index->round.items;
        raise_seq(&waiter->seqs.events, index->round.events_seq);
    }
    return waiter->stage == WAITS_FOR_WRITER && atomic_load(&index->built) &&
           atomic_load(&index->applied) >= waiter->ticket &&
           applied(index, ORIGIN_EVENTS) >= waiter->seqs.events;
}

static void time_out(struct index *index, struct index_waiter *waiter)
{
    char text[160];

    if (atomic_load(&index->built)) {
        waiter->ready(waiter->ctx, JJ_ERR_TIMEOUT, "the index has not caught up in time");
        return;
    }
    snprintf(text, sizeof(text), "the index is being built: %llu messages are still to be read",
             (unsigned long long)(atomic_load(&index->pending[ORIGIN_EVENTS]) +
                                  atomic_load(&index->pending[ORIGIN_JOBS]) +
                                  atomic_load(&index->pending[ORIGIN_SCHEDULE])));
    waiter->ready(waiter->ctx, JJ_ERR_UNAVAILABLE, text);
}

static void turn_waiters(struct index *index, int64_t now_ms)
{
    struct index_waiter **link = &index->waiters;

    while (*link != NULL) {
        struct index_waiter *waiter = *link;
        bool served = advance(index, waiter);
        if (!served && now_ms < waiter->deadline_ms) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        waiter->next = NULL;
        if (served)
            serve(index, waiter);
        else
            time_out(index, waiter);
    }
}

void jj__index_when(struct index *index, struct index_waiter *waiter)
{
    waiter->next = NULL;
    waiter->round = 0;
    if (index->closed) {
        waiter->ready(waiter->ctx, JJ_ERR_UNAVAILABLE, "the index is being closed");
        return;
    }
    bool seen = index->handed_events >= waiter->seqs.events &&
                jj__reader_seq(index->readers[ORIGIN_JOBS]) >= waiter->seqs.jobs &&
                jj__reader_seq(index->readers[ORIGIN_SCHEDULE]) >= waiter->seqs.schedule;
    waiter->stage = WAITS_FOR_WRITER;
    waiter->ticket = index->handed;
    if (!seen && !jj__index_has(index, &waiter->seqs)) {
        waiter->stage = WAITS_FOR_ROUND;
        waiter->round = want_round(index, &waiter->seqs);
        jj__broker_wake(index->broker);
    }
    if (advance(index, waiter)) {
        serve(index, waiter);
        return;
    }
    waiter->next = index->waiters;
    index->waiters = waiter;
    jj__broker_wake(index->broker);
}

/* ---- sleepers ---- */

static void wake_sleepers_of(struct index *index, const char *id)
{
    struct index_waiter **link = bucket_of(index, id);

    while (*link != NULL) {
        struct index_waiter *waiter = *link;
        if (strcmp(waiter->until_final, id) != 0) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        waiter->next = NULL;
        atomic_fetch_sub(&index->sleeping, 1);
        waiter->ready(waiter->ctx, JJ_OK, "");
    }
}

/* All whose deadline has come; all of them if now_ms is INT64_MAX. */
static void end_sleep(struct index *index, int64_t now_ms, jj_status status, const char *text)
{
    index->sleepers_ms = INT64_MAX;
    for (size_t i = 0; i < SLEEPER_BUCKETS; i++) {
        struct index_waiter **link = &index->sleepers[i];
        while (*link != NULL) {
            struct index_waiter *waiter = *link;
            if (now_ms < waiter->deadline_ms) {
                if (waiter->deadline_ms < index->sleepers_ms)
                    index->sleepers_ms = waiter->deadline_ms;
                link = &waiter->next;
                continue;
            }
            *link = waiter->next;
            waiter->next = NULL;
            atomic_fetch_sub(&index->sleeping, 1);
            waiter->ready(waiter->ctx, status, text);
        }
    }
}

static void take_finals(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    struct named *finals = index->finals;
    bool missed = index->finals_missed;
    index->finals = NULL;
    index->finals_missed = false;
    pthread_mutex_unlock(&index->lock);

    while (finals != NULL) {
        struct named *final = finals;
        finals = final->next;
        wake_sleepers_of(index, final->id);
        free(final);
    }
    if (missed)
        end_sleep(index, INT64_MAX, JJ_OK, "");
}

/* ---- a turn ---- */

/* Is what the streams held when all began applied? */
static void note_built(struct index *index)
{
    if (atomic_load(&index->built) || index->round.ended < index->round.builds)
        return;
    if (atomic_load(&index->applied) >= index->round.items &&
        applied(index, ORIGIN_EVENTS) >= index->round.events_seq)
        atomic_store(&index->built, true);
}

static int64_t next_deadline(const struct index *index, int64_t now_ms)
{
    int64_t next_ms = index->sleepers_ms;

    for (const struct index_waiter *waiter = index->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->deadline_ms < next_ms)
            next_ms = waiter->deadline_ms;
    if (index->round.wanted > index->round.ended && !index->round.asking &&
        index->round.again_ms > now_ms && index->round.again_ms < next_ms)
        next_ms = index->round.again_ms;
    return next_ms;
}

int64_t jj__index_wait_turn(struct index *index, int64_t now_ms)
{
    take_finals(index);
    note_built(index);
    turn_round(index, now_ms);
    note_built(index);
    turn_waiters(index, now_ms);
    if (now_ms >= index->sleepers_ms)
        end_sleep(index, now_ms, JJ_ERR_TIMEOUT, "the job is not over yet");
    int64_t next_ms = next_deadline(index, now_ms);
    return next_ms > now_ms ? next_ms : now_ms + 1;
}

void jj__index_wait_reset(struct index *index)
{
    struct round *round = &index->round;

    atomic_store(&index->built, false);
    if (round->stage != ROUND_NONE)
        round->ended = round->begun; /* in vain */
    round->stage = ROUND_NONE;
    round->builds = want_round(index, &(struct seqs){0});
    for (struct index_waiter *waiter = index->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->stage = WAITS_FOR_ROUND;
        waiter->round = want_round(index, &waiter->seqs);
    }
}

void jj__index_wait_close(struct index *index)
{
    while (index->waiters != NULL) {
        struct index_waiter *waiter = index->waiters;
        index->waiters = waiter->next;
        waiter->next = NULL;
        waiter->ready(waiter->ctx, JJ_ERR_UNAVAILABLE, "the index is being closed");
    }
    end_sleep(index, INT64_MAX, JJ_ERR_UNAVAILABLE, "the index is being closed");
}

/* ---- waiting on another thread ---- */

struct blocked {
    struct index *index;
    struct index_waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished; /* guarded by lock */
    jj_status status;
    char text[200];
};

static void wake_blocked(void *ctx, jj_status status, const char *text)
{
    struct blocked *blocked = ctx;

    pthread_mutex_lock(&blocked->lock);
    blocked->status = status;
    snprintf(blocked->text, sizeof(blocked->text), "%s", text);
    blocked->finished = true;
    pthread_cond_signal(&blocked->changed);
    pthread_mutex_unlock(&blocked->lock);
}

static void block(void *ctx)
{
    struct blocked *blocked = ctx;

    jj__index_when(blocked->index, &blocked->waiter);
}

jj_status jj__index_wait(struct index *index, const struct seqs *seqs, const char *until_final,
                         int64_t deadline_ms, jj_error *err)
{
    struct blocked blocked = {.index = index,
                              .waiter = {.seqs = *seqs, .deadline_ms = deadline_ms}};

    if (until_final == NULL && jj__index_has(index, seqs))
        return JJ_OK;
    blocked.waiter.ready = wake_blocked;
    blocked.waiter.ctx = &blocked;
    if (until_final != NULL)
        snprintf(blocked.waiter.until_final, sizeof(blocked.waiter.until_final), "%s", until_final);
    pthread_mutex_init(&blocked.lock, NULL);
    pthread_cond_init(&blocked.changed, NULL);
    jj__broker_call(index->broker, block, &blocked);
    pthread_mutex_lock(&blocked.lock);
    while (!blocked.finished)
        pthread_cond_wait(&blocked.changed, &blocked.lock);
    pthread_mutex_unlock(&blocked.lock);
    pthread_cond_destroy(&blocked.changed);
    pthread_mutex_destroy(&blocked.lock);
    return blocked.status == JJ_OK ? JJ_OK : jj__fail(err, blocked.status, "%s", blocked.text);
}

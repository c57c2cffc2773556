/* SPDX-License-Identifier: Apache-2.0 */

/* An index: opened, read into, thrown away and begun anew, closed.
 *
 * The rows belong to three streams as they were at some moment. If a stream is another one now, has
 * lost its end in a power cut, or has dropped events that were not read yet, the rows can't be
 * trusted, and can be had again: they are set aside and the streams are read from their beginning.
 * That is looked at when the index is opened, after each connect, and now and then. */

#include "index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "clock.h"
#include "index_inner.h"
#include "subject.h"
#include "thread.h"

#define QUEUE_BYTES   ((size_t)1024 * 1024) /* between broker thread and writer */
#define QUEUE_ITEMS   20000
#define LOOK_LIMIT_MS 5000
#define LOOK_EVERY_MS 30000
#define LOOK_RETRY_MS 1000
#define ITEM_OVERHEAD 400 /* of a message, in memory */

static const char *const streams[ORIGINS] = {JJ__STREAM_JOBS, JJ__STREAM_SCHEDULE,
                                             JJ__STREAM_EVENTS};

const char *jj__origin_stream(enum origin origin)
{
    return streams[origin];
}

/* ---- handing over to the writer; broker thread ---- */

/* Slow down while the writer is behind. */
static void regulate(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    bool full = index->items_bytes > QUEUE_BYTES || index->items_count > QUEUE_ITEMS;
    bool roomy = index->items_bytes < QUEUE_BYTES / 2 && index->items_count < QUEUE_ITEMS / 2;
    pthread_mutex_unlock(&index->lock);
    if (index->held ? !roomy : !full)
        return;
    index->held = !index->held;
    jj__tail_hold(index->tail, index->held);
    jj__reader_hold(index->readers[ORIGIN_JOBS], index->held);
    jj__reader_hold(index->readers[ORIGIN_SCHEDULE], index->held);
    jj__broker_wake(index->broker);
}

/* False: no memory. Whoever reads keeps its place then, and comes again with the same message. */
static bool hand_over(struct index *index, enum origin origin, struct broker_msg *msg, uint64_t seq,
                      int64_t stored_at_ms)
{
    struct item *item = malloc(sizeof(*item));

    if (item == NULL) {
        jj__msg_free(msg);
        return false;
    }
    *item = (struct item){.origin = origin,
                          .msg = msg,
                          .seq = seq,
                          .stored_at_ms = stored_at_ms,
                          .bytes = jj__msg_len(msg) + ITEM_OVERHEAD};
    index->handed++;
    pthread_mutex_lock(&index->lock);
    bool was_empty = index->items == NULL;
    *index->items_end = item;
    index->items_end = &item->next;
    index->items_bytes += item->bytes;
    index->items_count++;
    if (was_empty)
        pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
    return true;
}

static bool take_job(void *ctx, struct broker_msg *msg, uint64_t seq)
{
    return hand_over(ctx, ORIGIN_JOBS, msg, seq, 0);
}

static bool take_schedule(void *ctx, struct broker_msg *msg, uint64_t seq)
{
    return hand_over(ctx, ORIGIN_SCHEDULE, msg, seq, 0);
}

static bool take_events(void *ctx, struct broker_msg *msg, const struct delivery *delivery)
{
    struct index *index = ctx;

    if (!hand_over(index, ORIGIN_EVENTS, msg, delivery->seq, delivery->stored_at_ms))
        return false;
    index->handed_events = delivery->seq;
    atomic_store(&index->pending[ORIGIN_EVENTS], delivery->pending);
    return true;
}

/* ---- where the rows come from ---- */

jj_status jj__index_compare(jj_offsets *offsets, enum origin origin, const void *info, size_t len,
                            jj_error *err)
{
    jj_offset *offset = jj__offset_of(offsets, origin);
    json_t *answer = json_loadb(info, len, 0, NULL);
    const json_t *state = json_object_get(answer, "state");
    const char *created = json_string_value(json_object_get(answer, "created"));
    uint64_t first = (uint64_t)json_integer_value(json_object_get(state, "first_seq"));
    uint64_t last = (uint64_t)json_integer_value(json_object_get(state, "last_seq"));
    jj_status s = JJ_OK;

    if (created == NULL || state == NULL)
        s = jj__fail(
            err, JJ_ERR_UNAVAILABLE, "can't look at stream %s: %.160s", streams[origin],
            json_string_value(json_object_get(json_object_get(answer, "error"), "description")));
    else if (offset->created[0] != '\0' && strcmp(offset->created, created) != 0)
        s = jj__fail(err, JJ_ERR_PROTOCOL, "stream %s was made anew at %.40s", streams[origin],
                     created);
    else if (last < offset->seq)
        s = jj__fail(err, JJ_ERR_PROTOCOL, "stream %s was read up to %llu and ends at %llu now",
                     streams[origin], (unsigned long long)offset->seq, (unsigned long long)last);
    else if (origin == ORIGIN_EVENTS && offset->seq > 0 && first > offset->seq + 1)
        s = jj__fail(err, JJ_ERR_PROTOCOL, "events %llu to %llu were dropped before they were read",
                     (unsigned long long)offset->seq + 1, (unsigned long long)first - 1);
    else
        snprintf(offset->created, sizeof(offset->created), "%s", created);
    json_decref(answer);
    return s;
}

static jj_status look_at(struct index *index, jj_offsets *offsets, enum origin origin,
                         jj_error *err)
{
    char subject[64];
    struct broker_msg *msg = NULL;
    const struct outgoing question = {.subject = subject};

    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", streams[origin]);
    jj_status s = jj__broker_request(index->broker, &question,
                                     jj__clock_mono_ms() + index->timeout_ms, &msg, err);
    if (s != JJ_OK)
        return s;
    s = jj__index_compare(offsets, origin, jj__msg_data(msg), jj__msg_len(msg), err);
    jj__msg_free(msg);
    return s;
}

/* ---- after a connect: are they still the same streams? ---- */

struct look {
    struct index *index;
    enum origin origin;
};

static void looked(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct look *look = ctx;
    struct index *index = look->index;
    jj_error err;

    (void)status;
    if (msg != NULL && !index->closed) {
        pthread_mutex_lock(&index->lock);
        jj_offsets offsets = index->applied_offsets;
        if (jj__index_compare(&offsets, look->origin, jj__msg_data(msg), jj__msg_len(msg), &err) ==
            JJ_ERR_PROTOCOL) {
            snprintf(index->start_over, sizeof(index->start_over), "%.150s", err.text);
            pthread_cond_signal(&index->work);
        }
        pthread_mutex_unlock(&index->lock);
    }
    jj__msg_free(msg);
    free(look);
}

static bool look_again_at(struct index *index, enum origin origin, int64_t now_ms)
{
    char subject[64];
    struct look *look = malloc(sizeof(*look));

    if (look == NULL)
        return false;
    *look = (struct look){.index = index, .origin = origin};
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", streams[origin]);
    const struct question question = {.message = {.subject = subject},
                                      .deadline_ms = now_ms + LOOK_LIMIT_MS,
                                      .answer = looked,
                                      .ctx = look};
    if (jj__broker_ask(index->broker, &question, NULL) == JJ_OK)
        return true;
    free(look);
    return false;
}

static void look_again(struct index *index, int64_t now_ms)
{
    bool asked = true;

    index->look_ms = now_ms + LOOK_EVERY_MS;
    if (!jj__broker_connected(index->broker))
        return;
    for (enum origin origin = ORIGIN_JOBS; asked && origin < ORIGINS; origin++)
        asked = look_again_at(index, origin, now_ms);
    if (!asked)
        index->look_ms = now_ms + LOOK_RETRY_MS;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct index *index = ctx;

    if (now_ms >= index->look_ms)
        look_again(index, now_ms);
    regulate(index);
    atomic_store(&index->pending[ORIGIN_JOBS], jj__reader_pending(index->readers[ORIGIN_JOBS]));
    atomic_store(&index->pending[ORIGIN_SCHEDULE],
                 jj__reader_pending(index->readers[ORIGIN_SCHEDULE]));
    return jj__index_wait_turn(index, now_ms);
}

static void connected(void *ctx, bool is_connected)
{
    if (is_connected)
        look_again(ctx, jj__clock_mono_ms());
}

/* ---- reading, from some offsets on ---- */

struct beginning {
    struct index *index;
    const jj_offsets *offsets;
    jj_status status;
    jj_error *err;
};

static void stop_reading(struct index *index)
{
    jj__tail_close(index->tail);
    jj__reader_close(index->readers[ORIGIN_JOBS]);
    jj__reader_close(index->readers[ORIGIN_SCHEDULE]);
    index->tail = NULL;
    index->readers[ORIGIN_JOBS] = index->readers[ORIGIN_SCHEDULE] = NULL;
}

static jj_status begin_reading(struct index *index, const jj_offsets *offsets, jj_error *err)
{
    const struct tail_options tail = {.stream = JJ__STREAM_EVENTS,
                                      .after_seq = offsets->events.seq,
                                      .take = take_events,
                                      .ctx = index};
    const struct reader_options jobs = {.stream = JJ__STREAM_JOBS,
                                        .wake_subject = "jobs.enqueue.*",
                                        .after_seq = offsets->jobs.seq,
                                        .poll_interval_ms = index->poll_interval_ms,
                                        .take = take_job,
                                        .ctx = index};
    const struct reader_options schedule = {.stream = JJ__STREAM_SCHEDULE,
                                            .wake_subject = "jobs.schedule.*.*",
                                            .after_seq = offsets->schedule.seq,
                                            .poll_interval_ms = index->poll_interval_ms,
                                            .take = take_schedule,
                                            .ctx = index};
    jj_status s = jj__tail_open(index->broker, &index->log, &tail, &index->tail, err);

    if (s == JJ_OK)
        s = jj__reader_open(index->broker, &index->log, &jobs, &index->readers[ORIGIN_JOBS], err);
    if (s == JJ_OK)
        s = jj__reader_open(index->broker, &index->log, &schedule, &index->readers[ORIGIN_SCHEDULE],
                            err);
    index->handed_events = offsets->events.seq;
    index->held = false;
    return s;
}

/* What was handed over and not taken yet is of the time before. */
static void forget_items(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    struct item *items = index->items;
    size_t count = index->items_count;
    index->items = NULL;
    index->items_end = &index->items;
    index->items_bytes = index->items_count = 0;
    index->start_over[0] = '\0';
    index->applied_offsets = index->offsets;
    pthread_mutex_unlock(&index->lock);
    jj__items_free(items);
    atomic_fetch_add(&index->applied, count);
}

static void begin_anew(void *ctx)
{
    struct beginning *beginning = ctx;
    struct index *index = beginning->index;
    const jj_offsets *offsets = beginning->offsets;

    if (index->closed)
        return;
    stop_reading(index);
    forget_items(index);
    for (enum origin origin = ORIGIN_JOBS; origin < ORIGINS; origin++)
        atomic_store(&index->applied_seqs[origin],
                     jj__offset_of((jj_offsets *)offsets, origin)->seq);
    beginning->status = begin_reading(index, offsets, beginning->err);
    if (beginning->status != JJ_OK) {
        stop_reading(index);
        return;
    }
    jj__index_wait_reset(index);
    if (index->member.turn == NULL) {
        index->member = (struct broker_member){.turn = turn, .connected = connected, .ctx = index};
        index->look_ms = jj__clock_mono_ms() + LOOK_EVERY_MS;
        jj__broker_member_add(index->broker, &index->member);
    }
    jj__broker_wake(index->broker);
}

jj_status jj__index_read_from(struct index *index, const jj_offsets *offsets, jj_error *err)
{
    struct beginning beginning = {.index = index, .offsets = offsets, .err = err};

    jj__broker_call(index->broker, begin_anew, &beginning);
    return beginning.status;
}

/* ---- storage ---- */

void *jj__storage_read(struct index *index)
{
    pthread_rwlock_rdlock(&index->storage_lock);
    if (!index->adapter->concurrent_reads)
        pthread_mutex_lock(&index->one_at_a_time);
    return index->storage;
}

void jj__storage_read_done(struct index *index)
{
    if (!index->adapter->concurrent_reads)
        pthread_mutex_unlock(&index->one_at_a_time);
    pthread_rwlock_unlock(&index->storage_lock);
}

static jj_status set_aside(struct index *index, const char *why, jj_error *err)
{
    char kept[512] = "";
    jj_status s = index->adapter->set_aside(index->location, kept, sizeof(kept), err);

    if (s != JJ_OK)
        return s;
    jj__log(&index->log, JJ_LOG_WARN, "the index is built anew: %s%s%s", why,
            kept[0] == '\0' ? "" : "; the old one is kept as ", kept);
    return JJ_OK;
}

/* Open the storage, set aside what can't be used. */
static jj_status open_storage(struct index *index, jj_error *err)
{
    jj_error why;
    jj_status s = index->adapter->open(index->location, &index->storage, &why);

    if (s == JJ_OK) {
        s = index->adapter->offsets(index->storage, &index->offsets, &why);
        if (s == JJ_OK)
            return JJ_OK;
        index->adapter->close(index->storage);
        index->storage = NULL;
    }
    if (s != JJ_ERR_PROTOCOL)
        return jj__fail(err, s, "%s", why.text);
    s = set_aside(index, why.text, err);
    if (s == JJ_OK)
        s = index->adapter->open(index->location, &index->storage, err);
    index->offsets = (jj_offsets){0};
    return s;
}

/* Lock: storage_lock held for writing. */
static jj_status replace_storage(struct index *index, const char *why, jj_error *err)
{
    if (index->storage != NULL)
        index->adapter->close(index->storage);
    index->storage = NULL;
    jj_status s = set_aside(index, why, err);
    if (s == JJ_OK)
        s = index->adapter->open(index->location, &index->storage, err);
    index->offsets = (jj_offsets){0};
    return s;
}

/* Do the rows belong to these streams? */
static jj_status look_at_all(struct index *index, jj_error *err)
{
    jj_status s = JJ_OK;

    for (enum origin origin = ORIGIN_JOBS; s == JJ_OK && origin < ORIGINS; origin++)
        s = look_at(index, &index->offsets, origin, err);
    return s;
}

jj_status jj__index_start_over(struct index *index, const char *why, bool *replaced, jj_error *err)
{
    jj_status s = JJ_OK;

    jj__index_expect_leftovers(index);
    pthread_rwlock_wrlock(&index->storage_lock);
    atomic_store(&index->built, false);
    if (!*replaced)
        s = replace_storage(index, why, err);
    *replaced = s == JJ_OK;
    index->offsets = (jj_offsets){0};
    pthread_rwlock_unlock(&index->storage_lock);
    if (s == JJ_OK)
        s = look_at_all(index, err);
    if (s == JJ_OK)
        s = jj__index_read_from(index, &index->offsets, err);
    return s;
}

/* ---- open and close ---- */

static jj_status open_index(struct index *index, jj_error *err)
{
    jj_error why;
    jj_status s = open_storage(index, err);

    if (s != JJ_OK)
        return s;
    s = look_at_all(index, &why);
    if (s == JJ_ERR_PROTOCOL) {
        const jj_error reason = why;
        s = replace_storage(index, reason.text, &why);
        if (s == JJ_OK)
            s = look_at_all(index, &why);
    }
    if (s != JJ_OK)
        return jj__fail(err, s, "index: %s", why.text);
    if (index->offsets.jobs.seq == 0)
        jj__index_expect_leftovers(index);
    s = jj__index_read_from(index, &index->offsets, err);
    if (s != JJ_OK)
        return s;
    index->writer_runs = jj__thread_create(&index->writer, NULL, jj__index_writer_main, index) == 0;
    return index->writer_runs ? JJ_OK : jj__fail(err, JJ_ERR_NO_MEMORY, "thread of the index");
}

jj_status jj__index_open(const struct index_setup *setup, struct index **index_out, jj_error *err)
{
    struct index *index = calloc(1, sizeof(*index));

    if (index == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "index");
    index->broker = setup->broker;
    index->log = setup->log;
    index->adapter = setup->adapter;
    index->poll_interval_ms = setup->poll_interval_ms;
    index->history_ms = setup->history_ms;
    index->timeout_ms = setup->timeout_ms;
    index->items_end = &index->items;
    index->sleepers_ms = INT64_MAX;
    index->location = strdup(setup->location == NULL ? "" : setup->location);
    index->batch = malloc(sizeof(*index->batch));
    pthread_mutex_init(&index->lock, NULL);
    pthread_mutex_init(&index->one_at_a_time, NULL);
    pthread_rwlock_init(&index->storage_lock, NULL);
    jj__thread_condition(&index->work);
    jj_status s = index->location == NULL || index->batch == NULL
                      ? jj__fail(err, JJ_ERR_NO_MEMORY, "index")
                      : open_index(index, err);
    *index_out = index;
    return s;
}

static void end_reading(void *ctx)
{
    struct index *index = ctx;

    index->closed = true;
    stop_reading(index);
    if (index->member.turn == NULL)
        return;
    jj__broker_member_remove(index->broker, &index->member);
    jj__index_wait_close(index);
}

void jj__index_close(struct index *index)
{
    if (index == NULL)
        return;
    pthread_mutex_lock(&index->lock);
    index->stopping = true;
    pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
    jj__broker_call(index->broker, end_reading, index);
    if (index->writer_runs)
        pthread_join(index->writer, NULL);
    jj__items_free(index->items);
    index->items = NULL;
    if (index->storage != NULL)
        index->adapter->close(index->storage);
    index->storage = NULL;
}

static void free_named(struct named *list)
{
    while (list != NULL) {
        struct named *named = list;
        list = named->next;
        free(named);
    }
}

void jj__index_free(struct index *index)
{
    if (index == NULL)
        return;
    free_named(index->checks);
    free_named(index->finals);
    pthread_cond_destroy(&index->work);
    pthread_mutex_destroy(&index->lock);
    pthread_mutex_destroy(&index->one_at_a_time);
    pthread_rwlock_destroy(&index->storage_lock);
    free(index->location);
    free(index->batch);
    free(index);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The writer: the one thread that changes the storage.
 *
 * It takes whatever has been read since it last looked, up to a limit, folds it into rows in
 * memory, and commits rows, lines and offsets in one transaction: the longer a commit takes, the
 * larger the next batch is. The messages of jobs that turn out to be cancelled are deleted before
 * that: were the index killed in between, it would read the cancellation again and delete them
 * again.
 *
 * A storage that fails is tried again until it works, with the same batch; so is a batch that there
 * is no memory for. What can't be used any more is set aside, and all is read again. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "fault.h"
#include "index_inner.h"
#include "state.h"

#define BATCH_BYTES ((size_t)256 * 1024) /* of messages */
#define BATCH_ITEMS 4000
#define AGAIN_MS    20 /* after a failure; doubled each time, */
#define AGAIN_MAX   1000

void jj__items_free(struct item *items)
{
    while (items != NULL) {
        struct item *item = items;
        items = item->next;
        jj__msg_free(item->msg);
        free(item);
    }
}

/* ---- waiting ---- */

static void wait_until(struct index *index, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};

    if (until_ms == INT64_MAX)
        pthread_cond_wait(&index->work, &index->lock);
    else
        pthread_cond_timedwait(&index->work, &index->lock, &until);
}

/* What the writer is to do next. */
struct work {
    struct item *items;
    size_t count;
    struct named *checks;
    char start_over[160];
    bool look; /* housekeeping goes on */
    bool stop;
};

static void take_items(struct index *index, struct work *work)
{
    struct item **end = &work->items;
    size_t bytes = 0;

    while (index->items != NULL && work->count < BATCH_ITEMS && bytes < BATCH_BYTES) {
        struct item *item = index->items;
        index->items = item->next;
        item->next = NULL;
        *end = item;
        end = &item->next;
        bytes += item->bytes;
        work->count++;
    }
    if (index->items == NULL)
        index->items_end = &index->items;
    index->items_bytes -= bytes;
    index->items_count -= work->count;
}

static void take_work(struct index *index, int64_t until_ms, struct work *work)
{
    *work = (struct work){0};
    pthread_mutex_lock(&index->lock);
    while (index->items == NULL && index->checks == NULL && index->start_over[0] == '\0' &&
           !index->look && !index->stopping && jj__clock_mono_ms() < until_ms)
        wait_until(index, until_ms);
    work->stop = index->stopping;
    work->look = index->look;
    index->look = false;
    memcpy(work->start_over, index->start_over, sizeof(work->start_over));
    take_items(index, work);
    work->checks = index->checks;
    index->checks = NULL;
    pthread_mutex_unlock(&index->lock);
}

/* True if it is to stop. */
static bool pause_writing(struct index *index, int64_t *again_ms)
{
    int64_t until_ms = jj__clock_mono_ms() + *again_ms;

    *again_ms = *again_ms > AGAIN_MAX / 2 ? AGAIN_MAX : *again_ms * 2;
    pthread_mutex_lock(&index->lock);
    while (!index->stopping && jj__clock_mono_ms() < until_ms)
        wait_until(index, until_ms);
    bool stop = index->stopping;
    pthread_mutex_unlock(&index->lock);
    return stop;
}

/* ---- telling that jobs are final ---- */

static void post_final(struct index *index, struct named *final)
{
    pthread_mutex_lock(&index->lock);
    final->next = index->finals;
    index->finals = final;
    pthread_mutex_unlock(&index->lock);
}

/* Without memory all who wait are woken, and look for themselves. */
static void post_final_id(struct index *index, const char *id)
{
    struct named *final = calloc(1, sizeof(*final));

    if (final != NULL) {
        memcpy(final->id, id, strlen(id) + 1);
        post_final(index, final);
        return;
    }
    pthread_mutex_lock(&index->lock);
    index->finals_missed = true;
    pthread_mutex_unlock(&index->lock);
}

static void post_finals(struct index *index, const struct batch *batch)
{
    if (atomic_load(&index->sleeping) == 0)
        return;
    for (const struct batch_row *row = batch->first; row != NULL; row = row->order_next)
        if (!row->was_final && jj__state_is_final(row->row.record.state))
            post_final_id(index, row->row.id);
}

static bool note_state(void *ctx, const jj_record *record)
{
    *(jj_state *)ctx = record->state;
    return false;
}

/* Jobs that somebody waits for: those that are over, or not there, are told at once. */
static void check_finals(struct index *index, struct named *checks)
{
    while (checks != NULL) {
        struct named *check = checks;
        jj_state state = JJ_ANY_STATE;
        checks = check->next;
        void *storage = jj__storage_read(index);
        jj_status s = storage == NULL
                          ? JJ_ERR_STORAGE
                          : index->adapter->get(storage, check->id, note_state, &state, NULL);
        jj__storage_read_done(index);
        if (s != JJ_OK || jj__state_is_final(state))
            post_final(index, check);
        else
            free(check);
    }
    jj__broker_wake(index->broker);
}

/* ---- applying ---- */

static void note_applied(struct index *index, const struct batch *batch, size_t count)
{
    index->offsets = batch->offsets;
    pthread_mutex_lock(&index->lock);
    index->applied_offsets = batch->offsets;
    pthread_mutex_unlock(&index->lock);
    for (enum origin origin = ORIGIN_JOBS; origin < ORIGINS; origin++) {
        uint64_t seq = jj__offset_of(&index->offsets, origin)->seq;
        if (seq > atomic_load(&index->applied_seqs[origin]))
            atomic_store(&index->applied_seqs[origin], seq);
    }
    atomic_fetch_add(&index->applied, count);
    atomic_fetch_add(&index->anomalies, batch->anomalies);
    if (batch->anomalies > 0)
        jj__log(&index->log, JJ_LOG_INFO, "%llu events changed nothing, such as %s",
                (unsigned long long)batch->anomalies, batch->anomaly);
}

/* The messages of jobs that are cancelled. Who must not delete them leaves them to workers, who
 * drop them. */
static jj_status delete_cancelled(struct index *index, const struct batch *batch, jj_error *err)
{
    jj_status s = jj__index_delete(index, batch->deletions, err);

    if (s != JJ_ERR_NOT_PERMITTED)
        return s;
    jj__log(&index->log, JJ_LOG_WARN, "messages of cancelled jobs are left to their workers: %s",
            err->text);
    return JJ_OK;
}

static jj_status fold_and_store(struct index *index, struct batch *batch, struct item *items,
                                bool *added, jj_error *err)
{
    jj_status s = JJ_OK;

    if (!*added) {
        for (struct item *item = items; s == JJ_OK && item != NULL; item = item->next)
            s = jj__batch_add(batch, item, err);
        if (s != JJ_OK)
            return s;
        *added = true;
    }
    jj__fault_point("index.folded");
    s = delete_cancelled(index, batch, err);
    jj__fault_point("index.deleted");
    if (s == JJ_OK)
        s = jj__batch_store(batch, err);
    jj__fault_point("index.stored");
    return s;
}

static void complain(struct index *index, const jj_error *err)
{
    if (!index->complained)
        jj__log(&index->log, JJ_LOG_ERROR, "the index stands still, and tries again: %s",
                err->text);
    index->complained = true;
}

static void recover(struct index *index)
{
    if (index->complained)
        jj__log(&index->log, JJ_LOG_INFO, "the index goes on");
    index->complained = false;
}

/* Until it is done, or the writer is to stop, or all is to begin anew. */
static void apply(struct index *index, struct work *work)
{
    struct batch *batch = index->batch;
    int64_t again_ms = AGAIN_MS;
    bool added = false;
    jj_error err;
    jj_status s;

    jj__batch_init(batch, index);
    for (;;) {
        s = fold_and_store(index, batch, work->items, &added, &err);
        if (s == JJ_OK || s == JJ_ERR_PROTOCOL)
            break;
        complain(index, &err);
        if (!added) { /* half a batch is none */
            jj__batch_done(batch);
            jj__batch_init(batch, index);
        }
        if (pause_writing(index, &again_ms))
            break;
    }
    if (s == JJ_OK) {
        recover(index);
        note_applied(index, batch, work->count);
        post_finals(index, batch);
        jj__broker_wake(index->broker);
    } else if (s == JJ_ERR_PROTOCOL) {
        snprintf(work->start_over, sizeof(work->start_over), "%.150s", err.text);
    }
    jj__batch_done(batch);
}

static void start_over(struct index *index, const char *why)
{
    int64_t again_ms = AGAIN_MS;
    bool replaced = false;
    jj_error err;

    while (jj__index_start_over(index, why, &replaced, &err) != JJ_OK) {
        complain(index, &err);
        if (pause_writing(index, &again_ms))
            return;
    }
    recover(index);
}

void *jj__index_writer_main(void *arg)
{
    struct index *index = arg;
    int64_t keep_ms = 0;
    struct work work;

    for (;;) {
        take_work(index, keep_ms, &work);
        if (work.items != NULL && !work.stop && work.start_over[0] == '\0')
            apply(index, &work);
        jj__items_free(work.items);
        if (work.stop)
            break;
        if (work.start_over[0] != '\0') {
            atomic_fetch_add(&index->applied, work.count); /* they don't matter any more */
            start_over(index, work.start_over);
        }
        check_finals(index, work.checks);
        if (work.look || jj__clock_mono_ms() >= keep_ms)
            keep_ms = jj__index_keep(index, jj__clock_mono_ms());
    }
    check_finals(index, work.checks);
    jj__index_drop_leftovers(index);
    jj__broker_thread_done();
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Housekeeping of an index, in steps short enough that nobody waits for them.
 *
 * Pruning: rows that have been final for longer than the history reaches are removed with their
 * lines; nothing that is not final is ever removed by age.
 *
 * Sweeping: a schedule whose firing the server had to refuse, for want of space, stays in
 * JOBS_SCHEDULE and never fires again by itself. One that is overdue and still there is published
 * again as it is, and then fires at once. If it had just fired after all, its job has the message
 * id of the first firing, and the second is a duplicate. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "index_inner.h"
#include "place.h"
#include "subject.h"

#define PRUNE_STEP     500
#define PRUNE_EVERY_MS 10000
#define PRUNE_PAUSE_MS 100 /* however short the history is */
#define SWEEP_STEP     64
#define OVERDUE_MS     30000 /* design section 4b */
#define SWEEP_LIMIT_MS 1000  /* for the broker to answer */

/* Ids that were found. */
struct found {
    struct {
        char id[JJ_NAME_SIZE];
        char name[JJ_NAME_SIZE];
    } list[PRUNE_STEP];
    size_t skip;
    size_t count;
    size_t max;
};

static bool take_found(void *ctx, const jj_record *record)
{
    struct found *found = ctx;

    if (found->skip > 0) {
        found->skip--;
        return true;
    }
    snprintf(found->list[found->count].id, JJ_NAME_SIZE, "%s", record->id);
    snprintf(found->list[found->count].name, JJ_NAME_SIZE, "%s", record->name);
    found->count++;
    return found->count < found->max;
}

/* ---- pruning ---- */

static jj_status remove_found(struct index *index, const struct found *found, jj_error *err)
{
    const jj_adapter *adapter = index->adapter;

    if (!adapter->concurrent_reads)
        pthread_mutex_lock(&index->one_at_a_time);
    jj_status s = adapter->begin(index->storage, err);
    if (s == JJ_OK) {
        for (size_t i = 0; s == JJ_OK && i < found->count; i++)
            s = adapter->remove(index->storage, found->list[i].id, err);
        if (s == JJ_OK)
            s = adapter->commit(index->storage, &index->offsets, err);
        if (s != JJ_OK)
            adapter->rollback(index->storage);
    }
    if (!adapter->concurrent_reads)
        pthread_mutex_unlock(&index->one_at_a_time);
    return s;
}

/* True if there may be more. */
static bool prune(struct index *index, struct found *found)
{
    int64_t before_ms = jj__clock_wall_ms() - index->history_ms;
    jj_error err;

    *found = (struct found){.max = PRUNE_STEP};
    void *storage = jj__storage_read(index);
    jj_status s =
        index->adapter->get_finished(storage, before_ms, PRUNE_STEP, take_found, found, &err);
    jj__storage_read_done(index);
    if (s == JJ_OK && found->count > 0)
        s = remove_found(index, found, &err);
    if (s != JJ_OK)
        jj__log(&index->log, JJ_LOG_WARN, "old jobs stay in the index: %s", err.text);
    return s == JJ_OK && found->count == PRUNE_STEP;
}

/* A short history is looked at more often. */
static int64_t prune_interval_ms(const struct index *index)
{
    if (index->history_ms >= PRUNE_EVERY_MS)
        return PRUNE_EVERY_MS;
    return index->history_ms > PRUNE_PAUSE_MS ? index->history_ms : PRUNE_PAUSE_MS;
}

/* ---- sweeping ---- */

/* What a direct get adds, and what would make the message a duplicate. */
static bool is_to_send(const jj_header *header)
{
    static const char *const not [] = {"Nats-Stream",     "Nats-Subject",     "Nats-Sequence",
                                       "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence",
                                       JJ__HEADER_MSG_ID, JJ__HEADER_EXPECTED};

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (strcasecmp(header->name, not [i]) == 0)
            return false;
    return jj__header_name_valid(header->name) && jj__header_value_valid(header->value);
}

/* Unless something else has taken its place meanwhile. */
static jj_status publish_again(struct index *index, const char *subject, struct broker_msg *msg,
                               bool *again_out, jj_error *err)
{
    char msg_id[96];
    jj_header *headers = NULL;
    size_t count = 0, kept = 1;
    struct publish_result result = {0};
    jj_status s = jj__msg_headers(msg, &headers, &count, err);
    if (s != JJ_OK)
        return s;
    jj_header *sent = malloc((count + 1) * sizeof(*sent));

    if (sent == NULL) {
        free(headers);
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers");
    }
    snprintf(msg_id, sizeof(msg_id), "swept:%s:%lld", strrchr(subject, '.') + 1,
             (long long)jj__clock_wall_ms());
    sent[0] = (jj_header){JJ__HEADER_MSG_ID, msg_id};
    for (size_t i = 0; i < count; i++)
        if (is_to_send(&headers[i]))
            sent[kept++] = headers[i];
    const struct outgoing message = {.subject = subject,
                                     .headers = sent,
                                     .header_count = kept,
                                     .data = jj__msg_data(msg),
                                     .len = jj__msg_len(msg)};
    const char *seq = jj__msg_header(msg, "Nats-Sequence");
    uint64_t expected = seq == NULL ? 0 : strtoull(seq, NULL, 10);
    jj__place_publish(index->broker, &message, &expected, jj__clock_mono_ms() + SWEEP_LIMIT_MS,
                      &result);
    free(sent);
    free(headers);
    *again_out = result.status == JJ_OK;
    if (result.status == JJ_OK || jj__place_taken(result.err_code))
        return JJ_OK;
    return jj__fail(err, result.status, "%s", result.err.text);
}

/* Is its schedule still there? Then publish it again. */
static jj_status sweep_one(struct index *index, const char *name, const char *id, jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE], body[JJ__SUBJECT_SIZE + 32];
    struct broker_msg *msg = NULL;

    jj__subject_schedule(subject, name, id);
    int len = snprintf(body, sizeof(body), "{\"last_by_subj\":\"%s\"}", subject);
    const struct outgoing question = {
        .subject = "$JS.API.DIRECT.GET." JJ__STREAM_SCHEDULE, .data = body, .len = (size_t)len};
    jj_status s = jj__broker_request(index->broker, &question, jj__clock_mono_ms() + SWEEP_LIMIT_MS,
                                     &msg, err);
    if (s != JJ_OK)
        return s;
    if (jj__msg_status(msg) == 0) {
        bool again;
        s = publish_again(index, subject, msg, &again, err);
        if (s == JJ_OK && again)
            jj__log(&index->log, JJ_LOG_WARN, "job %s of %s was overdue: scheduled again", id,
                    name);
    }
    jj__msg_free(msg);
    return s;
}

static void sweep(struct index *index, struct found *found)
{
    jj_error err;

    if (!jj__broker_connected(index->broker))
        return;
    *found = (struct found){.max = SWEEP_STEP, .skip = index->sweep_skip};
    void *storage = jj__storage_read(index);
    jj_status s = index->adapter->get_scheduled_ready(storage, jj__clock_wall_ms() - OVERDUE_MS,
                                                      take_found, found, &err);
    jj__storage_read_done(index);
    index->sweep_skip = found->count < found->max ? 0 : index->sweep_skip + found->count;
    for (size_t i = 0; s == JJ_OK && i < found->count; i++)
        s = sweep_one(index, found->list[i].name, found->list[i].id, &err);
    if (s != JJ_OK)
        jj__log(&index->log, JJ_LOG_DEBUG, "overdue schedules are looked at later: %s", err.text);
}

int64_t jj__index_keep(struct index *index, int64_t now_ms)
{
    struct found *found;

    if (index->storage == NULL || !atomic_load(&index->built))
        return now_ms + index->poll_interval_ms;
    found = malloc(sizeof(*found));
    if (found == NULL)
        return now_ms + index->poll_interval_ms;
    if (now_ms >= index->prune_ms)
        index->prune_ms = prune(index, found) ? now_ms : now_ms + prune_interval_ms(index);
    if (now_ms >= index->keep_ms) {
        sweep(index, found);
        index->keep_ms = now_ms + index->poll_interval_ms;
    }
    free(found);
    int64_t clear_ms = jj__index_clear_leftovers(index, now_ms);
    int64_t next_ms = index->prune_ms < index->keep_ms ? index->prune_ms : index->keep_ms;
    return clear_ms < next_ms ? clear_ms : next_ms;
}

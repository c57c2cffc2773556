/* SPDX-License-Identifier: Apache-2.0 */
/* Folding what was read into a row: one of its halves is changed, then both are joined anew.
 *
 * That the row does not depend on the order in which the streams were read rests on three things,
 * which every change here must keep. What comes from the queues only ever grows, in a total order.
 * What comes from JOBS_EVENTS sees nothing of the queues (fold_events.c). And the row is computed
 * from the two halves as they are, never from the row as it was. */

#include <assert.h>
#include <string.h>

#include "fold_events.h"
#include "state.h"
#include "step.h"

/* ---- the queue half ---- */

/* In the order of life; a final state is not asked for. */
static int rank(jj_state state)
{
    if (state == JJ_RUNNING)
        return 2;
    return state == JJ_PENDING ? 1 : 0;
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Above 0: message is of a later generation than the queue half. */
static int compare_generation(const struct standing *message, const struct standing *queue)
{
    if (queue->state == JJ_ANY_STATE)
        return 1;
    if (message->redrives != queue->redrives)
        return COMPARE(message->redrives, queue->redrives);
    return COMPARE(message->generation, queue->generation);
}

/* Within a generation. Two workers that each held the job may have put it off and failed it: then
 * there are two messages of one generation, and one of them has to count. */
static bool is_further(const struct standing *message, const struct standing *queue)
{
    if (message->state != queue->state)
        return rank(message->state) > rank(queue->state);
    return message->attempts > queue->attempts;
}

/* The time is the latest that any message of the generation says: one that came due without a
 * Job-Run-At of its own does not know it any more. */
static void fold_queue(struct marks *marks, const struct standing *message, int64_t run_at_ms)
{
    struct standing *queue = &marks->queue;
    int order = compare_generation(message, queue);

    if (order < 0)
        return;
    if (order > 0)
        marks->queue_run_at_ms = 0;
    if (order > 0 || is_further(message, queue))
        *queue = *message;
    if (run_at_ms > marks->queue_run_at_ms)
        marks->queue_run_at_ms = run_at_ms;
}

/* ---- content ---- */

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || a == b || memcmp(a, b, a_len) == 0);
}

static bool is_better(const struct row *row, enum fold_source source, const struct content *content)
{
    if (row->marks.content_from == 0)
        return true;
    if (content->data_known != row->record.data_known)
        return content->data_known;
    return source + 1u < row->marks.content_from;
}

/* Of what a claim repeats, nothing needs to be written. */
static bool is_claim_of_content(const struct marks *marks, enum fold_source source, uint64_t seq)
{
    return source == FROM_CLAIM && marks->content_from == FROM_JOBS + 1u && seq != 0 &&
           seq == marks->content_seq;
}

/* seq: of the message, or of the one in JOBS that is claimed; 0: an event. */
static void fold_content(struct row *row, enum fold_source source, const struct job *job,
                         const struct content *content, uint64_t seq)
{
    jj_record *record = &row->record;

    if (content == NULL || !is_better(row, source, content))
        return;
    bool same = is_claim_of_content(&row->marks, source, seq);
    row->marks.content_from = (uint8_t)(source + 1u);
    row->marks.content_seq = source == FROM_JOBS ? seq : 0;
    if (same)
        return;
    if (content->data_known != record->data_known ||
        !same_bytes(content->data, content->data_len, record->data, record->data_len) ||
        !same_bytes(content->headers, content->headers_len, record->headers, record->headers_len)) {
        record->data_known = content->data_known;
        record->data = content->data;
        record->data_len = content->data_len;
        record->headers = content->headers;
        record->headers_len = content->headers_len;
        row->content_changed = true;
    }
    record->created_at_ms = job->created_at_ms;
    record->schedule_id = job->schedule_id;
    /* The job in an event has what was known of it, not what its header said. */
    row->marks.content_max_attempts = source == FROM_EVENT ? 0 : job->max_attempts;
}

/* ---- both halves as one ---- */

/* The half that says more of a job, where both are of one redrive: a final state ends everything,
 * else it is the later in life. */
static bool events_lead(const struct standing *events, const struct standing *queue)
{
    if (jj__state_is_final(events->state))
        return true;
    if (events->generation != queue->generation)
        return events->generation > queue->generation;
    return rank(events->state) >= rank(queue->state);
}

/* A half that knows nothing, or of an earlier redrive only, has no part in the row. */
static bool has_part(const struct standing *half, const struct standing *other)
{
    return half->state != JJ_ANY_STATE &&
           (other->state == JJ_ANY_STATE || half->redrives >= other->redrives);
}

/* When the generation that is shown was to run, from whichever half knows. */
static int64_t join_run_at(const struct marks *marks, bool from_events, bool both)
{
    int64_t own = from_events ? marks->events_run_at_ms : marks->queue_run_at_ms;
    int64_t other = from_events ? marks->queue_run_at_ms : marks->events_run_at_ms;

    if (own != 0 || !both || marks->events.generation != marks->queue.generation)
        return own;
    return other;
}

/* Events of an earlier redrive are cleared from the row for good: they can't count again. */
static void join(struct row *row)
{
    const struct standing *events = &row->marks.events;
    const struct standing *queue = &row->marks.queue;
    jj_record *record = &row->record;
    bool has_events = has_part(events, queue);
    bool has_queue = has_part(queue, events);
    bool from_events = has_events && (!has_queue || events_lead(events, queue));
    const struct standing *shown = from_events ? events : queue;

    if (!has_events)
        jj__fold_events_clear(record);
    record->state = shown->state;
    record->attempts = shown->attempts;
    record->snoozes = shown->snoozes;
    record->redrives = shown->redrives;
    record->run_at_ms = join_run_at(&row->marks, from_events, has_events && has_queue);
    record->max_attempts = row->marks.content_max_attempts > 0 ? row->marks.content_max_attempts
                                                               : row->marks.said_max_attempts;
    row->known = record->state != JJ_ANY_STATE;
}

/* ---- what was changed ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_marks(const struct marks *a, const struct marks *b)
{
    unsigned char packed_a[JJ_MARKS_MAX], packed_b[JJ_MARKS_MAX];
    size_t len = jj__fold_pack_marks(a, packed_a);

    return len == jj__fold_pack_marks(b, packed_b) && memcmp(packed_a, packed_b, len) == 0;
}

/* All but the content, and what is computed from the marks alone. */
static bool same_record(const jj_record *a, const jj_record *b)
{
    return a->created_at_ms == b->created_at_ms && a->started_at_ms == b->started_at_ms &&
           a->completed_at_ms == b->completed_at_ms && a->lost == b->lost &&
           a->progress == b->progress && same_text(a->worker, b->worker) &&
           same_text(a->schedule_id, b->schedule_id) && same_text(a->error, b->error) &&
           same_bytes(a->result, a->result_len, b->result, b->result_len);
}

/* A row as it was before it was changed; what the pointers point to stays. */
struct before {
    jj_record record;
    struct marks marks;
};

static struct before remember(const struct row *row)
{
    return (struct before){.record = row->record, .marks = row->marks};
}

static void finish(struct row *row, const struct before *before, const char *name)
{
    join(row);
    if (row->known && row->name[0] == '\0') {
        assert(strlen(name) <= JJ_NAME_MAX);
        memcpy(row->name, name, strlen(name) + 1);
    }
    if (row->content_changed || !same_marks(&row->marks, &before->marks) ||
        !same_record(&row->record, &before->record))
        row->changed = true;
}

static bool is_of(const struct row *row, const char *name)
{
    return row->name[0] == '\0' || strcmp(row->name, name) == 0;
}

/* ---- what is read ---- */

enum fold_result jj__fold_message(struct row *row, enum fold_source source, const struct job *job,
                                  const struct content *content, uint64_t seq,
                                  int64_t scheduled_at_ms)
{
    uint64_t *last = source == FROM_JOBS ? &row->marks.jobs_seq : &row->marks.schedule_seq;
    const struct standing message = {.redrives = job->redrives,
                                     .attempts = job->attempts,
                                     .snoozes = job->snoozes,
                                     .generation = jj__generation(job->attempts, job->snoozes),
                                     .state = source == FROM_JOBS ? JJ_PENDING : JJ_SCHEDULED};
    if (!is_of(row, job->name))
        return FOLD_ANOMALY;

    struct before before = remember(row);
    bool says_run_at = job->run_at_ms > 0 || source == FROM_JOBS;
    fold_queue(&row->marks, &message, says_run_at ? job->run_at_ms : scheduled_at_ms);
    if (seq > *last)
        *last = seq;
    fold_content(row, source, job, content, seq);
    finish(row, &before, job->name);
    return FOLD_APPLIED;
}

enum fold_result jj__fold_claim(struct row *row, const struct claim *claim, const char *worker,
                                int64_t time_ms, const struct content *content)
{
    struct before before = remember(row);

    if (!is_of(row, claim->job->name) || !jj__fold_events_claim(row, claim, worker, time_ms))
        return FOLD_ANOMALY;
    fold_content(row, FROM_CLAIM, claim->job, content, claim->seq);
    finish(row, &before, claim->job->name);
    return FOLD_APPLIED;
}

enum fold_result jj__fold_event(struct row *row, const struct event *event,
                                const struct content *content)
{
    struct before before = remember(row);

    if (!is_of(row, event->name) || !jj__fold_events_event(row, event))
        return FOLD_ANOMALY;
    if (event->job != NULL)
        fold_content(row, FROM_EVENT, event->job, content, 0);
    finish(row, &before, event->name);
    return FOLD_APPLIED;
}

static bool count_line(struct row *row, uint32_t *kept, uint32_t *dropped)
{
    if (*kept < JJ__LINES_MAX) {
        ++*kept;
        row->changed = true;
        return true;
    }
    if (*dropped < UINT32_MAX) {
        ++*dropped;
        row->changed = true;
    }
    return false;
}

bool jj__fold_line(struct row *row, const struct event *event)
{
    struct marks *marks = &row->marks;

    if (!is_of(row, event->name))
        return false;
    if (event->type == EVENT_LOG)
        return count_line(row, &marks->lines, &marks->lines_dropped);
    return event->event != NULL && count_line(row, &marks->custom, &marks->custom_dropped);
}

bool jj__fold_is_cancelled(const struct row *row, uint32_t redrives)
{
    return row->marks.events.state == JJ_CANCELLED && redrives <= row->marks.events.redrives;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from an index in memory: single rows by their hash, lists by looking at every row.
 */

#include "adapter_memory.h"

#include <stdlib.h>
#include <string.h>

#include "state.h"

jj_status jj__memory_offsets(void *state, jj_offsets *offsets_out, jj_error *err)
{
    struct memory *memory = state;

    (void)err;
    pthread_mutex_lock(&memory->lock);
    *offsets_out = memory->offsets;
    pthread_mutex_unlock(&memory->lock);
    return JJ_OK;
}

jj_status jj__memory_get(void *state, const char *id, jj_take_record take, void *ctx, jj_error *err)
{
    struct memory *memory = state;
    jj_status s = JJ_OK;

    pthread_mutex_lock(&memory->lock);
    const struct row *row = *jj__memory_link(&memory->rows, id);
    if (row != NULL)
        take(ctx, &row->job->record);
    else
        s = jj__fail(err, JJ_ERR_NOT_FOUND, "no such job");
    pthread_mutex_unlock(&memory->lock);
    return s;
}

/* Which rows, and in what order. */
struct list {
    bool (*wanted)(const struct list *list, const jj_record *record);
    int (*order)(const void *a, const void *b);
    int64_t time_ms;
    const jj_selection *selection;
};

/* Lock: held. records_out: NULL if there are none. */
static jj_status gather(const struct memory *memory, const struct list *list,
                        const jj_record ***records_out, size_t *count_out, jj_error *err)
{
    size_t count = 0;
    const jj_record **records = NULL;

    if (memory->rows.count > 0) {
        records = malloc(memory->rows.count * sizeof(*records));
        if (records == NULL)
            return jj__fail(err, JJ_ERR_NO_MEMORY, "list of jobs");
    }
    for (size_t i = 0; i < memory->rows.bucket_count; i++)
        for (const struct row *row = memory->rows.buckets[i]; row != NULL; row = row->next)
            if (list->wanted(list, &row->job->record))
                records[count++] = &row->job->record;
    if (count > 0)
        qsort(records, count, sizeof(*records), list->order);
    *records_out = records;
    *count_out = count;
    return JJ_OK;
}

static jj_status take_list(struct memory *memory, const struct list *list, size_t limit,
                           jj_take_record take, void *ctx, jj_error *err)
{
    const jj_record **records;
    size_t count;

    pthread_mutex_lock(&memory->lock);
    jj_status s = gather(memory, list, &records, &count, err);
    if (s == JJ_OK) {
        for (size_t i = 0; i < count && i < limit && take(ctx, records[i]); i++)
            continue;
        free(records);
    }
    pthread_mutex_unlock(&memory->lock);
    return s;
}

static const jj_record *record_at(const void *element)
{
    return *(const jj_record *const *)element;
}

static int compare_times(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_age(const void *a, const void *b)
{
    int order = compare_times(record_at(a)->created_at_ms, record_at(b)->created_at_ms);

    return order != 0 ? order : strcmp(record_at(a)->id, record_at(b)->id);
}

static int by_youth(const void *a, const void *b)
{
    return by_age(b, a);
}

static int by_run(const void *a, const void *b)
{
    return compare_times(record_at(a)->run_at_ms, record_at(b)->run_at_ms);
}

static int by_completion(const void *a, const void *b)
{
    return compare_times(record_at(a)->completed_at_ms, record_at(b)->completed_at_ms);
}

static int by_name_and_state(const void *a, const void *b)
{
    int order = strcmp(record_at(a)->name, record_at(b)->name);

    return order != 0 ? order : (int)record_at(a)->state - (int)record_at(b)->state;
}

static bool is_pending(const struct list *list, const jj_record *record)
{
    (void)list;
    return record->state == JJ_PENDING;
}

static bool is_ready(const struct list *list, const jj_record *record)
{
    return record->state == JJ_SCHEDULED && record->run_at_ms <= list->time_ms;
}

static bool is_finished(const struct list *list, const jj_record *record)
{
    return jj__state_is_final(record->state) && record->completed_at_ms < list->time_ms;
}

static bool is_selected(const struct list *list, const jj_record *record)
{
    const jj_selection *selection = list->selection;

    if (strcmp(record->name, selection->name) != 0 ||
        (selection->state != JJ_ANY_STATE && selection->state != record->state))
        return false;
    if (selection->before_id == NULL)
        return true;
    int order = compare_times(record->created_at_ms, selection->before_created_at_ms);
    return order < 0 || (order == 0 && strcmp(record->id, selection->before_id) < 0);
}

static bool is_any(const struct list *list, const jj_record *record)
{
    (void)list;
    (void)record;
    return true;
}

jj_status jj__memory_get_pending(void *state, size_t limit, jj_take_record take, void *ctx,
                                 jj_error *err)
{
    const struct list list = {.wanted = is_pending, .order = by_age};

    return take_list(state, &list, limit, take, ctx, err);
}

jj_status jj__memory_get_scheduled_ready(void *state, int64_t now_ms, jj_take_record take,
                                         void *ctx, jj_error *err)
{
    const struct list list = {.wanted = is_ready, .order = by_run, .time_ms = now_ms};

    return take_list(state, &list, SIZE_MAX, take, ctx, err);
}

jj_status jj__memory_get_by_name(void *state, const jj_selection *selection, jj_take_record take,
                                 void *ctx, jj_error *err)
{
    const struct list list = {.wanted = is_selected, .order = by_youth, .selection = selection};

    return take_list(state, &list, selection->limit, take, ctx, err);
}

jj_status jj__memory_get_finished(void *state, int64_t before_ms, size_t limit, jj_take_record take,
                                  void *ctx, jj_error *err)
{
    const struct list list = {.wanted = is_finished, .order = by_completion, .time_ms = before_ms};

    return take_list(state, &list, limit, take, ctx, err);
}

jj_status jj__memory_get_lines(void *state, const char *id, size_t limit, jj_take_line take,
                               void *ctx, jj_error *err)
{
    struct memory *memory = state;

    (void)err;
    pthread_mutex_lock(&memory->lock);
    const struct row *row = *jj__memory_link(&memory->rows, id);
    const struct line *line = row == NULL ? NULL : row->lines;
    for (; limit > 0 && line != NULL && take(ctx, &line->line); line = line->next)
        limit--;
    pthread_mutex_unlock(&memory->lock);
    return JJ_OK;
}

/* Rows that are alike stand together. */
static void take_counts(const jj_record **records, size_t count, jj_take_count take, void *ctx)
{
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count; next++)
            if (by_name_and_state(&records[i], &records[next]) != 0)
                break;
        if (!take(ctx, records[i]->name, records[i]->state, next - i))
            return;
    }
}

jj_status jj__memory_get_counts(void *state, jj_take_count take, void *ctx, jj_error *err)
{
    struct memory *memory = state;
    const struct list list = {.wanted = is_any, .order = by_name_and_state};
    const jj_record **records;
    size_t count;

    pthread_mutex_lock(&memory->lock);
    jj_status s = gather(memory, &list, &records, &count, err);
    if (s == JJ_OK) {
        take_counts(records, count, take, ctx);
        free(records);
    }
    pthread_mutex_unlock(&memory->lock);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Questions answered from the storage, on the thread of whoever asks. Nothing waits here: that what
 * is asked for has been read is seen to before. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_inner.h"
#include "record.h"

/* Rows, lines or counts on their way from the storage into an answer. */
struct gathering {
    const struct request *request;
    struct answer *answer;
    size_t cap;
    size_t bytes; /* of data and results */
    size_t kept;  /* lines and events of the job */
    uint32_t lines_dropped;
    uint32_t events_dropped;
    jj_status status;
};

/* ---- one job ---- */

static bool is_meant(const struct request *request, const jj_record *record)
{
    return request->name[0] == '\0' || strcmp(request->name, record->name) == 0;
}

static bool take_job(void *ctx, const jj_record *record)
{
    struct gathering *gathering = ctx;

    if (is_meant(gathering->request, record))
        gathering->status = jj__record_copy(record, &gathering->answer->job, NULL);
    return false;
}

static jj_status get(const jj_adapter *adapter, void *storage, struct gathering *gathering,
                     jj_error *err)
{
    jj_status s = adapter->get(storage, gathering->request->id, take_job, gathering, err);

    return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;
}

/* ---- a page ---- */

/* Jobs may be large: a page ends early rather than take any memory. */
#define PAGE_BYTES ((size_t)8 * 1024 * 1024)

static bool take_of_page(void *ctx, const jj_record *record)
{
    struct gathering *gathering = ctx;
    jj_page *page = gathering->answer->page;

    gathering->bytes += record->data_len + record->result_len;
    gathering->status = jj__record_copy(record, &page->jobs[page->count], NULL);
    if (gathering->status != JJ_OK)
        return false;
    page->count++;
    return page->count < gathering->cap && (page->count < 2 || gathering->bytes < PAGE_BYTES);
}

/* One row more than the page is to have was read: there is a next page. */
static void cut_page(jj_page *page, const struct gathering *gathering, jj_status *status)
{
    if (page->count < gathering->cap && gathering->bytes < PAGE_BYTES)
        return;
    if (page->count < 2)
        return;
    jj_job_free(page->jobs[--page->count]);
    const jj_record *last = &page->jobs[page->count - 1]->record;

    page->cursor = malloc(JJ__CURSOR_SIZE);
    if (page->cursor == NULL)
        *status = JJ_ERR_NO_MEMORY;
    else
        jj__cursor_write(last->created_at_ms, last->id, page->cursor);
}

static jj_status get_page(const jj_adapter *adapter, void *storage, struct gathering *gathering,
                          jj_error *err)
{
    const struct request *request = gathering->request;
    char before[JJ_NAME_SIZE];
    jj_selection selection = {
        .name = request->name, .state = request->state, .limit = (size_t)request->limit + 1};
    jj_page *page = calloc(1, sizeof(*page));

    gathering->answer->page = page;
    gathering->cap = selection.limit;
    if (page != NULL)
        page->jobs = calloc(selection.limit, sizeof(jj_job *));
    if (page == NULL || page->jobs == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "page of %zu jobs", selection.limit);
    if (request->cursor[0] != '\0') {
        if (!jj__cursor_read(request->cursor, &selection.before_created_at_ms, before))
            return jj__fail(err, JJ_ERR_INVALID, "cursor is not one that an answer gave");
        selection.before_id = before;
    }
    jj_status s = adapter->get_by_name(storage, &selection, take_of_page, gathering, err);
    if (s == JJ_OK && gathering->status == JJ_OK)
        cut_page(page, gathering, &gathering->status);
    return s;
}

/* ---- log lines ---- */

static bool note_lines(void *ctx, const jj_record *record)
{
    struct gathering *gathering = ctx;
    struct row row;

    if (!is_meant(gathering->request, record) || !jj__row_load(&row, record)) {
        gathering->cap = 0;
        return false;
    }
    const struct marks *marks = &row.marks;
    const struct request *request = gathering->request;
    size_t wanted = marks->lines + (request->events ? (size_t)marks->custom : 0);

    gathering->kept = (size_t)marks->lines + marks->custom;
    gathering->cap = wanted < request->limit ? wanted : request->limit;
    if (wanted < request->limit) {
        gathering->lines_dropped = marks->lines_dropped;
        gathering->events_dropped = request->events ? marks->custom_dropped : 0;
    }
    return false;
}

static bool copy_text(jj_lines *lines, const char *text, const char **out)
{
    *out = text == NULL ? NULL : jj__arena_text(&lines->arena, text, strlen(text));
    return text == NULL || *out != NULL;
}

static bool take_line(void *ctx, const jj_line *line)
{
    struct gathering *gathering = ctx;
    jj_lines *lines = gathering->answer->lines;
    jj_log_line *to = &lines->lines[lines->count];

    if (line->event != NULL && !gathering->request->events)
        return true;
    *to = (jj_log_line){.time_ms = line->time_ms, .level = line->level, .attempt = line->attempt};
    if (!copy_text(lines, line->message, &to->message) ||
        !copy_text(lines, line->data, &to->data) || !copy_text(lines, line->event, &to->event)) {
        gathering->status = JJ_ERR_NO_MEMORY;
        return false;
    }
    lines->count++;
    return lines->count < gathering->cap;
}

static int write_dropped(char *text, size_t size, unsigned lines, unsigned events)
{
    if (events == 0)
        return snprintf(text, size, "%u more lines were not kept", lines);
    if (lines == 0)
        return snprintf(text, size, "%u more events were not kept", events);
    return snprintf(text, size, "%u more lines and %u more events were not kept", lines, events);
}

/* What was not kept is told in a line of its own. */
static void tell_dropped(struct gathering *gathering)
{
    jj_lines *lines = gathering->answer->lines;
    char text[80];

    if (gathering->lines_dropped == 0 && gathering->events_dropped == 0)
        return;
    int len =
        write_dropped(text, sizeof(text), gathering->lines_dropped, gathering->events_dropped);
    jj_log_line *to = &lines->lines[lines->count];
    *to = (jj_log_line){.level = JJ_LOG_WARN};
    if (lines->count > 0) {
        to->time_ms = lines->lines[lines->count - 1].time_ms;
        to->attempt = lines->lines[lines->count - 1].attempt;
    }
    to->message = jj__arena_text(&lines->arena, text, (size_t)len);
    if (to->message == NULL)
        gathering->status = JJ_ERR_NO_MEMORY;
    else
        lines->count++;
}

static jj_status get_lines(const jj_adapter *adapter, void *storage, struct gathering *gathering,
                           jj_error *err)
{
    jj_lines *lines = calloc(1, sizeof(*lines));

    gathering->answer->lines = lines;
    if (lines == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "log lines");
    lines->arena.max = SIZE_MAX;
    jj_status s = adapter->get(storage, gathering->request->id, note_lines, gathering, err);
    if (s != JJ_OK)
        return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;
    lines->lines = jj__arena_array(&lines->arena, gathering->cap + 1, sizeof(*lines->lines));
    if (lines->lines == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "log lines");
    if (gathering->cap > 0)
        s = adapter->get_lines(storage, gathering->request->id, gathering->kept, take_line,
                               gathering, err);
    if (s == JJ_OK && gathering->status == JJ_OK)
        tell_dropped(gathering);
    return s;
}

/* ---- counts ---- */

static bool take_count(void *ctx, const char *name, jj_state state, uint64_t count)
{
    struct gathering *gathering = ctx;
    jj_stats *stats = gathering->answer->stats;

    if (gathering->request->name[0] != '\0' && strcmp(gathering->request->name, name) != 0)
        return true;
    if (stats->count == 0 || strcmp(stats->names[stats->count - 1].name, name) != 0) {
        jj_name_stats *grown = realloc(stats->names, (stats->count + 1) * sizeof(*grown));
        if (grown != NULL)
            stats->names = grown;
        char *own = grown == NULL ? NULL : strdup(name);
        if (own == NULL) {
            gathering->status = JJ_ERR_NO_MEMORY;
            return false;
        }
        grown[stats->count++] = (jj_name_stats){.name = own};
    }
    if (state > JJ_ANY_STATE && state <= JJ_CANCELLED)
        stats->names[stats->count - 1].counts[state] = count;
    return true;
}

static jj_status get_stats(struct index *index, void *storage, struct gathering *gathering,
                           jj_error *err)
{
    jj_stats *stats = calloc(1, sizeof(*stats));

    gathering->answer->stats = stats;
    if (stats == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "stats");
    stats->lag_jobs = atomic_load(&index->pending[ORIGIN_JOBS]);
    stats->lag_events = atomic_load(&index->pending[ORIGIN_EVENTS]);
    pthread_mutex_lock(&index->lock);
    for (const struct item *item = index->items; item != NULL; item = item->next) {
        stats->lag_jobs += item->origin == ORIGIN_JOBS;
        stats->lag_events += item->origin == ORIGIN_EVENTS;
    }
    pthread_mutex_unlock(&index->lock);
    return index->adapter->get_counts(storage, take_count, gathering, err);
}

jj_status jj__index_query(struct index *index, const struct request *request, struct answer *answer,
                          jj_error *err)
{
    struct gathering gathering = {.request = request, .answer = answer};
    void *storage = jj__storage_read(index);
    jj_status s = JJ_ERR_INVALID;

    *answer = (struct answer){.verb = request->verb};
    if (storage == NULL)
        s = jj__fail(err, JJ_ERR_UNAVAILABLE, "the index is being built");
    else if (request->verb == VERB_GET)
        s = get(index->adapter, storage, &gathering, err);
    else if (request->verb == VERB_GET_BY_NAME)
        s = get_page(index->adapter, storage, &gathering, err);
    else if (request->verb == VERB_LOGS)
        s = get_lines(index->adapter, storage, &gathering, err);
    else if (request->verb == VERB_STATS)
        s = get_stats(index, storage, &gathering, err);
    jj__storage_read_done(index);
    if (s == JJ_OK && gathering.status != JJ_OK)
        s = jj__fail(err, gathering.status, "answer of the index");
    if (s != JJ_OK)
        jj__answer_done(answer);
    return s;
}

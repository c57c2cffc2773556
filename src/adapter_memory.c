/* SPDX-License-Identifier: Apache-2.0 */
/* An index without a disk, for tests and for programs that don't keep one: the proof that the
 * interface of adapters asks for nothing that only a database has. Rows are in a hash table; a list
 * looks at all of them and sorts what it finds, which is good for some ten thousand.
 *
 * A transaction gathers in a table of its own how each row is to become, with all the memory that
 * this needs. So commit can't fail half-way, rollback has nothing to undo, and readers see nothing
 * of it before. */

#include "adapter_memory.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256

/* ---- tables ---- */

struct row **jj__memory_link(const struct table *table, const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *c = id; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    struct row **link = &table->buckets[(h ^ h >> 32) & (table->bucket_count - 1)];
    while (*link != NULL && strcmp((*link)->id, id) != 0)
        link = &(*link)->next;
    return link;
}

static bool table_init(struct table *table)
{
    *table = (struct table){.bucket_count = FIRST_BUCKETS};
    table->buckets = calloc(FIRST_BUCKETS, sizeof(struct row *));
    return table->buckets != NULL;
}

/* Without memory it stays as it is, and is only slower. */
static void table_grow(struct table *table)
{
    struct table grown = {.bucket_count = table->bucket_count * 2, .count = table->count};

    grown.buckets = calloc(grown.bucket_count, sizeof(struct row *));
    if (grown.buckets == NULL)
        return;
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct row *row = table->buckets[i], *next; row != NULL; row = next) {
            next = row->next;
            row->next = NULL;
            *jj__memory_link(&grown, row->id) = row;
        }
    free(table->buckets);
    *table = grown;
}

static void table_add(struct table *table, struct row *row)
{
    if (table->count >= table->bucket_count)
        table_grow(table);
    row->next = NULL;
    *jj__memory_link(table, row->id) = row;
    table->count++;
}

static void lines_free(struct line *lines)
{
    for (struct line *line = lines, *next; line != NULL; line = next) {
        next = line->next;
        free(line);
    }
}

static void row_free(struct row *row)
{
    jj_job_free(row->job);
    lines_free(row->lines);
    free(row);
}

static void table_empty(struct table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct row *row = table->buckets[i], *next; row != NULL; row = next) {
            next = row->next;
            row_free(row);
        }
        table->buckets[i] = NULL;
    }
    table->count = 0;
}

static void table_done(struct table *table)
{
    if (table->buckets != NULL)
        table_empty(table);
    free(table->buckets);
}

/* ---- opening and closing ---- */

static void memory_close(void *state)
{
    struct memory *memory = state;

    if (memory == NULL)
        return;
    table_done(&memory->rows);
    table_done(&memory->changes);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static jj_status memory_open(const char *location, void **state_out, jj_error *err)
{
    (void)location;
    struct memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "index");
    pthread_mutex_init(&memory->lock, NULL);
    if (!table_init(&memory->rows) || !table_init(&memory->changes)) {
        memory_close(memory);
        return jj__fail(err, JJ_ERR_NO_MEMORY, "index");
    }
    *state_out = memory;
    return JJ_OK;
}

static jj_status memory_set_aside(const char *location, char *kept_out, size_t kept_size,
                                  jj_error *err)
{
    (void)location;
    (void)err;
    if (kept_out != NULL && kept_size > 0)
        kept_out[0] = '\0';
    return JJ_OK;
}

/* ---- transactions ---- */

static void memory_rollback(void *state)
{
    struct memory *memory = state;

    table_empty(&memory->changes);
    memory->in_transaction = false;
}

static jj_status memory_begin(void *state, jj_error *err)
{
    struct memory *memory = state;

    (void)err;
    memory_rollback(memory);
    memory->in_transaction = true;
    return JJ_OK;
}

static jj_status check_writing(const struct memory *memory, jj_error *err)
{
    return memory->in_transaction ? JJ_OK
                                  : jj__fail(err, JJ_ERR_STORAGE, "the transaction was undone");
}

/* One in the place of another, or between its neighbours. */
static void add_to_lines(struct line **lines, struct line *line)
{
    while (*lines != NULL && (*lines)->line.place < line->line.place)
        lines = &(*lines)->next;
    struct line *next = *lines;
    if (next != NULL && next->line.place == line->line.place) {
        line->next = next->next;
        free(next);
    } else {
        line->next = next;
    }
    *lines = line;
}

/* Into the row that is there, which may be none. */
static void apply(struct memory *memory, struct row *change)
{
    struct row **link = jj__memory_link(&memory->rows, change->id);
    struct row *row = *link;

    if (change->job == NULL) {
        if (row != NULL) {
            *link = row->next;
            row_free(row);
            memory->rows.count--;
        }
        row_free(change);
    } else if (row == NULL) {
        change->lines_removed = false;
        table_add(&memory->rows, change);
    } else {
        jj_job_free(row->job);
        row->job = change->job;
        change->job = NULL;
        if (change->lines_removed) {
            lines_free(row->lines);
            row->lines = NULL;
        }
        for (struct line *line = change->lines, *next; line != NULL; line = next) {
            next = line->next;
            add_to_lines(&row->lines, line);
        }
        change->lines = NULL;
        row_free(change);
    }
}

static jj_status memory_commit(void *state, const jj_offsets *offsets, jj_error *err)
{
    struct memory *memory = state;
    jj_status s = check_writing(memory, err);
    if (s != JJ_OK)
        return s;

    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < memory->changes.bucket_count; i++) {
        for (struct row *row = memory->changes.buckets[i], *next; row != NULL; row = next) {
            next = row->next;
            apply(memory, row);
        }
        memory->changes.buckets[i] = NULL;
    }
    memory->changes.count = 0;
    memory->offsets = *offsets;
    pthread_mutex_unlock(&memory->lock);
    memory->in_transaction = false;
    return JJ_OK;
}

/* ---- writing ---- */

/* The row as it is for the transaction; NULL: there is none. Only the writing thread changes rows,
 * so it may look at them without the lock. */
static const jj_record *current(const struct memory *memory, const char *id)
{
    const struct row *row = *jj__memory_link(&memory->changes, id);

    if (row == NULL)
        row = *jj__memory_link(&memory->rows, id);
    return row == NULL || row->job == NULL ? NULL : &row->job->record;
}

/* What the transaction makes of a row; a new one leaves it as it is. */
static struct row *change_of(struct memory *memory, const char *id, jj_error *err)
{
    struct row *change = *jj__memory_link(&memory->changes, id);
    if (change != NULL)
        return change;
    const jj_record *record = current(memory, id);

    change = calloc(1, sizeof(*change));
    if (change == NULL) {
        jj__fail(err, JJ_ERR_NO_MEMORY, "row of the index");
        return NULL;
    }
    if (record != NULL && jj__record_copy(record, &change->job, err) != JJ_OK) {
        free(change);
        return NULL;
    }
    strncpy(change->id, id, JJ_NAME_MAX);
    table_add(&memory->changes, change);
    return change;
}

static jj_status put(struct memory *memory, const jj_record *record, jj_error *err)
{
    jj_job *job;
    jj_status s = jj__record_copy(record, &job, err);
    if (s != JJ_OK)
        return s;
    struct row *change = change_of(memory, record->id, err);

    if (change == NULL) {
        jj_job_free(job);
        return JJ_ERR_NO_MEMORY;
    }
    jj_job_free(change->job);
    change->job = job;
    return JJ_OK;
}

static jj_status memory_create(void *state, const jj_record *record, jj_error *err)
{
    struct memory *memory = state;
    jj_status s = check_writing(memory, err);

    if (s != JJ_OK)
        return s;
    if (current(memory, record->id) != NULL)
        return jj__fail(err, JJ_ERR_EXISTS, "job %s is there already", record->id);
    return put(memory, record, err);
}

static jj_status memory_update(void *state, const jj_record *record, bool with_content,
                               jj_error *err)
{
    struct memory *memory = state;
    jj_record merged = *record;
    jj_status s = check_writing(memory, err);
    if (s != JJ_OK)
        return s;
    const jj_record *old = current(memory, record->id);

    if (old == NULL)
        return jj__fail(err, JJ_ERR_NOT_FOUND, "no such job");
    merged.name = old->name;
    if (!with_content) {
        merged.data_known = old->data_known;
        merged.data = old->data;
        merged.data_len = old->data_len;
        merged.headers = old->headers;
        merged.headers_len = old->headers_len;
    }
    return put(memory, &merged, err);
}

static jj_status memory_remove(void *state, const char *id, jj_error *err)
{
    struct memory *memory = state;
    jj_status s = check_writing(memory, err);

    if (s != JJ_OK || current(memory, id) == NULL)
        return s;
    struct row *change = change_of(memory, id, err);
    if (change == NULL)
        return JJ_ERR_NO_MEMORY;
    jj_job_free(change->job);
    lines_free(change->lines);
    change->job = NULL;
    change->lines = NULL;
    change->lines_removed = true;
    return JJ_OK;
}

static struct line *copy_line(const jj_line *line)
{
    size_t message = strlen(line->message) + 1;
    size_t data = line->data == NULL ? 0 : strlen(line->data) + 1;
    size_t event = line->event == NULL ? 0 : strlen(line->event) + 1;
    struct line *copy = malloc(sizeof(*copy) + message + data + event);

    if (copy == NULL)
        return NULL;
    char *text = (char *)(copy + 1);
    copy->line = *line;
    copy->line.message = memcpy(text, line->message, message);
    if (data > 0)
        copy->line.data = memcpy(text + message, line->data, data);
    if (event > 0)
        copy->line.event = memcpy(text + message + data, line->event, event);
    return copy;
}

static jj_status memory_add_line(void *state, const char *id, const jj_line *line, jj_error *err)
{
    struct memory *memory = state;
    jj_status s = check_writing(memory, err);

    if (s != JJ_OK)
        return s;
    if (current(memory, id) == NULL)
        return jj__fail(err, JJ_ERR_NOT_FOUND, "no such job");
    struct row *change = change_of(memory, id, err);
    if (change == NULL)
        return JJ_ERR_NO_MEMORY;
    struct line *copy = copy_line(line);
    if (copy == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "line of a log");
    add_to_lines(&change->lines, copy);
    return JJ_OK;
}

const jj_adapter jj_adapter_memory = {
    .version = JJ_ADAPTER_VERSION,
    .name = "memory",
    .concurrent_reads = true,
    .open = memory_open,
    .close = memory_close,
    .set_aside = memory_set_aside,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .offsets = jj__memory_offsets,
    .create = memory_create,
    .get = jj__memory_get,
    .update = memory_update,
    .remove = memory_remove,
    .get_pending = jj__memory_get_pending,
    .get_scheduled_ready = jj__memory_get_scheduled_ready,
    .get_by_name = jj__memory_get_by_name,
    .get_finished = jj__memory_get_finished,
    .add_line = memory_add_line,
    .get_lines = jj__memory_get_lines,
    .get_counts = jj__memory_get_counts,
};

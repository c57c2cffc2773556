/* SPDX-License-Identifier: Apache-2.0 */
/* What the thread that writes remembers to save look-ups: where the rows are that it looked at
 * last, the numbers of names, and how the counts have changed since begin. The tables have a fixed
 * size; an entry that another one needs the place of is forgotten, or written down if it is a
 * count. They hold because nobody else writes to the file, and are forgotten when a transaction is
 * undone. */

#include "adapter_sqlite.h"

#include <string.h>

/* FNV-1a: whoever chooses ids so that they collide makes a look-up slower, no more. */
static size_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (const char *c = text; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return (size_t)(h ^ (h >> 32));
}

void jj__memo_forget_all(struct memo *memo)
{
    memo->epoch++;
}

/* ---- places ---- */

const struct place *jj__memo_place(const struct memo *memo, const char *id)
{
    const struct memo_place *entry = &memo->places[hash(id) % JJ__SQLITE_PLACES];

    return entry->epoch == memo->epoch && strcmp(entry->id, id) == 0 ? &entry->place : NULL;
}

void jj__memo_keep_place(struct memo *memo, const char *id, const struct place *place)
{
    struct memo_place *entry = &memo->places[hash(id) % JJ__SQLITE_PLACES];
    size_t size = strlen(id) + 1;

    if (size > sizeof(entry->id))
        return;
    memcpy(entry->id, id, size);
    entry->place = *place;
    entry->epoch = memo->epoch;
}

void jj__memo_forget_place(struct memo *memo, const char *id)
{
    struct memo_place *entry = &memo->places[hash(id) % JJ__SQLITE_PLACES];

    if (strcmp(entry->id, id) == 0)
        entry->epoch = 0;
}

/* ---- names ---- */

static jj_status add_name(struct connection *writer, const char *name, int64_t *n_out,
                          jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(writer, QUERY_ADD_NAME, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    s = jj__sqlite_run(writer, statement, err);
    if (s == JJ_OK)
        *n_out = sqlite3_last_insert_rowid(writer->db);
    return s;
}

jj_status jj__memo_name(struct memo *memo, struct connection *writer, const char *name,
                        int64_t *n_out, jj_error *err)
{
    struct memo_name *entry = &memo->names[hash(name) % JJ__SQLITE_NAMES];
    if (entry->epoch == memo->epoch && strcmp(entry->name, name) == 0) {
        *n_out = entry->n;
        return JJ_OK;
    }
    int64_t n = 0;
    jj_status s = jj__sqlite_look_up_name(writer, name, &n, err);

    if (s == JJ_OK && n == 0)
        s = add_name(writer, name, &n, err);
    if (s != JJ_OK)
        return s;
    size_t size = strlen(name) + 1;
    if (size <= sizeof(entry->name)) {
        memcpy(entry->name, name, size);
        entry->n = n;
        entry->epoch = memo->epoch;
    }
    *n_out = n;
    return JJ_OK;
}

/* ---- counts ---- */

static jj_status write_counter(struct memo_counter *counter, struct connection *writer,
                               jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(writer, QUERY_ADD_COUNT, &statement, err);

    for (int state = 0; s == JJ_OK && state < JJ_STATES; state++) {
        if (counter->changes[state] == 0)
            continue;
        sqlite3_bind_int64(statement, 1, counter->name);
        sqlite3_bind_int(statement, 2, state);
        sqlite3_bind_int64(statement, 3, counter->changes[state]);
        s = jj__sqlite_run(writer, statement, err);
        counter->changes[state] = 0;
    }
    return s;
}

jj_status jj__memo_count(struct memo *memo, struct connection *writer, int64_t name, jj_state state,
                         int change, jj_error *err)
{
    struct memo_counter *counter = &memo->counters[(uint64_t)name % JJ__SQLITE_COUNTERS];

    if (counter->epoch != memo->epoch || counter->name != name) {
        jj_status s = counter->epoch == memo->epoch ? write_counter(counter, writer, err) : JJ_OK;
        if (s != JJ_OK)
            return s;
        *counter = (struct memo_counter){.epoch = memo->epoch, .name = name};
    }
    counter->changes[state] += change;
    return JJ_OK;
}

jj_status jj__memo_write_counts(struct memo *memo, struct connection *writer, jj_error *err)
{
    jj_status s = JJ_OK;

    for (size_t i = 0; s == JJ_OK && i < JJ__SQLITE_COUNTERS; i++)
        if (memo->counters[i].epoch == memo->epoch)
            s = write_counter(&memo->counters[i], writer, err);
    return s;
}

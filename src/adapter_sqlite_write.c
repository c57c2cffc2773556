/* SPDX-License-Identifier: Apache-2.0 */
/* What is written in a transaction. */

#include "adapter_sqlite.h"

/* Content up to so many bytes is in the row, which saves a look-up; more would be copied with each
 * change of the row. */
#define CONTENT_IN_ROW_MAX 512

/* Most bytes of memory to keep for the next row. */
#define PACKED_KEPT_MAX 65536

static jj_status look_up_place(struct connection *writer, const char *id, struct place *place_out,
                               jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(writer, QUERY_FIND, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE)
        s = jj__fail(err, JJ_ERR_NOT_FOUND, "no such job");
    else if (code != SQLITE_ROW)
        s = jj__fail_sqlite(err, writer, code);
    else
        *place_out = (struct place){.n = sqlite3_column_int64(statement, 0),
                                    .name = sqlite3_column_int64(statement, 1),
                                    .state = (jj_state)sqlite3_column_int(statement, 2),
                                    .created_at_ms = sqlite3_column_int64(statement, 3),
                                    .run_at_ms = sqlite3_column_int64(statement, 4),
                                    .completed_at_ms = sqlite3_column_int64(statement, 5),
                                    .apart = sqlite3_column_int(statement, 6) != 0};
    sqlite3_reset(statement);
    if (s == JJ_OK && (place_out->state <= JJ_ANY_STATE || place_out->state >= JJ_STATES))
        return jj__fail_damaged(err, writer);
    return s;
}

/* Where a row is, in a transaction. */
static jj_status find(struct store *store, const char *id, struct place *place_out, jj_error *err)
{
    jj_status s = jj__sqlite_check_writing(store, err);
    if (s != JJ_OK)
        return s;
    const struct place *known = jj__memo_place(&store->memo, id);

    if (known == NULL)
        return look_up_place(&store->writer, id, place_out, err);
    *place_out = *known;
    return JJ_OK;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void bind_packed(sqlite3_stmt *statement, int at, const struct buf *packed)
{
    sqlite3_bind_blob64(statement, at, packed->data, packed->len, SQLITE_STATIC);
}

static void bind_place(sqlite3_stmt *statement, const struct place *place)
{
    sqlite3_bind_int(statement, PARAMETER_STATE, (int)place->state);
    sqlite3_bind_int64(statement, PARAMETER_CREATED, place->created_at_ms);
    sqlite3_bind_int64(statement, PARAMETER_RUN, place->run_at_ms);
    sqlite3_bind_int64(statement, PARAMETER_COMPLETED, place->completed_at_ms);
}

/* Content that is apart is NULL in the row. */
static void bind_content(sqlite3_stmt *statement, const struct store *store, bool apart)
{
    if (apart)
        sqlite3_bind_null(statement, PARAMETER_CONTENT);
    else
        bind_packed(statement, PARAMETER_CONTENT, &store->content);
}

static jj_status pack(struct store *store, const jj_record *record, bool with_content,
                      jj_error *err)
{
    if (!jj__sqlite_pack_fields(&store->fields, record) ||
        (with_content && !jj__sqlite_pack_content(&store->content, record)))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "row of the index");
    return JJ_OK;
}

/* Not to hold on to the memory of one large row for ever. */
static void empty(struct buf *buf)
{
    if (buf->cap > PACKED_KEPT_MAX)
        jj__buf_done(buf);
}

static jj_status put_content(struct store *store, int64_t n, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(&store->writer, QUERY_PUT_CONTENT, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_int64(statement, PARAMETER_N, n);
    bind_packed(statement, PARAMETER_CONTENT, &store->content);
    return jj__sqlite_run(&store->writer, statement, err);
}

/* Run a statement whose one parameter is the key of a row. */
static jj_status run_on(struct store *store, enum query query, int64_t n, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(&store->writer, query, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_int64(statement, 1, n);
    return jj__sqlite_run(&store->writer, statement, err);
}

static struct place place_of(const jj_record *record)
{
    return (struct place){.state = record->state,
                          .created_at_ms = record->created_at_ms,
                          .run_at_ms = record->run_at_ms,
                          .completed_at_ms = record->completed_at_ms};
}

static jj_status insert_row(struct store *store, const jj_record *record, struct place *place,
                            jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(&store->writer, QUERY_CREATE, &statement, err);
    if (s != JJ_OK)
        return s;

    bind_text(statement, PARAMETER_ID, record->id);
    sqlite3_bind_int64(statement, PARAMETER_NAME, place->name);
    bind_place(statement, place);
    bind_packed(statement, PARAMETER_FIELDS, &store->fields);
    bind_content(statement, store, place->apart);
    int code = sqlite3_step(statement);
    if (code == SQLITE_CONSTRAINT_UNIQUE)
        s = jj__fail(err, JJ_ERR_EXISTS, "job %s is there already", record->id);
    else if (code != SQLITE_DONE)
        s = jj__fail_sqlite(err, &store->writer, code);
    else
        place->n = sqlite3_last_insert_rowid(store->writer.db);
    sqlite3_reset(statement);
    return s;
}

jj_status jj__sqlite_create(void *state, const jj_record *record, jj_error *err)
{
    struct store *store = state;
    struct place place = place_of(record);
    jj_status s = jj__sqlite_check_writing(store, err);

    if (s == JJ_OK)
        s = pack(store, record, true, err);
    place.apart = store->content.len > CONTENT_IN_ROW_MAX;
    if (s == JJ_OK)
        s = jj__memo_name(&store->memo, &store->writer, record->name, &place.name, err);
    if (s == JJ_OK)
        s = insert_row(store, record, &place, err);
    if (s == JJ_OK && place.apart)
        s = put_content(store, place.n, err);
    if (s == JJ_OK)
        s = jj__memo_count(&store->memo, &store->writer, place.name, place.state, 1, err);
    if (s == JJ_OK)
        jj__memo_keep_place(&store->memo, record->id, &place);
    empty(&store->fields);
    empty(&store->content);
    return s;
}

static bool is_same_place(const struct place *a, const struct place *b)
{
    return a->state == b->state && a->created_at_ms == b->created_at_ms &&
           a->run_at_ms == b->run_at_ms && a->completed_at_ms == b->completed_at_ms;
}

static jj_status change_row(struct store *store, const struct place *old, const struct place *now,
                            jj_error *err)
{
    bool moved = !is_same_place(old, now);
    sqlite3_stmt *statement;
    jj_status s =
        jj__sqlite_prepare(&store->writer, moved ? QUERY_MOVE : QUERY_UPDATE, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_int64(statement, PARAMETER_N, old->n);
    if (moved)
        bind_place(statement, now);
    bind_packed(statement, PARAMETER_FIELDS, &store->fields);
    s = jj__sqlite_run(&store->writer, statement, err);
    if (s != JJ_OK || old->state == now->state)
        return s;
    s = jj__memo_count(&store->memo, &store->writer, old->name, old->state, -1, err);
    return s != JJ_OK ? s
                      : jj__memo_count(&store->memo, &store->writer, old->name, now->state, 1, err);
}

static jj_status change_content(struct store *store, const struct place *old,
                                const struct place *now, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(&store->writer, QUERY_SET_CONTENT, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_int64(statement, PARAMETER_N, old->n);
    bind_content(statement, store, now->apart);
    s = jj__sqlite_run(&store->writer, statement, err);
    if (s != JJ_OK)
        return s;
    if (now->apart)
        return put_content(store, old->n, err);
    return old->apart ? run_on(store, QUERY_REMOVE_CONTENT, old->n, err) : JJ_OK;
}

jj_status jj__sqlite_update(void *state, const jj_record *record, bool with_content, jj_error *err)
{
    struct store *store = state;
    struct place old, now = place_of(record);
    jj_status s = find(store, record->id, &old, err);
    if (s == JJ_OK)
        s = pack(store, record, with_content, err);
    if (s != JJ_OK)
        return s;

    now.n = old.n;
    now.name = old.name;
    now.apart = with_content ? store->content.len > CONTENT_IN_ROW_MAX : old.apart;
    s = change_row(store, &old, &now, err);
    if (s == JJ_OK && with_content)
        s = change_content(store, &old, &now, err);
    if (s == JJ_OK)
        jj__memo_keep_place(&store->memo, record->id, &now);
    empty(&store->fields);
    empty(&store->content);
    return s;
}

jj_status jj__sqlite_remove(void *state, const char *id, jj_error *err)
{
    struct store *store = state;
    struct place place;
    jj_status s = find(store, id, &place, err);
    if (s != JJ_OK)
        return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;

    jj__memo_forget_place(&store->memo, id);
    s = run_on(store, QUERY_REMOVE, place.n, err);
    if (s == JJ_OK && place.apart)
        s = run_on(store, QUERY_REMOVE_CONTENT, place.n, err);
    if (s == JJ_OK)
        s = run_on(store, QUERY_REMOVE_LINES, place.n, err);
    if (s == JJ_OK)
        s = jj__memo_count(&store->memo, &store->writer, place.name, place.state, -1, err);
    return s;
}

jj_status jj__sqlite_add_line(void *state, const char *id, const jj_line *line, jj_error *err)
{
    struct store *store = state;
    struct place place;
    sqlite3_stmt *statement;
    jj_status s = find(store, id, &place, err);
    if (s == JJ_OK)
        s = jj__sqlite_prepare(&store->writer, QUERY_ADD_LINE, &statement, err);
    if (s != JJ_OK)
        return s;

    jj__memo_keep_place(&store->memo, id, &place);
    sqlite3_bind_int64(statement, 1, place.n);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)line->place);
    sqlite3_bind_int64(statement, 3, line->time_ms);
    sqlite3_bind_int(statement, 4, (int)line->level);
    sqlite3_bind_int64(statement, 5, line->attempt);
    bind_text(statement, 6, line->message);
    bind_text(statement, 7, line->data);
    bind_text(statement, 8, line->event);
    return jj__sqlite_run(&store->writer, statement, err);
}

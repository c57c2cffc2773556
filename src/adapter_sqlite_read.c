/* SPDX-License-Identifier: Apache-2.0 */
/* What is read. A row that can't be one, in a file that SQLite finds in order, is damage as well:
 * nothing is handed out that would break a caller's buffers. */

#include "adapter_sqlite.h"

#include <string.h>

/* ---- which connection ---- */

/* The writer's thread reads single rows on its own connection; there it keeps one snapshot open
 * until it begins to write, because opening one costs as much as reading a row. */
jj_status jj__sqlite_enter(struct store *store, enum reading reading,
                           struct connection **connection_out, jj_error *err)
{
    if (reading == READING_ROW && jj__sqlite_is_writer(store)) {
        *connection_out = &store->writer;
        if (store->in_transaction || store->reading)
            return JJ_OK;
        jj_status s = jj__sqlite_do(&store->writer, QUERY_BEGIN_READING, err);
        store->reading = s == JJ_OK;
        return s;
    }
    pthread_mutex_lock(&store->readers[reading].lock);
    *connection_out = &store->readers[reading].connection;
    return JJ_OK;
}

void jj__sqlite_leave(struct store *store, enum reading reading,
                      const struct connection *connection)
{
    if (connection != &store->writer)
        pthread_mutex_unlock(&store->readers[reading].lock);
}

/* ---- rows ---- */

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

static bool is_possible(const jj_record *record)
{
    return record->id != NULL && record->id[0] != '\0' && strlen(record->id) <= JJ_NAME_MAX &&
           record->name != NULL && strlen(record->name) <= JJ_NAME_MAX &&
           record->state > JJ_ANY_STATE && record->state < JJ_STATES;
}

static bool unpack(sqlite3_stmt *row, jj_record *record)
{
    const void *fields = sqlite3_column_blob(row, COLUMN_FIELDS);
    const void *content = sqlite3_column_blob(row, COLUMN_CONTENT);

    return jj__sqlite_unpack_fields(record, fields,
                                    (size_t)sqlite3_column_bytes(row, COLUMN_FIELDS)) &&
           jj__sqlite_unpack_content(record, content,
                                     (size_t)sqlite3_column_bytes(row, COLUMN_CONTENT)) &&
           record->marks_len <= JJ_MARKS_MAX;
}

static jj_status read_record(struct connection *connection, sqlite3_stmt *row, jj_record *out,
                             jj_error *err)
{
    *out = (jj_record){
        .id = column_text(row, COLUMN_ID),
        .name = column_text(row, COLUMN_NAME),
        .state = (jj_state)sqlite3_column_int(row, COLUMN_STATE),
        .created_at_ms = sqlite3_column_int64(row, COLUMN_CREATED),
        .run_at_ms = sqlite3_column_int64(row, COLUMN_RUN),
        .completed_at_ms = sqlite3_column_int64(row, COLUMN_COMPLETED),
    };
    if (is_possible(out) && unpack(row, out))
        return JJ_OK;
    if (sqlite3_errcode(connection->db) == SQLITE_NOMEM)
        return jj__fail_sqlite(err, connection, SQLITE_NOMEM);
    return jj__fail_damaged(err, connection);
}

/* Hand on all rows of a statement, bound already. */
jj_status jj__sqlite_take_rows(struct connection *connection, sqlite3_stmt *statement,
                               jj_take_record take, void *ctx, jj_error *err)
{
    jj_status s = JJ_OK;
    bool more = true;
    int code = SQLITE_DONE;

    while (s == JJ_OK && more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        jj_record record;
        s = read_record(connection, statement, &record, err);
        if (s == JJ_OK)
            more = take(ctx, &record);
    }
    if (s == JJ_OK && code != SQLITE_ROW && code != SQLITE_DONE)
        s = jj__fail_sqlite(err, connection, code);
    sqlite3_reset(statement);
    return s;
}

int64_t jj__sqlite_limit(size_t limit)
{
    return limit > INT32_MAX ? INT32_MAX : (int64_t)limit;
}

/* ---- one row ---- */

static void keep_place(struct store *store, const char *id, sqlite3_stmt *row)
{
    const struct place place = {
        .n = sqlite3_column_int64(row, COLUMN_N),
        .name = sqlite3_column_int64(row, COLUMN_NAME_N),
        .state = (jj_state)sqlite3_column_int(row, COLUMN_STATE),
        .created_at_ms = sqlite3_column_int64(row, COLUMN_CREATED),
        .run_at_ms = sqlite3_column_int64(row, COLUMN_RUN),
        .completed_at_ms = sqlite3_column_int64(row, COLUMN_COMPLETED),
        .apart = sqlite3_column_int(row, COLUMN_APART) != 0,
    };

    jj__memo_keep_place(&store->memo, id, &place);
}

static jj_status get_on(struct store *store, struct connection *connection, const char *id,
                        jj_take_record take, void *ctx, jj_error *err)
{
    jj_record record;
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(connection, QUERY_GET, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        s = read_record(connection, statement, &record, err);
        if (s == JJ_OK && connection == &store->writer)
            keep_place(store, id, statement);
        if (s == JJ_OK)
            take(ctx, &record);
    } else {
        s = code == SQLITE_DONE ? jj__fail(err, JJ_ERR_NOT_FOUND, "no such job")
                                : jj__fail_sqlite(err, connection, code);
    }
    sqlite3_reset(statement);
    return s;
}

jj_status jj__sqlite_get(void *state, const char *id, jj_take_record take, void *ctx, jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    jj_status s = jj__sqlite_enter(store, READING_ROW, &connection, err);
    if (s != JJ_OK)
        return s;

    s = get_on(store, connection, id, take, ctx, err);
    jj__sqlite_leave(store, READING_ROW, connection);
    return s;
}

/* ---- lines, counts, offsets ---- */

static bool take_line_of(sqlite3_stmt *row, jj_take_line take, void *ctx)
{
    const jj_line line = {
        .place = (uint64_t)sqlite3_column_int64(row, 0),
        .time_ms = sqlite3_column_int64(row, 1),
        .level = (jj_log_level)sqlite3_column_int(row, 2),
        .attempt = (uint32_t)sqlite3_column_int64(row, 3),
        .message = column_text(row, 4),
        .data = column_text(row, 5),
        .event = column_text(row, 6),
    };

    return line.message == NULL || take(ctx, &line);
}

static jj_status lines_on(struct connection *connection, const char *id, size_t limit,
                          jj_take_line take, void *ctx, jj_error *err)
{
    sqlite3_stmt *statement;
    int code;
    jj_status s = jj__sqlite_prepare(connection, QUERY_GET_LINES, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, jj__sqlite_limit(limit));
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && take_line_of(statement, take, ctx))
        continue;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        s = jj__fail_sqlite(err, connection, code);
    sqlite3_reset(statement);
    return s;
}

jj_status jj__sqlite_get_lines(void *state, const char *id, size_t limit, jj_take_line take,
                               void *ctx, jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = lines_on(connection, id, limit, take, ctx, err);
    jj__sqlite_leave(store, READING_LIST, connection);
    return s;
}

static bool take_count_of(sqlite3_stmt *row, jj_take_count take, void *ctx)
{
    const char *name = column_text(row, 0);
    int state = sqlite3_column_int(row, 1);

    if (name == NULL || state <= JJ_ANY_STATE || state >= JJ_STATES)
        return true;
    return take(ctx, name, (jj_state)state, (uint64_t)sqlite3_column_int64(row, 2));
}

jj_status jj__sqlite_get_counts(void *state, jj_take_count take, void *ctx, jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    sqlite3_stmt *statement;
    int code = SQLITE_DONE;
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = jj__sqlite_prepare(connection, QUERY_GET_COUNTS, &statement, err);
    if (s == JJ_OK) {
        while ((code = sqlite3_step(statement)) == SQLITE_ROW &&
               take_count_of(statement, take, ctx))
            continue;
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            s = jj__fail_sqlite(err, connection, code);
        sqlite3_reset(statement);
    }
    jj__sqlite_leave(store, READING_LIST, connection);
    return s;
}

static void read_offset(sqlite3_stmt *row, int column, jj_offset *out)
{
    const char *created = column_text(row, column + 1);

    out->seq = (uint64_t)sqlite3_column_int64(row, column);
    if (created != NULL && strlen(created) < sizeof(out->created))
        memcpy(out->created, created, strlen(created) + 1);
}

jj_status jj__sqlite_offsets(void *state, jj_offsets *offsets_out, jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    jj_offsets offsets = {0};
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = jj__sqlite_prepare(connection, QUERY_GET_OFFSETS, &statement, err);
    if (s == JJ_OK) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            read_offset(statement, 0, &offsets.jobs);
            read_offset(statement, 2, &offsets.schedule);
            read_offset(statement, 4, &offsets.events);
            if (sqlite3_column_int64(statement, 6) != jj__sqlite_sum_of_offsets(&offsets))
                s = jj__fail_damaged(err, connection);
        } else if (code != SQLITE_DONE) {
            s = jj__fail_sqlite(err, connection, code);
        }
        sqlite3_reset(statement);
    }
    jj__sqlite_leave(store, READING_LIST, connection);
    if (s == JJ_OK)
        *offsets_out = offsets;
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of rows: by name, and by what is to be done with them. */

#include "adapter_sqlite.h"

#include <stdlib.h>

struct list {
    enum query query;
    int64_t parameters[2];
    jj_take_record take;
    void *ctx;
};

static jj_status take_list(struct store *store, const struct list *list, jj_error *err)
{
    struct connection *connection;
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = jj__sqlite_prepare(connection, list->query, &statement, err);
    if (s == JJ_OK) {
        int count = sqlite3_bind_parameter_count(statement);
        for (int i = 0; i < count; i++)
            sqlite3_bind_int64(statement, i + 1, list->parameters[i]);
        s = jj__sqlite_take_rows(connection, statement, list->take, list->ctx, err);
    }
    jj__sqlite_leave(store, READING_LIST, connection);
    return s;
}

jj_status jj__sqlite_get_scheduled_ready(void *state, int64_t now_ms, jj_take_record take,
                                         void *ctx, jj_error *err)
{
    const struct list list = {
        .query = QUERY_GET_SCHEDULED_READY, .parameters = {now_ms}, .take = take, .ctx = ctx};

    return take_list(state, &list, err);
}

jj_status jj__sqlite_get_finished(void *state, int64_t before_ms, size_t limit, jj_take_record take,
                                  void *ctx, jj_error *err)
{
    const struct list list = {.query = QUERY_GET_FINISHED,
                              .parameters = {before_ms, jj__sqlite_limit(limit)},
                              .take = take,
                              .ctx = ctx};

    return take_list(state, &list, err);
}

static jj_status page_on(struct connection *connection, const jj_selection *selection,
                         jj_take_record take, void *ctx, jj_error *err)
{
    bool any = selection->state == JJ_ANY_STATE;
    int64_t n;
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_look_up_name(connection, selection->name, &n, err);

    if (s == JJ_OK)
        s = jj__sqlite_prepare(connection, any ? QUERY_GET_BY_NAME : QUERY_GET_BY_NAME_AND_STATE,
                               &statement, err);
    if (s != JJ_OK || n == 0)
        return s;
    bool first = selection->before_id == NULL;
    sqlite3_bind_int64(statement, 1, n);
    sqlite3_bind_int64(statement, 2, first ? INT64_MAX : selection->before_created_at_ms);
    /* '~' comes behind all characters of ids */
    sqlite3_bind_text(statement, 3, first ? "~" : selection->before_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, jj__sqlite_limit(selection->limit));
    if (!any)
        sqlite3_bind_int(statement, 5, (int)selection->state);
    return jj__sqlite_take_rows(connection, statement, take, ctx, err);
}

jj_status jj__sqlite_get_by_name(void *state, const jj_selection *selection, jj_take_record take,
                                 void *ctx, jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = page_on(connection, selection, take, ctx, err);
    jj__sqlite_leave(store, READING_LIST, connection);
    return s;
}

/* ---- pending ---- */

struct keys {
    int64_t *keys;
    size_t count, cap;
};

static bool add_key(struct keys *keys, int64_t key)
{
    if (keys->count == keys->cap) {
        size_t cap = keys->cap == 0 ? 128 : keys->cap * 2;
        int64_t *grown = realloc(keys->keys, cap * sizeof(*grown));
        if (grown == NULL)
            return false;
        keys->keys = grown;
        keys->cap = cap;
    }
    keys->keys[keys->count++] = key;
    return true;
}

static jj_status find_pending(struct connection *connection, size_t limit, struct keys *keys,
                              jj_error *err)
{
    int code;
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(connection, QUERY_GET_PENDING, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_int64(statement, 1, jj__sqlite_limit(limit));
    while (s == JJ_OK && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        if (code != SQLITE_ROW)
            s = jj__fail_sqlite(err, connection, code);
        else if (!add_key(keys, sqlite3_column_int64(statement, 0)))
            s = jj__fail(err, JJ_ERR_NO_MEMORY, "pending jobs");
    }
    sqlite3_reset(statement);
    return s;
}

struct taking {
    jj_take_record take;
    void *ctx;
    bool more;
};

static bool take_on(void *ctx, const jj_record *record)
{
    struct taking *taking = ctx;

    taking->more = taking->take(taking->ctx, record);
    return taking->more;
}

static jj_status take_keys(struct connection *connection, const struct keys *keys,
                           struct taking *taking, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(connection, QUERY_GET_ROW, &statement, err);

    for (size_t i = 0; s == JJ_OK && taking->more && i < keys->count; i++) {
        sqlite3_bind_int64(statement, 1, keys->keys[i]);
        s = jj__sqlite_take_rows(connection, statement, take_on, taking, err);
    }
    return s;
}

/* The rows are sorted by their keys alone, and then fetched one by one: they may be large. */
jj_status jj__sqlite_get_pending(void *state, size_t limit, jj_take_record take, void *ctx,
                                 jj_error *err)
{
    struct store *store = state;
    struct connection *connection;
    struct keys keys = {0};
    struct taking taking = {.take = take, .ctx = ctx, .more = true};
    jj_status s = jj__sqlite_enter(store, READING_LIST, &connection, err);
    if (s != JJ_OK)
        return s;

    s = jj__sqlite_do(connection, QUERY_BEGIN_READING, err); /* both see the same */
    if (s == JJ_OK) {
        s = find_pending(connection, limit, &keys, err);
        if (s == JJ_OK)
            s = take_keys(connection, &keys, &taking, err);
        jj__ignore(jj__sqlite_do(connection, QUERY_COMMIT, NULL), "nothing was written");
    }
    jj__sqlite_leave(store, READING_LIST, connection);
    free(keys.keys);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every statement that is ever run on rows, and how one is prepared and run. All values are bound;
 * no text is ever put into a statement. */

#include "adapter_sqlite.h"

/* In the order of enum column. Content that is kept apart is fetched only for rows that have it. */
#define ROWS                                                                                       \
    "SELECT id, (SELECT name.name FROM name WHERE name.n = job.name), state, created_at_ms,"       \
    " run_at_ms, completed_at_ms, fields,"                                                         \
    " ifnull(content, (SELECT content.content FROM content WHERE content.n = job.n)),"             \
    " n, name, content IS NULL FROM job "

/* One state of a name, from a place on. All states are six of these, which SQLite merges as they
 * come, row by row: no sorting, however many rows there are. */
#define PAGE_OF(state)                                                                             \
    ROWS "WHERE name = ?1 AND state = " state " AND (created_at_ms, id) < (?2, ?3) "
#define PAGE_ORDER "ORDER BY 4 DESC, 1 DESC LIMIT ?4"

static const char *const texts[QUERIES] = {
    [QUERY_BEGIN] = "BEGIN IMMEDIATE",
    [QUERY_BEGIN_READING] = "BEGIN",
    [QUERY_COMMIT] = "COMMIT",
    [QUERY_ROLLBACK] = "ROLLBACK",

    [QUERY_GET_OFFSETS] = "SELECT jobs, jobs_created, schedule, schedule_created, events,"
                          " events_created, sum FROM offsets WHERE only = 1",
    [QUERY_SET_OFFSETS] = "INSERT OR REPLACE INTO offsets(only, jobs, jobs_created, schedule,"
                          " schedule_created, events, events_created, sum)"
                          " VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",

    [QUERY_GET_NAME] = "SELECT n FROM name WHERE name = ?1",
    [QUERY_ADD_NAME] = "INSERT INTO name(name) VALUES(?1)",
    [QUERY_ADD_COUNT] = "INSERT INTO count(name, state, count) VALUES(?1, ?2, ?3)"
                        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
    [QUERY_GET_COUNTS] = "SELECT name.name, count.state, count.count FROM name CROSS JOIN count"
                         " WHERE count.name = name.n AND count.count > 0"
                         " ORDER BY name.name, count.state",

    [QUERY_FIND] =
        "SELECT n, name, state, created_at_ms, run_at_ms, completed_at_ms, content IS NULL"
        " FROM job WHERE id = ?1",
    [QUERY_CREATE] = "INSERT INTO job(fields, state, created_at_ms, run_at_ms, completed_at_ms, id,"
                     " name, content) VALUES(?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    /* SQLite writes an index anew if a column of it is named here, changed or not. */
    [QUERY_UPDATE] = "UPDATE job SET fields = ?2 WHERE n = ?1",
    [QUERY_MOVE] = "UPDATE job SET fields = ?2, state = ?3, created_at_ms = ?4, run_at_ms = ?5,"
                   " completed_at_ms = ?6 WHERE n = ?1",
    [QUERY_SET_CONTENT] = "UPDATE job SET content = ?9 WHERE n = ?1",
    [QUERY_PUT_CONTENT] = "INSERT OR REPLACE INTO content(n, content) VALUES(?1, ?9)",
    [QUERY_REMOVE_CONTENT] = "DELETE FROM content WHERE n = ?1",
    [QUERY_REMOVE] = "DELETE FROM job WHERE n = ?1",

    [QUERY_ADD_LINE] = "INSERT OR REPLACE INTO line(job, place, time_ms, level, attempt, message,"
                       " data, event) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [QUERY_REMOVE_LINES] = "DELETE FROM line WHERE job = ?1",

    [QUERY_GET] = ROWS "WHERE id = ?1",
    [QUERY_GET_ROW] = ROWS "WHERE n = ?1",
    [QUERY_GET_BY_NAME] =
        PAGE_OF("1") "UNION ALL " PAGE_OF("2") "UNION ALL " PAGE_OF("3") "UNION ALL " PAGE_OF(
            "4") "UNION ALL " PAGE_OF("5") "UNION ALL " PAGE_OF("6") PAGE_ORDER,
    [QUERY_GET_BY_NAME_AND_STATE] = PAGE_OF("?5") PAGE_ORDER,
    /* SQLite sorts no more than the limit, and leaves each name at its first row that is too
     * young. */
    [QUERY_GET_PENDING] = "SELECT job.n FROM count CROSS JOIN job"
                          " WHERE count.state = 1 AND count.count > 0"
                          " AND job.name = count.name AND job.state = 1"
                          " ORDER BY job.created_at_ms, job.id LIMIT ?1",
    [QUERY_GET_SCHEDULED_READY] = ROWS "WHERE state = 2 AND run_at_ms <= ?1 ORDER BY run_at_ms",
    [QUERY_GET_FINISHED] =
        ROWS "WHERE state >= 4 AND completed_at_ms < ?1 ORDER BY completed_at_ms LIMIT ?2",
    [QUERY_GET_LINES] = "SELECT place, time_ms, level, attempt, message, data, event FROM line"
                        " WHERE job = (SELECT n FROM job WHERE id = ?1) ORDER BY place LIMIT ?2",
};

_Static_assert(JJ_PENDING == 1 && JJ_SCHEDULED == 2 && JJ_RUNNING == 3 && JJ_COMPLETED == 4 &&
                   JJ_FAILED == 5 && JJ_CANCELLED == 6,
               "statements and indexes name states by number");
_Static_assert(PARAMETER_CONTENT == 9 && COLUMN_CREATED + 1 == 4 && COLUMN_ID + 1 == 1,
               "statements name parameters and columns by number");

const char *jj__sqlite_text(enum query query)
{
    return texts[query];
}

static jj_status status_of(int code)
{
    if (code == SQLITE_IOERR_NOMEM)
        return JJ_ERR_NO_MEMORY;
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR:      /* tables that are not ours: a statement does not fit them */
    case SQLITE_CONSTRAINT: /* rows that contradict each other */
    case SQLITE_MISMATCH:
        return JJ_ERR_PROTOCOL;
    case SQLITE_NOMEM:
        return JJ_ERR_NO_MEMORY;
    case SQLITE_MISUSE:
        return JJ_ERR_INTERNAL;
    default: /* full, I/O error, can't open, read-only, busy, locked */
        return JJ_ERR_STORAGE;
    }
}

static const char *path_of(const struct connection *connection)
{
    const char *path = connection->db == NULL ? NULL : sqlite3_db_filename(connection->db, "main");

    return path == NULL ? "" : path;
}

jj_status jj__fail_sqlite(jj_error *err, struct connection *connection, int code)
{
    jj_status s = status_of(code);

    connection->damage_seen |= s == JJ_ERR_PROTOCOL;
    return jj__fail(err, s, "index '%.160s': %s", path_of(connection),
                    connection->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(connection->db));
}

jj_status jj__fail_damaged(jj_error *err, struct connection *connection)
{
    connection->damage_seen = true;
    return jj__fail(err, JJ_ERR_PROTOCOL, "index '%.160s': a row is damaged", path_of(connection));
}

jj_status jj__sqlite_prepare(struct connection *connection, enum query query,
                             sqlite3_stmt **statement_out, jj_error *err)
{
    sqlite3_stmt **statement = &connection->statements[query];

    if (*statement == NULL) {
        int code = sqlite3_prepare_v3(connection->db, texts[query], -1, SQLITE_PREPARE_PERSISTENT,
                                      statement, NULL);
        if (code != SQLITE_OK)
            return jj__fail_sqlite(err, connection, code);
    }
    *statement_out = *statement;
    return JJ_OK;
}

void jj__sqlite_disconnect(struct connection *connection)
{
    for (size_t i = 0; i < QUERIES; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close_v2(connection->db);
    *connection = (struct connection){0};
}

jj_status jj__sqlite_run(struct connection *connection, sqlite3_stmt *statement, jj_error *err)
{
    jj_status s = JJ_OK;
    int code = sqlite3_step(statement);

    if (code != SQLITE_DONE)
        s = jj__fail_sqlite(err, connection, code);
    sqlite3_reset(statement);
    return s;
}

jj_status jj__sqlite_do(struct connection *connection, enum query query, jj_error *err)
{
    sqlite3_stmt *statement = NULL;
    jj_status s = jj__sqlite_prepare(connection, query, &statement, err);

    return s != JJ_OK ? s : jj__sqlite_run(connection, statement, err);
}

jj_status jj__sqlite_look_up_name(struct connection *connection, const char *name, int64_t *n_out,
                                  jj_error *err)
{
    sqlite3_stmt *statement = NULL;
    jj_status s = jj__sqlite_prepare(connection, QUERY_GET_NAME, &statement, err);
    if (s != JJ_OK)
        return s;

    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *n_out = sqlite3_column_int64(statement, 0);
    else if (code != SQLITE_DONE)
        s = jj__fail_sqlite(err, connection, code);
    else
        *n_out = 0;
    sqlite3_reset(statement);
    return s;
}

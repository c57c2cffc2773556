/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to connections: makes the tables, or finds out whether those that are there can be
 * trusted. A file that is not ours is not changed in any way before that is known. */

#include "adapter_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Within the memory that a process with an index may take, with room for a large transaction. */
#define WRITER_CACHE    "-6144" /* KiB */
#define READER_CACHE    "-4096"
#define LENGTH_MAX      (256 * 1024 * 1024) /* above what a broker takes as a message */
#define TEXT_SIZE       128
#define PATTERN_MAX     64   /* of LIKE and GLOB, which SQLite uses to see what ALTER TABLE did */
#define BUSY_TIMEOUT_MS 1000 /* only a stranger can hold it; who writes tries again */

/* Version 1, and what each later one changes.
 *
 * job: the rows. n is a key of our own, since ids are long, and the tables beside it have it, too.
 *   What no statement looks at is packed into fields and content (adapter_sqlite_pack.c). Large
 *   content is in a table apart, so that it isn't copied with each change.
 * name: the names of jobs, which would be in each row and its index.
 * count: how many rows there are by name and state; kept, because counting takes too long.
 *
 * What finds rows, and why there is no more of it:
 * - job.id, for single rows.
 * - job_by_name, for pages of a name, with its states and without; its order is that of pages to
 *   the last, so no page is ever sorted. Also for pending rows, name by name: an index by age alone
 *   would be written twice for each job. This one is a third of all writing as it is.
 * - job_by_run and job_by_completion have only the rows that are scheduled, or over, and are
 * written once. No other order says what is due, or old enough to be removed.
 *
 * Version 2: custom events are among the lines. */
static const char *const steps[JJ__SQLITE_VERSION] = {
    "CREATE TABLE name(n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE count(name INTEGER NOT NULL, state INTEGER NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY(name, state)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE offsets(only INTEGER PRIMARY KEY, jobs INTEGER NOT NULL,"
    " jobs_created TEXT NOT NULL, schedule INTEGER NOT NULL, schedule_created TEXT NOT NULL,"
    " events INTEGER NOT NULL, events_created TEXT NOT NULL,"
    " sum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE job(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name INTEGER NOT NULL,"
    " state INTEGER NOT NULL, created_at_ms INTEGER NOT NULL, run_at_ms INTEGER NOT NULL,"
    " completed_at_ms INTEGER NOT NULL, fields BLOB NOT NULL, content BLOB) STRICT;"
    "CREATE INDEX job_by_name ON job(name, state, created_at_ms, id);"
    "CREATE INDEX job_by_run ON job(run_at_ms) WHERE state = 2;"
    "CREATE INDEX job_by_completion ON job(completed_at_ms) WHERE state >= 4;"
    "CREATE TABLE content(n INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;"
    "CREATE TABLE line(job INTEGER NOT NULL, place INTEGER NOT NULL, time_ms INTEGER NOT NULL,"
    " level INTEGER NOT NULL, attempt INTEGER NOT NULL, message TEXT NOT NULL, data TEXT,"
    " PRIMARY KEY(job, place)) STRICT, WITHOUT ROWID;",
    "ALTER TABLE line ADD COLUMN event TEXT",
};

/* Nobody maps the file: one that is cut short would kill us. What was removed may be read in the
 * free pages of the file until they are used again. */
#define SETTINGS_OF_ALL                                                                            \
    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"              \
    "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0;"

static const char writer_settings[] =
    SETTINGS_OF_ALL "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF;"
                    "PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = " WRITER_CACHE;
static const char reader_settings[] =
    SETTINGS_OF_ALL "PRAGMA query_only = ON; PRAGMA cache_size = " READER_CACHE;

/* ---- connections ---- */

static jj_status execute(struct connection *connection, const char *text, jj_error *err)
{
    int code = sqlite3_exec(connection->db, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? JJ_OK : jj__fail_sqlite(err, connection, code);
}

static jj_status connect_to(const struct sqlite_file *file, int mode, const char *settings,
                            struct connection *connection, jj_error *err)
{
    int code = sqlite3_open_v2(file->path, &connection->db,
                               mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (code != SQLITE_OK)
        return jj__fail_sqlite(err, connection, code);

    sqlite3 *db = connection->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 0);
    return execute(connection, settings, err);
}

/* The first column of a statement's first row; "" if there is none. */
static jj_status read_text(struct connection *connection, const char *text, char out[TEXT_SIZE],
                           jj_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection->db, text, -1, &statement, NULL);
    jj_status s = JJ_OK;

    out[0] = '\0';
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        sqlite3_snprintf(TEXT_SIZE, out, "%s", sqlite3_column_text(statement, 0));
    else if (code != SQLITE_DONE)
        s = jj__fail_sqlite(err, connection, code);
    sqlite3_finalize(statement);
    return s;
}

static jj_status read_number(struct connection *connection, const char *text, long *number_out,
                             jj_error *err)
{
    char number[TEXT_SIZE];
    jj_status s = read_text(connection, text, number, err);

    *number_out = strtol(number, NULL, 10);
    return s;
}

/* ---- tables ---- */

static jj_status make_step(struct connection *writer, long version, jj_error *err)
{
    char text[128];

    snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             JJ__SQLITE_APPLICATION_ID, (int)version + 1);
    jj_status s = execute(writer, "BEGIN IMMEDIATE", err);
    sqlite3_limit(writer->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_MAX);
    if (s == JJ_OK)
        s = execute(writer, steps[version], err);
    sqlite3_limit(writer->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 0);
    if (s == JJ_OK)
        s = execute(writer, text, err);
    if (s != JJ_OK && sqlite3_get_autocommit(writer->db) == 0)
        jj__ignore(execute(writer, "ROLLBACK", NULL), "there is an error already");
    return s;
}

/* Its header has a number for who may write it, which is 2 in each file of ours: with another one
 * SQLite takes a file that may be written for one that may not. */
static jj_status check_write_version(const struct store *store, jj_error *err)
{
    if (sqlite3_db_readonly(store->writer.db, "main") != 1 || access(store->file.path, W_OK) != 0)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_PROTOCOL, "index '%.160s' is damaged: its write version",
                    store->file.path);
}

/* Bring the tables from an older version, or from nothing, to ours. */
static jj_status migrate(struct store *store, jj_error *err)
{
    long id, version, pages;
    struct connection *writer = &store->writer;
    jj_status s = read_number(writer, "PRAGMA application_id", &id, err);

    if (s == JJ_OK)
        s = read_number(writer, "PRAGMA user_version", &version, err);
    if (s == JJ_OK)
        s = read_number(writer, "PRAGMA page_count", &pages, err);
    if (s == JJ_OK)
        s = check_write_version(store, err);
    if (s != JJ_OK)
        return s;
    if (pages > 0 && id != JJ__SQLITE_APPLICATION_ID)
        return jj__fail(err, JJ_ERR_PROTOCOL, "'%.160s' is not an index of jetjobs",
                        store->file.path);
    if (version > JJ__SQLITE_VERSION)
        return jj__fail(err, JJ_ERR_PROTOCOL,
                        "index '%.160s' has version %d, of a newer jetjobs; this one knows %d",
                        store->file.path, (int)version, JJ__SQLITE_VERSION);
    if (version < 0 || (pages > 0 && version == 0))
        return jj__fail(err, JJ_ERR_PROTOCOL, "index '%.160s' has no version", store->file.path);
    for (; s == JJ_OK && version < JJ__SQLITE_VERSION; version++)
        s = make_step(writer, version, err);
    return s;
}

/* ---- trust ---- */

/* Whether a file that SQLite has open can be read to its end. */
static jj_status read_through(struct store *store, int which, jj_error *err)
{
    char bytes[4096];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int code = sqlite3_file_control(store->writer.db, "main", which, &file);
    if (code != SQLITE_OK || file == NULL || file->pMethods == NULL)
        return JJ_OK;

    code = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += (int)sizeof(bytes)) {
        code = file->pMethods->xRead(file, bytes, (int)sizeof(bytes), at);
        if (code == SQLITE_IOERR_SHORT_READ)
            code = SQLITE_OK;
    }
    if (code != SQLITE_OK)
        return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s' can't be read: %s", store->file.path,
                        sqlite3_errstr(code));
    return JJ_OK;
}

/* Damage to what SQLite's trees consist of; rows have sums. */
static jj_status check_once(struct store *store, jj_error *err)
{
    char found[TEXT_SIZE];
    jj_status s = read_text(&store->writer, "PRAGMA quick_check(1)", found, err);

    if (s != JJ_OK || strcmp(found, "ok") == 0)
        return s;
    return jj__fail(err, JJ_ERR_PROTOCOL, "index '%.160s' is damaged: %.100s", store->file.path,
                    found);
}

/* The check takes a page that can't be read at the moment for damage. So damage is believed only if
 * all can be read, and it is still there. */
static jj_status check(struct store *store, jj_error *err)
{
    jj_status s = check_once(store, err);

    if (s != JJ_ERR_PROTOCOL)
        return s;
    s = read_through(store, SQLITE_FCNTL_FILE_POINTER, err);
    if (s == JJ_OK)
        s = read_through(store, SQLITE_FCNTL_JOURNAL_POINTER, err);
    return s == JJ_OK ? check_once(store, err) : s;
}

static jj_status begin_log(struct store *store, jj_error *err)
{
    char mode[TEXT_SIZE];
    jj_status s = read_text(&store->writer, "PRAGMA journal_mode = WAL", mode, err);

    if (s != JJ_OK || strcmp(mode, "wal") == 0)
        return s;
    return jj__fail(err, JJ_ERR_STORAGE,
                    "index '%.160s': its file system can't have a write-ahead log",
                    store->file.path);
}

/* The tables are ours if every statement fits them. */
static jj_status prepare_all(struct store *store, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = JJ_OK;

    for (int query = 0; s == JJ_OK && query < QUERIES; query++)
        s = jj__sqlite_prepare(&store->writer, (enum query)query, &statement, err);
    return s;
}

/* What is left of names that have no rows any more. */
static jj_status tidy(struct store *store, jj_error *err)
{
    return execute(&store->writer,
                   "BEGIN IMMEDIATE;"
                   "DELETE FROM count WHERE count = 0;"
                   "DELETE FROM name WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.name = name.n);"
                   "COMMIT",
                   err);
}

/* ---- opening and closing ---- */

static jj_status open_writer(struct store *store, jj_error *err)
{
    jj_status s =
        connect_to(&store->file, SQLITE_OPEN_READWRITE, writer_settings, &store->writer, err);
    if (s == JJ_OK)
        s = migrate(store, err);
    if (s == JJ_OK)
        s = begin_log(store, err);
    if (s == JJ_OK && !store->file.sound)
        s = check(store, err);
    if (s == JJ_OK)
        s = prepare_all(store, err);
    if (s == JJ_OK)
        s = tidy(store, err);
    if (s == JJ_OK && store->file.copying)
        jj__sqlite_copy_log(store, SQLITE_CHECKPOINT_PASSIVE);
    if (s == JJ_OK)
        sqlite3_wal_hook(store->writer.db, jj__sqlite_note_wal, store);
    return s;
}

static jj_status open_readers(struct store *store, jj_error *err)
{
    jj_status s = JJ_OK;

    for (size_t i = 0; s == JJ_OK && i < READINGS; i++)
        s = connect_to(&store->file, SQLITE_OPEN_READONLY, reader_settings,
                       &store->readers[i].connection, err);
    return s;
}

static bool is_damage_seen(const struct store *store)
{
    bool seen = store->writer.damage_seen;

    for (size_t i = 0; i < READINGS; i++)
        seen |= store->readers[i].connection.damage_seen;
    return seen;
}

/* ordered: leave the file as one that needs no look through. Else it is left as it is, log and all:
 * there may be something to find out, or it is not even ours. */
static void disconnect(struct store *store, bool ordered)
{
    for (size_t i = 0; i < READINGS; i++) {
        jj__sqlite_disconnect(&store->readers[i].connection);
        pthread_mutex_destroy(&store->readers[i].lock);
    }
    if (ordered && jj__sqlite_copy_log(store, SQLITE_CHECKPOINT_TRUNCATE))
        sqlite3_db_config(store->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    jj__sqlite_disconnect(&store->writer);
    jj__sqlite_file_close(&store->file, ordered);
    jj__buf_done(&store->fields);
    jj__buf_done(&store->content);
    free(store);
}

jj_status jj__sqlite_open(const char *location, void **state_out, jj_error *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "index");
    jj_status s = jj__sqlite_file_open(&store->file, location, err);
    if (s != JJ_OK) {
        free(store);
        return s;
    }

    store->memo.epoch = 1;
    store->fields.max = LENGTH_MAX;
    store->content.max = LENGTH_MAX;
    for (size_t i = 0; i < READINGS; i++)
        pthread_mutex_init(&store->readers[i].lock, NULL);
    s = open_writer(store, err);
    if (s == JJ_OK)
        s = open_readers(store, err);
    if (s != JJ_OK) {
        disconnect(store, false);
        return s;
    }
    *state_out = store;
    return JJ_OK;
}

void jj__sqlite_close(void *state)
{
    struct store *store = state;

    if (store == NULL)
        return;
    jj__sqlite_rollback(store);
    disconnect(store, !is_damage_seen(store));
}

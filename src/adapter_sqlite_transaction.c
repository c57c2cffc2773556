/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions, all of one thread. Whatever fails, the whole transaction is
 * undone: SQLite may have done so already (a full disk), and what came after it would then be
 * committed on its own. So every call first looks whether there still is one.
 *
 * The write-ahead log is copied to the file here, between transactions, when it has grown by some
 * MiB; once it is copied and nobody reads from it, SQLite begins it anew. A reader that was still
 * there puts that off; when the log grows far beyond, we wait for the readers. */

#include "adapter_sqlite.h"

#define PAGES_UNTIL_CHECKPOINT 8192  /* 32 MiB */
#define PAGES_UNTIL_WAITING    32768 /* 128 MiB */

/* A number for each thread, never used twice, as addresses and thread ids are. */
static uint64_t this_thread(void)
{
    static _Atomic uint64_t last;
    static _Thread_local uint64_t number;

    if (number == 0)
        number = atomic_fetch_add(&last, 1) + 1;
    return number;
}

bool jj__sqlite_is_writer(const struct store *store)
{
    return atomic_load_explicit(&store->writing_thread, memory_order_relaxed) == this_thread();
}

jj_status jj__sqlite_check_writing(const struct store *store, jj_error *err)
{
    if (store->in_transaction && sqlite3_get_autocommit(store->writer.db) == 0)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s': the transaction was undone",
                    store->file.path);
}

/* Looks at what SQLite has, not at what was asked for. */
static void undo(struct store *store)
{
    store->in_transaction = false;
    store->reading = false;
    jj__memo_forget_all(&store->memo);
    if (sqlite3_get_autocommit(store->writer.db) == 0)
        jj__ignore(jj__sqlite_do(&store->writer, QUERY_ROLLBACK, NULL),
                   "it fails only if there is nothing left to undo");
}

jj_status jj__sqlite_begin(void *state, jj_error *err)
{
    struct store *store = state;

    if (!jj__sqlite_is_writer(store)) {
        atomic_store(&store->writing_thread, this_thread());
        jj__memo_forget_all(&store->memo);
    }
    if (store->in_transaction)
        undo(store);
    else if (store->reading && sqlite3_get_autocommit(store->writer.db) == 0)
        jj__ignore(jj__sqlite_do(&store->writer, QUERY_COMMIT, NULL), "nothing was written");
    store->reading = false;
    jj_status s = jj__sqlite_do(&store->writer, QUERY_BEGIN, err);
    store->in_transaction = s == JJ_OK;
    return s;
}

void jj__sqlite_rollback(void *state)
{
    undo(state);
}

int jj__sqlite_note_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *store = ctx;

    (void)db;
    (void)name;
    if (pages < store->wal_pages)
        store->pages_checkpointed = 0; /* it was begun anew */
    store->wal_pages = pages;
    return SQLITE_OK;
}

bool jj__sqlite_copy_log(struct store *store, int mode)
{
    jj__sqlite_file_note_copying(&store->file, true);
    if (sqlite3_wal_checkpoint_v2(store->writer.db, NULL, mode, NULL, NULL) != SQLITE_OK)
        return false;
    jj__sqlite_file_note_copying(&store->file, false);
    return true;
}

/* Failures are no concern of the transaction, which is committed: it is tried again when the log
 * has grown as much again. */
static void copy_log_if_due(struct store *store)
{
    if (store->wal_pages - store->pages_checkpointed < PAGES_UNTIL_CHECKPOINT)
        return;
    jj__sqlite_copy_log(store, store->wal_pages < PAGES_UNTIL_WAITING ? SQLITE_CHECKPOINT_PASSIVE
                                                                      : SQLITE_CHECKPOINT_RESTART);
    store->pages_checkpointed = store->wal_pages;
}

static void bind_offset(sqlite3_stmt *statement, int at, const jj_offset *offset)
{
    sqlite3_bind_int64(statement, at, (sqlite3_int64)offset->seq);
    sqlite3_bind_text(statement, at + 1, offset->created, -1, SQLITE_STATIC);
}

static jj_status write_offsets(struct store *store, const jj_offsets *offsets, jj_error *err)
{
    sqlite3_stmt *statement;
    jj_status s = jj__sqlite_prepare(&store->writer, QUERY_SET_OFFSETS, &statement, err);
    if (s != JJ_OK)
        return s;

    bind_offset(statement, 1, &offsets->jobs);
    bind_offset(statement, 3, &offsets->schedule);
    bind_offset(statement, 5, &offsets->events);
    sqlite3_bind_int64(statement, 7, jj__sqlite_sum_of_offsets(offsets));
    return jj__sqlite_run(&store->writer, statement, err);
}

jj_status jj__sqlite_commit(void *state, const jj_offsets *offsets, jj_error *err)
{
    struct store *store = state;
    jj_status s = jj__sqlite_check_writing(store, err);

    if (s == JJ_OK)
        s = jj__memo_write_counts(&store->memo, &store->writer, err);
    if (s == JJ_OK)
        s = write_offsets(store, offsets, err);
    if (s == JJ_OK)
        s = jj__sqlite_do(&store->writer, QUERY_COMMIT, err);
    if (s != JJ_OK) {
        undo(store);
        return s;
    }
    store->in_transaction = false;
    copy_log_if_due(store);
    return JJ_OK;
}

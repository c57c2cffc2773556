/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_ADAPTER_SQLITE_H
#define JJ_SRC_ADAPTER_SQLITE_H

/* The inside of jj_adapter_sqlite.
 *
 * One connection writes, and it alone checkpoints: SQLite before 3.51.3 may lose commits if two do.
 * Readers have connections of their own, each behind a mutex: one for single rows, one for lists,
 * so that a long page does not hold up a short look. After each commit a reader has to fetch its
 * pages again, the writer does not. So single rows are read on the writer's connection when the
 * thread that writes asks for them. */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <sqlite3.h>

#include <jetjobs/adapter.h>

#include "buf.h"
#include "status.h"

/* ---- statements (adapter_sqlite_query.c) ---- */

enum query {
    QUERY_BEGIN,
    QUERY_BEGIN_READING,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERY_GET_OFFSETS,
    QUERY_SET_OFFSETS,
    QUERY_GET_NAME,
    QUERY_ADD_NAME,
    QUERY_ADD_COUNT,
    QUERY_GET_COUNTS,
    QUERY_FIND,
    QUERY_CREATE,
    QUERY_UPDATE,
    QUERY_MOVE,
    QUERY_SET_CONTENT,
    QUERY_PUT_CONTENT,
    QUERY_REMOVE_CONTENT,
    QUERY_REMOVE,
    QUERY_ADD_LINE,
    QUERY_REMOVE_LINES,
    QUERY_GET,
    QUERY_GET_ROW,
    QUERY_GET_BY_NAME,
    QUERY_GET_BY_NAME_AND_STATE,
    QUERY_GET_PENDING,
    QUERY_GET_SCHEDULED_READY,
    QUERY_GET_FINISHED,
    QUERY_GET_LINES,
    QUERIES
};

/* Parameters of the statements that write a row; each has those that it needs. */
enum parameter {
    PARAMETER_N = 1,
    PARAMETER_FIELDS,
    PARAMETER_STATE,
    PARAMETER_CREATED,
    PARAMETER_RUN,
    PARAMETER_COMPLETED,
    PARAMETER_ID,
    PARAMETER_NAME,
    PARAMETER_CONTENT
};

/* Columns of the statements that read rows. */
enum column {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_STATE,
    COLUMN_CREATED,
    COLUMN_RUN,
    COLUMN_COMPLETED,
    COLUMN_FIELDS,
    COLUMN_CONTENT,
    COLUMN_N,
    COLUMN_NAME_N,
    COLUMN_APART
};

struct connection {
    sqlite3 *db;
    bool damage_seen;
    sqlite3_stmt *statements[QUERIES]; /* prepared when first used */
};

const char *jj__sqlite_text(enum query query);
jj_status jj__sqlite_prepare(struct connection *connection, enum query query,
                             sqlite3_stmt **statement_out, jj_error *err);
void jj__sqlite_disconnect(struct connection *connection);

/* Run a statement that gives no rows, bound already; it is reset. */
jj_status jj__sqlite_run(struct connection *connection, sqlite3_stmt *statement, jj_error *err);
/* The same for one without parameters. */
jj_status jj__sqlite_do(struct connection *connection, enum query query, jj_error *err);

/* The number of a name; 0 if it has none. */
jj_status jj__sqlite_look_up_name(struct connection *connection, const char *name, int64_t *n_out,
                                  jj_error *err);

/* What SQLite says, as a status and its text. code: an extended result code. */
jj_status jj__fail_sqlite(jj_error *err, struct connection *connection, int code);
/* For what SQLite can't see: a row that can't be. */
jj_status jj__fail_damaged(jj_error *err, struct connection *connection);

/* ---- rows as bytes (adapter_sqlite_pack.c) ---- */

/* What is not in columns: replaces what is in out. The record's id, name, state and times are as
 * in its columns. False: no memory. */
bool jj__sqlite_pack_fields(struct buf *out, const jj_record *record);
bool jj__sqlite_pack_content(struct buf *out, const jj_record *record);
/* Into a record with what is in its columns. False: they are damaged, or belong to another row. */
bool jj__sqlite_unpack_fields(jj_record *record, const void *bytes, size_t len);
bool jj__sqlite_unpack_content(jj_record *record, const void *bytes, size_t len);
uint32_t jj__sqlite_sum_of_offsets(const jj_offsets *offsets);

/* ---- the file (adapter_sqlite_file.c) ---- */

/* A path with whatever is appended to it. */
#define JJ__SQLITE_PATH_SIZE (PATH_MAX + 64)

struct sqlite_file {
    char path[PATH_MAX]; /* never what SQLite takes for something else, as "file:x" or ":memory:" */
    int lock_fd;
    bool sound;   /* closed in order, and not touched since */
    bool copying; /* its write-ahead log, and whoever did so last has not finished */
};

/* Lock the file, make it if it is not there, and see whether it may be used. */
jj_status jj__sqlite_file_open(struct sqlite_file *file, const char *location, jj_error *err);
/* Note whether the write-ahead log is being copied to the file. */
void jj__sqlite_file_note_copying(struct sqlite_file *file, bool copying);
/* After SQLite has closed it; ordered: as far as we know nothing is wrong with it. */
void jj__sqlite_file_close(struct sqlite_file *file, bool ordered);
jj_status jj__sqlite_set_aside(const char *location, char *kept_out, size_t kept_size,
                               jj_error *err);

/* ---- what the writer remembers (adapter_sqlite_memo.c) ---- */

/* Where a row is: its key, and what the indexes know of it. */
struct place {
    int64_t n;
    int64_t name;
    jj_state state;
    int64_t created_at_ms;
    int64_t run_at_ms;
    int64_t completed_at_ms;
    bool apart; /* its content is in the table content */
};

/* Fixed tables in which a newer entry takes the place of an older one. */
#define JJ__SQLITE_PLACES   8192
#define JJ__SQLITE_NAMES    1024
#define JJ__SQLITE_COUNTERS 1024

struct memo {
    struct memo_place {
        uint64_t epoch; /* valid if it is that of the memo */
        char id[JJ_NAME_SIZE];
        struct place place;
    } places[JJ__SQLITE_PLACES];
    struct memo_name {
        uint64_t epoch;
        int64_t n;
        char name[JJ_NAME_SIZE];
    } names[JJ__SQLITE_NAMES];
    struct memo_counter {
        uint64_t epoch;
        int64_t name;
        int64_t changes[JJ_STATES]; /* since begin, not written yet */
    } counters[JJ__SQLITE_COUNTERS];
    uint64_t epoch; /* from 1 on */
};

void jj__memo_forget_all(struct memo *memo);
/* NULL: not known. */
const struct place *jj__memo_place(const struct memo *memo, const char *id);
void jj__memo_keep_place(struct memo *memo, const char *id, const struct place *place);
void jj__memo_forget_place(struct memo *memo, const char *id);

/* The number of a name, which is given one if it has none. */
jj_status jj__memo_name(struct memo *memo, struct connection *writer, const char *name,
                        int64_t *n_out, jj_error *err);
/* Note that so many rows more (or less) of a name are in a state. */
jj_status jj__memo_count(struct memo *memo, struct connection *writer, int64_t name, jj_state state,
                         int change, jj_error *err);
/* Write down what has been counted, before commit. */
jj_status jj__memo_write_counts(struct memo *memo, struct connection *writer, jj_error *err);

/* ---- the storage ---- */

enum reading { READING_ROW, READING_LIST, READINGS };

struct reader {
    struct connection connection; /* guarded by lock */
    pthread_mutex_t lock;
};

struct store {
    struct sqlite_file file;
    struct connection writer;
    struct reader readers[READINGS];
    _Atomic uint64_t writing_thread; /* the one that called begin last; 0: none yet */
    /* What follows is that thread's. */
    bool in_transaction;
    bool reading; /* the writer's connection has a snapshot open, to read from until begin */
    int wal_pages;
    int pages_checkpointed;
    struct buf fields, content; /* of the row that is written, packed */
    struct memo memo;
};

/* adapter_sqlite_open.c */
#define JJ__SQLITE_APPLICATION_ID 0x4a4a4958 /* "JJIX" */
#define JJ__SQLITE_VERSION        2          /* of the tables */
jj_status jj__sqlite_open(const char *location, void **state_out, jj_error *err);
void jj__sqlite_close(void *state);

/* adapter_sqlite_transaction.c */
/* Whether it is this thread that writes. */
bool jj__sqlite_is_writer(const struct store *store);
/* Copy the write-ahead log to the file. mode: SQLITE_CHECKPOINT_x. False: it may be needed still.
 */
bool jj__sqlite_copy_log(struct store *store, int mode);
/* How many pages the write-ahead log has: SQLite tells after each commit. */
int jj__sqlite_note_wal(void *store, sqlite3 *db, const char *name, int pages);
jj_status jj__sqlite_begin(void *state, jj_error *err);
jj_status jj__sqlite_commit(void *state, const jj_offsets *offsets, jj_error *err);
void jj__sqlite_rollback(void *state);
/* STORAGE: there is no transaction, or SQLite has undone it. */
jj_status jj__sqlite_check_writing(const struct store *store, jj_error *err);

/* adapter_sqlite_write.c */
jj_status jj__sqlite_create(void *state, const jj_record *record, jj_error *err);
jj_status jj__sqlite_update(void *state, const jj_record *record, bool with_content, jj_error *err);
jj_status jj__sqlite_remove(void *state, const char *id, jj_error *err);
jj_status jj__sqlite_add_line(void *state, const char *id, const jj_line *line, jj_error *err);

/* adapter_sqlite_read.c */
/* A connection to read from, until leave. */
jj_status jj__sqlite_enter(struct store *store, enum reading reading,
                           struct connection **connection_out, jj_error *err);
void jj__sqlite_leave(struct store *store, enum reading reading,
                      const struct connection *connection);
/* Hand on all rows of a statement, bound already; it is reset. */
jj_status jj__sqlite_take_rows(struct connection *connection, sqlite3_stmt *statement,
                               jj_take_record take, void *ctx, jj_error *err);
/* A limit as SQLite takes it. */
int64_t jj__sqlite_limit(size_t limit);
jj_status jj__sqlite_offsets(void *state, jj_offsets *offsets_out, jj_error *err);
jj_status jj__sqlite_get(void *state, const char *id, jj_take_record take, void *ctx,
                         jj_error *err);
jj_status jj__sqlite_get_lines(void *state, const char *id, size_t limit, jj_take_line take,
                               void *ctx, jj_error *err);
jj_status jj__sqlite_get_counts(void *state, jj_take_count take, void *ctx, jj_error *err);

/* adapter_sqlite_list.c */
jj_status jj__sqlite_get_pending(void *state, size_t limit, jj_take_record take, void *ctx,
                                 jj_error *err);
jj_status jj__sqlite_get_scheduled_ready(void *state, int64_t now_ms, jj_take_record take,
                                         void *ctx, jj_error *err);
jj_status jj__sqlite_get_by_name(void *state, const jj_selection *selection, jj_take_record take,
                                 void *ctx, jj_error *err);
jj_status jj__sqlite_get_finished(void *state, int64_t before_ms, size_t limit, jj_take_record take,
                                  void *ctx, jj_error *err);

#endif

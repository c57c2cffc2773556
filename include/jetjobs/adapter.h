/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_ADAPTER_H
#define JETJOBS_ADAPTER_H

/** @file
 *  Where an index keeps its rows: a table of functions. Two come with the library,
 *  jj_adapter_sqlite and jj_adapter_memory; an application may bring its own.
 *
 *  The index decides, the adapter remembers. Rows, log lines and offsets that are written between
 *  begin and commit become visible and durable together, or not at all: after a crash the offsets
 *  say up to where the rows are right, and the index goes on from there. Everything can be read
 *  from the streams again, so nothing needs to be durable against more than that.
 *
 *  Threads: what writes (begin to rollback) is called by one thread of the index. What reads is
 *  called by that thread too, and by others at the same time only if concurrent_reads is set; it
 *  then sees the last commit, but for the writing thread between begin and commit, which may see
 *  either. No function is called after close, and none by what is handed to one to take rows.
 *
 *  Errors: JJ_ERR_STORAGE for a disk or service that fails now and may recover: the transaction is
 *  rolled back and tried again later. JJ_ERR_PROTOCOL for contents that can't be used, such as a
 *  damaged file: the index closes it, calls set_aside and begins anew. JJ_ERR_NO_MEMORY is tried
 *  again like JJ_ERR_STORAGE. After one of these, all that may follow in a transaction is rollback,
 *  also if it was commit that failed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/job.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** jj_record.progress of a job that never said how far it is. */
#define JJ_NO_PROGRESS UINT32_MAX

/** Most bytes of jj_record.marks. */
#define JJ_MARKS_MAX 128

/** One row: all that is known of a job. Bytes and strings are borrowed from whoever hands it over.
 *  Times are Unix ms, 0 if unknown. */
typedef struct jj_record {
    const char *id;   /**< unique; 1 to JJ_NAME_MAX characters */
    const char *name; /**< never changes */
    jj_state state;
    int64_t created_at_ms;
    int64_t run_at_ms;
    int64_t started_at_ms;
    int64_t completed_at_ms; /**< set in final states, and only then */
    uint32_t attempts;
    uint32_t max_attempts; /**< 0: nobody has said */
    uint32_t lost;
    uint32_t redrives;
    uint32_t snoozes;
    uint32_t progress;       /**< percent, or JJ_NO_PROGRESS */
    const char *worker;      /**< NULL: none */
    const char *schedule_id; /**< NULL: none */
    const char *error;       /**< NULL: none */
    const void *result;      /**< any bytes */
    size_t result_len;
    const void *marks; /**< what the index needs to go on, opaque; to be kept as it is */
    size_t marks_len;  /**< up to JJ_MARKS_MAX */

    /* The content: written once or twice in the life of a job, and may be large. */
    bool data_known;
    const void *data; /**< any bytes */
    size_t data_len;
    const void *headers; /**< the job's headers in a form of the index's own, opaque */
    size_t headers_len;
} jj_record;

/** A line that a handler logged, or a custom event that it told. */
typedef struct jj_line {
    uint64_t place; /**< its place among all lines: unique, rising with time */
    int64_t time_ms;
    jj_log_level level;
    uint32_t attempt;
    const char *message; /**< UTF-8; of an event "" */
    const char *data;    /**< NULL, or one JSON value */
    const char *event; /**< NULL: a line; else the name of a custom event, UTF-8. Since version 2 */
} jj_line;

/** How far a stream has been read, and which one it was: streams can be made anew. */
typedef struct jj_offset {
    uint64_t seq;     /**< of the last message that is in the rows; 0: none */
    char created[40]; /**< when the stream was made, as the broker says; "": not known */
} jj_offset;

typedef struct jj_offsets {
    jj_offset jobs;
    jj_offset schedule;
    jj_offset events;
} jj_offsets;

/** Which rows of a name, newest first: by created_at_ms falling, then id falling. */
typedef struct jj_selection {
    const char *name;
    jj_state state; /**< JJ_ANY_STATE: all */
    size_t limit;   /**< at most so many */
    /** Begin behind this row; before_id NULL: at the newest. */
    int64_t before_created_at_ms;
    const char *before_id;
} jj_selection;

/** Takes rows, lines or counts that a reading function found, in order; borrowed for the call.
 *  false: enough, the function returns JJ_OK. */
typedef bool (*jj_take_record)(void *ctx, const jj_record *record);
typedef bool (*jj_take_line)(void *ctx, const jj_line *line);
typedef bool (*jj_take_count)(void *ctx, const char *name, jj_state state, uint64_t count);

/** The table of functions. Each returns JJ_OK or an error as above, with text. Fields are only ever
 *  added at the end. */
typedef struct jj_adapter {
    unsigned version; /**< JJ_ADAPTER_VERSION that it was written for */
    const char *name; /**< for texts: "sqlite" */
    bool concurrent_reads;

    /** Open what is at location, or begin empty.
     *  @return JJ_ERR_STATE: another process, or another index of this one, has it open; the text
     *          says which. JJ_ERR_PROTOCOL: it can't be used, see set_aside */
    jj_status (*open)(const char *location, void **state_out, jj_error *err);
    void (*close)(void *state);
    /** Called while it is not open: move what is at location out of the way, keeping it if it can
     *  be kept, so that open begins empty. kept_out: NULL, or where it is now; "" if nothing is. */
    jj_status (*set_aside)(const char *location, char *kept_out, size_t kept_size, jj_error *err);

    jj_status (*begin)(void *state, jj_error *err);
    jj_status (*commit)(void *state, const jj_offsets *offsets, jj_error *err);
    void (*rollback)(void *state);
    jj_status (*offsets)(void *state, jj_offsets *offsets_out, jj_error *err);

    /** A row that is not there yet. JJ_ERR_EXISTS if it is; the transaction goes on. */
    jj_status (*create)(void *state, const jj_record *record, jj_error *err);
    /** Hand the row to take; JJ_ERR_NOT_FOUND if there is none. */
    jj_status (*get)(void *state, const char *id, jj_take_record take, void *ctx, jj_error *err);
    /** A row that is there, else JJ_ERR_NOT_FOUND, and the transaction goes on. with_content false:
     *  data_known, data and headers are as they were, and not filled in. */
    jj_status (*update)(void *state, const jj_record *record, bool with_content, jj_error *err);
    /** Remove a row, if it is there, and its lines. */
    jj_status (*remove)(void *state, const char *id, jj_error *err);

    /** Up to limit rows that are JJ_PENDING, oldest first. */
    jj_status (*get_pending)(void *state, size_t limit, jj_take_record take, void *ctx,
                             jj_error *err);
    /** Rows that are JJ_SCHEDULED with a run_at_ms up to now_ms, earliest first. */
    jj_status (*get_scheduled_ready)(void *state, int64_t now_ms, jj_take_record take, void *ctx,
                                     jj_error *err);
    jj_status (*get_by_name)(void *state, const jj_selection *selection, jj_take_record take,
                             void *ctx, jj_error *err);
    /** Up to limit rows in final states with a completed_at_ms before before_ms, oldest first. */
    jj_status (*get_finished)(void *state, int64_t before_ms, size_t limit, jj_take_record take,
                              void *ctx, jj_error *err);

    /** Add a line to a job whose row is there, else JJ_ERR_NOT_FOUND, and the transaction goes on.
     *  A place that is there already is replaced. */
    jj_status (*add_line)(void *state, const char *id, const jj_line *line, jj_error *err);
    /** Up to limit lines of a job, events among them, by place; none if there is no such job. */
    jj_status (*get_lines)(void *state, const char *id, size_t limit, jj_take_line take, void *ctx,
                           jj_error *err);
    /** How many rows each name has in each state, zeros left out, by name. */
    jj_status (*get_counts)(void *state, jj_take_count take, void *ctx, jj_error *err);
} jj_adapter;

/** 2: jj_line.event. */
#define JJ_ADAPTER_VERSION 2

/** Rows in a SQLite file; location is its path. The file is made with mode 0600, beside it are its
 *  -wal, -shm and -lock. Not on a network file system. Single rows are found fastest by the thread
 *  that writes. What is set aside is kept as <path>.damaged-<UTC time>. */
JJ_API extern const jj_adapter jj_adapter_sqlite;

/** Rows in memory, gone with the process; location is not used. */
JJ_API extern const jj_adapter jj_adapter_memory;

#ifdef __cplusplus
}
#endif

#endif

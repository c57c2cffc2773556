/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_INDEX_H
#define JJ_SRC_INDEX_H

/* An index: what is known of all jobs, read from the streams into an adapter.
 *
 * The broker thread reads the streams and hands what it read to the index's own thread, the writer,
 * which folds it into rows and commits them. Queries run on the threads of those who ask. */

#include "broker.h"
#include "query.h"

struct index;

struct index_setup {
    struct broker *broker;
    struct log log;
    const jj_adapter *adapter;
    const char *location;     /* copied; NULL: "" */
    int64_t poll_interval_ms; /* how often to look for what nobody told us of */
    int64_t history_ms;       /* rows that have been final for longer are removed */
    int64_t timeout_ms;       /* for what it asks the broker */
};

/* Open the storage and begin to read. STATE: another one has it open. *index_out is set on failure
 * too, unless that was NO_MEMORY: it must be closed and freed like an open one. Thread: any but the
 * broker's. */
jj_status jj__index_open(const struct index_setup *setup, struct index **index_out, jj_error *err);

/* Stop reading, end the writer, fail who waits, close the storage. Before the broker is closed.
 * Thread: any but the broker's. */
void jj__index_close(struct index *index);
/* After the broker is closed. NULL is fine. */
void jj__index_free(struct index *index);

/* What a query must be able to see: messages up to these sequences; 0: whatever is there. */
struct seqs {
    uint64_t jobs;
    uint64_t schedule;
    uint64_t events;
};

/* Who waits until the index has read far enough, or a job is over. */
struct index_waiter {
    struct seqs seqs;
    char until_final[JJ_NAME_SIZE]; /* and this job is final; "": no matter */
    int64_t deadline_ms;            /* steady clock */
    /* Called once, on the broker thread. OK; TIMEOUT; UNAVAILABLE: the index is being built, the
     * text says how far it is, or it is being closed. */
    void (*ready)(void *ctx, jj_status status, const char *text);
    void *ctx;
    struct index_waiter *next; /* the index's, until ready() */
    int stage;
    uint64_t round;
    uint64_t ticket;
    bool is_final;
};
/* True if there is nothing to wait for (until_final is not looked at). Thread: any. */
bool jj__index_has(const struct index *index, const struct seqs *seqs);
/* Thread: broker. The waiter must live until ready(). */
void jj__index_when(struct index *index, struct index_waiter *waiter);
/* The same, waiting. until_final NULL: no matter. Thread: any but the broker's and the writer. */
jj_status jj__index_wait(struct index *index, const struct seqs *seqs, const char *until_final,
                         int64_t deadline_ms, jj_error *err);

/* Answer a request from what has been read; only its verbs get, getByName, logs and stats. name of
 * request "": any, else jobs of other names are not found. Thread: any. */
jj_status jj__index_query(struct index *index, const struct request *request, struct answer *answer,
                          jj_error *err);

/* Cancel or revive (verbs cancel and retry): answer->yes says whether. written_out: what a later
 * query must see to know of it. Waits. Thread: any but the broker's and the writer.
 * (index_change.c) */
jj_status jj__index_change(struct index *index, const struct request *request, int64_t deadline_ms,
                           struct answer *answer, struct seqs *written_out, jj_error *err);

#endif

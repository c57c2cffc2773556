/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_ADAPTER_MEMORY_H
#define JJ_SRC_ADAPTER_MEMORY_H

/* The inside of jj_adapter_memory. */

#include <pthread.h>

#include <jetjobs/adapter.h>

#include "record.h"

struct line {
    struct line *next;
    jj_line line; /* its strings are behind it */
};

struct row {
    struct row *next;
    jj_job *job;        /* NULL, in a transaction: removed */
    struct line *lines; /* by place; in a transaction, those that are to be added */
    bool lines_removed; /* in a transaction: those that were there */
    char id[JJ_NAME_SIZE];
};

struct table {
    struct row **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

struct memory {
    pthread_mutex_t lock;
    struct table rows;    /* guarded by lock */
    jj_offsets offsets;   /* guarded by lock */
    struct table changes; /* the writing thread's */
    bool in_transaction;
};

/* Where the row of that id hangs, or is to hang. */
struct row **jj__memory_link(const struct table *table, const char *id);

/* adapter_memory_read.c */
jj_status jj__memory_offsets(void *state, jj_offsets *offsets_out, jj_error *err);
jj_status jj__memory_get(void *state, const char *id, jj_take_record take, void *ctx,
                         jj_error *err);
jj_status jj__memory_get_pending(void *state, size_t limit, jj_take_record take, void *ctx,
                                 jj_error *err);
jj_status jj__memory_get_scheduled_ready(void *state, int64_t now_ms, jj_take_record take,
                                         void *ctx, jj_error *err);
jj_status jj__memory_get_by_name(void *state, const jj_selection *selection, jj_take_record take,
                                 void *ctx, jj_error *err);
jj_status jj__memory_get_finished(void *state, int64_t before_ms, size_t limit, jj_take_record take,
                                  void *ctx, jj_error *err);
jj_status jj__memory_get_lines(void *state, const char *id, size_t limit, jj_take_line take,
                               void *ctx, jj_error *err);
jj_status jj__memory_get_counts(void *state, jj_take_count take, void *ctx, jj_error *err);

#endif

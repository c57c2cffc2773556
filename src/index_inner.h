/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_INDEX_INNER_H
#define JJ_SRC_INDEX_INNER_H

/* The inside of an index, shared by src/index_*.c: the broker thread reads and keeps those who
 * wait, the writer folds and stores. */

#include <pthread.h>
#include <stdatomic.h>

#include "arena.h"
#include "broker_tail.h"
#include "fold.h"
#include "index.h"
#include "index_reader.h"

enum origin { ORIGIN_JOBS, ORIGIN_SCHEDULE, ORIGIN_EVENTS, ORIGINS };

/* A message on its way to the writer. */
struct item {
    struct item *next;
    enum origin origin;
    struct broker_msg *msg;
    uint64_t seq;
    int64_t stored_at_ms; /* of events only; the others say it in a header */
    size_t bytes;
};

/* What the writer is asked to do, or has to tell, about one job. */
struct named {
    struct named *next;
    char id[JJ_NAME_SIZE];
};

/* Finding out what the streams hold at one moment: a pass over each queue, then the end of
 * JOBS_EVENTS. On the broker thread. */
enum round_stage { ROUND_NONE, ROUND_SCHEDULE, ROUND_JOBS, ROUND_EVENTS };
struct round {
    enum round_stage stage;
    uint64_t begun, ended;   /* rounds */
    uint64_t wanted;         /* the last one that somebody waits for */
    uint64_t pass;           /* of the reader whose turn it is */
    bool asking;             /* an answer is under way */
    int64_t again_ms;        /* after a failure */
    uint64_t builds;         /* the one that shows what there was at the beginning */
    struct seqs sought;      /* highest ones that its waiters wait for */
    struct seqs ends;        /* of the queues, as the last round found them */
    struct seqs sought_next; /* and those of the next round */
    uint64_t items;          /* of the last round: applied once so many items are, */
    uint64_t events_seq;     /* and this event */
};

#define SLEEPER_BUCKETS 256

struct index {
    struct broker *broker;
    struct log log;
    const jj_adapter *adapter;
    char *location;
    int64_t poll_interval_ms;
    int64_t history_ms;
    int64_t timeout_ms;

    /* Broker thread only. */
    struct broker_member member;
    struct tail *tail;
    struct reader *readers[2];                      /* JOBS, JOBS_SCHEDULE */
    uint64_t handed;                                /* items, in all */
    uint64_t handed_events;                         /* sequence */
    struct index_waiter *waiters;                   /* until enough has been applied */
    struct index_waiter *sleepers[SLEEPER_BUCKETS]; /* until their jobs are final */
    int64_t sleepers_ms;                            /* the earliest deadline among them */
    struct round round;
    int64_t look_ms; /* when to look whether the streams are still the same */
    bool held;       /* the writer is behind */
    bool closed;

    /* Any thread. */
    atomic_uint_least64_t applied; /* items, in all */
    atomic_uint_least64_t applied_seqs[ORIGINS];
    atomic_uint_least64_t
        pending[ORIGINS]; /* messages of the streams that were not handed on yet */
    atomic_uint_least64_t anomalies;
    atomic_bool built;      /* what the streams held at the start has been applied */
    atomic_size_t sleeping; /* waiters that want to hear of final jobs */

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct item *items, **items_end; /* guarded by lock */
    size_t items_bytes;              /* guarded by lock */
    size_t items_count;              /* guarded by lock */
    struct named *checks;            /* guarded by lock: are these final? */
    struct named *finals;            /* guarded by lock: these are */
    bool finals_missed;              /* guarded by lock: others may be; look at all */
    char start_over[160];            /* guarded by lock: why all is to be read again; "": no */
    jj_offsets applied_offsets;      /* guarded by lock */
    bool look;                       /* guarded by lock: what was asked for has come */
    bool stopping;                   /* guarded by lock */

    /* The storage. Its address changes only while the writer begins anew. */
    pthread_rwlock_t
        storage_lock; /* held for reading by those who read, for writing to change it */
    pthread_mutex_t one_at_a_time; /* where the adapter wants that */
    void *storage;                 /* guarded by storage_lock */

    /* Writer only. */
    pthread_t writer;
    bool writer_runs;
    struct batch *batch; /* the one that is under way */
    jj_offsets offsets;
    int64_t keep_ms;  /* when to look for what is overdue */
    int64_t prune_ms; /* when to look for what is old */
    size_t sweep_skip;
    struct leftover {
        uint64_t seq;    /* that the round has come to */
        int64_t next_ms; /* when it goes on */
        bool hurry;
    } leftover;
    struct leftover_answer *leftover_answer; /* which is under way; or NULL */
    uint64_t sweeps;
    uint64_t told_anomalies;
    bool complained; /* the storage fails, and that is in the log */
};

static inline jj_offset *jj__offset_of(jj_offsets *offsets, enum origin origin)
{
    return origin == ORIGIN_JOBS       ? &offsets->jobs
           : origin == ORIGIN_SCHEDULE ? &offsets->schedule
                                       : &offsets->events;
}

const char *jj__origin_stream(enum origin origin);

/* ---- index.c ---- */

/* Begin to read behind the offsets; what was read before and is not applied is forgotten. Thread:
 * writer, or before it runs. */
jj_status jj__index_read_from(struct index *index, const jj_offsets *offsets, jj_error *err);
/* Throw the rows away and read the streams from their beginning. *replaced, false at first: they
 * have been thrown away already, and only the rest is to be tried again. Thread: writer. */
jj_status jj__index_start_over(struct index *index, const char *why, bool *replaced, jj_error *err);
/* Compare the streams as they are now with where the rows come from, and note what is not known
 * yet. JJ_ERR_PROTOCOL: they are others, or have lost what the rows hold, or what they don't hold
 * yet; the text says which. */
jj_status jj__index_compare(jj_offsets *offsets, enum origin origin, const void *info, size_t len,
                            jj_error *err);

/* The storage, for a reader. */
void *jj__storage_read(struct index *index);
void jj__storage_read_done(struct index *index);

/* ---- index_wait.c, broker thread ---- */

int64_t jj__index_wait_turn(struct index *index, int64_t now_ms);
/* All begins anew: nobody is served before what there is has been read. */
void jj__index_wait_reset(struct index *index);
/* Fail who waits. */
void jj__index_wait_close(struct index *index);

/* ---- index_write.c ---- */

void *jj__index_writer_main(void *arg);
void jj__items_free(struct item *items);

/* ---- index_batch.c: items folded into rows; the writer's own ---- */

struct batch_row {
    struct batch_row *next;       /* in its bucket */
    struct batch_row *order_next; /* in the order of their first mention */
    struct row row;
    bool stored; /* is in the storage */
    bool was_final;
};

struct batch_line {
    struct batch_line *next;
    const struct row *row;
    jj_line line;
};

/* A message that is to be deleted, as its job is cancelled or over. */
struct deletion {
    struct deletion *next;
    enum origin origin;
    uint64_t seq;
};

#define BATCH_BUCKETS 4096

struct batch {
    struct index *index;
    struct arena arena; /* of rows and lines */
    void *memory;       /* what decoding took */
    struct batch_row *buckets[BATCH_BUCKETS];
    struct batch_row *first, **end;
    size_t rows;
    struct batch_line *lines, **lines_end;
    struct deletion *deletions;
    jj_offsets offsets;
    uint64_t anomalies;
    char anomaly[200]; /* the first one, for the log */
};

/* Thread: writer. On failure (memory, storage) the batch is as it was or more, and must be thrown
 * away. */
void jj__batch_init(struct batch *batch, struct index *index);
jj_status jj__batch_add(struct batch *batch, struct item *item, jj_error *err);
/* Write rows, lines and offsets in one transaction. */
jj_status jj__batch_store(struct batch *batch, jj_error *err);
void jj__batch_done(struct batch *batch);

/* ---- index_delete.c ---- */

/* Delete messages and wait until that is done; what is gone already is fine. NOT_PERMITTED: none of
 * them can be; UNAVAILABLE, TIMEOUT: try again. Thread: writer. */
jj_status jj__index_delete(struct index *index, const struct deletion *deletions, jj_error *err);

/* ---- index_keep.c, writer ---- */

/* Do what is due of pruning, sweeping and clearing, in a bounded step; returns when to come again
 * (steady clock). */
int64_t jj__index_keep(struct index *index, int64_t now_ms);

/* ---- index_leftover.c, writer ---- */

/* The same for messages of jobs that are over. */
int64_t jj__index_clear_leftovers(struct index *index, int64_t now_ms);
/* The rows are to be built anew: look at all once they are. */
void jj__index_expect_leftovers(struct index *index);
/* Forget what is under way. */
void jj__index_drop_leftovers(struct index *index);

#endif

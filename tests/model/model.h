/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_MODEL_MODEL_H
#define JJ_TESTS_MODEL_MODEL_H

/* A model of one job among all that handle it, small enough to try every order of events.
 *
 * A producer, a broker that may forget, two workers, a mover, an index that also cancels and
 * revives: each is a few bytes, each of its steps a move from one state to the next. What the
 * broker stores is exact, and everything that is judged is judged by the code itself: rows by
 * fold.c, cancellations by cancels.c, redeliveries by redeliver.c. Only the order of their calls is
 * written down anew, as it is in claim.c, ask.c, commit.c, mover.c and index_change.c.
 *
 * Time is left out: what may happen after a while may happen now. Batches too: messages of one job
 * only meet in a batch by accident. Each fault uses up its budget, so that there is an end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "fold.h"

#define WORKERS      2
#define MESSAGES     8 /* ever, in JOBS and JOBS_SCHEDULE */
#define LOG_MAX      12
#define REDRIVES     2 /* the first life, and one more */
#define MAX_ATTEMPTS 2
#define MAX_LOST     1

#define MAX_SNOOZES 1

enum place { NOWHERE, IN_JOBS, IN_SCHEDULE, DUE, GONE };

/* Who has a message that was delivered, as the broker sees it. */
enum holder { NOBODY, WORKER, ANOTHER_WORKER, MOVER };

/* A job's message. A schedule that fires becomes the due message in its place. */
struct message {
    uint8_t place;
    uint8_t was; /* its place before it was gone */
    uint8_t redrives, attempts, snoozes;
    uint8_t put_offs;  /* of the snoozes the last ones, that no run led to */
    uint8_t id;        /* Nats-Msg-Id: a bit of ids */
    uint8_t delivered; /* how often; 0: the broker knows of no delivery */
    uint8_t holder;
};

/* An entry of JOBS_EVENTS. */
struct entry {
    uint8_t what; /* EVENT_STARTED: a claim */
    uint8_t redrives, attempts, snoozes;
    uint8_t lost;
    uint8_t flags; /* below */
};
#define DELAYED 1 /* retrying: its job is scheduled */
#define UNRUN   2 /* failed: without being started */

enum phase { IDLE, HELD, ASKING, CLAIMING, RUNNING, RETRYING, COMMITTING, COMMITTED };

struct worker {
    uint8_t phase;
    uint8_t message;
    uint8_t delivered;
    uint8_t lost;
    uint8_t read;        /* entries of JOBS_EVENTS that came to it */
    uint8_t claim;       /* where its claim is */
    uint8_t asked_after; /* entries that had come when it asked */
    uint8_t cleared;     /* as in struct jj_attempt */
    uint8_t claimed_at;  /* as there */
    uint8_t outcome;     /* enum event_type */
    uint8_t acked;       /* a bit for each message */
    bool asked, claimed, lease_lost, delayed, unrun, too_early;
};

struct mover {
    uint8_t message;
    bool holds, published;
};

/* The furthest message that was seen in JOBS or JOBS_SCHEDULE: pending or scheduled. */
struct queue_half {
    uint8_t redrives, attempts, snoozes, state;
};

struct index {
    uint8_t read;            /* entries of JOBS_EVENTS, at least */
    struct queue_half queue; /* at least */
    uint8_t aim;             /* where the cancellation is in JOBS_EVENTS */
    uint8_t aim_redrives, aim_attempts, aim_snoozes;
    bool cancelling; /* a cancellation is to be read back */
};

/* What may still go wrong, or be asked for. */
struct budget {
    uint8_t crashes;  /* of a worker or mover */
    uint8_t freezes;  /* a lease runs out although its holder lives */
    uint8_t kills;    /* of the broker */
    uint8_t lost;     /* acknowledgements */
    uint8_t silences; /* of the index, when it is asked */
    uint8_t wipes;    /* of the index's file */
    uint8_t stops;    /* of a worker, which gives back what it has */
    uint8_t cancels;
    uint8_t redrives;
    uint8_t repeats;  /* of the producer, that was not told */
    uint8_t failures; /* handlers that say "retry" */
    uint8_t put_offs; /* by a worker whose clock is behind */
    uint8_t misspelt; /* jobs with a header that can't be read */
};

struct state {
    struct message messages[MESSAGES];
    struct entry log[LOG_MAX];
    struct worker workers[WORKERS];
    struct mover mover;
    struct index index;
    struct budget left;
    uint8_t message_count, log_len;
    uint32_t ids;            /* that the broker remembers */
    struct queue_half queue; /* of all messages that were ever stored */
    bool forgetful;          /* the broker was killed */
    bool accepted;           /* by the broker, from the producer */
    bool misspelt;           /* its headers can't be read */

    /* What the checker remembers. */
    uint8_t faults;
    uint8_t runs[REDRIVES][MAX_ATTEMPTS]; /* that started */
    bool cancelled[REDRIVES];             /* the canceller was told: it will not run */
    uint8_t cancelled_at[REDRIVES];       /* in JOBS_EVENTS */
    bool lease_was_lost;                  /* although its worker lives */
    bool doubled;                         /* two workers may have the same run */
    bool done, failed;                    /* some handler said so */
    bool overflow;                        /* the arrays above were too small */
    const char *broken;                   /* a promise that was; NULL: none */
};

/* Deliberate mistakes, to see that they are found. */
enum mistake {
    NO_MISTAKE,
    ACK_BEFORE_COMMIT,
    CANCEL_WITHOUT_READING_BACK,
    START_WITHOUT_READING_BACK,
    ACK_BEFORE_RETRY_IS_STORED,
    MOVER_ACKS_FIRST,
    DOUBT_MEANS_CANCELLED,
    DOUBT_MEANS_NOTHING,
    REPLACE_A_LATER_STEP
};
extern enum mistake model_mistake;

/* ---- broker.c: what is stored ---- */

#define NO_ID 255
enum id { ID_ENQUEUE, ID_REDRIVE, ID_RETRY, ID_RETRY_NOW = 6, ID_DUE = 10 };
/* The Nats-Msg-Id of a step, of which only the numbers count. */
uint8_t model_id(enum id kind, const struct message *step);

/* Store a job's message in a place, unless its id is remembered, or what is there is as late.
 * False: there is no room in the model. */
bool model_store(struct state *s, enum place place, enum id kind, const struct message *step);
bool model_append(struct state *s, const struct entry *entry);
void model_remove(struct message *message);

/* The row of the job: what an index has read of it, or would have if it had read all. */
void model_index_row(const struct state *s, struct row *row);
void model_true_row(const struct state *s, struct row *row);
/* The index reads on, before it does something: it may be behind by any number of events, and have
 * seen any message of the queues. which is one of READINGS; false: there is no such reading. */
#define READINGS (LOG_MAX * (MESSAGES + 1))
bool model_index_reads(struct state *s, unsigned which);
void model_index_sees(struct state *s, const struct message *message);
/* All that is there: when ack_wait has passed, an index that still answers has read what was stored
 * before it. */
void model_index_catches_up(struct state *s);

/* ---- the moves ---- */

/* Make a move, if it can be made; which is below count. may: NULL, or false where none of them can:
 * this spares most of the work. */
struct move {
    const char *text;
    bool (*make)(struct state *s, unsigned which);
    unsigned count;
    bool (*may)(const struct state *s);
};
extern const struct move model_broker_moves[], model_worker_moves[], model_other_moves[];

/* ---- check.c: the promises ---- */

/* A run of that message's attempt starts; where it was claimed in JOBS_EVENTS. */
void model_note_start(struct state *s, const struct message *message, uint8_t claim);
void model_note_cancel(struct state *s, uint8_t redrives, bool yes);
/* Of any state; of one in which nothing can happen any more. */
void model_check(struct state *s);
void model_check_end(struct state *s);

/* ---- explore.c ---- */

struct exploration {
    struct budget budget;
    enum mistake mistake;
};
struct findings {
    const char *broken; /* a promise; NULL: all hold */
    size_t states, ends;
    size_t overflows;                 /* states beyond the arrays: not looked at */
    bool steps[JJ_STATES][JJ_STATES]; /* that the job made */
};
/* Make all moves in all orders. The moves that lead to a broken promise are printed, if say. */
void model_explore(const struct exploration *exploration, bool say, struct findings *findings);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_WORKER_H
#define JJ_SRC_WORKER_H

/* The inside of a running worker, shared by the files that tell the story of a job: pull, claim,
 * run, commit, with lease beside them and mover for what was scheduled.
 *
 * All of it happens on the broker thread and needs no lock, but for the handlers: they run on slot
 * threads, and what they and the broker thread hand each other is guarded by worker.lock. */

#include <pthread.h>
#include <stdatomic.h>

#include <jetjobs/worker.h>

#include "acked.h"
#include "broker.h"
#include "broker_provision.h"
#include "broker_pull.h"
#include "broker_tail.h"
#include "buf.h"
#include "cancels.h"
#include "event.h"
#include "held.h"
#include "job.h"
#include "log.h"
#include "mover.h"
#include "retry.h"

struct worker;

/* How far a job that this worker holds has come. */
enum stage {
    STAGE_ASKING,   /* the index is asked what became of it, or will be again */
    STAGE_HELD,     /* waits to be claimed */
    STAGE_CLAIMING, /* its claim is under way */
    STAGE_QUEUED,   /* waits for a slot */
    STAGE_RUNNING,  /* its handler runs */
    STAGE_ENDED     /* what came of it is being committed */
};

/* First in, first out. */
struct attempt_queue {
    struct jj_attempt *first, *last;
    size_t count;
};

/* A job in this worker's hands, from its delivery to its acknowledgement. */
struct jj_attempt {
    struct jj_attempt *next;       /* in a queue */
    struct jj_attempt *ended_next; /* among those that ended, guarded by worker.lock until
                                      they are collected; a sealed one may be in a
                                      queue at the same time */
    struct jj_attempt *lease_next, *lease_prev; /* among all that are held, next to renew first */
    struct worker *worker;
    struct handler *handler;
    struct broker_msg *msg; /* the job's message, of its first delivery to us */
    char *reply;            /* of a later delivery, which is answered instead; NULL: none */
    jj_header *headers;
    struct job job;
    struct held_entry entry; /* among those that are held, by sequence in JOBS */
    uint64_t delivered;
    uint32_t number; /* of the attempt, from 1 */
    uint32_t max_attempts;
    uint32_t lost;
    enum stage stage;
    int64_t timeout_ms; /* 0: none */

    bool asked;           /* the index was, or there is none */
    bool ask_anew;        /* what it will answer is too old */
    bool patient;         /* it waits for an index and does not count as being asked about */
    bool claimed;         /* our claim has come back, it may start */
    uint64_t asking_of;   /* how many cancellations had come when the index was asked */
    uint64_t cleared;     /* the index knew of so many and did not call the job over */
    uint64_t claimed_at;  /* how many had come before our claim */
    int64_t ask_again_ms; /* steady clock */

    int64_t taken_ms;       /* steady clock: when it was delivered */
    int64_t held_at_ms;     /* steady clock: since when it waits to be claimed */
    int64_t lease_until_ms; /* steady clock */
    int64_t renew_ms;       /* when to say "in progress" next */
    int64_t renewed_ms;     /* when that was last said */
    uint64_t renewal;       /* in which round; the server has not answered yet. 0: it has */
    bool lease_lost;
    bool interrupted; /* it was, and the handler was told to stop: only its success counts */
    bool orphan;      /* its message is gone, and another job has that sequence */

    int64_t started_us;   /* guarded by worker.lock: steady clock, when its handler began */
    int64_t duration_us;  /* guarded by worker.lock: of the handler, once it has returned */
    int64_t ran_ms;       /* how long its handler had run when its end was decided */
    bool returned;        /* guarded by worker.lock: the handler has */
    atomic_bool stopping; /* told to end soon */
    bool timed_out;
    bool sealed;    /* its end was decided while the handler still ran */
    bool settled;   /* sealed, and nothing is left to do: to be freed when the handler returns */
    bool collected; /* sealed, and the handler has returned: to be freed when it is settled */

    /* The handler's, until it returns. */
    jj_verdict verdict;
    void *result;
    size_t result_len;
    char *error;
    bool error_lost;  /* there was one, and no memory for it */
    int64_t delay_ms; /* of a retry; -1: the policy's */

    /* What it told when there was no room; the handler's, until it returns. */
    struct note *kept, **kept_end; /* the last ones; see handler.c */
    size_t kept_count, kept_bytes;
    uint64_t dropped;   /* those before them */
    struct note *count; /* will tell how many; NULL: nothing is kept */
    bool in_haste;      /* it has waited for room in vain */

    /* What came of it. */
    enum event_type outcome; /* EVENT_COMPLETED, EVENT_FAILED or EVENT_RETRYING */
    bool snoozed;
    bool unclaimed; /* it was failed without being started */
    bool too_early; /* it was put off without being started */
    const char *outcome_error;
    char error_text[JJ_ERROR_TEXT_SIZE]; /* where outcome_error is ours */
    int64_t ended_at_ms;
    int64_t run_at_ms;
    bool by_service;           /* its retry is stored by a service */
    uint64_t place_seq;        /* what its retry may replace; 0: nothing */
    bool blind;                /* it may not see what is there: it replaces anything */
    int64_t schedule_again_ms; /* steady clock: when its retry is to be published again */
};

/* What a handler told while it ran. */
struct note {
    struct note *next;
    struct handler *handler;
    size_t bytes;       /* of all of it */
    struct event event; /* points into text */
    char id[JJ_NAME_SIZE];
    char text[];
};

/* A registered name; each worker has its own copies, with what is below. */
struct handler {
    struct handler *next;
    char name[JJ_NAME_SIZE];
    jj_handler run;
    void *user;
    void (*free_user)(void *user); /* the client's only; NULL: it is not ours */
    jj_handler_options options;    /* resolved */
    struct retry_policy policy;

    struct worker *worker;
    struct puller *puller;
    struct consumer_facts facts;
    struct attempt_queue held;
    uint32_t asking;
    uint32_t claiming;
    int64_t last_job_ms;        /* when one was delivered */
    double mean_us;             /* of the handler's time: rises at once, falls slowly */
    size_t notes_bytes;         /* guarded by worker.lock: told and not stored */
    struct attempt_queue ready; /* guarded by worker.lock: claimed, waits for a slot */
    uint32_t running;           /* guarded by worker.lock */
    bool quick;                 /* guarded by worker.lock: its jobs end sooner than a slot wakes */

    struct attempt_queue to_commit[EVENT_TYPES];
    struct note *notes[EVENT_TYPES], **notes_end[EVENT_TYPES];
    uint32_t commits[EVENT_TYPES]; /* batches that are under way */
};

/* Claims that are under way, oldest first. */
struct claim_batch {
    struct claim_batch *next;
    uint64_t number;
    int64_t sent_us;
    struct attempt_queue attempts;
};

struct worker {
    struct worker *retired_next; /* the client's */
    struct broker *broker;
    struct log log;
    const jj_options *options; /* resolved, the client's */
    char name[JJ_NAME_SIZE];
    struct handler *handlers;
    struct broker_member member;
    int64_t ack_wait_ms; /* the shortest of its consumers */
    struct mover *mover;

    /* Broker thread only. */
    struct held held;
    struct acked acked;
    int64_t connected_ms; /* when the connection was last lost or made; 0: it never was lost */
    struct tail *tail;
    uint64_t events_seq; /* of the last message on it */
    struct cancels cancels;
    uint64_t cancels_seq;          /* of the message that was read last, */
    size_t cancels_taken;          /* and how many of its cancellations were taken */
    struct attempt_queue doubtful; /* the index is to be asked about them again */
    struct claim_batch *claims, **claims_end;
    size_t claims_in_flight;
    uint64_t next_claim;
    int64_t claim_again_ms;    /* after a refusal */
    struct claim *claim_array; /* room for one batch */
    double round_trip_us;      /* of a claim */
    struct jj_attempt *lease_first, *lease_last;
    struct port *lease_port; /* where renewals are answered */
    char lease_inbox[JJ__INBOX_SIZE];
    uint64_t renewals;            /* rounds of them */
    int64_t renew_tick_ms;        /* when the next round is */
    size_t attempts;              /* held in all */
    size_t timed;                 /* of these, with a timeout */
    int64_t timed_tick_ms;        /* when to look at them next */
    size_t settled;               /* of all, only waiting for their handlers */
    bool by_service;              /* it may not write schedules itself, as far as it knows */
    struct attempt_queue retries; /* whose schedule is to be published (again) */
    size_t publishing;            /* publications under way */
    uint64_t next_batch;
    int64_t commit_again_ms; /* after a refusal */
    struct event *events;    /* room for one batch */
    struct buf scratch;      /* a batch on its way out */
    struct buf live;         /* a live event on its way out */
    uint32_t random;
    uint64_t begun_seen; /* jobs that slots had taken at begun_ms */
    int64_t begun_ms;
    bool stopping;
    bool drained; /* stopping, and nothing more comes */
    int64_t stop_by_ms;

    pthread_mutex_t lock;
    pthread_cond_t work;                   /* for slots: something is ready, or the end */
    pthread_cond_t changed;                /* for who waits: stopped, or a slot ended */
    struct jj_attempt *ended, **ended_end; /* guarded by lock: handlers have returned */
    struct note *notes, **notes_end;       /* guarded by lock */
    size_t notes_bytes;   /* guarded by lock: told and not stored, of all handlers */
    pthread_cond_t room;  /* for handlers: there is room for notes again */
    uint32_t threads;     /* guarded by lock: slots that live */
    uint32_t idle;        /* guarded by lock: of these, waiting */
    uint32_t running;     /* guarded by lock */
    uint32_t ready;       /* guarded by lock: in all handlers' queues */
    uint64_t begun;       /* guarded by lock: jobs that slots have taken, in all */
    struct handler *turn; /* guarded by lock: whose queue is looked at first */
    bool ending;          /* guarded by lock: slots are to end */
    bool stopped;         /* guarded by lock */
    bool overran;         /* guarded by lock: handlers ran beyond the grace */
};

/* ---- queues ---- */

void jj__queue_push(struct attempt_queue *queue, struct jj_attempt *attempt);
struct jj_attempt *jj__queue_pop(struct attempt_queue *queue);
/* Move all of from to the end of to. */
void jj__queue_append(struct attempt_queue *to, struct attempt_queue *from);

/* ---- worker.c ---- */

struct worker_setup {
    struct broker *broker;
    const jj_options *options; /* resolved; must outlive the worker */
    int64_t ack_wait_ms;       /* as the operator said; 0: not said */
    struct log log;
    const struct handler *handlers; /* copied */
};
jj_status jj__worker_start(const struct worker_setup *setup, struct worker **worker_out,
                           jj_error *err);
/* Take nothing new, let handlers finish within a grace, give back the rest. TIMEOUT: some still
 * run. Called again meanwhile, it makes the grace shorter, never longer. */
jj_status jj__worker_stop(struct worker *worker, int64_t grace_ms, jj_error *err);
/* After the stop: wait for the last handler. */
void jj__worker_join(struct worker *worker);
/* After that, and when the broker is closed: what was to be published may still call back. */
void jj__worker_free(struct worker *worker);

/* Send +ACK, -NAK: only as far as the lease allows. */
void jj__attempt_answer(struct jj_attempt *attempt, const char *text);
/* Where its message is answered. */
const char *jj__attempt_reply(const struct jj_attempt *attempt);
/* Forget a held job: its message stays as it is with the broker. */
void jj__attempt_free(struct jj_attempt *attempt);
/* Answer the broker and forget it. ack: it is over; nak: another may have it at once. */
void jj__attempt_ack(struct jj_attempt *attempt);
void jj__attempt_give_back(struct jj_attempt *attempt);

/* ---- pull.c ---- */

/* Take the messages of one handler. */
jj_status jj__pull_handler(struct worker *worker, struct handler *handler, jj_error *err);
/* Say how many more jobs may come. */
void jj__pull_turn(struct worker *worker, int64_t now_ms);
/* How many jobs of it may be claimed beyond the free slots. */
uint32_t jj__pull_prefetch(const struct worker *worker, const struct handler *handler);

/* ---- adopt.c ---- */

/* A message that came in, read: true if its job is in our hands already, or is over; it is then
 * gone. */
bool jj__adopt(struct jj_attempt *fresh);

/* ---- ask.c ---- */

/* What the cancellations that have come mean for it. */
enum cancel_verdict jj__ask_judge(const struct jj_attempt *attempt);
/* Ask the index what became of its job; what the answer calls for is then done. */
void jj__ask(struct jj_attempt *attempt);
/* An unclaimed job: drop it, ask about it, put it off, or hold it to be claimed. */
void jj__ask_admit(struct jj_attempt *attempt);
/* Ask again about those that are in doubt; returns when to come again. */
int64_t jj__ask_turn(struct worker *worker, int64_t now_ms);

/* ---- claim.c ---- */

jj_status jj__claim_open(struct worker *worker, jj_error *err);
void jj__claim_turn(struct worker *worker, int64_t now_ms);
void jj__claim_close(struct worker *worker);
/* Start a job whose claim has come back. */
void jj__claim_start(struct jj_attempt *attempt);

/* ---- run.c ---- */

/* Queue claimed jobs; slots take them. */
void jj__run_queue(struct worker *worker, struct attempt_queue *attempts);
/* The attempts whose handlers have returned since, by ended_next, and what handlers told. */
void jj__run_collect(struct worker *worker, struct jj_attempt **ended_out, struct note **notes_out);
/* See to it that no job waits for long behind one that was thought to be quick; returns when to
 * come again. */
int64_t jj__run_turn(struct worker *worker, int64_t now_ms);
void jj__run_end(struct worker *worker);

/* ---- handler.c ---- */

/* The handler has returned: queue what it told last, if there was no room. Thread: its slot. */
void jj__notes_end(struct jj_attempt *attempt);
/* They are stored, or never will be. */
void jj__notes_free(struct worker *worker, struct note *notes);

/* ---- commit.c ---- */

/* Decide what comes of an attempt whose handler has returned, and commit it. */
void jj__commit_returned(struct jj_attempt *attempt);
/* Fail a job that is not to be run; text is copied. */
void jj__commit_unrun(struct jj_attempt *attempt, const char *text);
/* Decide now although the handler still runs. */
void jj__commit_sealed(struct jj_attempt *attempt, const char *text);
/* Send a job back to the schedules: it is not to be started yet. */
void jj__commit_too_early(struct jj_attempt *attempt);
/* Store what is waiting. */
void jj__commit_turn(struct worker *worker, struct note *notes, int64_t now_ms);
/* True if nothing waits to be committed. */
bool jj__commit_is_idle(const struct worker *worker);
/* The attempt's event with all that is the same for each type; its time is not. */
void jj__commit_fill(const struct jj_attempt *attempt, enum event_type type, struct event *event);

/* ---- reschedule.c ---- */

/* Publish the next steps that wait for it. */
void jj__reschedule_turn(struct worker *worker, int64_t now_ms);

/* ---- lease.c ---- */

jj_status jj__lease_open(struct worker *worker, jj_error *err);
void jj__lease_close(struct worker *worker);
void jj__lease_take(struct jj_attempt *attempt, int64_t now_ms);
void jj__lease_drop(struct jj_attempt *attempt);
/* It was delivered to us again: it is ours, lost or not. */
void jj__lease_regain(struct jj_attempt *attempt, int64_t now_ms);
/* True once it is lost; says so the first time. */
bool jj__lease_is_lost(struct jj_attempt *attempt);
/* Renew what is due, notice what is lost or has timed out; returns when to come again. */
int64_t jj__lease_turn(struct worker *worker, int64_t now_ms);

#endif

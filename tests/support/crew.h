/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_CREW_H
#define JJ_TESTS_SUPPORT_CREW_H

/* What a story about jobs needs: a server, a stranger, a client of ours with handlers whose runs
 * are written down. Runs are kept until the end of the test. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/jetjobs.h>

#include "event.h"
#include "nats_client.h"
#include "server.h"
#include "wait.h"
#include "world.h"

/* One run of a handler. */
struct run {
    char name[JJ_NAME_SIZE];
    char id[JJ_NAME_SIZE];
    char data[256]; /* cut, NUL behind it */
    uint32_t attempt;
    uint32_t max_attempts;
    uint32_t lost;
    int64_t run_at_ms;
    int64_t started_at_ms; /* Unix time */
    int64_t started_ms;    /* steady clock */
};

struct crew;

/* What the handler of a name does after the run has been written down; NULL: done without result.
 */
typedef jj_verdict (*crew_act)(struct crew *crew, jj_attempt *attempt);

struct crew {
    struct server server;
    struct nats_client *stranger;
    jj_client *client; /* NULL until crew_open() */
    struct log_book book;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct run *runs; /* guarded by lock */
    size_t run_count; /* guarded by lock */
    size_t run_room;  /* guarded by lock */
    size_t running;   /* guarded by lock: handlers inside */
    size_t most;      /* guarded by lock: of these at once */
    bool gate_closed; /* guarded by lock: crew_pass() waits */
    void *extra;      /* the story's own */
};

/* Setup and teardown of a test: a server and the stranger. */
int crew_begin(void **state);
int crew_end(void **state);

/* Open the client; options NULL for defaults with short times. The url is filled in. */
void crew_open(struct crew *crew, const jj_options *options);
void crew_close(struct crew *crew);

/* Register a handler that writes down its runs, then acts. */
void crew_register(struct crew *crew, const char *name, crew_act act,
                   const jj_handler_options *options);
void crew_start(struct crew *crew);

/* Enqueue text under a name; returns the id in a static buffer. */
const char *crew_enqueue(struct crew *crew, const char *name, const char *data);
jj_receipt crew_enqueue_spec(struct crew *crew, const jj_spec *spec);

size_t crew_runs(struct crew *crew, const char *name); /* NULL: of all names */
bool crew_wait_runs(struct crew *crew, const char *name, size_t count);
struct run crew_run(struct crew *crew, size_t index);
size_t crew_running(struct crew *crew);
bool crew_wait_running(struct crew *crew, size_t count);

/* An act: wait while the gate is closed, or until the attempt is told to stop; then done. */
jj_verdict crew_pass(struct crew *crew, jj_attempt *attempt);
void crew_close_gate(struct crew *crew);
void crew_open_gate(struct crew *crew);

/* Wait until JOBS, or JOBS_SCHEDULE, holds so many messages. */
bool crew_wait_backlog(struct crew *crew, size_t count);

/* Wait until all jobs are over: both hold none. */
bool crew_wait_over(struct crew *crew);

/* What JOBS_EVENTS holds, one entry for each claim and each event, in the order of the stream. */
struct entry {
    uint64_t seq;              /* of its message */
    const char *worker;        /* that wrote it */
    const struct claim *claim; /* NULL: it is an event */
    const struct event *event; /* NULL: it is a claim; with name and type of the subject */
};
struct history {
    struct entry *entries;
    size_t count;
    size_t messages;
    size_t claim_messages;
    struct page *pages; /* what entries point into */
};
struct history *crew_read_history(struct crew *crew);
void history_free(struct history *history);

/* The first event of a type about a job (NULL: any), and how many there are; the first claim of a
 * job's attempt. NULL: none. */
const struct entry *history_event(const struct history *history, const char *id,
                                  enum event_type type);
size_t history_events(const struct history *history, const char *id, enum event_type type);
const struct entry *history_claim(const struct history *history, const char *id, uint32_t attempt);

/* A member of a live event's JSON, as text in a static buffer; "" if there is none. */
const char *event_member(const struct heard *heard, const char *key);

#endif

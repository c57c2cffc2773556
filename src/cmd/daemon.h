/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_DAEMON_H
#define JJ_CMD_DAEMON_H

/* The life of a command that runs until it is told to stop: its members, and the signals.
 *
 * SIGTERM, SIGINT: stop within the grace; again: at once; a third time: whatever is left undone.
 * SIGHUP: read the configuration again; but stop, if the terminal is gone. All of it is done on the
 * main thread, which waits for signals; SIGUSR1 is how others wake it. */

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "logger.h"
#include "program.h"

struct member;

struct daemon {
    const char *config_path; /* NULL: none */
    const char *url;         /* goes before the configuration's; NULL: nothing does */
    struct config *config;   /* as it was at the start */
    struct logger logger;
    struct member *members;
    struct member *worker;   /* the one whose handlers are in effect; NULL: none */
    struct member *incoming; /* the one to take its place; NULL: none */
    bool may_work;           /* there may be a worker, of which SIGHUP makes another */
    bool had_terminal;
    bool is_ready;
    int stops;              /* how often it was asked to stop */
    int64_t leave_at_ms;    /* steady clock: when handlers that go on are left; 0: not known yet */
    int64_t watchdog_ms;    /* how often we are to say that we live; -1: not at all */
    int64_t watchdog_at_ms; /* steady clock: when next */
    int64_t trim_at_ms;     /* steady clock: when to give memory back next */
    enum ending ending;

    /* For what a command has beside its members; may be NULL. Called when a child may have ended.
     * false: it can't go on, and has said why. */
    bool (*child_ended)(void *ctx);
    /* Called once when all members run. */
    void (*ready)(void *ctx);
    void *ctx;
};

/* Read the configuration, and hold all signals from now on, which must be before any thread is
 * started. False: it was said why not, and daemon->ending is set. */
bool daemon_init(struct daemon *daemon, const struct program *program);

/* Add an index service whose file is path, or a worker with the handlers of the configuration.
 * False: as above. */
bool daemon_add_index(struct daemon *daemon, const char *path);
bool daemon_add_worker(struct daemon *daemon);

/* The next of the signals that are held, or 0 after limit_ms: for a command that has to wait before
 * it runs. */
int daemon_next_signal(int64_t limit_ms);

/* Until it has stopped, or can't go on. */
enum ending daemon_run(struct daemon *daemon);

/* Ask it to stop, as SIGTERM does. */
void daemon_stop(struct daemon *daemon, enum ending ending);

/* Free it. Does not return if handlers still run: ends the process with daemon->ending. */
void daemon_done(struct daemon *daemon);

#endif

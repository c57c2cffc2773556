/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EXEC_SPAWN_H
#define JJ_SRC_EXEC_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "exec_program.h"

/* The pipes of a child, numbered as its descriptors are. */
enum { PIPE_IN, PIPE_OUT, PIPE_ERR, PIPE_MESSAGES, PIPES };

/* A process that was started and not yet reaped: it leads a process group of its own. */
struct child {
    pid_t pid;
    int pid_fd;     /* readable when it has ended; -1: this system has no such thing */
    int fds[PIPES]; /* our ends, which never block; -1: closed */
};

/* How it ended. */
struct child_end {
    bool known;
    bool by_signal;
    int status; /* of exit, or the signal */
};

/* Start a program with that environment. UNAVAILABLE: this system has no more processes,
 * descriptors or memory; STATE: it can't be started, the text says why. Thread: one that lives
 * longer than the child, which is killed when it ends. */
jj_status jj__exec_spawn(const struct exec_program *program, char *const *env,
                         struct child *child_out, jj_error *err);

/* True once it has ended; it is still there to be reaped, and its group's number is taken. */
bool jj__child_has_ended(const struct child *child);

/* Send a signal to all that are in its group. */
void jj__child_signal(const struct child *child, int signal);

/* Close one of its pipes. */
void jj__child_close(struct child *child, int pipe);

/* When it has ended: close all and say how it did. */
struct child_end jj__child_reap(struct child *child);

#endif

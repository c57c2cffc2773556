/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_PROCESS_H
#define JJ_TESTS_SUPPORT_PROCESS_H

/* A program run by a test, with what it prints. It dies with the thread that started it. What
 * should never fail fails the test, so call it on the test's own thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process;

struct process_options {
    const char *const *env; /* "NAME=value" on top of the test's own, ended by NULL; "NAME" removes.
                               NULL: none */
    const char *dir;        /* where it starts; NULL: here */
    const char *input;      /* what it gets on stdin, which then ends; NULL: see keep_input */
    bool keep_input;        /* stdin stays open, for process_type() */
    bool terminal;          /* stdin, stdout and stderr are a terminal of its own, 80 by 24; all it
                               prints is process_output() */
    unsigned short columns; /* of that terminal; 0: 80 */
};

/* argv[0] is a path, or a name to be found in PATH. options NULL: stdin is empty. */
struct process *process_start(const char *const argv[], const struct process_options *options);

/* What it has printed so far; grows, so do not keep the pointer. */
const char *process_output(struct process *process);
const char *process_errors(struct process *process);
size_t process_output_len(struct process *process); /* it may hold NUL */

/* Read until what it has printed on stdout (stderr) holds text; false: not within WAIT_MS. */
bool process_wait_output(struct process *process, const char *text);
bool process_wait_errors(struct process *process, const char *text);

/* Without reading: until stdout is full, as far as can be seen, or it ends; false: not within
 * WAIT_MS. */
bool process_wait_full(struct process *process);
bool process_ends_unread(struct process *process);

/* Read what it has printed in the meantime. */
void process_look(struct process *process);

/* Send it input; a terminal's Ctrl-C is "\003". */
void process_type(struct process *process, const char *text);
void process_close_input(struct process *process);
/* Close our end of its stdout: its next write fails with EPIPE. */
void process_close_output(struct process *process);
/* Hang up: its terminal is gone. */
void process_hang_up(struct process *process);
void process_signal(struct process *process, int signal);
pid_t process_pid(const struct process *process);

/* Read all until it ends: its exit status, or minus the signal that ended it. Fails the test, and
 * shows what it printed, if it does not end within limit_ms (0: WAIT_MS). */
int process_wait(struct process *process, int64_t limit_ms);

/* Kill it if it still runs, and free all. NULL is fine. */
void process_free(struct process *process);

/* Run to the end with stdin empty: the exit status; *process_out has the output, NULL: not wanted.
 */
int process_run(const char *const argv[], struct process **process_out);

#endif

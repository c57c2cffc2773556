/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_SHOW_H
#define JJ_CMD_SHOW_H

/* Jobs on stdout. */

#include <jetjobs/jetjobs.h>

#include "print.h"
#include "program.h"

#define SHOW_SIZE 64

enum print_colour show_colour(jj_state state);

/* How long ago a time was, as "3m20s"; where it is not for people, the time itself. "" for 0. */
void show_age(int64_t unix_ms, char out[SHOW_SIZE]);

/* When a job is to run: "in 3m20s", or "now" if that has passed; elsewhere the time. "" for 0. */
void show_due(int64_t unix_ms, char out[SHOW_SIZE]);

/* "1/3"; "1" as long as nobody has said how many attempts there may be. */
void show_attempts(const jj_job *job, char out[SHOW_SIZE]);

/* All of a job: as JSON, or a line for each thing that is known. */
void show_job(const struct program *program, const jj_job *job);

/* A line that its handler logged: time, attempt, level, message, data; or a custom event, with
 * "event" for the level and its name for the message. As JSON, or with tabs between them where it
 * is not for people. */
void show_line(const struct program *program, const jj_log_line *line);

/* The job as a line of JSON. */
void show_json(const jj_job *job);

#endif

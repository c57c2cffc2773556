/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_ENQUEUE_LINES_H
#define JJ_CMD_ENQUEUE_LINES_H

#include "program.h"

struct buf;

/* Enqueue a job for each line of stdin that is not empty, with the line as its data and all else as
 * spec says, as fast as lines come; print the ids in that order. Returns an ending; errors have
 * been said, with the line. */
int enqueue_lines(const struct program *program, jj_client *client, const jj_spec *spec);

/* Print what became of a job: its id, or a line of JSON. */
void enqueue_print(const struct program *program, const jj_receipt *receipt);

/* All of stdin, at most what fits into a message. Free out. */
jj_status enqueue_read_all(jj_client *client, struct buf *out, jj_error *err);

#endif

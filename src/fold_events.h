/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_FOLD_EVENTS_H
#define JJ_SRC_FOLD_EVENTS_H

#include "fold.h"

/* The half of a row that JOBS_EVENTS makes: a state machine in that stream's order, which sees
 * nothing of the other half. It keeps its standing in the marks, and what only it knows in the
 * record: worker, error, result, lost, progress, and when it started and ended. False: the state
 * machine does not allow it, nothing was changed. */
bool jj__fold_events_claim(struct row *row, const struct claim *claim, const char *worker,
                           int64_t time_ms);
bool jj__fold_events_event(struct row *row, const struct event *event);

/* As if no event had been seen, in what only this half knows. */
void jj__fold_events_clear(jj_record *record);

/* Marks as bytes; returns how many. (fold_row.c) */
size_t jj__fold_pack_marks(const struct marks *marks, unsigned char out[JJ_MARKS_MAX]);

#endif

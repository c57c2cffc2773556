/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_LIVE_H
#define JJ_CMD_LIVE_H

/* Live events as they are told: JSON that anybody may have written. */

#include <jansson.h>

#include <jetjobs/jetjobs.h>

#include "program.h"

/* The event as an object; NULL: it is none. Release it with json_decref(). */
json_t *live_read(const jj_live *live);

/* A member that is text; "" if there is none. */
const char *live_text(const json_t *event, const char *key);

/* What a log event tells; its texts live as long as the event, data in *data_out, to be freed. */
void live_line(const json_t *event, jj_log_line *line, char **data_out);

/* Print it: as a line of JSON, or on a terminal as a line for people. */
void live_print(const struct program *program, const jj_live *live);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EXEC_MESSAGE_H
#define JJ_SRC_EXEC_MESSAGE_H

#include <stddef.h>

#include <jetjobs/worker.h>

#include "status.h"

enum exec_message_kind { MESSAGE_PROGRESS, MESSAGE_EVENT, MESSAGE_LOG };

/* What a handler's program said in a line on its descriptor 3. */
struct exec_message {
    enum exec_message_kind kind;
    uint32_t percent;   /* progress */
    jj_log_level level; /* log */
    const char *text;   /* event: its name; log, progress: the message; NULL: none */
    char *data;         /* event, log: one JSON value; NULL: none */
    void *memory;
};

/* Read a line. INVALID: it is no message, the text says why. Free with jj__exec_message_done(),
 * also on failure. */
jj_status jj__exec_message_read(const char *line, size_t len, struct exec_message *message_out,
                                jj_error *err);
void jj__exec_message_done(struct exec_message *message);

#endif

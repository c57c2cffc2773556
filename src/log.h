/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_LOG_H
#define JJ_SRC_LOG_H

#include <jetjobs/client.h>

/* Where log lines go. sink may be NULL. */
struct log {
    jj_log_sink sink;
    void *user;
};

/* Format one line (cut at 1024 bytes, control characters replaced by '?') and hand it on. */
void jj__log(const struct log *log, jj_log_level level, const char *format, ...) JJ_PRINTF(3, 4);

/* "debug" "info" "warn" "error"; a level that is none of them reads as info. */
const char *jj__log_level_text(jj_log_level level);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_LOGGER_H
#define JJ_CMD_LOGGER_H

/* The log of a command that runs for long, on stderr: one line each, from any thread. */

#include <stdbool.h>

#include <jetjobs/jetjobs.h>

struct logger {
    jj_log_level level; /* and worse */
    bool json;
};

/* As text: "<RFC 3339 time> <level> <text>"; as JSON: {"time","level","message"}. */
void logger_say(const struct logger *logger, jj_log_level level, const char *format, ...)
    JJ_PRINTF(3, 4);

/* For jj_options.log, with the logger as log_user. */
void logger_sink(jj_log_level level, const char *text, void *logger);

#endif

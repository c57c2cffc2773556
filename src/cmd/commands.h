/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_COMMANDS_H
#define JJ_CMD_COMMANDS_H

/* The subcommands, each in a file cmd_<name>.c; main.c has the table of them. */

#include "program.h"

extern const struct command cmd_bench;
extern const struct command cmd_cancel;
extern const struct command cmd_cron;
extern const struct command cmd_doctor;
extern const struct command cmd_enqueue;
extern const struct command cmd_events;
extern const struct command cmd_get;
extern const struct command cmd_list;
extern const struct command cmd_logs;
extern const struct command cmd_provision;
extern const struct command cmd_retry;
extern const struct command cmd_serve;
extern const struct command cmd_stats;
extern const struct command cmd_up;
extern const struct command cmd_worker;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_HELP_H
#define JJ_CMD_HELP_H

/* What --help prints. */

#include <stdio.h>

#include "program.h"

/* Begin and middle of the line "usage: jetjobs ...". command NULL: of the program. */
void help_usage(FILE *out, const struct command *command);

/* All about one command. */
void help_command(FILE *out, const struct command *command);

/* About the program: its commands (ended by NULL), and the options of all of them. */
void help_program(FILE *out, const struct command *const commands[],
                  const struct cmd_option *options);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_CLI_H
#define JJ_TESTS_SUPPORT_CLI_H

/* Somebody at the command line. */

#include "process.h"

struct cli {
    const char *program; /* JETJOBS_PROGRAM */
    const char *url;     /* NATS_URL; NULL: none */
    const char *input;   /* on stdin; NULL: nothing */
    bool keep_input;     /* see process.h; */
    bool terminal;       /* TERM is xterm then, and nothing speaks against colours */
    unsigned short columns;
    const char *more_env; /* "NAME=value", or "NAME" to remove it; NULL: none */
};

/* What stands behind the name of the program. */
#define CLI_ARGS(...)                                                                              \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

struct process *cli_start(const struct cli *cli, const char *const args[]);

/* Run it to its end; the exit status. *process_out is to be freed; NULL: not wanted. */
int cli_run(const struct cli *cli, const char *const args[], struct process **process_out);

/* Run it, which fails the test unless it ends with that status; what it printed on stdout, in a
 * static buffer. */
const char *cli_output(const struct cli *cli, const char *const args[], int status);
/* The same for stderr; nothing may be on stdout. */
const char *cli_errors(const struct cli *cli, const char *const args[], int status);

#endif

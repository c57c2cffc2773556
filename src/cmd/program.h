/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PROGRAM_H
#define JJ_CMD_PROGRAM_H

/* What all subcommands share: the options before the subcommand, exit statuses, and the way from
 * them to a client. */

#include <stdbool.h>

#include <jetjobs/jetjobs.h>

/* What the program ends with. Not EXIT_*, of which the C library has some. */
enum ending {
    ENDING_DONE = 0,
    ENDING_FAILED = 1,    /* also: not cancelled, a job failed under --wait */
    ENDING_USAGE = 2,     /* the command line, or the configuration */
    ENDING_NOT_FOUND = 3, /* no such job */
    ENDING_NO_BROKER = 4  /* none answers */
};

struct config;

/* What was said before the subcommand. */
struct program {
    const char *config_path; /* --config, else JETJOBS_CONFIG; NULL: none */
    const char *url;         /* --url, else NATS_URL; NULL: what the configuration says */
    bool json;               /* --json */
};

/* A subcommand: "jetjobs NAME ARGUMENTS". */
struct command {
    const char *name;
    const char *arguments; /* for the usage line: "NAME [DATA|-]"; "": none */
    const char *summary;   /* one line, for the list of commands */
    const char *help;      /* what follows the usage line under --help */
    /* argv[0] is the command's name. Returns an enum ending. */
    int (*run)(const struct program *program, int argc, char **argv);
};

/* Say what went wrong, on stderr as "jetjobs: <text>", and what to end with for that status. */
int program_fail(const jj_error *err);
/* The same for a usage error; returns ENDING_USAGE. The text names what was wrong, then come the
 * command's usage and where to find its help. */
int program_usage(const struct command *command, const char *format, ...) JJ_PRINTF(2, 3);

/* Read the configuration, if there is one, and connect by it. more: NULL, or called with the
 * options before that, to change them. On failure it has been said, and *ending_out is set. */
jj_client *program_connect(const struct program *program, void (*more)(jj_options *options),
                           int *ending_out);

#endif

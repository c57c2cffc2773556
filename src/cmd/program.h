/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PROGRAM_H
#define JJ_CMD_PROGRAM_H

/* What all subcommands share: the options of any command, exit statuses, and the way from them to a
 * client. */

#include <stdbool.h>

#include <jetjobs/jetjobs.h>

#include "options.h"

/* What the program ends with. Not EXIT_*, of which the C library has some. */
enum ending {
    ENDING_DONE = 0,
    ENDING_FAILED = 1,    /* also: not cancelled, a job failed under --wait */
    ENDING_USAGE = 2,     /* the command line, or the configuration */
    ENDING_NOT_FOUND = 3, /* no such job */
    ENDING_NO_BROKER = 4  /* none answers */
};

struct config;

/* What every command may be told. */
struct program {
    const char *config_path; /* --config, else JETJOBS_CONFIG; NULL: none */
    const char *url;         /* --url, else NATS_URL; NULL: what the configuration says */
    bool json;               /* --json */
};

/* A subcommand: "jetjobs NAME [OPTION]... OPERAND...". */
struct command {
    const char *name;
    const char *arguments; /* its operands, for the usage line: "NAME [DATA|-]"; "": none */
    int least, most;       /* how many there may be; most -1: any number */
    const char *summary;   /* one line, for the list of commands; without a full stop */
    const char *help;      /* more about it, below its options; NULL: there is no more to say */
    const struct cmd_option *options; /* its own, ended by one without a name; NULL: none */
    /* The options have been read: argv[0] is the command's name, the operands follow, and there are
     * as many as there may be. Returns an enum ending. */
    int (*run)(const struct program *program, int argc, char **argv);
};

/* What to end with for a status that is not JJ_OK. */
enum ending program_ending(jj_status status);

/* Say what went wrong, on stderr as "jetjobs: <text>", and what to end with for that status. */
int program_fail(const jj_error *err);
/* The same for a call of an open client: a broker that is connected has been reached, whatever else
 * is missing. */
int program_failed(const jj_client *client, const jj_error *err);
/* The same for a usage error; returns ENDING_USAGE. The text names what was wrong, then come the
 * command's usage and where to find its help. command NULL: no command is known. */
int program_usage(const struct command *command, const char *format, ...) JJ_PRINTF(2, 3);

/* Connect as these options say. On failure it has been said, and *ending_out is set. */
jj_client *program_open(const jj_options *options, int *ending_out);

/* Read the configuration, if there is one, and connect by it, without an index of one's own. more:
 * NULL, or called with the options before that, to change them. On failure it has been said, and
 * *ending_out is set. */
jj_client *program_connect(const struct program *program, void (*more)(jj_options *options),
                           int *ending_out);

/* For more: this command asks an index, and makes no streams. */
void program_only_asks(jj_options *options);

#endif

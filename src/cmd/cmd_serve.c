/* SPDX-License-Identifier: Apache-2.0 */

/* An index service: answers what became of jobs. */

#include "commands.h"
#include "daemon.h"
#include "status.h"

static const char *index_path;

static const struct cmd_option options[] = {
    {"index", '\0', "FILE", "where the index is kept; else as configured, else jetjobs.db",
     OPTION_TEXT, .to = &index_path},
    {0},
};

static void say_ready(void *ctx)
{
    struct daemon *daemon = ctx;

    logger_say(&daemon->logger, JJ_LOG_INFO, "index: answers requests from %s", index_path);
}

static int run(const struct program *program, int argc, char **argv)
{
    struct daemon daemon;

    (void)argc;
    (void)argv;
    if (!daemon_init(&daemon, program))
        return (int)daemon.ending;
    if (index_path == NULL)
        index_path = daemon.config->index_path;
    daemon.ready = say_ready;
    daemon.ctx = &daemon;
    if (daemon_add_index(&daemon, index_path))
        daemon_run(&daemon);
    daemon_done(&daemon);
    return (int)daemon.ending;
}

const struct command cmd_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "Answer what became of jobs, from an index of one's own",
    .help = "Keeps an index of all jobs in a file, which can be deleted at any time: it is built\n"
            "again from the streams. Several of these share the requests, each with a file of its\n"
            "own. Also enqueues jobs for later when their time has come.\n"
            "\n"
            "Runs until SIGTERM or Ctrl-C. The log goes to stderr.\n",
    .options = options,
    .run = run,
};

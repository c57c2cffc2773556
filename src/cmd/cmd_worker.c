/* SPDX-License-Identifier: Apache-2.0 */

/* A worker daemon: runs the handlers of the configuration. */

#include "commands.h"
#include "daemon.h"
#include "work.h"

static void say_ready(void *ctx)
{
    struct daemon *daemon = ctx;
    char names[WORK_NAMES_SIZE];

    work_names(daemon->config, names);
    logger_say(&daemon->logger, JJ_LOG_INFO, "worker: takes jobs for %s", names);
}

static int no_handlers(const struct daemon *daemon)
{
    if (daemon->config_path == NULL)
        return program_usage(&cmd_worker, "worker: no configuration, and so no handlers: name it "
                                          "with --config FILE or JETJOBS_CONFIG");
    return program_usage(&cmd_worker, "worker: %s has no handlers", daemon->config_path);
}

static int run(const struct program *program, int argc, char **argv)
{
    struct daemon daemon;

    (void)argc;
    (void)argv;
    if (!daemon_init(&daemon, program))
        return (int)daemon.ending;
    daemon.ready = say_ready;
    daemon.ctx = &daemon;
    if (daemon.config->handler_count == 0)
        daemon.ending = no_handlers(&daemon);
    else if (daemon_add_worker(&daemon))
        daemon_run(&daemon);
    daemon_done(&daemon);
    return (int)daemon.ending;
}

const struct command cmd_worker = {
    .name = "worker",
    .arguments = "",
    .summary = "Run jobs with the handlers of the configuration",
    .help =
        "Waits for the broker if there is none yet. Runs until SIGTERM or Ctrl-C: then it takes\n"
        "no more jobs, and waits for those that run for up to worker.shutdown_grace; a second\n"
        "signal ends that wait. What is not over then is given back to other workers.\n"
        "\n"
        "SIGHUP: read the configuration again. New handlers take over at once, running ones\n"
        "finish as they began; from a file that is wrong nothing is taken. Settings under index\n"
        "and log stay. The log goes to stderr.\n",
    .run = run,
};

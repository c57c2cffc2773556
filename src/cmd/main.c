/* SPDX-License-Identifier: Apache-2.0 */

/* The program: finds the subcommand, reads the options for it, and runs it. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "guess.h"
#include "help.h"
#include "print.h"

static const struct command *const commands[] = {
    /* what runs */
    &cmd_up,
    &cmd_serve,
    &cmd_worker,
    &cmd_provision,
    /* jobs */
    &cmd_enqueue,
    &cmd_get,
    &cmd_list,
    &cmd_cancel,
    &cmd_retry,
    &cmd_logs,
    &cmd_events,
    &cmd_cron,
    &cmd_stats,
    &cmd_bench,
    &cmd_doctor,
    NULL,
};

static struct program program;
static bool help_wanted;
static bool version_wanted;

static const struct cmd_option program_options[] = {
    {"config", '\0', "FILE", "the configuration, in YAML; else JETJOBS_CONFIG names it",
     OPTION_TEXT, .to = &program.config_path},
    {"url", '\0', "URL", "the broker; else NATS_URL or what the configuration says", OPTION_TEXT,
     .to = &program.url},
    {"json", '\0', NULL, "print data as JSON", OPTION_FLAG, .to = &program.json},
    {"help", 'h', NULL, "tell about the command, and do nothing", OPTION_FLAG, .to = &help_wanted},
    {"version", '\0', NULL, "print the version, and do nothing", OPTION_FLAG,
     .to = &version_wanted},
    {0},
};

/* What a caller closed would become the connection to the broker, and be printed to. */
static void keep_standard_files(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR}; /* of the first two, use fails */

    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", modes[fd]) != fd)
            exit(ENDING_FAILED);
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static const struct command *find_command(const char *name)
{
    for (const struct command *const *at = commands; *at != NULL; at++)
        if (strcmp((*at)->name, name) == 0)
            return *at;
    return NULL;
}

static int unknown_command(const char *name)
{
    struct guess guess = {.typed = name, .len = strlen(name)};

    for (const struct command *const *at = commands; *at != NULL; at++)
        guess_offer(&guess, (*at)->name);
    if (guess.best != NULL)
        return program_usage(NULL, "unknown command '%.100s': did you mean '%s'?", name,
                             guess.best);
    return program_usage(NULL, "unknown command '%.100s'", name);
}

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* "jetjobs help [COMMAND]", or --help. */
static int help(const char *name)
{
    const struct command *command = name == NULL ? NULL : find_command(name);

    if (name != NULL && command == NULL && !is_help(name))
        return unknown_command(name);
    if (command != NULL)
        help_command(stdout, command);
    else
        help_program(stdout, commands, program_options);
    return ENDING_DONE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    const struct cmd_option *const tables[2] = {command->options, program_options};
    jj_error err = {0};

    if (options_read(tables, false, &argc, argv, &err) != JJ_OK)
        return program_usage(command, "%s: %s", command->name, err.text);
    if (help_wanted)
        return help(command->name);
    if (argc - 1 < command->least)
        return program_usage(command, "%s: %s is missing", command->name, command->arguments);
    if (command->most >= 0 && argc - 1 > command->most)
        return program_usage(command, "%s: '%.100s' is too much", command->name,
                             argv[command->most + 1]);
    return command->run(&program, argc, argv);
}

static int run(int argc, char **argv)
{
    const struct cmd_option *const tables[2] = {program_options, NULL};
    jj_error err = {0};

    if (options_read(tables, true, &argc, argv, &err) != JJ_OK)
        return program_usage(NULL, "%s", err.text);
    if (version_wanted) {
        printf("jetjobs %s\n", jj_version());
        return ENDING_DONE;
    }
    if (argc < 2)
        return help_wanted ? help(NULL) : program_usage(NULL, "which command?");
    const struct command *command = find_command(argv[1]);
    if (command != NULL)
        return run_command(command, argc - 1, argv + 1);
    if (strcmp(argv[1], "help") == 0)
        return help(argv[2]);
    return unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    keep_standard_files();
    print_begin();
    program.config_path = from_environment("JETJOBS_CONFIG");
    program.url = from_environment("NATS_URL");
    return print_end(run(argc, argv));
}

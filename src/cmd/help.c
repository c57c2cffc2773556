/* SPDX-License-Identifier: Apache-2.0 */

/* What --help prints, from the tables that are read as well. */

#include "help.h"

#include <string.h>

/* Most that the left column is wide. */
#define COLUMN_MAX 28

void help_usage(FILE *out, const struct command *command)
{
    if (command == NULL) {
        fputs("usage: jetjobs [--config FILE] [--url URL] [--json] COMMAND [ARGUMENT]...\n", out);
        return;
    }
    fprintf(out, "usage: jetjobs %s%s%s%s\n", command->name,
            command->options == NULL ? "" : " [OPTION]...",
            command->arguments[0] == '\0' ? "" : " ", command->arguments);
}

/* "  -f, --follow" or "      --in D". */
static int write_option(char *out, size_t size, const struct cmd_option *option)
{
    char letter[] = "    ";

    if (option->letter != '\0')
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    return snprintf(out, size, "  %s--%s%s%s", letter, option->name,
                    option->value == NULL ? "" : " ", option->value == NULL ? "" : option->value);
}

static void list_options(FILE *out, const struct cmd_option *options)
{
    char left[80];
    int width = 0;

    for (const struct cmd_option *option = options; option->name != NULL; option++) {
        int len = write_option(left, sizeof(left), option);
        if (len > width && len <= COLUMN_MAX)
            width = len;
    }
    for (const struct cmd_option *option = options; option->name != NULL; option++) {
        write_option(left, sizeof(left), option);
        fprintf(out, "%-*s  %s\n", width, left, option->help);
    }
}

void help_command(FILE *out, const struct command *command)
{
    help_usage(out, command);
    fprintf(out, "\n%s.\n", command->summary);
    if (command->options != NULL) {
        fputs("\nOptions:\n", out);
        list_options(out, command->options);
    }
    if (command->help != NULL)
        fprintf(out, "\n%s", command->help);
    fputs("\n'jetjobs --help' tells of the options that every command has.\n", out);
}

void help_program(FILE *out, const struct command *const commands[],
                  const struct cmd_option *options)
{
    int width = 0;

    help_usage(out, NULL);
    fputs("\nBackground jobs on NATS JetStream.\n\nCommands:\n", out);
    for (const struct command *const *at = commands; *at != NULL; at++)
        if ((int)strlen((*at)->name) > width)
            width = (int)strlen((*at)->name);
    for (const struct command *const *at = commands; *at != NULL; at++)
        fprintf(out, "  %-*s  %s\n", width, (*at)->name, (*at)->summary);
    fputs("\nOptions, before or after the command:\n", out);
    list_options(out, options);
    fputs("\nExit status: 0 done, 1 failed, 2 usage, 3 not found, 4 broker unreachable.\n"
          "'jetjobs COMMAND --help' tells about a command, jetjobs(1) everything.\n",
          out);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Connecting is what makes the streams; this command does no more. */

#include "commands.h"

static int run(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;

    (void)argc;
    (void)argv;
    jj_close(program_connect(program, NULL, &ending));
    return ending;
}

const struct command cmd_provision = {
    .name = "provision",
    .arguments = "",
    .summary = "Create the streams on the broker, or bring them up to date",
    .help =
        "Never deletes anything. What exists is changed only where jetjobs could not work with\n"
        "it, or where the configuration asks for it.\n",
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */

/* Cancel jobs that have not been started. */

#include "commands.h"
#include "each.h"

static int run(const struct program *program, int argc, char **argv)
{
    return each_id(program, argc, argv, "cancelled", jj_cancel);
}

const struct command cmd_cancel = {
    .name = "cancel",
    .arguments = "ID...",
    .least = 1,
    .most = -1,
    .summary = "Cancel jobs that have not been started",
    .help = "What has been cancelled never starts, and its id is printed. A job that runs or is "
            "over is left\n"
            "alone: exit status 1.\n",
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */

/* Revive jobs that have failed or were cancelled. */

#include "commands.h"
#include "each.h"

static int run(const struct program *program, int argc, char **argv)
{
    return each_id(program, argc, argv, "retried", jj_redrive);
}

const struct command cmd_retry = {
    .name = "retry",
    .arguments = "ID...",
    .least = 1,
    .most = -1,
    .summary = "Revive jobs that have failed or were cancelled",
    .help = "They are enqueued again under their ids, with all their attempts; the ids are "
            "printed. Other jobs\n"
            "are left alone: exit status 1.\n",
    .run = run,
};

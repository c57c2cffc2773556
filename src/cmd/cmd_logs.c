/* SPDX-License-Identifier: Apache-2.0 */

/* What a job's handler has logged. */

#include "catch_up.h"
#include "commands.h"
#include "show.h"

static uint32_t limit;

static const struct cmd_option options[] = {
    {"limit", 'n', "N", "only the first N lines", OPTION_NUMBER, .to = &limit, .min = 1,
     .max = 1001},
    {0},
};

static int run(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;
    jj_lines *lines = NULL;
    jj_error err = {0};

    (void)argc;
    jj_client *client = program_connect(program, program_only_asks, &ending);
    if (client == NULL)
        return ending;
    jj_status s = jj_logs(client, argv[1], limit, &lines, &err);
    if (s == JJ_ERR_NOT_FOUND && catch_up(client))
        s = jj_logs(client, argv[1], limit, &lines, &err);
    if (s != JJ_OK)
        ending = program_failed(client, &err);
    for (size_t i = 0; lines != NULL && i < jj_lines_count(lines); i++)
        show_line(program, jj_lines_get(lines, i));
    jj_lines_free(lines);
    jj_close(client);
    return ending;
}

const struct command cmd_logs = {
    .name = "logs",
    .arguments = "ID",
    .least = 1,
    .most = 1,
    .summary = "Print what the handler of a job has logged",
    .help = "Each line has its time, attempt, level and message, and perhaps a JSON value.\n",
    .options = options,
    .run = run,
};

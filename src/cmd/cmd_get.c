/* SPDX-License-Identifier: Apache-2.0 */

/* One job, by its id. */

#include "catch_up.h"
#include "commands.h"
#include "show.h"

static int run(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;
    jj_job *job = NULL;
    jj_error err = {0};

    (void)argc;
    jj_client *client = program_connect(program, program_only_asks, &ending);
    if (client == NULL)
        return ending;
    jj_status s = jj_get(client, argv[1], &job, &err);
    if (s == JJ_ERR_NOT_FOUND && catch_up(client))
        s = jj_get(client, argv[1], &job, &err);
    if (s == JJ_OK)
        show_job(program, job);
    else
        ending = program_failed(client, &err);
    jj_job_free(job);
    jj_close(client);
    return ending;
}

const struct command cmd_get = {
    .name = "get",
    .arguments = "ID",
    .least = 1,
    .most = 1,
    .summary = "Show a job",
    .help = "What is not known is left out. Times are UTC.\n",
    .run = run,
};

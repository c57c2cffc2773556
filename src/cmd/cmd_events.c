/* SPDX-License-Identifier: Apache-2.0 */

/* Live events, until somebody has had enough. */

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "follow.h"
#include "live.h"
#include "print.h"

#define A_WHILE_MS INT64_C(60000)

#define SUBJECT_SIZE 128

static bool print_one(const jj_live *live, void *user)
{
    const struct program *program = user;

    if (live->missed > 0)
        fprintf(stderr, "jetjobs: %llu events were missed: they come faster than they are read\n",
                (unsigned long long)live->missed);
    live_print(program, live);
    print_flush();
    return !print_failed();
}

/* What has no point in it is a job's name. */
static void choose_subject(const char *wanted, char out[SUBJECT_SIZE])
{
    if (wanted == NULL)
        snprintf(out, SUBJECT_SIZE, "job.*");
    else if (strchr(wanted, '.') != NULL)
        snprintf(out, SUBJECT_SIZE, "%s", wanted);
    else
        snprintf(out, SUBJECT_SIZE, "job.%s.*", wanted);
}

static int run(const struct program *program, int argc, char **argv)
{
    struct program copy = *program;
    char subject[SUBJECT_SIZE];
    int ending = ENDING_DONE;
    jj_listener *listener = NULL;
    jj_error err = {0};

    (void)argc;
    choose_subject(argv[1], subject);
    follow_hold();
    jj_client *client = program_connect(program, follow_options, &ending);
    if (client == NULL)
        return ending;
    if (jj_listen(client, subject, print_one, &copy, &listener, &err) != JJ_OK)
        ending = program_failed(client, &err);
    while (listener != NULL && !follow_wait(A_WHILE_MS))
        continue;
    jj_listener_close(listener);
    jj_close(client);
    return ending;
}

const struct command cmd_events = {
    .name = "events",
    .arguments = "[NAME|SUBJECT]",
    .most = 1,
    .summary = "Print live events until it is interrupted",
    .help =
        "Without an argument, all events of all jobs; else those of the jobs of a name, or what\n"
        "is told on a subject, such as job.failed, job.sendEmail.progress or log.job.ID. * in\n"
        "it stands for any word. Each event is a line of JSON, and on a terminal, without\n"
        "--json, a line for people. Events are told once: only those who listen have them.\n",
    .run = run,
};

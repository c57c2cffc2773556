/* SPDX-License-Identifier: Apache-2.0 */

/* An old copy of the streams is put back, as broker/OPERATING.md tells it: what is kept, what runs
 * again, what does not, and that an index notices. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "stage.h"

static void begin(struct stage *stage)
{
    stage_write(stage, "note.sh", "#!/bin/sh\necho \"$JOB_ID\" >>ran\n", 0755);
    stage_configure(stage, "index: { path: jobs.db }\n"
                           "handlers:\n- { name: work, exec: [./note.sh] }\n");
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = stage->url};
    cli_output(&cli, CLI_ARGS("provision"), 0);
}

static void enqueue(struct stage *stage, const char *id)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = stage->url};

    cli_output(&cli, CLI_ARGS("enqueue", "work", "", "--id", id), 0);
}

static void run_what_waits(struct stage *stage)
{
    struct process *worker = stage_start(stage, "worker", NULL);

    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    assert_int_equal(stage_stop(worker), 0);
    process_free(worker);
}

/* The ids of all runs so far, in their order. */
static void expect_runs(struct stage *stage, const char *ids)
{
    char path[STAGE_PATH_SIZE], text[256];

    stage_path(stage, "ran", path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, ids);
}

/* Copy a part of the server's store, while it is stopped. */
static void copy(const struct stage *stage, const char *from, const char *to)
{
    const char *const argv[] = {"sh",
                                "-c",
                                "cd \"$1\" && rm -rf \"$3\" && cp -R \"$2\" \"$3\"",
                                "sh",
                                stage->server.dir,
                                from,
                                to,
                                NULL};

    assert_int_equal(process_run(argv, NULL), 0);
}

static void expect_status(struct stage *stage, const char *id, const char *status)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = stage->url};
    const char *job = cli_output(&cli, CLI_ARGS("--json", "get", id), 0);
    char member[64];

    snprintf(member, sizeof(member), "\"status\":\"%s\"", status);
    if (strstr(job, member) == NULL)
        fail_msg("'%s' is not %s: %s", id, status, job);
}

/* The index file stays, and is ahead of the streams. */
static void what_waited_then_runs_again(void **state)
{
    struct stage *stage = *state;

    begin(stage);
    stage->process = stage_start(stage, "serve", NULL);
    enqueue(stage, "before");
    run_what_waits(stage);
    enqueue(stage, "waiting");
    server_stop(&stage->server);
    copy(stage, "store", "backup");
    server_restart(&stage->server);
    run_what_waits(stage);
    enqueue(stage, "lost");
    run_what_waits(stage);
    expect_status(stage, "lost", "completed");
    assert_int_equal(stage_stop(stage->process), 0);
    process_free(stage->process);
    expect_runs(stage, "before\nwaiting\nlost\n");

    server_stop(&stage->server);
    copy(stage, "backup", "store");
    server_restart(&stage->server);
    stage->process = stage_start(stage, "serve", NULL);
    assert_true(process_wait_errors(stage->process, "the index is built anew"));
    expect_status(stage, "before", "completed");
    expect_status(stage, "waiting", "pending");
    run_what_waits(stage);
    expect_status(stage, "waiting", "completed");
    expect_runs(stage, "before\nwaiting\nlost\nwaiting\n");
}

/* JOBS alone is old. A worker does not ask for each job whether it is over: the index has to be
 * there before it. */
static void what_was_over_is_deleted_from_an_old_queue(void **state)
{
    struct stage *stage = *state;

    begin(stage);
    stage->process = stage_start(stage, "serve", NULL);
    enqueue(stage, "before");
    server_stop(&stage->server);
    copy(stage, "store/jetstream/$G/streams/JOBS", "backup");
    server_restart(&stage->server);
    run_what_waits(stage);
    enqueue(stage, "after");
    run_what_waits(stage);
    expect_status(stage, "after", "completed");

    server_stop(&stage->server);
    copy(stage, "backup", "store/jetstream/$G/streams/JOBS");
    server_restart(&stage->server);
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    assert_true(
        process_wait_errors(stage->process, "1 messages in JOBS were left of jobs that are over"));
    assert_true(
        process_wait_errors(stage->process, "nothing more is left in JOBS of jobs that are over"));
    expect_status(stage, "before", "completed");
    expect_runs(stage, "before\nafter\n");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_waited_then_runs_again),
        STORY(what_was_over_is_deleted_from_an_old_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX   40
#define OUTPUT_MAX ((size_t)1024 * 1024)

struct process *cli_start(const struct cli *cli, const char *const args[])
{
    const char *argv[ARGS_MAX] = {cli->program};
    char url[128] = "NATS_URL";
    const char *env[] = {url,           "TERM=xterm", "NO_COLOR", "COLUMNS", "JETJOBS_CONFIG",
                         cli->more_env, NULL};
    const struct process_options options = {.env = env,
                                            .input = cli->input,
                                            .keep_input = cli->keep_input,
                                            .terminal = cli->terminal,
                                            .columns = cli->columns};
    size_t count = 1;

    if (cli->url != NULL)
        snprintf(url, sizeof(url), "NATS_URL=%s", cli->url);
    for (; args[count - 1] != NULL; count++) {
        assert_true(count + 1 < ARGS_MAX);
        argv[count] = args[count - 1];
    }
    return process_start(argv, &options);
}

int cli_run(const struct cli *cli, const char *const args[], struct process **process_out)
{
    struct process *process = cli_start(cli, args);
    int status = process_wait(process, 0);

    if (process_out != NULL)
        *process_out = process;
    else
        process_free(process);
    return status;
}

static const char *copy_of(const char *text)
{
    static char copy[OUTPUT_MAX];

    snprintf(copy, sizeof(copy), "%s", text);
    return copy;
}

static void expect_status(struct process *process, int status, int wanted)
{
    if (status != wanted)
        fail_msg("it ends with %d, not %d, and has said: %s\n%s", status, wanted,
                 process_output(process), process_errors(process));
}

const char *cli_output(const struct cli *cli, const char *const args[], int status)
{
    struct process *process;

    int ending = cli_run(cli, args, &process);

    expect_status(process, ending, status);
    const char *copy = copy_of(process_output(process));
    process_free(process);
    return copy;
}

const char *cli_errors(const struct cli *cli, const char *const args[], int status)
{
    struct process *process;

    int ending = cli_run(cli, args, &process);

    expect_status(process, ending, status);
    assert_string_equal(process_output(process), "");
    const char *copy = copy_of(process_errors(process));
    process_free(process);
    return copy;
}

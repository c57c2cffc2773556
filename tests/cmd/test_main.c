/* SPDX-License-Identifier: Apache-2.0 */

/* The program as such: what it does before, and without, any subcommand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

#include "nats_client.h"
#include "process.h"
#include "program.h"
#include "server.h"

/* Run it with up to three arguments: its exit status; *process_out is to be freed. */
static int run(const char *first, const char *second, const char *third,
               struct process **process_out)
{
    const char *const argv[] = {JETJOBS_PROGRAM, first, second, third, NULL};

    return process_run(argv, process_out);
}

static void expect_output(const char *first, const char *second, const char *text)
{
    struct process *process;

    assert_int_equal(run(first, second, NULL, &process), ENDING_DONE);
    assert_non_null(strstr(process_output(process), text));
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

static void expect_usage(const char *first, const char *second, const char *text)
{
    struct process *process;

    assert_int_equal(run(first, second, NULL, &process), ENDING_USAGE);
    assert_string_equal(process_output(process), "");
    assert_ptr_equal(strstr(process_errors(process), text), process_errors(process));
    assert_non_null(strstr(process_errors(process), "\nusage: jetjobs "));
    assert_non_null(strstr(process_errors(process), " --help'.\n"));
    process_free(process);
}

static void it_says_its_version(void **state)
{
    struct process *process;

    (void)state;
    assert_int_equal(run("--version", NULL, NULL, &process), ENDING_DONE);
    assert_string_equal(process_output(process), "jetjobs " JJ_VERSION "\n");
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

static void help_lists_the_commands(void **state)
{
    (void)state;
    expect_output("--help", NULL, "\n  provision  ");
    expect_output("-h", NULL, "\n  provision  ");
    expect_output("help", NULL, "\n  provision  ");
    expect_output("help", "help", "\n  provision  ");
    expect_output("help", "--help", "\n  provision  ");
}

static void every_command_has_help(void **state)
{
    (void)state;
    expect_output("provision", "--help", "usage: jetjobs provision\n");
    expect_output("help", "provision", "usage: jetjobs provision\n");
    expect_output("--help", "provision", "usage: jetjobs provision\n");
    expect_output("doctor", "--help", "(/jsz), and whether it can write to its disk (/healthz).\n");
}

static void without_a_command_it_tells_how_to_use_it(void **state)
{
    (void)state;
    expect_usage(NULL, NULL, "jetjobs: which command?\n");
    expect_usage("--json", NULL, "jetjobs: which command?\n");
}

static void an_unknown_command_is_guessed(void **state)
{
    (void)state;
    expect_usage("provison", NULL,
                 "jetjobs: unknown command 'provison': did you mean "
                 "'provision'?\n");
    expect_usage("prov", NULL, "jetjobs: unknown command 'prov': did you mean 'provision'?\n");
    expect_usage("help", "prvoision",
                 "jetjobs: unknown command 'prvoision': did you mean "
                 "'provision'?\n");
    expect_usage("x", NULL, "jetjobs: unknown command 'x'\n");
    expect_usage("", NULL, "jetjobs: unknown command ''\n");
}

static void what_is_wrong_on_the_command_line_is_named(void **state)
{
    (void)state;
    expect_usage("--nonsense", NULL, "jetjobs: unknown option '--nonsense'\n");
    expect_usage("--url", NULL, "jetjobs: --url: needs a value: --url URL\n");
    expect_usage("provision", "--jsno",
                 "jetjobs: provision: unknown option '--jsno': did you "
                 "mean --json?\n");
    expect_usage("provision", "x", "jetjobs: provision: 'x' is too much\n");
    expect_usage("provision", "\033[2J", "jetjobs: provision: '?[2J' is too much\n");
}

static void a_full_disk_is_an_error(void **state)
{
    const char *const argv[] = {"sh", "-c", "exec \"$0\" --version >/dev/full", JETJOBS_PROGRAM,
                                NULL};
    struct process *process;

    (void)state;
    assert_int_equal(process_run(argv, &process), ENDING_FAILED);
    assert_string_equal(process_errors(process), "jetjobs: stdout: No space left on device\n");
    process_free(process);
}

static void a_closed_stdout_is_an_error(void **state)
{
    const char *const argv[] = {"sh", "-c", "exec \"$0\" --version >&-", JETJOBS_PROGRAM, NULL};
    struct process *process;

    (void)state;
    assert_int_equal(process_run(argv, &process), ENDING_FAILED);
    assert_string_equal(process_errors(process), "jetjobs: stdout: Bad file descriptor\n");
    process_free(process);
}

static void an_unreachable_broker_has_a_status_of_its_own(void **state)
{
    struct process *process;

    (void)state;
    assert_int_equal(run("provision", "--url", "nats://127.0.0.1:1", &process), ENDING_NO_BROKER);
    assert_string_equal(process_output(process), "");
    assert_non_null(strstr(process_errors(process), "jetjobs: no broker at nats://127.0.0.1:1"));
    process_free(process);
}

static void a_silent_broker_is_not_waited_for_long(void **state)
{
    struct server server;
    struct process *process;

    (void)state;
    server_start(&server, NULL);
    server_freeze(&server);
    assert_int_equal(run("provision", "--url", server.url, &process), ENDING_NO_BROKER);
    process_free(process);
    server_thaw(&server);
    server_done(&server);
}

static void the_broker_is_named_by_the_environment(void **state)
{
    const char *const env[] = {"NATS_URL=nats://127.0.0.1:1", NULL};
    const char *const argv[] = {JETJOBS_PROGRAM, "provision", NULL};
    const struct process_options options = {.env = env};
    struct process *process = process_start(argv, &options);

    (void)state;
    assert_int_equal(process_wait(process, 0), ENDING_NO_BROKER);
    assert_non_null(strstr(process_errors(process), "nats://127.0.0.1:1"));
    process_free(process);
}

static void provision_makes_the_streams(void **state)
{
    struct server server;
    struct process *process;

    (void)state;
    server_start(&server, NULL);
    assert_int_equal(run("provision", "--url", server.url, &process), ENDING_DONE);
    assert_string_equal(process_errors(process), "");
    process_free(process);
    struct nats_client *stranger = nats_client_open(server.url);
    assert_int_equal(nats_client_stream_messages(stranger, "JOBS"), 0);
    assert_int_equal(nats_client_stream_messages(stranger, "JOBS_SCHEDULE"), 0);
    assert_int_equal(nats_client_stream_messages(stranger, "JOBS_EVENTS"), 0);
    nats_client_close(stranger);
    server_done(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_its_version),
        cmocka_unit_test(help_lists_the_commands),
        cmocka_unit_test(every_command_has_help),
        cmocka_unit_test(without_a_command_it_tells_how_to_use_it),
        cmocka_unit_test(an_unknown_command_is_guessed),
        cmocka_unit_test(what_is_wrong_on_the_command_line_is_named),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(a_closed_stdout_is_an_error),
        cmocka_unit_test(an_unreachable_broker_has_a_status_of_its_own),
        cmocka_unit_test(a_silent_broker_is_not_waited_for_long),
        cmocka_unit_test(the_broker_is_named_by_the_environment),
        cmocka_unit_test(provision_makes_the_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

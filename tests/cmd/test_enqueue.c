/* SPDX-License-Identifier: Apache-2.0 */

/* jetjobs enqueue: one job, one for later, one that is waited for, one for each line. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "clock.h"
#include "desk.h"
#include "program.h"

static struct cli cli_of(const struct desk *desk)
{
    return (struct cli){.program = JETJOBS_PROGRAM, .url = desk->crew->server.url};
}

/* What was printed, less its line end, is the id of a job. Free it. */
static jj_job *job_of(struct desk *desk, const char *output)
{
    char id[JJ_NAME_SIZE];

    snprintf(id, sizeof(id), "%.*s", (int)strcspn(output, "\n"), output);
    assert_string_equal(output + strlen(id), "\n");
    desk_wait_known(desk, id);
    return desk_get(desk, id);
}

static jj_verdict echo(struct crew *crew, jj_attempt *attempt)
{
    size_t len;
    const void *data = jj_attempt_data(attempt, &len);

    (void)crew;
    return jj_done(attempt, data, len);
}

static jj_verdict refuse(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_fail(attempt, "no room");
}

static void start_worker(struct desk *desk)
{
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "echo", echo, NULL);
    crew_register(desk->crew, "refuse", refuse, NULL);
    crew_register(desk->crew, "pass", crew_pass, NULL);
    crew_start(desk->crew);
}

static size_t lines_of(const char *text)
{
    size_t count = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++)
        count++;
    return count;
}

/* ---- one job ---- */

static void the_id_is_printed_and_nothing_else(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process;
    size_t len;

    assert_int_equal(cli_run(&cli, CLI_ARGS("enqueue", "mail", "{\"to\":\"ada\"}"), &process), 0);
    assert_string_equal(process_errors(process), "");
    jj_job *job = job_of(desk, process_output(process));
    assert_string_equal(jj_job_name(job), "mail");
    assert_memory_equal(jj_job_data(job, &len), "{\"to\":\"ada\"}", 12);
    assert_int_equal(len, 12);
    jj_job_free(job);
    process_free(process);
}

static void everything_can_be_said_about_a_job(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct heard *message;

    cli_output(&cli,
               CLI_ARGS("enqueue", "mail", "hello", "--id", "mine", "--max-attempts=7", "--timeout",
                        "1m30s", "-H", "Content-Type: text/plain", "--header=tenant:a:b"),
               ENDING_DONE);
    message = nats_client_get(desk->crew->stranger, "JOBS", 1);
    assert_non_null(message);
    assert_string_equal(message->data, "hello");
    assert_string_equal(heard_header(message, "Job-Id"), "mine");
    assert_string_equal(heard_header(message, "Job-Max-Attempts"), "7");
    assert_string_equal(heard_header(message, "Job-Timeout"), "90000");
    assert_string_equal(heard_header(message, "Content-Type"), "text/plain");
    assert_string_equal(heard_header(message, "tenant"), "a:b");
    heard_free(message);
}

static void data_comes_from_stdin(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    size_t len;

    cli.input = "two\nlines\n";
    jj_job *job = job_of(desk, cli_output(&cli, CLI_ARGS("enqueue", "mail", "-"), ENDING_DONE));
    assert_memory_equal(jj_job_data(job, &len), "two\nlines\n", 10);
    assert_int_equal(len, 10);
    jj_job_free(job);
}

static void without_data_there_is_none(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    size_t len;

    cli.input = "not read";
    jj_job *job = job_of(desk, cli_output(&cli, CLI_ARGS("enqueue", "mail"), ENDING_DONE));
    assert_null(jj_job_data(job, &len));
    jj_job_free(job);
}

static void json_tells_of_the_receipt(void **state)
{
    struct cli cli = cli_of(*state);

    assert_string_equal(
        cli_output(&cli, CLI_ARGS("enqueue", "mail", "--id", "one", "--json"), ENDING_DONE),
        "{\"id\":\"one\",\"seq\":1,\"duplicate\":false}\n");
}

static void a_duplicate_is_said_and_is_no_failure(void **state)
{
    struct cli cli = cli_of(*state);
    struct process *process;

    cli_output(&cli, CLI_ARGS("enqueue", "mail", "--key", "k", "--id", "first"), ENDING_DONE);
    assert_int_equal(cli_run(&cli, CLI_ARGS("enqueue", "mail", "--key", "k"), &process), 0);
    assert_string_equal(process_output(process), "first\n");
    assert_string_equal(process_errors(process),
                        "jetjobs: nothing new: job first was there before\n");
    process_free(process);
}

static void a_job_for_later_is_scheduled(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    int64_t before_ms = jj__clock_wall_ms();

    cli_output(&cli, CLI_ARGS("enqueue", "mail", "--in", "1h", "--id", "in"), ENDING_DONE);
    cli_output(&cli, CLI_ARGS("enqueue", "mail", "--at", "2100-01-01T01:00:00+01:00", "--id", "at"),
               ENDING_DONE);
    desk_wait_known(desk, "in");
    desk_wait_known(desk, "at");
    jj_job *job = desk_get(desk, "in");
    assert_int_equal(jj_job_state(job), JJ_SCHEDULED);
    assert_in_range(jj_job_run_at_ms(job), before_ms + 3600000, jj__clock_wall_ms() + 3600000);
    jj_job_free(job);
    job = desk_get(desk, "at");
    assert_int_equal(jj_job_state(job), JJ_SCHEDULED);
    assert_int_equal(jj_job_run_at_ms(job), INT64_C(4102444800000));
    jj_job_free(job);
}

static void what_is_wrong_is_said_without_asking_the_broker(void **state)
{
    static const struct {
        const char *const args[6];
        const char *text;
    } cases[] = {
        {{"enqueue"}, "enqueue: NAME [DATA|-] is missing"},
        {{"enqueue", "a.b"}, "'a.b'"},
        {{"enqueue", "a", "--id", "*"}, "'*'"},
        {{"enqueue", "a", "--key", "two words"}, "'two words'"},
        {{"enqueue", "a", "--max-attempts", "0"}, "--max-attempts: '0' is not a number from 1 to"},
        {{"enqueue", "a", "--timeout", "0s"}, "--timeout: 0s is not 1ms or more"},
        {{"enqueue", "a", "--in", "soon"}, "--in: 'soon' is not what it takes: 500ms"},
        {{"enqueue", "a", "--at", "noon"}, "--at: 'noon' is not what it takes: a time as"},
        {{"enqueue", "a", "--in=1s", "--at=2100-01-01T00:00:00Z"}, "--in and --at: say one"},
        {{"enqueue", "a", "--header", "nonsense"}, "--header: 'nonsense' is not what it takes"},
        {{"enqueue", "a", "--header", "Nats-Msg-Id:x"}, "header 'Nats-Msg-Id' is reserved"},
        {{"enqueue", "a", "--wait-timeout", "1s"}, "--wait-timeout: needs --wait"},
        {{"enqueue", "a", "x", "--lines"}, "--lines: the data comes from stdin"},
        {{"enqueue", "a", "--lines", "--id", "x"}, "--lines: each job needs an id of its own"},
        {{"enqueue", "a", "--lines", "--wait"}, "--lines: leave out --wait"},
    };
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = "nats://127.0.0.1:1"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *errors = cli_errors(&cli, cases[i].args, ENDING_USAGE);
        if (strstr(errors, cases[i].text) == NULL)
            fail_msg("'%s' is not in: %s", cases[i].text, errors);
    }
}

static void too_much_data_is_refused(void **state)
{
    enum { LEN = 1100000 };
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    char *data = calloc(1, LEN + 1);

    assert_non_null(data);
    memset(data, 'x', LEN);
    cli.input = data;
    assert_non_null(
        strstr(cli_errors(&cli, CLI_ARGS("enqueue", "mail", "-"), ENDING_FAILED), "1048576 bytes"));
    data[LEN - 100000] = '\0';
    assert_int_equal(cli_run(&cli, CLI_ARGS("enqueue", "mail", "-"), NULL), ENDING_DONE);
    free(data);
}

/* ---- waiting ---- */

static void the_job_that_was_waited_for_is_shown(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    const char *output = cli_output(&cli, CLI_ARGS("enqueue", "echo", "[1]", "--wait"), 0);
    assert_ptr_equal(strstr(output, "id\t"), output);
    assert_non_null(strstr(output, "\nstatus\tcompleted\n"));
    assert_non_null(strstr(output, "\nresult\t[1]\n"));
    output = cli_output(&cli, CLI_ARGS("enqueue", "echo", "[1]", "--wait", "--json"), 0);
    assert_non_null(strstr(output, ",\"status\":\"completed\","));
    assert_int_equal(lines_of(output), 1);
}

static void a_job_that_fails_under_wait_is_a_failure(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    const char *output = cli_output(&cli, CLI_ARGS("enqueue", "refuse", "--wait"), ENDING_FAILED);
    assert_non_null(strstr(output, "\nstatus\tfailed\n"));
    assert_non_null(strstr(output, "\nerror\tno room\n"));
}

static void a_job_that_is_cancelled_under_wait_is_a_failure(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "none", "--id", "x", "--wait"));

    assert_true(crew_wait_backlog(desk->crew, 1));
    desk_wait_known(desk, "x");
    assert_int_equal(jj_cancel(desk->asker, "x", NULL), JJ_OK);
    assert_int_equal(process_wait(process, 0), ENDING_FAILED);
    assert_non_null(strstr(process_output(process), "\nstatus\tcancelled\n"));
    process_free(process);
}

static void waiting_can_have_an_end(void **state)
{
    struct cli cli = cli_of(*state);

    assert_string_equal(
        cli_errors(&cli, CLI_ARGS("enqueue", "none", "--id", "x", "--wait", "--wait-timeout=100ms"),
                   ENDING_FAILED),
        "jetjobs: job x is enqueued, but:\njetjobs: job 'x' is pending after 100 ms\n");
}

/* ---- a job for each line ---- */

static void each_line_becomes_a_job(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct heard *message;

    cli.input = "one\n\ntwo\r\nthree";
    const char *output = cli_output(&cli, CLI_ARGS("enqueue", "mail", "--lines", "-"), ENDING_DONE);
    assert_int_equal(lines_of(output), 3);
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS"), 3);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        static const char *const data[] = {"one", "two\r", "three"};
        message = nats_client_get(desk->crew->stranger, "JOBS", seq);
        assert_string_equal(message->data, data[seq - 1]);
        assert_memory_equal(heard_header(message, "Job-Id"), output, 36);
        output += 37;
        heard_free(message);
    }
}

static void many_lines_are_enqueued_in_their_order(void **state)
{
    enum { MANY = 5000, LINE = 100 };
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    char *input = malloc(MANY * LINE + 1);
    char first[LINE + 1];

    assert_non_null(input);
    for (size_t i = 0; i < MANY; i++)
        snprintf(input + i * LINE, LINE + 1, "%0*zu\n", LINE - 1, i);
    cli.input = input;
    const char *output = cli_output(&cli, CLI_ARGS("enqueue", "mail", "--lines"), ENDING_DONE);
    assert_int_equal(lines_of(output), MANY);
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS"), MANY);
    struct heard *message = nats_client_get(desk->crew->stranger, "JOBS", 4322);
    snprintf(first, sizeof(first), "%0*d", LINE - 1, 4321);
    assert_string_equal(message->data, first);
    assert_memory_equal(heard_header(message, "Job-Id"), output + 37 * 4321, 36);
    heard_free(message);
    free(input);
}

static void a_line_is_enqueued_as_soon_as_it_comes(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.keep_input = true;
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "mail", "--lines"));
    process_type(process, "one\ntw");
    assert_true(process_wait_output(process, "\n"));
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS"), 1);
    process_type(process, "o");
    process_close_input(process);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    assert_int_equal(lines_of(process_output(process)), 2);
    process_free(process);
}

static void a_line_that_is_too_long_ends_it_and_is_named(void **state)
{
    enum { LEN = 1100000 };
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process;
    char *input = calloc(1, LEN + 1);

    assert_non_null(input);
    memset(input, 'x', LEN);
    memcpy(input, "one\ntwo\n", 8);
    cli.input = input;
    assert_int_equal(cli_run(&cli, CLI_ARGS("enqueue", "mail", "--lines"), &process),
                     ENDING_FAILED);
    assert_int_equal(lines_of(process_output(process)), 2);
    assert_non_null(strstr(process_errors(process), "jetjobs: line 3: "));
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS"), 2);
    process_free(process);
    free(input);
}

static void ids_that_nobody_reads_do_not_stop_it(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.keep_input = true;
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "mail", "--lines"));
    process_close_output(process);
    process_type(process, "one\n");
    assert_true(crew_wait_backlog(desk->crew, 1));
    process_type(process, "two\n");
    process_close_input(process);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    assert_string_equal(process_errors(process), "");
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS"), 2);
    process_free(process);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_id_is_printed_and_nothing_else),
        TEST(everything_can_be_said_about_a_job),
        TEST(data_comes_from_stdin),
        TEST(without_data_there_is_none),
        TEST(json_tells_of_the_receipt),
        TEST(a_duplicate_is_said_and_is_no_failure),
        TEST(a_job_for_later_is_scheduled),
        cmocka_unit_test(what_is_wrong_is_said_without_asking_the_broker),
        TEST(too_much_data_is_refused),
        TEST(the_job_that_was_waited_for_is_shown),
        TEST(a_job_that_fails_under_wait_is_a_failure),
        TEST(a_job_that_is_cancelled_under_wait_is_a_failure),
        TEST(waiting_can_have_an_end),
        TEST(each_line_becomes_a_job),
        TEST(many_lines_are_enqueued_in_their_order),
        TEST(a_line_is_enqueued_as_soon_as_it_comes),
        TEST(a_line_that_is_too_long_ends_it_and_is_named),
        TEST(ids_that_nobody_reads_do_not_stop_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

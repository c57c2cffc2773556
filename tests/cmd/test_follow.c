/* SPDX-License-Identifier: Apache-2.0 */

/* What goes on until it is stopped: events, logs -f, and enqueue --wait on a terminal. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "desk.h"
#include "program.h"
#include "wait.h"

#define LINES 30

static struct cli cli_of(const struct desk *desk)
{
    return (struct cli){.program = JETJOBS_PROGRAM, .url = desk->crew->server.url};
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

/* Logs "line 0" and further, half of them before the gate. */
static jj_verdict chat(struct crew *crew, jj_attempt *attempt)
{
    for (int i = 0; i < LINES; i++) {
        jj_log(attempt, JJ_LOG_INFO, "{\"n\":1}", "line %d.", i);
        if (i == LINES / 2)
            crew_pass(crew, attempt);
    }
    return jj_done(attempt, NULL, 0);
}

/* More lines than an index keeps. */
static jj_verdict chat_much(struct crew *crew, jj_attempt *attempt)
{
    jj_log(attempt, JJ_LOG_INFO, NULL, "it begins");
    crew_pass(crew, attempt);
    for (int i = 0; i < 1200; i++)
        jj_log(attempt, JJ_LOG_INFO, NULL, "line %d.", i);
    jj_log(attempt, JJ_LOG_INFO, NULL, "that is all");
    return jj_done(attempt, NULL, 0);
}

static jj_verdict advance(struct crew *crew, jj_attempt *attempt)
{
    jj_progress(attempt, 40, "resize \033[2J");
    crew_pass(crew, attempt);
    return jj_done(attempt, "1", 1);
}

static void start_worker(struct desk *desk)
{
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "chat", chat, NULL);
    crew_register(desk->crew, "much", chat_much, NULL);
    crew_register(desk->crew, "advance", advance, NULL);
    crew_register(desk->crew, "pass", crew_pass, NULL);
    crew_start(desk->crew);
    crew_close_gate(desk->crew);
}

/* ---- events ---- */

/* Start it and enqueue jobs until the first event shows that it listens. */
static struct process *start_events(struct desk *desk, const struct cli *cli, const char *subject)
{
    struct process *process = cli_start(cli, CLI_ARGS("events", subject));
    int64_t until = 200;

    crew_open_gate(desk->crew);
    while (process_output_len(process) == 0 && until-- > 0) {
        desk_enqueue(desk, "pass", NULL, NULL);
        assert_true(crew_wait_over(desk->crew));
        process_look(process);
    }
    assert_true(process_output_len(process) > 0);
    return process;
}

static void each_event_is_printed_once_as_a_line_of_json(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    desk_enqueue(desk, "pass", "mine", NULL);
    assert_true(process_wait_output(
        process, "{\"type\":\"completed\",\"jobId\":\"mine\",\"name\":\"pass\""));
    process_signal(process, SIGINT);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    assert_int_equal(count_of(process_output(process), "\"jobId\":\"mine\""), 2);
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

static void events_are_chosen_by_name_or_subject(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *named = start_events(desk, &cli, "pass");
    struct process *subject = start_events(desk, &cli, "job.*.completed");
    desk_enqueue(desk, "advance", "other", NULL);
    desk_enqueue(desk, "pass", "mine", NULL);
    assert_true(process_wait_output(named, "{\"type\":\"completed\",\"jobId\":\"mine\""));
    assert_true(process_wait_output(subject, "{\"type\":\"completed\",\"jobId\":\"mine\""));
    assert_true(process_wait_output(subject, "{\"type\":\"completed\",\"jobId\":\"other\""));
    assert_int_equal(count_of(process_output(named), "\"jobId\":\"other\""), 0);
    assert_int_equal(count_of(process_output(subject), "\"started\""), 0);
    process_signal(named, SIGTERM);
    assert_int_equal(process_wait(named, 0), ENDING_DONE);
    process_free(named);
    process_free(subject);
}

static void what_is_told_on_no_subject_is_a_wrong_use(void **state)
{
    struct cli cli = cli_of(*state);

    cli_errors(&cli, CLI_ARGS("events", "other.subject"), ENDING_USAGE);
    cli_errors(&cli, CLI_ARGS("events", "job..x"), ENDING_USAGE);
    cli_errors(&cli, CLI_ARGS("events", "a b"), ENDING_USAGE);
}

static void what_is_no_json_becomes_some(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    nats_client_publish(desk->crew->stranger,
                        &(struct note){.subject = "job.failed", .data = "\033[2J\nnonsense"});
    assert_true(process_wait_output(
        process, "{\"subject\":\"job.failed\",\"dataBase64\":\"G1sySgpub25zZW5zZQ==\"}\n"));
    process_free(process);
}

static void on_a_terminal_events_are_for_people_and_tame(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.terminal = true;
    cli.more_env = "NO_COLOR=1";
    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    desk_enqueue(desk, "advance", "mine", NULL);
    assert_true(process_wait_output(process, "progress   advance  mine  40%  resize \\x1b[2J\r\n"));
    nats_client_publish(
        desk->crew->stranger,
        &(struct note){.subject = "job.failed",
                       .data =
                           "{\"type\":\"\\u001b[2Jtype\",\"time\":\"\\u009b1mtime\",\"name\":7}"});
    assert_true(process_wait_output(process, "time"));
    nats_client_publish(desk->crew->stranger,
                        &(struct note){.subject = "job.failed", .data = "\033]0;owned\007"});
    assert_true(process_wait_output(process, "dataBase64"));
    assert_null(strchr(process_output(process), '\033'));
    assert_null(strstr(process_output(process), "\302\233"));
    process_type(process, "\003");
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    process_free(process);
}

static void events_end_with_the_terminal(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.terminal = true;
    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    process_hang_up(process);
    process_wait(process, 0);
    process_free(process);
}

static void events_end_when_nobody_reads_them(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    process_close_output(process);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

/* Printing waits for its reader when it is to end; a second signal makes that shorter. */
static void events_end_though_their_reader_sleeps(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    desk_enqueue(desk, "much", "one", NULL);
    assert_true(process_wait_full(process));
    process_signal(process, SIGINT);
    wait_a_moment();
    process_signal(process, SIGINT);
    assert_true(process_ends_unread(process));
    process_free(process);
}

static void a_lost_connection_is_told(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    struct process *process = start_events(desk, &cli, NULL);
    server_kill(&desk->crew->server);
    assert_true(process_wait_errors(process, "jetjobs: connection to the broker lost"));
    server_restart(&desk->crew->server);
    process_free(process);
}

/* ---- logs -f ---- */

static void expect_lines(const char *output, int count)
{
    char line[32];

    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "line %d.", i);
        if (count_of(output, line) != 1)
            fail_msg("%s is printed %zu times in: %.4000s", line, count_of(output, line), output);
    }
}

static void stored_lines_come_first_then_live_ones_none_twice(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    char line[32];

    snprintf(line, sizeof(line), "line %d.", LINES / 2);
    start_worker(desk);
    desk_enqueue(desk, "chat", "one", NULL);
    assert_true(crew_wait_running(desk->crew, 1));
    struct process *process = cli_start(&cli, CLI_ARGS("logs", "-f", "one"));
    assert_true(process_wait_output(process, line));
    crew_open_gate(desk->crew);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    expect_lines(process_output(process), LINES);
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

static void whoever_follows_sees_more_lines_than_are_kept(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    desk_enqueue(desk, "much", "one", NULL);
    assert_true(crew_wait_running(desk->crew, 1));
    struct process *process = cli_start(&cli, CLI_ARGS("logs", "-f", "one"));
    assert_true(process_wait_output(process, "it begins")); /* so it listens */
    crew_open_gate(desk->crew);
    assert_true(process_wait_output(process, "that is all"));
    expect_lines(process_output(process), 1200);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    process_free(process);
}

static void logs_of_a_job_that_is_over_end_at_once(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    crew_open_gate(desk->crew);
    desk_enqueue(desk, "chat", "one", NULL);
    desk_expect_end(desk, "one", JJ_COMPLETED);
    const char *output = cli_output(&cli, CLI_ARGS("logs", "one", "-f"), ENDING_DONE);
    expect_lines(output, LINES);
    assert_int_equal(count_of(output, "\n"), LINES);
    output = cli_output(&cli, CLI_ARGS("logs", "one", "-f", "--json"), ENDING_DONE);
    assert_int_equal(count_of(output, "{\"time\":"), LINES);
    cli_errors(&cli, CLI_ARGS("logs", "nobody", "-f"), ENDING_NOT_FOUND);
    cli_errors(&cli, CLI_ARGS("logs", "one", "-f", "-n1"), ENDING_USAGE);
}

/* ---- enqueue --wait ---- */

static void progress_is_shown_on_a_terminal_and_then_erased(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.terminal = true;
    start_worker(desk);
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "pass", "--id", "x", "--wait"));
    assert_true(process_wait_output(process, "\r\033[Kx  "));
    nats_client_publish(desk->crew->stranger,
                        &(struct note){.subject = "job.pass.progress",
                                       .data =
                                           "{\"type\":\"progress\",\"jobId\":\"x\",\"percent\":40,"
                                           "\"message\":\"resize \\u001b[2J\"}"});
    assert_true(process_wait_output(process, "  40%  resize \\x1b[2J"));
    crew_open_gate(desk->crew);
    assert_int_equal(process_wait(process, 0), ENDING_DONE);
    assert_non_null(strstr(process_output(process), "\r\033[K\033[2mid\033[0m"));
    process_free(process);
}

static void an_interrupt_leaves_the_job_and_says_so(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    cli.terminal = true;
    start_worker(desk);
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "pass", "--id", "x", "--wait"));
    assert_true(process_wait_output(process, "\r\033[Kx  "));
    process_type(process, "\003");
    assert_int_equal(process_wait(process, 0), -SIGINT);
    assert_non_null(strstr(process_output(process),
                           "\r\033[Kjetjobs: the job goes on: 'jetjobs get x' shows it\r\n"));
    process_free(process);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_is_printed_once_as_a_line_of_json),
        TEST(events_are_chosen_by_name_or_subject),
        TEST(what_is_told_on_no_subject_is_a_wrong_use),
        TEST(what_is_no_json_becomes_some),
        TEST(on_a_terminal_events_are_for_people_and_tame),
        TEST(events_end_with_the_terminal),
        TEST(events_end_when_nobody_reads_them),
        TEST(events_end_though_their_reader_sleeps),
        TEST(a_lost_connection_is_told),
        TEST(stored_lines_come_first_then_live_ones_none_twice),
        TEST(whoever_follows_sees_more_lines_than_are_kept),
        TEST(logs_of_a_job_that_is_over_end_at_once),
        TEST(progress_is_shown_on_a_terminal_and_then_erased),
        TEST(an_interrupt_leaves_the_job_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

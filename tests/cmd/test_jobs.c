/* SPDX-License-Identifier: Apache-2.0 */

/* Commands about jobs that are there: get, list, cancel, retry, logs, stats. An index service runs,
 * and a worker where the story needs one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "desk.h"
#include "program.h"
#include "rfc3339.h"

static struct cli cli_of(const struct desk *desk)
{
    return (struct cli){.program = JETJOBS_PROGRAM, .url = desk->crew->server.url};
}

/* The value of a line "what<tab>value" in a static buffer; "" if there is none. */
static const char *value_of(const char *output, const char *what)
{
    static char value[1024];
    size_t len = strlen(what);

    value[0] = '\0';
    for (const char *line = output; line[0] != '\0'; line = strchr(line, '\n') + 1)
        if (strncmp(line, what, len) == 0 && line[len] == '\t')
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 1, "\n"),
                     line + len + 1);
    return value;
}

static size_t lines_of(const char *text)
{
    size_t count = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++)
        count++;
    return count;
}

static jj_verdict greet(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    jj_log(attempt, JJ_LOG_INFO, "{\"n\": 1}", "hello");
    jj_emit(attempt, "half \033[31mway", "[1, 2]");
    jj_log(attempt, JJ_LOG_ERROR, NULL, "two\nlines and a \033[31mcolour");
    return jj_done(attempt, "{\"greeted\": true}", 17);
}

static jj_verdict refuse(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_fail(attempt, "smtp: \033]0;owned\007 refused");
}

/* A worker for the names "greet" and "refuse". */
static void start_worker(struct desk *desk)
{
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "greet", greet, NULL);
    crew_register(desk->crew, "refuse", refuse, NULL);
    crew_start(desk->crew);
}

static void enqueue_and_end(struct desk *desk, const char *name, const char *id, jj_state state)
{
    desk_enqueue(desk, name, id, "{\"to\": \"ada\"}");
    desk_expect_end(desk, id, state);
}

/* ---- get ---- */

static void get_shows_a_line_for_each_thing_that_is_known(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    int64_t time_ms;

    start_worker(desk);
    enqueue_and_end(desk, "greet", "one", JJ_COMPLETED);
    const char *output = cli_output(&cli, CLI_ARGS("get", "one"), ENDING_DONE);
    assert_string_equal(value_of(output, "id"), "one");
    assert_string_equal(value_of(output, "name"), "greet");
    assert_string_equal(value_of(output, "status"), "completed");
    assert_string_equal(value_of(output, "attempts"), "1/3");
    assert_string_equal(value_of(output, "data"), "{\"to\": \"ada\"}");
    assert_string_equal(value_of(output, "result"), "{\"greeted\": true}");
    assert_true(jj__rfc3339_read(value_of(output, "created"), &time_ms));
    assert_true(jj__rfc3339_read(value_of(output, "started"), &time_ms));
    assert_true(jj__rfc3339_read(value_of(output, "over"), &time_ms));
    assert_string_equal(value_of(output, "error"), "");
    assert_string_equal(value_of(output, "run at"), "");
}

static void get_prints_json_as_a_service_answers_it(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    desk_enqueue(desk, "greet", "one", "{\"to\": \"ada\"}");
    const char *output = cli_output(&cli, CLI_ARGS("--json", "get", "one"), ENDING_DONE);
    char *answer = strdup(output);
    assert_non_null(answer);
    answer[strlen(answer) - 1] = '\0';
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"one\"}", answer);
    assert_string_equal(cli_output(&cli, CLI_ARGS("get", "one", "--json"), ENDING_DONE), output);
    free(answer);
}

static void a_job_is_found_right_after_another_program_enqueued_it(void **state)
{
    struct cli cli = cli_of(*state);
    char id[16];

    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        cli_output(&cli, CLI_ARGS("enqueue", "greet", "--id", id), ENDING_DONE);
        cli_output(&cli, CLI_ARGS("get", id), ENDING_DONE);
        snprintf(id, sizeof(id), "later-%d", i);
        cli_output(&cli, CLI_ARGS("enqueue", "greet", "--in", "1h", "--id", id), ENDING_DONE);
        cli_output(&cli, CLI_ARGS("cancel", id), ENDING_DONE);
    }
}

static void a_job_that_is_not_known_is_not_found(void **state)
{
    struct cli cli = cli_of(*state);

    assert_string_equal(cli_errors(&cli, CLI_ARGS("get", "nobody"), ENDING_NOT_FOUND),
                        "jetjobs: job 'nobody' is not known\n");
    assert_string_equal(cli_errors(&cli, CLI_ARGS("logs", "nobody"), ENDING_NOT_FOUND),
                        "jetjobs: job 'nobody' is not known\n");
    assert_string_equal(cli_errors(&cli, CLI_ARGS("cancel", "nobody"), ENDING_NOT_FOUND),
                        "jetjobs: job 'nobody' is not known\n");
    assert_string_equal(cli_errors(&cli, CLI_ARGS("retry", "nobody"), ENDING_NOT_FOUND),
                        "jetjobs: job 'nobody' is not known\n");
}

static void what_can_be_no_id_is_a_wrong_use(void **state)
{
    struct cli cli = cli_of(*state);

    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("get", "a.b"), ENDING_USAGE), "'a.b'"));
    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("list", "a b"), ENDING_USAGE), "'a b'"));
    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("get"), ENDING_USAGE), "ID is missing"));
    assert_non_null(
        strstr(cli_errors(&cli, CLI_ARGS("get", "a", "b"), ENDING_USAGE), "'b' is too much"));
}

static void without_an_index_service_there_is_no_answer(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    desk_close_keeper(desk);
    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("get", "one"), ENDING_FAILED),
                           "jetjobs: no index service answers"));
    desk_open_keeper(desk);
}

static void asking_makes_no_streams(void **state)
{
    struct server server;
    struct cli cli = {.program = JETJOBS_PROGRAM, .url = server.url};

    (void)state;
    server_start(&server, NULL);
    cli_errors(&cli, CLI_ARGS("stats"), ENDING_FAILED);
    struct nats_client *stranger = nats_client_open(server.url);
    assert_int_not_equal(nats_client_api_error(stranger, "STREAM.INFO.JOBS", NULL), 0);
    nats_client_close(stranger);
    server_done(&server);
}

/* ---- list ---- */

static void list_shows_the_newest_first_one_on_a_line(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    enqueue_and_end(desk, "greet", "one", JJ_COMPLETED);
    enqueue_and_end(desk, "greet", "two", JJ_COMPLETED);
    enqueue_and_end(desk, "refuse", "three", JJ_FAILED);
    const char *output = cli_output(&cli, CLI_ARGS("list", "greet"), ENDING_DONE);
    assert_int_equal(lines_of(output), 2);
    assert_ptr_equal(strstr(output, "two\tcompleted\t1/3\t"), output);
    assert_non_null(strstr(output, "Z\t{\"greeted\": true}\none\tcompleted\t1/3\t"));
    output = cli_output(&cli, CLI_ARGS("list", "refuse"), ENDING_DONE);
    assert_ptr_equal(strstr(output, "three\tfailed\t1/3\t"), output);
    assert_non_null(strstr(output, "Z\tsmtp: \\x1b]0;owned\\x07 refused\n"));
    assert_string_equal(cli_output(&cli, CLI_ARGS("list", "nothing"), ENDING_DONE), "");
}

static void list_chooses_by_status(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    jj_error err;

    desk_enqueue(desk, "greet", "one", NULL);
    desk_enqueue(desk, "greet", "two", NULL);
    assert_int_equal(jj_cancel(desk->asker, "one", &err), JJ_OK);
    const char *output =
        cli_output(&cli, CLI_ARGS("list", "greet", "--status", "pending"), ENDING_DONE);
    assert_int_equal(lines_of(output), 1);
    assert_ptr_equal(strstr(output, "two\tpending\t0\t"), output);
    output = cli_output(&cli, CLI_ARGS("list", "greet", "--status=cancelled"), ENDING_DONE);
    assert_int_equal(lines_of(output), 1);
    assert_ptr_equal(strstr(output, "one\tcancelled\t0\t"), output);
    assert_non_null(
        strstr(cli_errors(&cli, CLI_ARGS("list", "greet", "--status", "done"), ENDING_USAGE),
               "--status: 'done' is not what it takes: pending, scheduled, running, completed, "
               "failed, cancelled\n"));
}

static void list_follows_pages_up_to_its_limit(void **state)
{
    enum { MANY = 2300 };
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    jj_spec *specs = calloc(MANY, sizeof(*specs));

    assert_non_null(specs);
    for (size_t i = 0; i < MANY; i++)
        specs[i] = (jj_spec){.name = "greet"};
    assert_int_equal(jj_enqueue_many(desk->asker, specs, MANY, NULL, NULL, NULL), JJ_OK);
    desk_enqueue(desk, "greet", "last", NULL);
    jj_job_free(desk_get(desk, "last"));
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("list", "greet"), 0)), 100);
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("list", "greet", "-n7"), 0)), 7);
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("list", "greet", "-n", "2100"), 0)), 2100);
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("list", "greet", "--limit", "0"), 0)),
                     MANY + 1);
    const char *output =
        cli_output(&cli, CLI_ARGS("--json", "list", "greet", "--limit", "1500"), ENDING_DONE);
    assert_int_equal(lines_of(output), 1500);
    assert_ptr_equal(strstr(output, "{\"id\":\"last\",\"name\":\"greet\""), output);
    free(specs);
}

/* ---- cancel and retry ---- */

static void cancel_prints_what_it_has_cancelled(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    desk_enqueue(desk, "greet", "one", NULL);
    desk_enqueue(desk, "greet", "two", NULL);
    assert_string_equal(cli_output(&cli, CLI_ARGS("cancel", "one", "two"), ENDING_DONE),
                        "one\ntwo\n");
    desk_expect_state(desk, "one", JJ_CANCELLED);
    desk_expect_state(desk, "two", JJ_CANCELLED);
}

static void what_is_not_cancelled_is_said_and_the_rest_goes_on(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process;

    start_worker(desk);
    enqueue_and_end(desk, "greet", "over", JJ_COMPLETED);
    desk_enqueue(desk, "other", "waits", NULL);
    assert_int_equal(cli_run(&cli, CLI_ARGS("cancel", "over", "nobody", "waits"), &process),
                     ENDING_FAILED);
    assert_string_equal(process_output(process), "waits\n");
    assert_string_equal(process_errors(process),
                        "jetjobs: job 'over' was not cancelled: it is completed\n"
                        "jetjobs: job 'nobody' is not known\n");
    process_free(process);
    assert_string_equal(cli_output(&cli, CLI_ARGS("--json", "cancel", "over"), ENDING_FAILED),
                        "{\"id\":\"over\",\"cancelled\":false}\n");
}

static void retry_revives_a_failed_job(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    enqueue_and_end(desk, "refuse", "one", JJ_FAILED);
    assert_string_equal(cli_output(&cli, CLI_ARGS("retry", "one", "--json"), ENDING_DONE),
                        "{\"id\":\"one\",\"retried\":true}\n");
    assert_true(crew_wait_runs(desk->crew, "refuse", 2));
    desk_expect_end(desk, "one", JJ_FAILED);
    enqueue_and_end(desk, "greet", "two", JJ_COMPLETED);
    assert_string_equal(cli_errors(&cli, CLI_ARGS("retry", "two"), ENDING_FAILED),
                        "jetjobs: job 'two' was not redriven: it is completed\n");
}

/* ---- logs and stats ---- */

static void logs_prints_what_the_handler_logged(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    enqueue_and_end(desk, "greet", "one", JJ_COMPLETED);
    const char *output = cli_output(&cli, CLI_ARGS("logs", "one"), ENDING_DONE);
    assert_int_equal(lines_of(output), 2);
    assert_non_null(strstr(output, "Z\t1\tinfo\thello\t{\"n\": 1}\n"));
    assert_non_null(strstr(output, "Z\t1\terror\ttwo"));
    assert_null(strchr(output, '\033'));
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("logs", "one", "-n1"), ENDING_DONE)), 1);
    output = cli_output(&cli, CLI_ARGS("logs", "one", "--json"), ENDING_DONE);
    assert_non_null(strstr(output, ",\"level\":\"info\",\"message\":\"hello\",\"data\":{\"n\": 1},"
                                   "\"attempt\":1}\n{\"time\":"));
}

static void logs_prints_custom_events_if_told_to(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    start_worker(desk);
    enqueue_and_end(desk, "greet", "one", JJ_COMPLETED);
    const char *output = cli_output(&cli, CLI_ARGS("logs", "one", "--events"), ENDING_DONE);
    assert_int_equal(lines_of(output), 3);
    assert_non_null(strstr(output, "Z\t1\tinfo\thello\t{\"n\": 1}\n"));
    assert_non_null(strstr(output, "Z\t1\tevent\thalf "));
    assert_non_null(strstr(output, "way\t[1, 2]\n"));
    assert_non_null(strstr(output, "Z\t1\terror\ttwo"));
    assert_null(strchr(output, '\033'));
    assert_int_equal(lines_of(cli_output(&cli, CLI_ARGS("logs", "one", "-en2"), ENDING_DONE)), 2);
    output = cli_output(&cli, CLI_ARGS("logs", "one", "-e", "--json"), ENDING_DONE);
    assert_non_null(strstr(output, ",\"data\":[1, 2],\"attempt\":1}\n"));
    cli_errors(&cli, CLI_ARGS("logs", "one", "-e", "-f"), ENDING_USAGE);
}

static void stats_counts_by_name_and_status(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    desk_enqueue(desk, "greet", "one", NULL);
    desk_enqueue(desk, "greet", "two", NULL);
    desk_enqueue(desk, "other", "three", NULL);
    assert_int_equal(jj_cancel(desk->asker, "two", NULL), JJ_OK);
    desk_expect_state(desk, "three", JJ_PENDING);
    assert_string_equal(cli_output(&cli, CLI_ARGS("stats"), ENDING_DONE),
                        "greet\t1\t0\t0\t0\t0\t1\nother\t1\t0\t0\t0\t0\t0\n");
    const char *output = cli_output(&cli, CLI_ARGS("stats", "--json"), ENDING_DONE);
    assert_ptr_equal(strstr(output, "{\"names\":{\"greet\":{\"pending\":1,\"scheduled\":0,"),
                     output);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(get_shows_a_line_for_each_thing_that_is_known),
        TEST(get_prints_json_as_a_service_answers_it),
        TEST(a_job_is_found_right_after_another_program_enqueued_it),
        TEST(a_job_that_is_not_known_is_not_found),
        TEST(what_can_be_no_id_is_a_wrong_use),
        TEST(without_an_index_service_there_is_no_answer),
        cmocka_unit_test(asking_makes_no_streams),
        TEST(list_shows_the_newest_first_one_on_a_line),
        TEST(list_chooses_by_status),
        TEST(list_follows_pages_up_to_its_limit),
        TEST(cancel_prints_what_it_has_cancelled),
        TEST(what_is_not_cancelled_is_said_and_the_rest_goes_on),
        TEST(retry_revives_a_failed_job),
        TEST(logs_prints_what_the_handler_logged),
        TEST(logs_prints_custom_events_if_told_to),
        TEST(stats_counts_by_name_and_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

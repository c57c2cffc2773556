/* SPDX-License-Identifier: Apache-2.0 */

/* jetjobs cron: add, list, remove. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "crew.h"
#include "program.h"

static struct cli cli_of(const struct crew *crew)
{
    return (struct cli){.program = JETJOBS_PROGRAM, .url = crew->server.url};
}

#define RARE "0 0 6 1 jan *"

static void what_is_added_is_listed_and_removed(void **state)
{
    struct crew *crew = *state;
    struct cli cli = cli_of(crew);

    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("cron", "list"), ENDING_FAILED),
                           "the broker has no stream JOBS_SCHEDULE"));
    crew_open(crew, NULL);
    assert_string_equal(cli_output(&cli, CLI_ARGS("cron", "list"), ENDING_DONE), "");
    assert_string_equal(
        cli_output(&cli,
                   CLI_ARGS("cron", "add", "report", "{\"kind\":1}", "--id", "year", "--spec", RARE,
                            "--tz", "Europe/Berlin", "--max-attempts", "5"),
                   ENDING_DONE),
        "year\n");
    cli.input = "from stdin";
    assert_string_equal(cli_output(&cli,
                                   CLI_ARGS("cron", "add", "sweep", "-", "--id", "again", "--spec",
                                            "@yearly", "--json"),
                                   ENDING_DONE),
                        "{\"id\":\"again\",\"change\":\"added\"}\n");
    const char *output = cli_output(&cli, CLI_ARGS("cron", "list"), ENDING_DONE);
    assert_memory_equal(output, "again\tsweep\t@yearly\t\t20", 23);
    assert_non_null(strstr(output, "\tfrom stdin\n"));
    assert_non_null(strstr(output, "\nyear\treport\t" RARE "\tEurope/Berlin\t\t{\"kind\":1}\n"));
    output = cli_output(&cli, CLI_ARGS("cron", "list", "report", "--json"), ENDING_DONE);
    assert_null(strstr(output, "again"));
    static const char begin[] = "{\"id\":\"year\",\"name\":\"report\",\"spec\":\"" RARE
                                "\",\"timeZone\":\"Europe/Berlin\",\"data\":{\"kind\":1},"
                                "\"maxAttempts\":5,\"addedAt\":\"20";
    assert_memory_equal(output, begin, sizeof(begin) - 1);
    assert_string_equal(cli_output(&cli, CLI_ARGS("cron", "remove", "year", "again"), ENDING_DONE),
                        "year\nagain\n");
    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("cron", "remove", "year"), ENDING_NOT_FOUND),
                           "there is no recurring schedule 'year'"));
}

static void adding_says_what_it_has_changed(void **state)
{
    struct crew *crew = *state;
    struct cli cli = cli_of(crew);

    for (int i = 0; i < 3; i++) {
        const char *output = cli_output(&cli,
                                        CLI_ARGS("cron", "add", "x", i == 2 ? "new" : "old", "--id",
                                                 "i", "--spec", RARE, "--json"),
                                        ENDING_DONE);
        assert_non_null(strstr(output, i == 0   ? "\"added\""
                                       : i == 1 ? "\"unchanged\""
                                                : "\"replaced\""));
    }
    assert_non_null(strstr(
        cli_errors(&cli, CLI_ARGS("cron", "add", "y", "--id", "i", "--spec", RARE), ENDING_FAILED),
        "a schedule of 'x' already"));
}

static void each_time_makes_a_job(void **state)
{
    struct crew *crew = *state;
    struct cli cli = cli_of(crew);

    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    cli_output(&cli, CLI_ARGS("cron", "add", "beat", "hello", "--id", "p", "--spec", "@every 1s"),
               ENDING_DONE);
    assert_true(crew_wait_runs(crew, "beat", 2));
    assert_string_equal(crew_run(crew, 0).data, "hello");
    assert_memory_equal(crew_run(crew, 0).id, "p-", 2);
    assert_string_equal(cli_output(&cli, CLI_ARGS("cron", "remove", "p", "--json"), ENDING_DONE),
                        "{\"id\":\"p\",\"removed\":true}\n");
}

static void a_terminal_gets_a_table(void **state)
{
    struct crew *crew = *state;
    struct cli cli = cli_of(crew);

    cli_output(&cli, CLI_ARGS("cron", "add", "x", "--id", "i", "--spec", RARE), ENDING_DONE);
    cli.terminal = true;
    const char *output = cli_output(&cli, CLI_ARGS("cron", "list"), ENDING_DONE);
    assert_non_null(strstr(output, "ID"));
    assert_non_null(strstr(output, "SPEC"));
    assert_non_null(strstr(output, RARE));
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    struct cli cli = {.program = JETJOBS_PROGRAM};
    static const struct {
        const char *const args[9];
        const char *text;
    } cases[] = {
        {{"cron"}, "is missing"},
        {{"cron", "stop"}, "'stop' is none of add, list and remove"},
        {{"cron", "add"}, "NAME is missing"},
        {{"cron", "add", "x"}, "--id is missing"},
        {{"cron", "add", "x", "--id", "i"}, "--spec is missing"},
        {{"cron", "add", "x", "d", "e", "--id", "i", "--spec", "@daily"}, "'e' is too much"},
        {{"cron", "add", "x", "--id", "i", "--spec", "0 0 25 * * *"}, "hour '25'"},
        {{"cron", "add", "a.b", "--id", "i", "--spec", "@daily"}, "job name 'a.b'"},
        {{"cron", "list", "--id", "i"}, "takes no options"},
        {{"cron", "list", "x", "y"}, "'y' is too much"},
        {{"cron", "remove"}, "ID is missing"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *args[10] = {0};
        memcpy(args, cases[i].args, sizeof(cases[i].args));
        const char *errors = cli_errors(&cli, args, ENDING_USAGE);
        if (strstr(errors, cases[i].text) == NULL)
            fail_msg("'%s' is not in: %s", cases[i].text, errors);
    }
    cli.url = "nats://127.0.0.1:1";
    cli_errors(&cli, CLI_ARGS("cron", "list"), ENDING_NO_BROKER);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, crew_begin, crew_end)

static const struct server_options guarded = {
    .config = "no_auth_user: boss\n"
              "authorization { users: [ { user: boss, password: x }, { user: bob, password: x,\n"
              "    permissions: { publish: [ jobs.schedule.report ],\n"
              "    subscribe: [ \"_INBOX.>\" ] } } ] }"};

/* A producer, as in broker/permissions.conf. */
static void who_may_not_write_schedules_asks_the_service(void **state)
{
    static const char *const add[] = {"cron", "add",    "report", "1",      "--id",
                                      "year", "--spec", RARE,     "--json", NULL};
    struct crew *crew = *state;
    char url[128];
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = url};
    jj_error err;

    server_restart_with(&crew->server, &guarded);
    server_url_of(&crew->server, "bob:x", url);
    crew_open(crew, &(jj_options){.adapter = &jj_adapter_memory});
    assert_non_null(strstr(cli_errors(&cli, add, ENDING_FAILED), "run one (jetjobs serve)"));
    assert_int_equal(jj_serve(crew->client, &err), JJ_OK);
    assert_string_equal(cli_output(&cli, add, ENDING_DONE),
                        "{\"id\":\"year\",\"change\":\"added\"}\n");
    assert_string_equal(cli_output(&cli, add, ENDING_DONE),
                        "{\"id\":\"year\",\"change\":\"unchanged\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_is_added_is_listed_and_removed),
        STORY(adding_says_what_it_has_changed),
        STORY(each_time_makes_a_job),
        STORY(a_terminal_gets_a_table),
        STORY(who_may_not_write_schedules_asks_the_service),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

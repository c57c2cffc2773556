/* SPDX-License-Identifier: Apache-2.0 */

/* What is printed for people on a terminal, for programs elsewhere, and when nobody can have it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "desk.h"
#include "program.h"
#include "utf8.h"

/* What a hostile job has as its error, log line, data and result. */
#define HOSTILE                                                                                    \
    "\033]0;owned\007\033[2Jred \033[31m\302\233"                                                  \
    "31m \342\200\256txt\342\200\254 \r\b\177"

static struct cli cli_of(const struct desk *desk)
{
    return (struct cli){
        .program = JETJOBS_PROGRAM, .url = desk->crew->server.url, .terminal = true};
}

static jj_verdict be_hostile(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    jj_log(attempt, JJ_LOG_WARN, "\"\302\233\342\200\256\177\"", "%s", HOSTILE);
    return jj_fail(attempt, "%s", HOSTILE);
}

static jj_verdict answer_hostile(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_done(attempt, HOSTILE "\377\0", sizeof(HOSTILE "\377"));
}

/* The jobs "bad", which fails, and "good", which has a result, both hostile. */
static void run_hostile_jobs(struct desk *desk)
{
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "hostile", be_hostile, NULL);
    crew_register(desk->crew, "result", answer_hostile, NULL);
    crew_start(desk->crew);
    desk_enqueue(desk, "hostile", "bad", HOSTILE);
    desk_expect_end(desk, "bad", JJ_FAILED);
    desk_enqueue(desk, "result", "good", "\"\302\233\342\200\256\177\"");
    desk_expect_end(desk, "good", JJ_COMPLETED);
}

/* Nothing but text, line ends and our own colours ("\033[" digits "m") is in it. */
static void expect_tame(const char *output)
{
    size_t len;

    for (const char *at = output; *at != '\0'; at += len) {
        len = 2 + strspn(at[0] == '\033' && at[1] == '[' ? at + 2 : "", "0123456789");
        if (at[0] == '\033' && at[1] == '[' && len <= 4 && at[len] == 'm')
            continue;
        len = jj__utf8_len(at, strlen(at));
        if (len == 0 || (*at != '\n' && *at != '\r' && jj__utf8_acts(jj__utf8_code(at, len))))
            fail_msg("byte %02x acts, in: %s", (unsigned char)*at, output);
        assert_true(*at != '\r' || at[1] == '\n'); /* the terminal adds it */
    }
}

static void what_jobs_say_never_acts_on_a_terminal(void **state)
{
    static const char *const lines[][4] = {
        {"get", "bad"},
        {"get", "good"},
        {"get", "bad", "--json"},
        {"get", "good", "--json"},
        {"list", "hostile"},
        {"list", "result"},
        {"list", "result", "--json"},
        {"list", "hostile", "--json"},
        {"logs", "bad"},
        {"logs", "bad", "--json"},
        {"stats"},
        {"retry", "bad"},
        {"get", HOSTILE},
        {"list", HOSTILE},
        {HOSTILE},
        {"enqueue", HOSTILE},
        {"cancel", HOSTILE, "bad"},
        {"--" HOSTILE},
    };
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    run_hostile_jobs(desk);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct process *process;
        cli_run(&cli, lines[i], &process);
        assert_true(process_output_len(process) > 0);
        expect_tame(process_output(process));
        process_free(process);
    }
}

static void tables_have_titles_and_colours_on_a_terminal(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    run_hostile_jobs(desk);
    const char *output = cli_output(&cli, CLI_ARGS("list", "hostile"), ENDING_DONE);
    assert_ptr_equal(strstr(output, "\033[1mID\033[0m   \033[1mSTATUS\033[0m"), output);
    assert_non_null(strstr(output, "\nbad  \033[31mfailed\033[0m       1/3  "));
}

static void there_are_no_colours_where_they_are_not_wanted(void **state)
{
    static const char *const reasons[] = {"NO_COLOR=1", "TERM=dumb", "TERM"};
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    run_hostile_jobs(desk);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        cli.more_env = reasons[i];
        const char *output = cli_output(&cli, CLI_ARGS("list", "hostile"), ENDING_DONE);
        assert_null(strchr(output, '\033'));
        assert_ptr_equal(strstr(output, "ID   STATUS  ATTEMPTS"), output);
    }
    cli.more_env = "NO_COLOR=";
    assert_non_null(strchr(cli_output(&cli, CLI_ARGS("list", "hostile"), ENDING_DONE), '\033'));
}

/* The longest line, in characters, of what was printed without colours. */
static size_t widest(const char *output)
{
    size_t most = 0;
    size_t columns = 0;

    for (; *output != '\0'; output++) {
        if (((unsigned char)*output & 0xC0) != 0x80 && *output != '\r')
            columns++;
        if (*output == '\n') {
            most = columns - 1 > most ? columns - 1 : most;
            columns = 0;
        }
    }
    return most;
}

static void tables_fit_the_terminal(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    run_hostile_jobs(desk);
    cli.more_env = "NO_COLOR=1";
    for (unsigned short columns = 40; columns < 160; columns = (unsigned short)(columns + 17)) {
        cli.columns = columns;
        const char *output = cli_output(&cli, CLI_ARGS("list", "hostile"), ENDING_DONE);
        assert_true(widest(output) <= columns);
    }
    cli.columns = 50;
    assert_non_null(strstr(cli_output(&cli, CLI_ARGS("list", "hostile"), 0), "\xE2\x80\xA6"));
    cli.columns = 300;
    assert_null(strstr(cli_output(&cli, CLI_ARGS("list", "hostile"), 0), "\xE2\x80\xA6"));
}

static void elsewhere_a_table_is_whole_and_plain(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    run_hostile_jobs(desk);
    cli.terminal = false;
    cli.more_env = "COLUMNS=40";
    const char *output = cli_output(&cli, CLI_ARGS("list", "hostile"), ENDING_DONE);
    assert_null(strchr(output, '\033'));
    assert_null(strstr(output, "\xE2\x80\xA6"));
    assert_ptr_equal(strstr(output, "bad\tfailed\t1/3\t"), output);
    assert_non_null(strstr(output, "Z\t\\x1b]0;owned\\x07\\x1b[2Jred "));
}

static void that_there_are_more_jobs_is_said_to_people(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);

    for (int i = 0; i < 3; i++)
        jj_job_free(desk_get(desk, desk_enqueue(desk, "mail", NULL, NULL)));
    assert_non_null(strstr(cli_output(&cli, CLI_ARGS("list", "mail", "-n2"), ENDING_DONE),
                           "jetjobs: there are more: 'jetjobs list mail --limit 0' shows all"));
    assert_null(strstr(cli_output(&cli, CLI_ARGS("list", "mail", "-n3"), ENDING_DONE), "more"));
}

/* ---- when nobody can have it ---- */

static void a_full_disk_is_told(void **state)
{
    struct desk *desk = *state;
    const char *const argv[] = {"sh",
                                "-c",
                                "exec \"$0\" \"$@\" >/dev/full",
                                JETJOBS_PROGRAM,
                                "--url",
                                desk->crew->server.url,
                                "stats",
                                NULL};
    struct process *process;

    desk_enqueue(desk, "mail", NULL, NULL);
    jj_job_free(desk_get(desk, desk_enqueue(desk, "mail", NULL, NULL)));
    assert_int_equal(process_run(argv, &process), ENDING_FAILED);
    assert_string_equal(process_errors(process), "jetjobs: stdout: No space left on device\n");
    process_free(process);
}

static void a_reader_that_has_had_enough_ends_it_quietly(void **state)
{
    enum { MANY = 3000 };
    struct desk *desk = *state;
    jj_spec *specs = calloc(MANY, sizeof(*specs));
    const char *const argv[] = {"sh",
                                "-c",
                                "{ \"$0\" \"$@\"; echo $? >&2; } | head -n 1",
                                JETJOBS_PROGRAM,
                                "--url",
                                desk->crew->server.url,
                                "list",
                                "mail",
                                "--limit=0",
                                NULL};
    struct process *process;

    assert_non_null(specs);
    for (size_t i = 0; i < MANY; i++)
        specs[i] = (jj_spec){.name = "mail"};
    assert_int_equal(jj_enqueue_many(desk->asker, specs, MANY, NULL, NULL, NULL), JJ_OK);
    jj_job_free(desk_get(desk, desk_enqueue(desk, "mail", NULL, NULL)));
    assert_int_equal(process_run(argv, &process), 0);
    assert_string_equal(process_errors(process), "0\n");
    process_free(process);
    free(specs);
}

static void a_terminal_that_is_gone_ends_it(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "none", "--wait"));

    assert_true(crew_wait_backlog(desk->crew, 1));
    process_hang_up(process);
    assert_true(process_wait(process, 0) != ENDING_DONE);
    process_free(process);
}

static void an_interrupt_ends_it(void **state)
{
    struct desk *desk = *state;
    struct cli cli = cli_of(desk);
    struct process *process = cli_start(&cli, CLI_ARGS("enqueue", "none", "--wait"));

    assert_true(crew_wait_backlog(desk->crew, 1));
    process_type(process, "\003");
    assert_int_equal(process_wait(process, 0), -2);
    process_free(process);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_jobs_say_never_acts_on_a_terminal),
        TEST(tables_have_titles_and_colours_on_a_terminal),
        TEST(there_are_no_colours_where_they_are_not_wanted),
        TEST(tables_fit_the_terminal),
        TEST(elsewhere_a_table_is_whole_and_plain),
        TEST(that_there_are_more_jobs_is_said_to_people),
        TEST(a_full_disk_is_told),
        TEST(a_reader_that_has_had_enough_ends_it_quietly),
        TEST(a_terminal_that_is_gone_ends_it),
        TEST(an_interrupt_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

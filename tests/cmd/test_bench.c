/* SPDX-License-Identifier: Apache-2.0 */

/* "jetjobs bench": figures for all four measures, and nothing is left but history. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli.h"
#include "crew.h"
#include "program.h"

static struct cli cli_of(const struct crew *crew)
{
    return (struct cli){.program = JETJOBS_PROGRAM, .url = crew->server.url};
}

static size_t consumers_of_jobs(struct crew *crew)
{
    json_t *answer = nats_client_api(crew->stranger, "CONSUMER.NAMES.JOBS", NULL);
    size_t count = json_array_size(json_object_get(answer, "consumers"));

    json_decref(answer);
    return count;
}

static size_t streams(struct crew *crew)
{
    json_t *answer = nats_client_api(crew->stranger, "STREAM.NAMES", NULL);
    size_t count = json_array_size(json_object_get(answer, "streams"));

    json_decref(answer);
    return count;
}

static void assert_nothing_is_left(struct crew *crew)
{
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 0);
    assert_int_equal(consumers_of_jobs(crew), 0);
    assert_int_equal(streams(crew), 3);
}

static void assert_is_pair(const json_t *result, const char *key)
{
    const json_t *pair = json_object_get(result, key);

    assert_true(json_integer_value(json_object_get(pair, "perSecond")) > 0);
    assert_true(json_integer_value(json_object_get(pair, "plainPerSecond")) > 0);
    assert_true(json_real_value(json_object_get(pair, "ratio")) > 0);
}

static void it_measures_and_leaves_nothing_but_history(void **state)
{
    struct crew *crew = *state;
    const struct cli cli = cli_of(crew);
    const char *output = cli_output(
        &cli, CLI_ARGS("bench", "-n", "1500", "--payload", "2KiB", "--json"), ENDING_DONE);
    json_t *result = json_loads(output, 0, NULL);

    assert_int_equal(json_integer_value(json_object_get(result, "jobs")), 1500);
    assert_int_equal(json_integer_value(json_object_get(result, "payload")), 2048);
    assert_is_pair(result, "enqueue");
    assert_is_pair(result, "life");
    json_decref(result);
    assert_nothing_is_left(crew);
    assert_true(nats_client_stream_messages(crew->stranger, "JOBS_EVENTS") > 0);
}

static void without_json_it_prints_a_line_for_each(void **state)
{
    struct crew *crew = *state;
    const struct cli cli = cli_of(crew);
    const char *output = cli_output(&cli, CLI_ARGS("bench", "--jobs=10"), ENDING_DONE);

    assert_memory_equal(output, "enqueue\t", 8);
    assert_non_null(strstr(output, "\tpublish\t"));
    assert_non_null(strstr(output, "\nwhole life\t"));
    assert_non_null(strstr(output, "\tfetch and ack\t"));
}

static void data_that_is_too_large_is_refused_and_nothing_is_left(void **state)
{
    struct crew *crew = *state;
    const struct cli cli = cli_of(crew);

    cli_errors(&cli, CLI_ARGS("bench", "-n", "2", "--payload", "1046000"), ENDING_FAILED);
    assert_nothing_is_left(crew);
}

static bool some_are_enqueued(void *ctx)
{
    struct crew *crew = ctx;

    return nats_client_stream_messages(crew->stranger, "JOBS") > 0;
}

static void interrupted_it_runs_what_it_enqueued_and_prints_nothing(void **state)
{
    struct crew *crew = *state;
    const struct cli cli = cli_of(crew);
    cli_output(&cli, CLI_ARGS("provision"), ENDING_DONE);
    struct process *process = cli_start(&cli, CLI_ARGS("bench", "-n", "30000"));

    assert_true(wait_until(some_are_enqueued, crew, WAIT_MS));
    process_signal(process, SIGINT);
    assert_int_equal(process_wait(process, 0), ENDING_FAILED);
    assert_string_equal(process_output(process), "");
    process_free(process);
    assert_nothing_is_left(crew);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_measures_and_leaves_nothing_but_history),
        STORY(without_json_it_prints_a_line_for_each),
        STORY(data_that_is_too_large_is_refused_and_nothing_is_left),
        STORY(interrupted_it_runs_what_it_enqueued_and_prints_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

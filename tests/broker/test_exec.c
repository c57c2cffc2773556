/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of handlers that are programs: what they get, what they say, how they end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

/* What all stories listen to. */
struct ears {
    struct listener *completed, *failed, *retrying, *log;
};

static struct ears open_ears(struct crew *crew)
{
    return (struct ears){
        .completed = nats_client_listen(crew->stranger, "job.x.completed", NULL),
        .failed = nats_client_listen(crew->stranger, "job.x.failed", NULL),
        .retrying = nats_client_listen(crew->stranger, "job.x.retrying", NULL),
        .log = nats_client_listen(crew->stranger, "job.x.log", NULL),
    };
}

static void close_ears(struct ears *ears)
{
    listener_close(ears->completed);
    listener_close(ears->failed);
    listener_close(ears->retrying);
    listener_close(ears->log);
}

static void register_exec(struct crew *crew, const jj_exec_options *exec,
                          const jj_handler_options *options)
{
    jj_error err;

    if (jj_register_exec(crew->client, "x", exec, options, &err) != JJ_OK)
        fail_msg("jj_register_exec: %s", err.text);
}

/* A client whose jobs "x" are run by a shell, started. */
static void begin_with(struct crew *crew, const char *script, const jj_exec_options *more,
                       const jj_handler_options *options)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    jj_exec_options exec = {0};

    if (more != NULL)
        exec = *more;
    exec.argv = argv;
    if (crew->client == NULL)
        crew_open(crew, NULL);
    register_exec(crew, &exec, options);
    crew_start(crew);
}

static void begin(struct crew *crew, const char *script)
{
    begin_with(crew, script, NULL, NULL);
}

static void expect_completed(struct ears *ears, size_t at, const char *result)
{
    assert_true(listener_wait(ears->completed, at + 1));
    assert_string_equal(event_member(listener_get(ears->completed, at), "result"), result);
}

static void expect_error(struct listener *listener, const char *error)
{
    assert_true(listener_wait(listener, 1));
    assert_string_equal(event_member(listener_get(listener, 0), "error"), error);
}

/* ---- what it gets, and its result ---- */

static void the_data_is_its_input_and_its_output_the_result(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "cat");
    crew_enqueue(crew, "x", "{\"to\": \"bob\"}");
    expect_completed(&ears, 0, "{\"to\":\"bob\"}");
    close_ears(&ears);
}

static void output_that_is_no_json_is_a_string(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "cat");
    crew_enqueue(crew, "x", "hello \"world\"\nand all\n\n");
    expect_completed(&ears, 0, "hello \"world\"\nand all");
    crew_enqueue(crew, "x", "a\xFFz");
    expect_completed(&ears, 1, "a\xEF\xBF\xBDz");
    close_ears(&ears);
}

/* ---- how it ends ---- */

static void a_status_that_is_not_zero_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew, "echo first >&2; echo 'smtp: 451' >&2; exit 7", NULL,
               &(jj_handler_options){.max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.retrying, "smtp: 451");
    expect_error(ears.failed, "smtp: 451");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "2");
    close_ears(&ears);
}

static void status_100_fails_the_job_for_good(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "echo 'no such user' >&2; exit 100");
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "no such user");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    close_ears(&ears);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_data_is_its_input_and_its_output_the_result),
        STORY(output_that_is_no_json_is_a_string),
        STORY(a_status_that_is_not_zero_is_a_failed_attempt),
        STORY(status_100_fails_the_job_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

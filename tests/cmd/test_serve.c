/* SPDX-License-Identifier: Apache-2.0 */

/* "jetjobs serve": the index service as its operator sees it. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stage.h"

static struct process *start_index(struct stage *stage, const char *file)
{
    const char *const argv[] = {JETJOBS_PROGRAM, "--url", stage->url, "serve",
                                "--index",       file,    NULL};
    const struct process_options options = {.dir = stage->dir};

    return process_start(argv, &options);
}

static void start_ready_index(struct stage *stage)
{
    stage->process = start_index(stage, "a.db");
    assert_true(process_wait_errors(stage->process, "answers requests from a.db"));
}

/* What the service says of a job that was enqueued. */
static void assert_answers(struct stage *stage)
{
    char seq[32], request[64];
    const jj_header known = {"Jobs-Seq", seq};
    const struct note ask = {
        .subject = "jobs.get", .data = request, .headers = &known, .header_count = 1};

    snprintf(seq, sizeof(seq), "%llu",
             (unsigned long long)nats_client_store_text(stage->stranger, "jobs.enqueue.greet", ""));
    snprintf(request, sizeof(request), "{\"id\":\"%s\"}", seq);
    json_t *job = nats_client_ask(stage->stranger, &ask);
    assert_string_equal(json_string_value(json_object_get(job, "status")), "pending");
    json_decref(job);
}

static void it_answers_and_ends(void **state)
{
    struct stage *stage = *state;

    start_ready_index(stage);
    assert_answers(stage);
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "no handlers to read again"));
    assert_answers(stage);
    assert_int_equal(stage_stop(stage->process), 0);
    assert_string_equal(process_output(stage->process), "");
}

static void its_file_is_where_the_configuration_says(void **state)
{
    struct stage *stage = *state;
    char path[STAGE_PATH_SIZE];

    stage_configure(stage, "index: { path: here.db }\n");
    stage->process = stage_start(stage, "serve", NULL);
    stage_path(stage, "here.db", path);
    assert_true(process_wait_errors(stage->process, path));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(stage_stop(stage->process), 0);
}

static void a_file_that_is_in_use_names_who_uses_it(void **state)
{
    struct stage *stage = *state;
    char holder[64];

    start_ready_index(stage);
    struct process *second = start_index(stage, "a.db");
    assert_int_equal(process_wait(second, 0), 1);
    snprintf(holder, sizeof(holder), "%ld", (long)process_pid(stage->process));
    assert_non_null(strstr(process_errors(second), "a.db' is in use by pid"));
    assert_non_null(strstr(process_errors(second), holder));
    process_free(second);
    assert_answers(stage);
}

static void a_file_that_can_t_be_made_is_an_error(void **state)
{
    struct stage *stage = *state;

    stage->process = start_index(stage, "no/such/folder.db");
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "no/such/folder.db"));
}

/* Requests go on being answered while one of two is killed and comes back. */
static void several_share_the_requests(void **state)
{
    struct stage *stage = *state;

    start_ready_index(stage);
    struct process *second = start_index(stage, "b.db");
    assert_true(process_wait_errors(second, "answers requests from b.db"));
    for (int i = 0; i < 10; i++)
        assert_answers(stage);
    assert_int_equal(stage_stop(second), 0);
    process_free(second);
    for (int i = 0; i < 10; i++)
        assert_answers(stage);
    second = start_index(stage, "b.db");
    assert_true(process_wait_errors(second, "answers requests from b.db"));
    assert_int_equal(stage_stop(stage->process), 0);
    for (int i = 0; i < 10; i++)
        assert_answers(stage);
    process_free(second);
}

static void it_waits_for_its_broker(void **state)
{
    struct stage *stage = *state;

    server_stop(&stage->server);
    stage->process = start_index(stage, "a.db");
    assert_true(process_wait_errors(stage->process, "index: waiting: no broker at nats://127"));
    server_restart(&stage->server);
    assert_true(process_wait_errors(stage->process, "answers requests from a.db"));
    nats_client_settle(stage->stranger);
    assert_answers(stage);
    assert_int_equal(stage_stop(stage->process), 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_answers_and_ends),
        STORY(its_file_is_where_the_configuration_says),
        STORY(a_file_that_is_in_use_names_who_uses_it),
        STORY(a_file_that_can_t_be_made_is_an_error),
        STORY(several_share_the_requests),
        STORY(it_waits_for_its_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

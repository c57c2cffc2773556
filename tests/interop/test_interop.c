/* SPDX-License-Identifier: Apache-2.0 */

/* The examples in other languages do what they say, beside a worker that sends their jobs where
 * their jetjobs.yaml says, and an index service. Each is copied to a folder of the test's own.
 * JETJOBS_SOURCE is the source tree, NODE_FOLDER where the packages of the example in Node are. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crew.h"
#include "process.h"

#define INSTALL_MS (10 * 60 * 1000)

static void run(const char *const argv[])
{
    struct process *process = NULL;
    int status = process_run(argv, &process);

    if (status != 0)
        fail_msg("%s gave %d: %s", argv[0], status, process_errors(process));
    process_free(process);
}

/* Copy an example: out is its folder. */
static void copy_example(struct crew *crew, const char *example, char out[TEMP_PATH_SIZE])
{
    char root[TEMP_PATH_SIZE];
    const char *const copy[] = {"sh",
                                "-c",
                                "mkdir -p \"$1\"/examples \"$1\"/broker && "
                                "cp " JETJOBS_SOURCE "/broker/jetjobs.proto \"$1\"/broker && "
                                "cp -R " JETJOBS_SOURCE "/examples/\"$2\" \"$1\"/examples && "
                                "rm -rf \"$1\"/examples/\"$2\"/node_modules",
                                "copy",
                                root,
                                example,
                                NULL};

    snprintf(root, sizeof(root), "%.200s/copy", crew->server.dir);
    run(copy);
    snprintf(out, TEMP_PATH_SIZE, "%.200s/copy/examples/%s", crew->server.dir, example);
}

/* Be the worker and the index service. exec: NULL, or a program for the jobs "countWords". */
static void work(struct crew *crew, const char *name, const char *subject, const char *exec)
{
    const jj_options options = {.adapter = &jj_adapter_memory, .backoff_initial_ms = 100};
    const jj_handler_options handling = {.timeout_ms = WAIT_MS};
    const char *const argv[] = {exec, NULL};
    const jj_exec_options program = {.argv = argv};
    jj_error err = {0};

    crew_open(crew, &options);
    jj_status s = jj_register_request(crew->client, name, subject, &handling, &err);
    if (s == JJ_OK && exec != NULL)
        s = jj_register_exec(crew->client, "countWords", &program, &handling, &err);
    if (s == JJ_OK)
        s = jj_start(crew->client, &err);
    if (s == JJ_OK)
        s = jj_serve(crew->client, &err);
    if (s != JJ_OK)
        fail_msg("%s", err.text);
}

/* Run the demo to its good end: it has printed all of these, which end with NULL. */
static void expect_demo(const char *const argv[], const char *dir, const char *const parts[])
{
    const struct process_options options = {.dir = dir};
    struct process *process = process_start(argv, &options);

    int status = process_wait(process, 2 * WAIT_MS);
    if (status != 0)
        fail_msg("status %d: %s%s", status, process_output(process), process_errors(process));
    for (size_t i = 0; parts[i] != NULL; i++)
        if (strstr(process_output(process), parts[i]) == NULL)
            fail_msg("it did not print '%s', but: %s", parts[i], process_output(process));
    process_free(process);
}

/* ---- Node ---- */

/* False where there is no Node. */
static bool install_packages(void)
{
    const char *const argv[] = {JETJOBS_SOURCE "/tests/interop/npm_install", NODE_FOLDER, NULL};
    struct process *process = process_start(argv, NULL);
    int status = process_wait(process, INSTALL_MS);

    if (status == 77)
        print_message("%s", process_output(process));
    else if (status != 0)
        fail_msg("npm_install gave %d: %s%s", status, process_output(process),
                 process_errors(process));
    process_free(process);
    return status == 0;
}

static void a_client_in_node_needs_no_library(void **state)
{
    struct crew *crew = *state;
    const char *const node[] = {"node", "demo.js", crew->server.url, NULL};
    const char *const parts[] = {
        "live: retrying: not in the mood\n",
        "completed: {\"greeting\":\"hello, Ada\"}\n"
        "enqueued twice: a duplicate\n",
        "failed: nobody to greet\n"
        "scheduled: scheduled\n",
        "completed: {\"greeting\":\"hello, Bob\"}\n"
        "started in time: true attempts: 2\n",
        "cancel: {\"cancelled\":true}\n",
        "now: cancelled\n",
        "stored: 1st completed {\"greeting\":\"hello, Ada\"}\n",
        "stored: 2nd failed \n",
        "stored: 4th cancelled \n",
        NULL,
    };

    if (!install_packages())
        skip();
    char folder[TEMP_PATH_SIZE], link[TEMP_PATH_SIZE + 64];
    copy_example(crew, "node", folder);
    snprintf(link, sizeof(link), "%s/node_modules", folder);
    const char *const ln[] = {"ln", "-s", NODE_FOLDER "/node_modules", link, NULL};
    run(ln);
    work(crew, "greet", "svc.greet", NULL);
    expect_demo(node, folder, parts);
}

/* ---- the shell ---- */

static void a_shell_will_do(void **state)
{
    struct crew *crew = *state;
    const char *const parts[] = {
        "completed: {\"words\":4}\n",
        "live: started\n",
        "completed: HELLO\n",
        "failed: nothing to shout\n",
        "scheduled: JOBS_SCHEDULE\n",
        "completed: LATER\n",
        "cancelled: true\n",
        "live: cancelled\n",
        "stored: result \\\"HELLO\\\"\n",
        NULL,
    };

    const char *host = crew->server.url + strlen("nats://");
    char folder[TEMP_PATH_SIZE], program[TEMP_PATH_SIZE + 16];
    const char *const service[] = {"./serve_shout", host, NULL};
    const char *const demo[] = {"./demo", host, NULL};

    copy_example(crew, "shell", folder);
    const struct process_options options = {.dir = folder};
    snprintf(program, sizeof(program), "%s/count_words", folder);
    work(crew, "shout", "svc.shout", program);
    struct process *shout = process_start(service, &options);
    assert_true(process_wait_output(shout, "ready"));
    expect_demo(demo, folder, parts);
    process_free(shout);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_client_in_node_needs_no_library),
        STORY(a_shell_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

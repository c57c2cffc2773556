/* SPDX-License-Identifier: Apache-2.0 */

/* The examples in other languages do what they say, beside a worker that sends their jobs where
 * their jetjobs.yaml says, and an index service. Each is copied to a folder of the test's own.
 * JETJOBS_SOURCE is the source tree, NODE_FOLDER where the packages of the example in Node are,
 * CONFORMANCE the judge of the wire contract. */

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

/* Copy the example with its packages; mistake: NULL, or one for sed to make in jobs.js. */
static void copy_node(struct crew *crew, const char *mistake, char folder[TEMP_PATH_SIZE])
{
    char file[TEMP_PATH_SIZE + 64], link[TEMP_PATH_SIZE + 64];
    const char *const sed[] = {"sed", "-i", mistake, file, NULL};
    const char *const ln[] = {"ln", "-sfn", NODE_FOLDER "/node_modules", link, NULL};

    copy_example(crew, "node", folder);
    snprintf(file, sizeof(file), "%s/jobs.js", folder);
    snprintf(link, sizeof(link), "%s/node_modules", folder);
    run(ln);
    if (mistake != NULL)
        run(sed);
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
    char folder[TEMP_PATH_SIZE];
    copy_node(crew, NULL, folder);
    work(crew, "greet", "svc.greet", NULL);
    expect_demo(node, folder, parts);
}

/* The client in Node that is judged: each job reaches one of the two that serve. */
static const char produce[] =
    "import { connect } from '@nats-io/transport-node';"
    "import { enqueue, schedule } from './jobs.js';"
    "const nc = await connect({ servers: process.argv[1] });"
    "await enqueue(nc, 'greet', { name: 'Ada' }, { maxAttempts: 5 });"
    "await schedule(nc, 'greet', { name: 'Bob' }, new Date(Date.now() + 3600_000));"
    "await nc.close();";
static const char serve[] =
    "import { connect } from '@nats-io/transport-node';"
    "import { Permanent, serve } from './jobs.js';"
    "const nc = await connect({ servers: process.argv[1] });"
    "const greet = (data) => {"
    "  if (typeof data?.name !== 'string') throw new Permanent('nobody to greet');"
    "  return `hello, ${data.name}`;"
    "};"
    "serve(nc, 'svc.greet', greet);"
    "serve(nc, 'svc.greet', greet);"
    "await nc.flush();"
    "console.log('ready');";

/* A mistake that is put into the client, as sed has it, and what the judge says; no mistake: it
 * has nothing to say. */
struct judgement {
    const char *mistake, *said;
};

static struct process *start_node(struct crew *crew, const char *folder, const char *script)
{
    const char *const argv[] = {"node", "--input-type=module", "-e",
                                script, crew->server.url,      NULL};

    return process_start(argv, &(struct process_options){.dir = folder});
}

static struct process *start_judge(struct crew *crew, const char *mode, const char *what,
                                   const char *option, const char *value)
{
    const char *const argv[] = {CONFORMANCE, "--url", crew->server.url, "--timeout", "60",
                                mode,        what,    option,           value,       NULL};

    return process_start(argv, NULL);
}

static void expect_verdict(struct process *judge, const struct judgement *expected)
{
    int status = process_wait(judge, 3 * WAIT_MS);

    if (status != (expected->mistake == NULL ? 0 : 1) ||
        strstr(process_output(judge), expected->said) == NULL)
        fail_msg("'%s' gave %d: %s", expected->said, status, process_output(judge));
    process_free(judge);
}

static void judge_producer(struct crew *crew, const char *folder, const struct judgement *expected)
{
    struct process *judge = start_judge(crew, "producer", "greet", "--count", "2");
    assert_true(process_wait_errors(judge, "listening"));
    struct process *producer = start_node(crew, folder, produce);

    expect_verdict(judge, expected);
    process_free(producer);
}

static void judge_handler(struct crew *crew, const char *folder, const struct judgement *expected)
{
    struct process *handler = start_node(crew, folder, serve);
    assert_true(process_wait_output(handler, "ready"));

    expect_verdict(start_judge(crew, "handler", "svc.greet", "--data", "{\"name\":\"Ada\"}"),
                   expected);
    process_free(handler);
}

static void a_client_in_node_is_judged(void **state)
{
    static const struct judgement producers[] = {
        {NULL, "0 broken, 0 advised otherwise"},
        {"s/Job-Max-Attempts/Job-Attempts-Max/", "BROKEN  known-names: 'Job-Attempts-Max'"},
        {"s/Job-Run-At/job-run-at/", "BROKEN  exact-names: 'job-run-at'"},
        {"s/jobs\\.due/jobs.enqueue/", "BROKEN  schedule-target: it is 'jobs.enqueue.greet'"},
    };
    static const struct judgement handlers[] = {
        {NULL, "0 broken, 0 advised otherwise"},
        {"s/\"400\"/\"no name\"/", "BROKEN  error-code: the code is 'no name'"},
        {"s/queue: \"handlers\",//", "BROKEN  answered-once: a plain job: 2 answers"},
    };
    struct crew *crew = *state;
    char folder[TEMP_PATH_SIZE];

    if (!install_packages())
        skip();
    crew_open(crew, NULL); /* makes the streams */
    for (size_t i = 0; i < sizeof(producers) / sizeof(producers[0]); i++) {
        copy_node(crew, producers[i].mistake, folder);
        judge_producer(crew, folder, &producers[i]);
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        copy_node(crew, handlers[i].mistake, folder);
        judge_handler(crew, folder, &handlers[i]);
    }
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
    expect_verdict(start_judge(crew, "handler", "svc.shout", "--data", "hello"),
                   &(struct judgement){NULL, "0 broken, 0 advised otherwise"});
    expect_demo(demo, folder, parts);
    process_free(shout);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_client_in_node_needs_no_library),
        STORY(a_client_in_node_is_judged),
        STORY(a_shell_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* "jetjobs worker": the daemon as its operator sees it. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "stage.h"

/* Start a worker on the stage's configuration, and wait until it runs. */
static void start_worker(struct stage *stage)
{
    stage->process = stage_start(stage, "worker", NULL);
    assert_true(process_wait_errors(stage->process, "takes jobs for"));
}

static const char greeting[] = "handlers:\n"
                               "- name: greet\n"
                               "  exec: [./greet.sh, hello]\n";

static void configure_greeting(struct stage *stage)
{
    stage_write(stage, "greet.sh", "#!/bin/sh\nread -r who\necho \"$1, $who\"\n", 0755);
    stage_configure(stage, greeting);
}

/* ---- jobs ---- */

static void it_runs_the_handlers_of_its_configuration(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.greet.completed", NULL);

    configure_greeting(stage);
    start_worker(stage);
    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"result\":\"hello, world\""));
    assert_int_equal(stage_stop(stage->process), 0);
    assert_string_equal(process_output(stage->process), "");
    listener_close(done);
}

static void a_program_that_is_not_there_fails_the_attempt(void **state)
{
    struct stage *stage = *state;
    struct listener *retrying = nats_client_listen(stage->stranger, "job.greet.retrying", NULL);

    stage_configure(stage, greeting);
    start_worker(stage);
    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(retrying, 1));
    assert_non_null(strstr(listener_get(retrying, 0)->data, "greet.sh"));
    listener_close(retrying);
}

/* ---- the broker ---- */

static void it_waits_for_its_broker(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.greet.completed", NULL);

    configure_greeting(stage);
    server_stop(&stage->server);
    stage->process = stage_start(stage, "worker", NULL);
    assert_true(process_wait_errors(stage->process, "worker: waiting: no broker at nats://127"));
    server_restart(&stage->server);
    assert_true(process_wait_errors(stage->process, "takes jobs for greet"));
    nats_client_settle(stage->stranger);
    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(done, 1));
    listener_close(done);
}

static void it_can_be_stopped_while_it_waits(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    server_stop(&stage->server);
    stage->process = stage_start(stage, "worker", NULL);
    assert_true(process_wait_errors(stage->process, "waiting: no broker"));
    process_signal(stage->process, SIGINT);
    assert_int_equal(process_wait(stage->process, 0), 0);
}

static void it_does_not_wait_for_a_broker_that_refuses_it(void **state)
{
    struct stage *stage = *state;
    const struct server_options users = {.config = "authorization { user: u, password: right }"};

    configure_greeting(stage);
    nats_client_close(stage->stranger);
    stage->stranger = NULL;
    server_restart_with(&stage->server, &users);
    server_url_of(&stage->server, "u:wr0ng", stage->url);
    stage->process = stage_start(stage, "worker", NULL);
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "uthorization"));
    assert_null(strstr(process_errors(stage->process), "wr0ng"));
}

/* ---- stopping ---- */

static const char waiting[] = "worker: { shutdown_grace: 1m }\n"
                              "handlers:\n"
                              "- { name: wait, exec: [./wait.sh, old] }\n";

static void start_waiting_job(struct stage *stage, const char *config)
{
    struct listener *started = nats_client_listen(stage->stranger, "job.wait.started", NULL);

    stage_add_gate(stage);
    stage_configure(stage, config);
    start_worker(stage);
    stage_enqueue(stage, "wait", "x");
    assert_true(listener_wait(started, 1));
    listener_close(started);
}

static void it_waits_for_running_jobs(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.wait.completed", NULL);

    start_waiting_job(stage, waiting);
    process_signal(stage->process, SIGTERM);
    assert_true(process_wait_errors(stage->process, "SIGTERM: stopping; once more: at once"));
    assert_true(process_wait_errors(stage->process, "waits for jobs that run: 1"));
    stage_open_gate(stage, "go");
    assert_int_equal(process_wait(stage->process, 0), 0);
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"old go\""));
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    listener_close(done);
}

/* Another worker gets it at once, as the same attempt. */
static void assert_given_back(struct stage *stage)
{
    struct listener *done = nats_client_listen(stage->stranger, "job.wait.completed", NULL);

    assert_int_equal(nats_client_stream_messages(stage->stranger, "JOBS"), 1);
    process_free(stage->process);
    start_worker(stage);
    stage_open_gate(stage, "again");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"attempts\":1"));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"old again\""));
    listener_close(done);
}

static void a_second_signal_gives_running_jobs_back(void **state)
{
    struct stage *stage = *state;

    start_waiting_job(stage, waiting);
    process_signal(stage->process, SIGTERM);
    assert_true(process_wait_errors(stage->process, "waits for jobs that run: 1"));
    process_signal(stage->process, SIGINT);
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "SIGINT: stopping at once"));
    assert_non_null(strstr(process_errors(stage->process), "were given back"));
    assert_given_back(stage);
}

static void after_the_grace_jobs_are_given_back(void **state)
{
    struct stage *stage = *state;

    start_waiting_job(stage, "worker: { shutdown_grace: 100ms }\n"
                             "handlers:\n"
                             "- { name: wait, exec: [./wait.sh, old] }\n");
    process_signal(stage->process, SIGTERM);
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "not over after 100 ms"));
    assert_given_back(stage);
}

static void a_terminal_that_is_gone_ends_it(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};

    configure_greeting(stage);
    stage->process = stage_start(stage, "worker", &options);
    assert_true(process_wait_output(stage->process, "takes jobs for"));
    process_hang_up(stage->process);
    assert_int_equal(process_wait(stage->process, 0), 0);
}

static void ctrl_c_ends_it(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};

    configure_greeting(stage);
    stage->process = stage_start(stage, "worker", &options);
    assert_true(process_wait_output(stage->process, "takes jobs for"));
    process_type(stage->process, "\003");
    assert_int_equal(process_wait(stage->process, 0), 0);
}

/* ---- its configuration ---- */

static void handlers_are_read_again(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.*.completed", NULL);

    start_waiting_job(stage, waiting);
    stage_write(stage, "say.sh", "#!/bin/sh\necho \"$1\"\n", 0755);
    stage_configure(stage, "handlers:\n"
                           "- { name: wait, exec: [./say.sh, new] }\n"
                           "- { name: more, exec: [./say.sh, more] }\n");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "SIGHUP: the handlers are now: wait, more"));
    assert_true(process_wait_errors(stage->process, "waits for jobs that run: 1")); /* the old */
    stage_enqueue(stage, "wait", "y");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"new\""));
    stage_enqueue(stage, "more", "z");
    assert_true(listener_wait(done, 2));
    assert_non_null(strstr(listener_get(done, 1)->data, "\"more\""));
    stage_open_gate(stage, "end"); /* for the one that began before */
    assert_true(listener_wait(done, 3));
    assert_non_null(strstr(listener_get(done, 2)->data, "\"old end\""));
    assert_int_equal(stage_stop(stage->process), 0);
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    listener_close(done);
}

static void a_handler_that_is_gone_takes_no_more_jobs(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.*.completed", NULL);

    configure_greeting(stage);
    start_worker(stage);
    stage_configure(stage, "handlers:\n- { name: other, exec: [\"true\"] }\n");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "the handlers are now: other"));
    assert_true(nats_client_wait_consumer(stage->stranger, "JOBS", "greet", "num_waiting", 0));
    stage_enqueue(stage, "greet", "world");
    stage_enqueue(stage, "other", "x");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"other\""));
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 1));
    listener_close(done);
}

static void a_wrong_file_changes_nothing(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.greet.completed", NULL);

    configure_greeting(stage);
    start_worker(stage);
    stage_configure(stage, "handlers:\n- name: greet\n");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(
        stage->process, "jetjobs.yaml:2: handlers[0]: nothing to run: one of exec, request"));
    stage_configure(stage,
                    "handlers:\n- { name: greet, exec: [./greet.sh], user: no-such-user }\n");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "no-such-user"));
    stage_configure(stage, "");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "jetjobs.yaml: no handlers"));
    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "hello, world"));
    assert_int_equal(stage_stop(stage->process), 0);
    listener_close(done);
}

/* Each signal takes back what the one before it began, right or wrong, in whatever state it is. */
static void many_signals_leave_the_last_file_in_effect(void **state)
{
    struct stage *stage = *state;
    struct listener *done = nats_client_listen(stage->stranger, "job.greet.completed", NULL);

    configure_greeting(stage);
    start_worker(stage);
    for (int i = 0; i < 20; i++) {
        stage_configure(stage, i % 2 == 0
                                   ? "handlers:\n- { name: greet, exec: [x], user: nobody- }\n"
                                   : greeting);
        process_signal(stage->process, SIGHUP);
        wait_a_moment();
    }
    stage_configure(stage, "handlers:\n- { name: greet, exec: [./greet.sh, last] }\n"
                           "- { name: end, exec: [./greet.sh] }\n");
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "the handlers are now: greet, end"));
    assert_true(nats_client_wait_consumer(stage->stranger, "JOBS", "greet", "num_waiting", 1));
    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "last, world"));
    assert_int_equal(stage_stop(stage->process), 0);
    listener_close(done);
}

static void a_worker_without_handlers_is_refused(void **state)
{
    struct stage *stage = *state;
    const char *const argv[] = {JETJOBS_PROGRAM, "worker", NULL};
    struct process *process;

    stage_configure(stage, "worker: { concurrency: 2 }\n");
    stage->process = stage_start(stage, "worker", NULL);
    assert_int_equal(process_wait(stage->process, 0), 2);
    assert_non_null(strstr(process_errors(stage->process), "jetjobs.yaml has no handlers"));
    assert_int_equal(process_run(argv, &process), 2);
    assert_non_null(strstr(process_errors(process), "no configuration"));
    process_free(process);
}

/* ---- its log ---- */

static void the_log_is_json_if_asked_for(void **state)
{
    struct stage *stage = *state;

    stage_write(stage, "greet.sh", "#!/bin/sh\n", 0755);
    stage_configure(stage, "log: { format: json, level: debug }\n"
                           "handlers:\n- { name: greet, exec: [./greet.sh] }\n");
    start_worker(stage);
    assert_int_equal(stage_stop(stage->process), 0);
    char *lines = strdup(process_errors(stage->process));
    char *save = NULL;
    assert_non_null(lines);
    for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, 0, NULL);
        assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), 24);
        assert_non_null(json_string_value(json_object_get(json, "level")));
        assert_non_null(json_string_value(json_object_get(json, "message")));
        json_decref(json);
    }
    free(lines);
}

static void the_log_holds_no_password(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    server_url_of(&stage->server, "bob:s3cret", stage->url);
    server_stop(&stage->server);
    stage->process = stage_start(stage, "worker", NULL);
    assert_true(process_wait_errors(stage->process, "waiting: no broker"));
    server_restart(&stage->server);
    assert_true(process_wait_errors(stage->process, "takes jobs for"));
    assert_int_equal(stage_stop(stage->process), 0);
    assert_null(strstr(process_errors(stage->process), "s3cret"));
}

/* ---- a service manager ---- */

/* What comes on a datagram socket, all of it so far. */
struct manager {
    int fd;
    char path[STAGE_PATH_SIZE];
    char heard[4096];
    size_t len;
};

static void manager_open(struct manager *manager, struct stage *stage)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    *manager = (struct manager){.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    snprintf(manager->path, sizeof(manager->path), "NOTIFY_SOCKET=%s/notify", stage->dir);
    snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/notify", stage->dir);
    assert_true(manager->fd >= 0);
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&name, sizeof(name)), 0);
}

struct wanted {
    struct manager *manager;
    const char *text;
};

static bool has_heard(void *ctx)
{
    const struct wanted *wanted = ctx;
    struct manager *manager = wanted->manager;
    ssize_t got = recv(manager->fd, manager->heard + manager->len,
                       sizeof(manager->heard) - manager->len - 2, 0);

    if (got > 0) {
        manager->len += (size_t)got;
        manager->heard[manager->len++] = '\n';
    }
    return strstr(manager->heard, wanted->text) != NULL;
}

static bool manager_waits(struct manager *manager, const char *text)
{
    struct wanted wanted = {manager, text};

    return wait_until(has_heard, &wanted, WAIT_MS);
}

static void a_service_manager_hears_how_it_goes(void **state)
{
    struct stage *stage = *state;
    struct manager manager;

    configure_greeting(stage);
    manager_open(&manager, stage);
    const char *const env[] = {manager.path, "WATCHDOG_USEC=200000", NULL};
    const struct process_options options = {.env = env};
    server_stop(&stage->server);
    stage->process = stage_start(stage, "worker", &options);
    assert_true(manager_waits(&manager, "WATCHDOG=1\nWATCHDOG=1\n"));
    assert_null(strstr(manager.heard, "READY=1"));
    server_restart(&stage->server);
    assert_true(manager_waits(&manager, "READY=1\n"));
    manager.len = 0;
    memset(manager.heard, 0, sizeof(manager.heard));
    process_signal(stage->process, SIGHUP);
    assert_true(manager_waits(&manager, "RELOADING=1\n"));
    assert_true(manager_waits(&manager, "READY=1\n"));
    process_signal(stage->process, SIGTERM);
    assert_true(manager_waits(&manager, "STOPPING=1\n"));
    assert_int_equal(process_wait(stage->process, 0), 0);
    close(manager.fd);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_runs_the_handlers_of_its_configuration),
        STORY(a_program_that_is_not_there_fails_the_attempt),
        STORY(it_waits_for_its_broker),
        STORY(it_can_be_stopped_while_it_waits),
        STORY(it_does_not_wait_for_a_broker_that_refuses_it),
        STORY(it_waits_for_running_jobs),
        STORY(a_second_signal_gives_running_jobs_back),
        STORY(after_the_grace_jobs_are_given_back),
        STORY(a_terminal_that_is_gone_ends_it),
        STORY(ctrl_c_ends_it),
        STORY(handlers_are_read_again),
        STORY(a_handler_that_is_gone_takes_no_more_jobs),
        STORY(a_wrong_file_changes_nothing),
        STORY(many_signals_leave_the_last_file_in_effect),
        STORY(a_worker_without_handlers_is_refused),
        STORY(the_log_is_json_if_asked_for),
        STORY(the_log_holds_no_password),
        STORY(a_service_manager_hears_how_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* "jetjobs up": all in one process. The stage's server is only there to be ignored or to be used;
 * the private one gets its spare port. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "stage.h"

static const char *const no_args[] = {NULL};

/* Start "jetjobs [--config FILE] --url URL up ARGS" in the stage's folder. */
static struct process *start_up(struct stage *stage, const char *config, const char *const args[],
                                const struct process_options *options)
{
    const char *argv[16] = {JETJOBS_PROGRAM};
    const char *env[16];
    char server[TEMP_PATH_SIZE + 16];
    size_t count = 1, envs = 0;
    struct process_options own = {.dir = stage->dir};

    if (options != NULL)
        own = *options;
    own.dir = stage->dir;
    snprintf(server, sizeof(server), "NATS_SERVER=%s", stage->server.program);
    env[envs++] = server;
    for (size_t i = 0; own.env != NULL && own.env[i] != NULL; i++)
        env[envs++] = own.env[i];
    env[envs] = NULL;
    own.env = env;
    if (config != NULL) {
        argv[count++] = "--config";
        argv[count++] = config;
    }
    argv[count++] = "--url";
    argv[count++] = stage->url;
    argv[count++] = "up";
    for (; *args != NULL; args++)
        argv[count++] = *args;
    argv[count] = NULL;
    return process_start(argv, &own);
}

static void configure_greeting(struct stage *stage)
{
    stage_write(stage, "greet.sh", "#!/bin/sh\nread -r who\necho \"$1, $who\"\n", 0755);
    stage_configure(stage, "handlers:\n- { name: greet, exec: [./greet.sh, hello] }\n");
}

/* Have the private server, with handlers, and talk to it. */
static void start_ready(struct stage *stage)
{
    stage->process = start_up(stage, stage->config, no_args, NULL);
    assert_true(process_wait_errors(stage->process, "up: broker"));
    nats_client_close(stage->stranger);
    stage->stranger = nats_client_open(stage->url);
}

static void assert_runs_a_job(struct stage *stage)
{
    struct listener *done = nats_client_listen(stage->stranger, "job.greet.completed", NULL);

    stage_enqueue(stage, "greet", "world");
    assert_true(listener_wait(done, 1));
    assert_non_null(strstr(listener_get(done, 0)->data, "\"hello, world\""));
    listener_close(done);
}

static void assert_answers(struct stage *stage)
{
    const struct note ask = {.subject = "jobs.stats", .data = "{}"};
    json_t *stats = nats_client_ask(stage->stranger, &ask);

    assert_non_null(json_object_get(stats, "names"));
    json_decref(stats);
}

static void read_file(struct stage *stage, const char *name, char out[4096])
{
    char path[STAGE_PATH_SIZE];

    stage_path(stage, name, path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(out, 1, 4095, file);
    out[len] = '\0';
    fclose(file);
}

/* The private server, by its note. */
static pid_t server_pid(struct stage *stage)
{
    char note[4096];

    read_file(stage, "jetjobs-data/nats-server.pid", note);
    return (pid_t)strtol(note, NULL, 10);
}

static bool is_gone(void *ctx)
{
    const pid_t *pid = ctx;

    return kill(*pid, 0) != 0;
}

static void assert_server_is_gone(struct stage *stage, pid_t pid)
{
    char path[STAGE_PATH_SIZE];

    assert_true(wait_until(is_gone, &pid, WAIT_MS));
    stage_path(stage, "jetjobs-data/nats-server.pid", path);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- a broker of its own ---- */

static void it_runs_jobs_and_ends_with_its_server(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    start_ready(stage);
    assert_runs_a_job(stage);
    assert_answers(stage);
    pid_t server = server_pid(stage);
    assert_int_equal(kill(server, 0), 0);
    assert_int_equal(stage_stop(stage->process), 0);
    assert_string_equal(process_output(stage->process), "");
    assert_server_is_gone(stage, server);
}

static void at_a_terminal_it_says_what_runs_and_ctrl_c_ends_it(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};

    configure_greeting(stage);
    stage->process = start_up(stage, stage->config, no_args, &options);
    assert_true(process_wait_output(stage->process, "Ctrl-C ends it."));
    const char *said = process_output(stage->process);
    assert_non_null(strstr(said, stage->url));
    assert_non_null(strstr(said, "/jetjobs-data\r\n"));
    assert_non_null(strstr(said, "/jetjobs-data/jetjobs.db\r\n"));
    assert_non_null(strstr(said, "handlers  greet\r\n"));
    pid_t server = server_pid(stage);
    process_type(stage->process, "\003");
    assert_int_equal(process_wait(stage->process, 0), 0);
    assert_server_is_gone(stage, server);
}

/* The lines between the two that frame them. */
static void take_commands(const char *screen, char out[8192])
{
    const char *begin = strstr(screen, "Try in another terminal:");
    const char *end = strstr(screen, "Ctrl-C ends it.");
    size_t len = 0;

    assert_non_null(begin);
    assert_non_null(end);
    begin = strchr(begin, '\n') + 1;
    for (; begin < end && len < 8191; begin++)
        if (*begin != '\r')
            out[len++] = *begin;
    out[len] = '\0';
}

static void what_it_says_to_try_can_be_pasted(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};
    char commands[8192];
    const char *const shell[] = {"sh", "-e", "-c", commands, NULL};
    struct process *pasted;

    configure_greeting(stage);
    stage->process = start_up(stage, stage->config, no_args, &options);
    assert_true(process_wait_output(stage->process, "Ctrl-C ends it."));
    take_commands(process_output(stage->process), commands);
    assert_int_equal(process_run(shell, &pasted), 0);
    assert_non_null(strstr(process_output(pasted), "hello, "));
    assert_string_equal(process_errors(pasted), "");
    process_free(pasted);
    assert_int_equal(stage_stop(stage->process), 0);
}

static void without_a_configuration_jobs_are_kept(void **state)
{
    struct stage *stage = *state;

    stage->process = start_up(stage, NULL, no_args, NULL);
    assert_true(process_wait_errors(stage->process, "handlers: none"));
    nats_client_close(stage->stranger);
    stage->stranger = nats_client_open(stage->url);
    assert_answers(stage);
    stage_enqueue(stage, "greet", "world");
    assert_int_equal(stage_stop(stage->process), 0);
    process_free(stage->process);

    configure_greeting(stage); /* the job is there when it comes back with a handler */
    stage->process = start_up(stage, stage->config, no_args, NULL);
    assert_true(process_wait_errors(stage->process, "handlers: greet"));
    nats_client_settle(stage->stranger);
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    assert_int_equal(stage_stop(stage->process), 0);
}

static void a_configuration_that_was_forgotten_is_pointed_at(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};

    configure_greeting(stage);
    stage->process = start_up(stage, NULL, no_args, &options);
    assert_true(process_wait_output(stage->process, "Ctrl-C ends it."));
    assert_non_null(strstr(process_output(stage->process), "jetjobs --config jetjobs.yaml up\r\n"));
    assert_int_equal(stage_stop(stage->process), 0);
}

static void handlers_can_come_later(void **state)
{
    struct stage *stage = *state;

    stage_configure(stage, "");
    start_ready(stage);
    configure_greeting(stage);
    process_signal(stage->process, SIGHUP);
    assert_true(process_wait_errors(stage->process, "the handlers are now: greet"));
    assert_runs_a_job(stage);
    assert_int_equal(stage_stop(stage->process), 0);
}

static void what_it_accepts_is_on_disk_unless_it_is_to_be_fast(void **state)
{
    struct stage *stage = *state;
    const char *const fast[] = {"--fast", NULL};
    char text[4096];

    stage->process = start_up(stage, NULL, no_args, NULL);
    assert_true(process_wait_errors(stage->process, "up: broker"));
    read_file(stage, "jetjobs-data/nats-server.conf", text);
    assert_non_null(strstr(text, "sync_interval: always"));
    assert_non_null(strstr(text, "listen: \"127.0.0.1:"));
    assert_int_equal(stage_stop(stage->process), 0);
    process_free(stage->process);
    stage->process = start_up(stage, NULL, fast, NULL);
    assert_true(process_wait_errors(stage->process, "up: broker"));
    read_file(stage, "jetjobs-data/nats-server.conf", text);
    assert_null(strstr(text, "sync_interval"));
    assert_int_equal(stage_stop(stage->process), 0);
}

static void its_folder_may_have_any_name(void **state)
{
    struct stage *stage = *state;
    const char *const args[] = {"--data", "my \"own\" 'data'", NULL};
    char path[STAGE_PATH_SIZE];

    stage->process = start_up(stage, NULL, args, NULL);
    assert_true(process_wait_errors(stage->process, "up: broker"));
    stage_path(stage, "my \"own\" 'data'/streams/jetstream", path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(stage_stop(stage->process), 0);
}

/* ---- what goes wrong with it ---- */

static void a_server_that_dies_is_started_again(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    start_ready(stage);
    pid_t first = server_pid(stage);
    assert_int_equal(kill(first, SIGKILL), 0);
    assert_true(process_wait_errors(stage->process, "nats-server ended (signal 9)"));
    assert_true(process_wait_errors(stage->process, "nats-server is started again"));
    nats_client_settle(stage->stranger);
    assert_runs_a_job(stage);
    pid_t second = server_pid(stage);
    assert_int_not_equal(first, second);
    assert_int_equal(stage_stop(stage->process), 0);
    assert_server_is_gone(stage, second);
}

struct successor {
    struct stage *stage;
    pid_t before;
};

static bool has_come(void *ctx)
{
    const struct successor *successor = ctx;
    pid_t now = server_pid(successor->stage);

    return now > 0 && now != successor->before;
}

static void a_server_that_does_not_stay_ends_it(void **state)
{
    struct stage *stage = *state;
    struct successor successor = {.stage = stage};

    configure_greeting(stage);
    start_ready(stage);
    for (int i = 0; i < 3; i++) {
        assert_true(wait_until(has_come, &successor, WAIT_MS));
        successor.before = server_pid(stage);
        assert_int_equal(kill(successor.before, SIGKILL), 0);
    }
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "nats-server does not stay: see "));
}

static void after_kill_9_nothing_is_left_behind(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    start_ready(stage);
    pid_t server = server_pid(stage);
    process_signal(stage->process, SIGKILL);
    process_wait(stage->process, 0);
    assert_true(wait_until(is_gone, &server, WAIT_MS));
    process_free(stage->process);
    start_ready(stage);
    assert_runs_a_job(stage);
    assert_int_equal(stage_stop(stage->process), 0);
}

/* It is held still, so it can't follow its jetjobs; the next one ends it. */
static void a_server_that_was_left_behind_is_ended(void **state)
{
    struct stage *stage = *state;

    configure_greeting(stage);
    start_ready(stage);
    pid_t server = server_pid(stage);
    assert_int_equal(kill(server, SIGSTOP), 0);
    process_signal(stage->process, SIGKILL);
    process_wait(stage->process, 0);
    assert_int_equal(kill(server, 0), 0);
    process_free(stage->process);
    start_ready(stage);
    assert_true(wait_until(is_gone, &server, WAIT_MS));
    assert_runs_a_job(stage);
    assert_int_equal(stage_stop(stage->process), 0);
}

/* A pid that was given to somebody else since. */
static void a_stranger_s_process_is_left_alone(void **state)
{
    struct stage *stage = *state;
    const char *const cat[] = {"cat", NULL};
    const struct process_options open = {.keep_input = true};
    struct process *stranger = process_start(cat, &open);
    char note[128];

    configure_greeting(stage);
    start_ready(stage);
    pid_t server = server_pid(stage);
    process_signal(stage->process, SIGKILL);
    process_wait(stage->process, 0);
    process_free(stage->process);
    assert_true(wait_until(is_gone, &server, WAIT_MS));
    snprintf(note, sizeof(note), "%ld 12345 0f0e0d0c-0000-4000-8000-000000000000",
             (long)process_pid(stranger));
    stage_write(stage, "jetjobs-data/nats-server.pid", note, 0600);
    start_ready(stage);
    assert_int_equal(stage_stop(stage->process), 0);
    process_type(stranger, "alive\n");
    assert_true(process_wait_output(stranger, "alive"));
    process_free(stranger);
}

static void a_folder_that_is_in_use_names_who_uses_it(void **state)
{
    struct stage *stage = *state;
    char holder[64];

    configure_greeting(stage);
    start_ready(stage);
    struct process *second = start_up(stage, stage->config, no_args, NULL);
    assert_int_equal(process_wait(second, 0), 1);
    snprintf(holder, sizeof(holder), "jetjobs-data is in use by pid %ld\n",
             (long)process_pid(stage->process));
    assert_non_null(strstr(process_errors(second), holder));
    process_free(second);
    assert_runs_a_job(stage);
    assert_int_equal(stage_stop(stage->process), 0);
}

static void a_server_that_is_none_is_named(void **state)
{
    struct stage *stage = *state;
    const char *const env[] = {"NATS_SERVER=/bin/false", NULL};
    const char *const nowhere[] = {"NATS_SERVER", "PATH=/nonexistent", "HOME=/nonexistent",
                                   "XDG_CACHE_HOME", NULL};

    stage->process = start_up(stage, NULL, no_args, &(struct process_options){.env = env});
    assert_int_equal(process_wait(stage->process, 0), 2);
    assert_non_null(strstr(process_errors(stage->process),
                           "NATS_SERVER: '/bin/false' is no nats-server 2.14.4 or later"));
    process_free(stage->process);
    stage->process = start_up(stage, NULL, no_args, &(struct process_options){.env = nowhere});
    assert_int_equal(process_wait(stage->process, 0), 1);
    assert_non_null(strstr(process_errors(stage->process), "broker/get-nats-server"));
}

static void a_port_that_somebody_else_has_is_named(void **state)
{
    struct stage *stage = *state;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)stage->server.spare_port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    char said[64];

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    stage->process = start_up(stage, NULL, no_args, NULL);
    assert_int_equal(process_wait(stage->process, 0), 1);
    snprintf(said, sizeof(said), "port %d is in use", stage->server.spare_port);
    assert_non_null(strstr(process_errors(stage->process), said));
    close(fd);
}

static void a_wrong_handler_ends_all_of_it(void **state)
{
    struct stage *stage = *state;

    stage_configure(stage, "handlers:\n- { name: a, exec: [x], user: no-such-user }\n");
    stage->process = start_up(stage, stage->config, no_args, NULL);
    assert_int_equal(process_wait(stage->process, 0), 2);
    assert_non_null(strstr(process_errors(stage->process), "jetjobs.yaml:2: "));
    char path[STAGE_PATH_SIZE];
    stage_path(stage, "jetjobs-data/nats-server.pid", path);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- a broker that is there ---- */

static void it_uses_the_broker_that_is_there(void **state)
{
    struct stage *stage = *state;
    const struct process_options options = {.terminal = true};

    configure_greeting(stage);
    snprintf(stage->url, sizeof(stage->url), "%s", stage->server.url);
    stage->process = start_up(stage, stage->config, no_args, &options);
    assert_true(process_wait_output(stage->process, "Ctrl-C ends it."));
    assert_non_null(strstr(process_output(stage->process), "(was running)"));
    assert_runs_a_job(stage);
    assert_answers(stage);
    assert_int_equal(stage_stop(stage->process), 0);
    nats_client_settle(stage->stranger); /* it is still there */
}

static void a_broker_that_will_not_do_is_not_replaced(void **state)
{
    struct stage *stage = *state;
    const struct server_options plain = {.no_jetstream = true};

    nats_client_close(stage->stranger);
    stage->stranger = NULL;
    server_restart_with(&stage->server, &plain);
    snprintf(stage->url, sizeof(stage->url), "%s", stage->server.url);
    stage->process = start_up(stage, NULL, no_args, NULL);
    assert_int_not_equal(process_wait(stage->process, 0), 0);
    assert_non_null(strstr(process_errors(stage->process), "JetStream"));
}

static void a_broker_elsewhere_is_not_replaced(void **state)
{
    struct stage *stage = *state;

    snprintf(stage->url, sizeof(stage->url), "nats://u:s3cret@127.0.0.2:%d",
             stage->server.spare_port);
    stage->process = start_up(stage, NULL, no_args, NULL);
    assert_int_equal(process_wait(stage->process, 0), 4);
    assert_non_null(strstr(process_errors(stage->process), "no broker at nats://***@127.0.0.2:"));
    assert_null(strstr(process_errors(stage->process), "s3cret"));
}

static int begin(void **state)
{
    int failed = stage_begin(state);
    struct stage *stage = *state;

    snprintf(stage->url, sizeof(stage->url), "nats://127.0.0.1:%d", stage->server.spare_port);
    return failed;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_runs_jobs_and_ends_with_its_server),
        STORY(at_a_terminal_it_says_what_runs_and_ctrl_c_ends_it),
        STORY(what_it_says_to_try_can_be_pasted),
        STORY(without_a_configuration_jobs_are_kept),
        STORY(a_configuration_that_was_forgotten_is_pointed_at),
        STORY(handlers_can_come_later),
        STORY(what_it_accepts_is_on_disk_unless_it_is_to_be_fast),
        STORY(its_folder_may_have_any_name),
        STORY(a_server_that_dies_is_started_again),
        STORY(a_server_that_does_not_stay_ends_it),
        STORY(after_kill_9_nothing_is_left_behind),
        STORY(a_server_that_was_left_behind_is_ended),
        STORY(a_stranger_s_process_is_left_alone),
        STORY(a_folder_that_is_in_use_names_who_uses_it),
        STORY(a_server_that_is_none_is_named),
        STORY(a_port_that_somebody_else_has_is_named),
        STORY(a_wrong_handler_ends_all_of_it),
        STORY(it_uses_the_broker_that_is_there),
        STORY(a_broker_that_will_not_do_is_not_replaced),
        STORY(a_broker_elsewhere_is_not_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

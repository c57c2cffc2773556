/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of workers that die: their jobs complete elsewhere.
 *
 * The worker that dies is this program, started again with a url as its argument. */

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

#define JOBS        20
#define ACK_WAIT_MS 3000

static const char *program;

/* ---- the worker that dies ---- */

static jj_verdict say_and_hang(jj_attempt *attempt, void *user)
{
    (void)user;
    if (write(STDOUT_FILENO, "r", 1) != 1)
        _exit(1);
    for (;;)
        poll(NULL, 0, 1000);
    return jj_done(attempt, NULL, 0);
}

static jj_verdict crash(jj_attempt *attempt, void *user)
{
    (void)user;
    raise(SIGKILL);
    return jj_done(attempt, NULL, 0);
}

static int be_a_worker(const char *url, const char *how)
{
    const jj_options options = {.url = url, .concurrency = JOBS, .ack_wait_ms = ACK_WAIT_MS};
    jj_handler handler = strcmp(how, "hang") == 0 ? say_and_hang : crash;
    jj_client *client = NULL;
    jj_error err;

    if (jj_open(&options, &client, &err) != JJ_OK ||
        jj_register(client, "fragile", handler, NULL, NULL, &err) != JJ_OK ||
        jj_start(client, &err) != JJ_OK) {
        fprintf(stderr, "worker: %s\n", err.text);
        return 1;
    }
    for (;;)
        poll(NULL, 0, 1000);
}

struct other {
    pid_t pid;
    int says; /* its standard output */
};

static void start_other(struct other *other, struct crew *crew, const char *how)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    other->pid = fork();
    assert_true(other->pid >= 0);
    if (other->pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl(program, program, crew->server.url, how, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    other->says = fds[0];
}

/* Wait until so many of its handlers run. */
static void hear_other(struct other *other, size_t count)
{
    int64_t deadline_ms = jj__clock_mono_ms() + WAIT_MS;
    char byte;

    while (count > 0) {
        struct pollfd fd = {.fd = other->says, .events = POLLIN};
        assert_true(jj__clock_mono_ms() < deadline_ms);
        if (poll(&fd, 1, 100) == 1) {
            assert_int_equal(read(other->says, &byte, 1), 1);
            count--;
        }
    }
}

static void end_other(struct other *other)
{
    int status;

    kill(other->pid, SIGKILL);
    assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
    assert_true(WIFSIGNALED(status));
    close(other->says);
}

/* ---- the stories ---- */

static void jobs_of_a_killed_worker_complete_elsewhere(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = ACK_WAIT_MS};
    struct other other;

    crew_open(crew, &options);
    crew_register(crew, "fragile", NULL, NULL);
    start_other(&other, crew, "hang");
    for (int i = 0; i < JOBS; i++)
        crew_enqueue(crew, "fragile", "x");
    hear_other(&other, JOBS);
    int64_t killed_ms = jj__clock_mono_ms();
    end_other(&other);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "fragile", JOBS));
    int64_t took_ms = jj__clock_mono_ms() - killed_ms;
    print_message("%d jobs of a killed worker ran elsewhere %lld ms later, with ack_wait %d ms\n",
                  JOBS, (long long)took_ms, ACK_WAIT_MS);
    assert_in_range(took_ms, 0, ACK_WAIT_MS + 5000);
    assert_true(crew_wait_backlog(crew, 0));
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(crew_run(crew, i).attempt, 1);
        assert_int_equal(crew_run(crew, i).lost, 1);
    }
    assert_int_equal(crew_runs(crew, NULL), JOBS);
}

static bool other_is_dead(void *ctx)
{
    struct other *other = ctx;
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)other->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == other->pid;
}

static void a_job_that_kills_its_workers_fails_in_the_end(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = 1000, .max_lost = 2};
    struct other other;

    crew_open(crew, &options);
    crew_register(crew, "fragile", NULL, NULL);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    crew_enqueue(crew, "fragile", "poison");
    for (int i = 0; i < 3; i++) {
        start_other(&other, crew, "crash");
        assert_true(wait_until(other_is_dead, &other, WAIT_MS));
        end_other(&other);
    }
    crew_start(crew);
    assert_true(listener_wait(failed, 1));
    assert_string_equal(event_member(listener_get(failed, 0), "error"), "worker lost 3 times");
    assert_int_equal(crew_runs(crew, NULL), 0);
    assert_true(crew_wait_backlog(crew, 0));
    listener_close(failed);
}

static void a_frozen_worker_has_lost_its_jobs(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.ack_wait_ms = 1000};
    struct other other;

    crew_open(crew, &options);
    crew_register(crew, "fragile", NULL, NULL);
    start_other(&other, crew, "hang");
    crew_enqueue(crew, "fragile", "x");
    hear_other(&other, 1);
    kill(other.pid, SIGSTOP);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "fragile", 1));
    kill(other.pid, SIGCONT);
    assert_true(crew_wait_backlog(crew, 0));
    end_other(&other);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORY(jobs_of_a_killed_worker_complete_elsewhere),
        STORY(a_job_that_kills_its_workers_fails_in_the_end),
        STORY(a_frozen_worker_has_lost_its_jobs),
    };

    program = argv[0];
    if (argc == 3)
        return be_a_worker(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

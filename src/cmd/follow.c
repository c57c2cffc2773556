/* SPDX-License-Identifier: Apache-2.0 */

/* Signals are taken by a thread of their own, where they interrupt nothing. It ends the process
 * itself where the others can't: printing may wait for a reader that does not read. */

#include "follow.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "print.h"
#include "program.h"

/* How often to see whether printing still works. */
#define LOOK_MS 500
/* A command that has been interrupted has this long to end. */
#define GRACE_S 5

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

static sigset_t held;
static atomic_int caught;       /* 0: none yet */
static int woken[2] = {-1, -1}; /* a byte is in this pipe once one has been caught */

static void die(void)
{
    signal(caught, SIG_DFL);
    raise(caught);
    pthread_sigmask(SIG_UNBLOCK, &held, NULL);
}

static void *watch(void *unused)
{
    const struct timespec grace = {.tv_sec = GRACE_S};
    int number = 0;

    (void)unused;
    sigwait(&held, &number);
    caught = number;
    if (write(woken[1], "w", 1) == 1)
        while (sigtimedwait(&held, NULL, &grace) < 0 && errno == EINTR)
            continue; /* stopped and continued; a second signal ends the grace */
    die();
    return NULL;
}

static bool start_watching(void)
{
    pthread_t thread;

    return pipe(woken) == 0 && pthread_create(&thread, NULL, watch, NULL) == 0 &&
           pthread_detach(thread) == 0;
}

void follow_hold(void)
{
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&held, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &held, NULL);
    if (!start_watching())
        pthread_sigmask(SIG_UNBLOCK, &held, NULL); /* then they end it as they always do */
}

/* A signal has come, or the reader of a pipe, or the terminal, is gone. */
static bool is_over(int64_t limit_ms)
{
    struct pollfd fds[] = {{.fd = woken[0], .events = POLLIN}, {.fd = STDOUT_FILENO}};

    poll(fds, 2, (int)limit_ms);
    return print_failed() || fds[0].revents != 0 || (fds[1].revents & (POLLERR | POLLHUP)) != 0;
}

bool follow_wait(int64_t limit_ms)
{
    int64_t until_ms = jj__clock_mono_ms() + limit_ms;

    for (;;) {
        int64_t left_ms = until_ms - jj__clock_mono_ms();
        if (is_over(left_ms < 0 ? 0 : left_ms < LOOK_MS ? left_ms : LOOK_MS))
            return true;
        if (left_ms <= 0)
            return false;
    }
}

void follow_die(void)
{
    if (caught == 0)
        return;
    print_flush();
    die();
}

static void tell(jj_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level >= JJ_LOG_WARN)
        fprintf(stderr, "jetjobs: %s\n", text);
}

void follow_options(jj_options *options)
{
    program_only_asks(options);
    options->log = tell;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Signals are taken on the main thread, where they interrupt nothing. */

#include "follow.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "print.h"
#include "program.h"

/* How often to see whether anybody still reads. */
#define LOOK_MS 500

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

static sigset_t held;
static int caught; /* 0: none yet */

void follow_hold(void)
{
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&held, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &held, NULL);
}

/* The reader of a pipe, or the terminal, is gone. */
static bool nobody_reads(void)
{
    struct pollfd fd = {.fd = STDOUT_FILENO};

    return print_failed() || (poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLHUP)) != 0);
}

static void catch_one(int64_t limit_ms)
{
    const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000};
    int number = sigtimedwait(&held, NULL, &limit);

    if (number > 0)
        caught = number;
}

bool follow_wait(int64_t limit_ms)
{
    int64_t until_ms = jj__clock_mono_ms() + limit_ms;

    while (caught == 0 && !nobody_reads()) {
        int64_t left_ms = until_ms - jj__clock_mono_ms();
        if (left_ms < 0)
            return false;
        catch_one(left_ms < LOOK_MS ? left_ms : LOOK_MS);
    }
    return true;
}

void follow_die(void)
{
    sigset_t one;

    if (caught == 0)
        return;
    print_flush();
    signal(caught, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, caught);
    raise(caught);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
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

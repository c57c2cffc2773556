/* SPDX-License-Identifier: Apache-2.0 */

/* An application decides which of its threads takes a signal, and may block them after it has
 * opened a client: a thread of ours that had not blocked them would then be the one to take it. */

#include "thread.h"

#include <time.h>

int jj__thread_create(pthread_t *thread_out, const pthread_attr_t *attr, void *(*run)(void *arg),
                      void *arg)
{
    sigset_t before;

    jj__signals_hold(&before);
    int failed = pthread_create(thread_out, attr, run, arg);
    jj__signals_release(&before);
    return failed;
}

void jj__thread_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

void jj__signals_hold(sigset_t *before_out)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before_out);
}

void jj__signals_release(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

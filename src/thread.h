/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_THREAD_H
#define JJ_SRC_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Threads of ours take no signals: they are the application's. */

/* As pthread_create(), with all signals blocked in the new thread. */
int jj__thread_create(pthread_t *thread_out, const pthread_attr_t *attr, void *(*run)(void *arg),
                      void *arg);

/* Initialize a condition whose deadlines are on the steady clock. */
void jj__thread_condition(pthread_cond_t *condition);

/* Around whatever else makes threads, which begin with the mask of who made them. */
void jj__signals_hold(sigset_t *before_out);
void jj__signals_release(const sigset_t *before);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_LOAD_H
#define JJ_TESTS_LOAD_H

/* Jobs for a benchmark, and the worker that runs them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/jetjobs.h>

#define LOAD_PAYLOAD 100

jj_client *load_open(const char *url);

/* Enqueue count no-op jobs with one call after the other. Returns jobs/s. */
double load_enqueue_many(jj_client *client, const char *name, size_t count);
/* The same one by one, from so many threads at once. */
double load_enqueue_singly(jj_client *client, const char *name, size_t count, unsigned threads);

/* Run count no-op jobs of a name, which are there, from the start of a worker until the last one's
 * message is gone. Returns jobs/s. */
double load_run(const char *url, const char *name, size_t count, unsigned concurrency);
/* The same where jobs of other names wait, and stay. */
double load_run_above(const char *url, const char *name, size_t count, unsigned concurrency,
                      uint64_t others);

/* For wait_until(), ctx a client: there is an index, and it has read all. */
bool load_index_has_read(void *ctx);

/* Messages in a stream. */
uint64_t load_messages(const char *url, const char *stream);

#endif

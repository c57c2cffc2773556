/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_ROLE_H
#define JJ_TESTS_ROLE_H

/* Processes beside the benchmark: the same program with another part to play. Each ends with the
 * benchmark, or when it is told to. */

#include <sys/types.h>

/* Play a role if the command line asks for one; then this does not return. */
void role_play(int argc, char **argv);

struct process;

/* Start a process that keeps an index in a file; it runs when this returns. */
struct process *role_start_index(const char *url, const char *path);

/* Start a worker of a name: its jobs say in their data, in digits, for how many milliseconds the
 * handler sleeps; "0" is a no-op. */
struct process *role_start_worker(const char *url, const char *name, unsigned concurrency);

/* Ask it to end, and wait until it did. */
void role_end(struct process *process);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_BENCH_H
#define JJ_TESTS_BENCH_H

/* What the benchmarks share: the command line, a nats-server of one's own, and the table that they
 * print. Anything that fails ends the program. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jetjobs/jetjobs.h>

#include "server.h"

struct bench {
    const char *name;
    bool quick;  /* --quick: a tenth of the work, to see that it runs */
    bool always; /* --sync-always: the server acknowledges after fsync */
    FILE *json;  /* --json FILE: each row is appended as a line; NULL: not wanted */
    struct server server;
};

/* Read the command line, start the server, print the table's head. The rest of the arguments, if
 * any, is an error. Beside these the program has roles that are run in processes of their own:
 * "--role index URL PATH" and "--role worker URL NAME", see role.h; then this does not return. */
void bench_begin(struct bench *bench, const char *name, int argc, char **argv);
void bench_end(struct bench *bench);

/* full, or a tenth of it under --quick. */
size_t bench_count(const struct bench *bench, size_t full);

/* One line: a figure, beside it the yardstick from the same run, their ratio, and what it has to
 * be. */
struct row {
    const char *what;
    double value;
    const char *unit;
    const char *beside; /* what the yardstick is; NULL: none, and the bar is for the value itself */
    double yardstick;
    double bar;       /* for value / yardstick; 0: none */
    bool at_most;     /* the bar is the most that is good, not the least */
    double bar_value; /* for value itself; 0: none */
};
void bench_row(const struct bench *bench, const struct row *row);

/* Rounds of the same measures, one after the other in each round, so that a machine's moods hit all
 * of them. */
enum { ROUNDS_MAX = 9 };
struct rounds {
    double values[ROUNDS_MAX];
    size_t count;
};
void rounds_add(struct rounds *rounds, double value);
double rounds_median(const struct rounds *rounds);
/* The median of the ratios, round by round; a row takes it by giving value and yardstick. */
double rounds_ratio(const struct rounds *values, const struct rounds *yardsticks);

/* Sort; then the value below which that part of them lies. */
void times_sort(int64_t *times, size_t count);
double times_part_ms(const int64_t *sorted_us, size_t count, double part);

/* Say what went wrong, and end. */
_Noreturn void bench_fail(const char *what, const jj_error *err);
void bench_must(jj_status s, const char *what, const jj_error *err);

/* Seconds since a time of jj__clock_mono_us(). */
double seconds_since(int64_t from_us);

#endif

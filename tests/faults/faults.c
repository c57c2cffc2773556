/* SPDX-License-Identifier: Apache-2.0 */

/* The fault harness: producers, workers, an index and brokers as processes, faults among them, and
 * in the end the checker. Run it by tests/faults/run, or by ctest in its smallest size. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "inject.h"
#include "run.h"
#include "wait.h"

static struct size {
    const char *name;
    unsigned jobs; /* of each producer */
    unsigned rate; /* a second, of each */
    int64_t ack_wait_ms;
    int64_t every_ms; /* between faults */
    enum plan_mistake wrong;
} size;

static uint64_t seed;
static bool cluster;

/* Faults until all jobs are accepted; and until somebody has died at each point, if it must be. */
static void make_faults(struct injector *injector)
{
    int64_t told_ms = jj__clock_mono_ms();

    inject_start(injector);
    while (!run_producers_are_through(injector->fleet)) {
        inject_turn(injector);
        wait_a_moment();
        if (jj__clock_mono_ms() - told_ms < 60000)
            continue;
        told_ms = jj__clock_mono_ms();
        print_message("%zu faults, somebody has died at %zu of %zu points\n",
                      injector->faults.count, inject_points_hit(injector, false), inject_points());
    }
    inject_end(injector);
    injector->every_ms = 0;
}

static void begin(struct fleet *fleet, struct injector *injector, const struct size *of)
{
    fleet_begin(fleet, &(struct fleet_options){.cluster = cluster,
                                               .wrong = of->wrong,
                                               .ack_wait_ms = of->ack_wait_ms,
                                               .rate = of->rate,
                                               .jobs = of->jobs});
    inject_begin(injector, fleet, seed, of->every_ms);
    run_begin(fleet);
}

static void end(struct fleet *fleet, struct injector *injector)
{
    fleet_end(fleet);
    free(injector->faults.list);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    print_message("%s, %s, --seed %llu\n", size.name, cluster ? "three brokers" : "one broker",
                  (unsigned long long)seed);
    begin(&fleet, &injector, &size);
    make_faults(&injector);
    bool content = run_finish(&fleet, &injector, &findings);
    checker_print(&findings, &injector.faults);
    bool all_points = inject_points_hit(&injector, true) == inject_points();
    end(&fleet, &injector);
    assert_true(content);
    assert_true(all_points);
}

static void kill_worker(struct fleet *fleet, struct injector *injector, unsigned number)
{
    struct actor *worker = fleet_actor(fleet, ROLE_WORKER, number);

    fault_add(&injector->faults, FAULT_KILL_WORKER, ROLE_WORKER, (int)number);
    actor_kill(worker);
    actor_start(fleet, worker, NULL, 0, 0);
}

/* Workers that tell the broker that a job is over before it runs, and die: the checker must see. */
static void the_checker_sees_workers_that_acknowledge_before_they_run(void **state)
{
    (void)state;
    const struct size small = {
        .jobs = 1000, .rate = 200, .ack_wait_ms = 5000, .wrong = PLAN_ACK_FIRST};
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &small);
    inject_start(&injector);
    while (!run_producers_are_through(&fleet)) {
        inject_turn(&injector);
        if (jj__clock_mono_ms() > fleet_actor(&fleet, ROLE_WORKER, 0)->since_ms + 700)
            kill_worker(&fleet, &injector, 0);
        wait_a_moment();
    }
    for (unsigned i = 0; i < WORKERS; i++) /* amid their slow jobs */
        kill_worker(&fleet, &injector, i);
    run_finish(&fleet, &injector, &findings);
    end(&fleet, &injector);
    assert_true(findings.lost > 0);
}

/* And nothing else happens: what excuses a repeat in other runs must not excuse these. */
static void the_checker_sees_workers_that_run_jobs_twice(void **state)
{
    (void)state;
    const struct size small = {
        .jobs = 1000, .rate = 200, .ack_wait_ms = 5000, .wrong = PLAN_RUN_TWICE};
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &small);
    inject_start(&injector);
    while (!run_producers_are_through(&fleet)) {
        inject_turn(&injector);
        wait_a_moment();
    }
    assert_false(run_finish(&fleet, &injector, &findings));
    end(&fleet, &injector);
    assert_int_equal(findings.lost, 0);
    assert_true(findings.unexplained > 0);
}

static const struct size sizes[] = {
    {.name = "quick", .jobs = 10000, .rate = 200, .ack_wait_ms = 5000, .every_ms = 4000},
    {.name = "long", .jobs = 500000, .rate = 150, .ack_wait_ms = 5000, .every_ms = 6500},
};

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(the_checker_sees_workers_that_acknowledge_before_they_run),
        cmocka_unit_test(the_checker_sees_workers_that_run_jobs_twice),
    };

    size = sizes[0];
    seed = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "long") == 0) {
            size = sizes[1];
        } else if (strcmp(argv[i], "soak") == 0 && i + 1 < argc) {
            size = sizes[1]; /* as many jobs as hours take */
            size.name = "soak";
            size.jobs = (unsigned)strtoul(argv[++i], NULL, 10) * size.rate * 3600;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
            size.jobs = (unsigned)strtoul(argv[++i], NULL, 10) / PRODUCERS;
        } else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc) {
            size.rate = (unsigned)strtoul(argv[++i], NULL, 10) / PRODUCERS;
        } else if (strcmp(argv[i], "--ack-wait") == 0 && i + 1 < argc) {
            size.ack_wait_ms = strtoll(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--cluster") == 0) {
            cluster = true;
        } else if (strcmp(argv[i], "quick") != 0) {
            fprintf(stderr,
                    "usage: %s [quick|long|soak HOURS] [--seed N] [--jobs N] [--rate N] "
                    "[--ack-wait MS] [--cluster]\n",
                    argv[0]);
            return 2;
        }
    }
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}

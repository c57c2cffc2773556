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

#include "checker.h"
#include "clock.h"
#include "inject.h"
#include "nats_client.h"
#include "plan.h"
#include "rows.h"
#include "starved.h"
#include "wait.h"

#define DRAIN_MS 240000

static struct size {
    const char *name;
    unsigned jobs; /* of each producer */
    unsigned rate; /* a second, of each */
    int64_t ack_wait_ms;
    int64_t every_ms; /* between faults */
} size;

static uint64_t seed;
static bool cluster;

/* ---- a run ---- */

static bool producers_are_through(const struct fleet *fleet)
{
    for (size_t i = 0; i < ACTORS; i++)
        if (fleet->actors[i].role == ROLE_PRODUCER && !fleet->actors[i].finished)
            return false;
    return true;
}

/* Faults until all jobs are accepted; and until somebody has died at each point, if it must be. */
static void make_faults(struct injector *injector)
{
    int64_t told_ms = jj__clock_mono_ms();

    inject_start(injector);
    while (!producers_are_through(injector->fleet)) {
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

static uint64_t messages_left(struct nats_client *client)
{
    return nats_client_stream_messages(client, "JOBS_SCHEDULE") +
           nats_client_stream_messages(client, "JOBS") +
           nats_client_stream_messages(client, "JOBS_SCHEDULE");
}

/* A cluster that has just lost a broker may have no leader yet. */
static bool api_answers(void *ctx)
{
    json_t *info =
        nats_client_ask(ctx, &(struct note){.subject = "$JS.API.CONSUMER.INFO.JOBS." PLAN_JOB});
    bool answers = json_object_get(info, "config") != NULL;

    json_decref(info);
    return answers;
}

/* No more faults: all jobs end, and the queues are empty. How many messages are left. */
static uint64_t drain(struct injector *injector)
{
    int64_t until_ms = jj__clock_mono_ms() + DRAIN_MS;
    struct nats_client *client = nats_client_open(injector->fleet->brokers[0].url);
    uint64_t left;

    assert_true(wait_until(api_answers, client, DRAIN_MS));
    while ((left = messages_left(client)) > 0 && jj__clock_mono_ms() < until_ms)
        for (int i = 0; i < 50; i++) {
            inject_turn(injector);
            wait_a_moment();
        }
    int64_t held = nats_client_consumer_number(client, "JOBS", PLAN_JOB, "num_ack_pending");
    nats_client_close(client);
    return left + (uint64_t)(held > 0 ? held : 0);
}

static void end_actors(struct fleet *fleet)
{
    for (size_t i = 0; i < ACTORS; i++)
        if (!fleet->actors[i].finished && actor_stop(&fleet->actors[i]) != 0)
            fail_msg("an actor (%d, %u) did not end well", (int)fleet->actors[i].role,
                     fleet->actors[i].number);
}

/* One run; false: the checker is not content. */
static bool run(struct fleet *fleet, struct injector *injector, struct findings *findings)
{
    struct trail trail;

    starved_begin(fleet->ack_wait_ms / PLAN_PAUSE_PART);
    make_faults(injector);
    findings->left_over = drain(injector);
    end_actors(fleet);
    starved_end(&injector->faults);
    trail_read(&trail, fleet, &injector->faults);
    rows_read(fleet, &trail, findings);
    checker_judge(&trail, &injector->faults, fleet, findings);
    trail_free(&trail);
    return checker_is_content(findings);
}

/* ---- the tests ---- */

static void begin(struct fleet *fleet, struct injector *injector, const struct size *of)
{
    fleet_begin(fleet, &(struct fleet_options){.cluster = cluster,
                                               .ack_wait_ms = of->ack_wait_ms,
                                               .rate = of->rate,
                                               .jobs = of->jobs});
    inject_begin(injector, fleet, seed, of->every_ms);
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
    bool content = run(&fleet, &injector, &findings);
    checker_print(&findings, &injector.faults);
    bool all_points = inject_points_hit(&injector, true) == inject_points();
    end(&fleet, &injector);
    assert_true(content);
    assert_true(all_points);
}

/* Workers that tell the broker that a job is over before it runs, and die: the checker must see. */
static void the_checker_sees_workers_that_acknowledge_before_they_run(void **state)
{
    (void)state;
    const struct size small = {.jobs = 1000, .rate = 200, .ack_wait_ms = 5000, .every_ms = 0};
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &small);
    fleet.wrong = true;
    inject_start(&injector);
    while (!producers_are_through(&fleet)) {
        struct actor *worker = fleet_actor(&fleet, ROLE_WORKER, 0);
        inject_turn(&injector);
        if (jj__clock_mono_ms() > worker->since_ms + 700) {
            fault_add(&injector.faults, FAULT_KILL_WORKER, ROLE_WORKER, 0);
            actor_kill(worker);
            actor_start(&fleet, worker, NULL, 0, 0);
        }
        wait_a_moment();
    }
    findings.left_over = drain(&injector);
    end_actors(&fleet);
    struct trail trail;
    trail_read(&trail, &fleet, &injector.faults);
    rows_read(&fleet, &trail, &findings);
    checker_judge(&trail, &injector.faults, &fleet, &findings);
    trail_free(&trail);
    end(&fleet, &injector);
    assert_true(findings.lost > 0);
}

static const struct size sizes[] = {
    {"quick", 10000, 130, 8000, 2500},
    {"long", 500000, 150, 5000, 6500},
};

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(the_checker_sees_workers_that_acknowledge_before_they_run),
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

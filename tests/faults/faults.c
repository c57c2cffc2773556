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
#include "late.h"
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

/* Of the jobs, those that the workers have not acknowledged. */
static uint64_t jobs_left(struct nats_client *client)
{
    int64_t waiting = nats_client_consumer_number(client, "JOBS", PLAN_JOB, "num_pending");
    int64_t held = nats_client_consumer_number(client, "JOBS", PLAN_JOB, "num_ack_pending");

    return (uint64_t)(waiting > 0 ? waiting : 0) + (uint64_t)(held > 0 ? held : 0);
}

/* The schedule before and after the jobs: they go from one to the other, and back. */
static uint64_t messages_left(struct nats_client *client)
{
    return nats_client_stream_messages(client, "JOBS_SCHEDULE") + jobs_left(client) +
           nats_client_stream_messages(client, "JOBS_SCHEDULE");
}

/* Sequences that no message of the stream has. */
static size_t count_holes(struct nats_client *client, const char *stream)
{
    char what[64];

    snprintf(what, sizeof(what), "STREAM.INFO.%s", stream);
    json_t *info = nats_client_api(client, what, NULL);
    const json_t *state = json_object_get(info, "state");
    json_int_t first = json_integer_value(json_object_get(state, "first_seq"));
    json_int_t last = json_integer_value(json_object_get(state, "last_seq"));
    json_int_t messages = json_integer_value(json_object_get(state, "messages"));

    json_decref(info);
    return (size_t)(last - first + 1 - messages);
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

/* No more faults: all jobs end, and the queues are empty. What is left, and what is missing. */
static void drain(struct injector *injector, struct findings *findings)
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
    findings->left_over = left;
    findings->kept = left > 0 ? 0 : nats_client_stream_messages(client, "JOBS");
    findings->holes = count_holes(client, "JOBS_EVENTS");
    nats_client_close(client);
    census_take(injector->fleet, &findings->census);
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
    late_begin(fleet->brokers[0].port, fleet->ack_wait_ms / PLAN_PAUSE_PART);
    make_faults(injector);
    drain(injector, findings);
    end_actors(fleet);
    findings->processes_left = census_left(fleet);
    starved_end(&injector->faults);
    late_end(&injector->faults);
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
    const struct size small = {.jobs = 1000, .rate = 200, .ack_wait_ms = 5000, .every_ms = 0};
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &small);
    fleet.wrong = true;
    inject_start(&injector);
    while (!producers_are_through(&fleet)) {
        inject_turn(&injector);
        if (jj__clock_mono_ms() > fleet_actor(&fleet, ROLE_WORKER, 0)->since_ms + 700)
            kill_worker(&fleet, &injector, 0);
        wait_a_moment();
    }
    for (unsigned i = 0; i < WORKERS; i++) /* amid their slow jobs */
        kill_worker(&fleet, &injector, i);
    drain(&injector, &findings);
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
    {"quick", 10000, 200, 5000, 4000},
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

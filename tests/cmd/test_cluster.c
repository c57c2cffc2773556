/* SPDX-License-Identifier: Apache-2.0 */

/* A cluster of three servers, as the files in broker/cluster set it up, with other ports and
 * folders. Losing more than one is for tests/faults. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "stage.h"

#define NODES 3

/* The stage's own server is not used. */
struct cluster {
    struct server nodes[NODES];
    struct stage *stage;
    struct process *worker;
    const char *id;      /* of the job to run next */
    const char *finding; /* of the doctor, waited for */
    char said[8192];     /* by it */
};

/* ---- the servers ---- */

/* Make the server's configuration of the shipped file. */
static void write_config(const struct cluster *cluster, int node)
{
    const struct server *nodes = cluster->nodes;
    char from[32], script[1024];
    const char *const argv[] = {"sh", "-c", script, "sh", from, nodes[node].dir, NULL};

    snprintf(from, sizeof(from), "node%d.conf", node + 1);
    snprintf(script, sizeof(script),
             "cd " JETJOBS_SOURCE "/broker/cluster && sed"
             " -e s/127.0.0.1:4222/127.0.0.1:%d/ -e s/127.0.0.1:6222/127.0.0.1:%d/"
             " -e s/127.0.0.1:4223/127.0.0.1:%d/ -e s/127.0.0.1:6223/127.0.0.1:%d/"
             " -e s/127.0.0.1:4224/127.0.0.1:%d/ -e s/127.0.0.1:6224/127.0.0.1:%d/"
             " -e \"s|\\\"build/nats-data-.\\\"|$2/store|\" \"$1\" >\"$2\"/server.conf",
             nodes[0].port, nodes[0].spare_port, nodes[1].port, nodes[1].spare_port, nodes[2].port,
             nodes[2].spare_port);
    assert_int_equal(process_run(argv, NULL), 0);
}

static int begin(void **state)
{
    static struct cluster cluster;
    struct server *nodes = cluster.nodes;

    stage_begin(state);
    cluster = (struct cluster){.stage = *state};
    *state = &cluster;
    for (int i = 0; i < NODES; i++)
        server_start(&nodes[i], &(struct server_options){.no_jetstream = true});
    for (int i = 0; i < NODES; i++) {
        write_config(&cluster, i);
        server_restart(&nodes[i]);
    }
    snprintf(cluster.stage->url, sizeof(cluster.stage->url),
             "nats://127.0.0.1:%d,nats://127.0.0.1:%d,nats://127.0.0.1:%d", nodes[0].port,
             nodes[1].port, nodes[2].port);
    return 0;
}

static int end(void **state)
{
    struct cluster *cluster = *state;
    void *stage = cluster->stage;

    process_free(cluster->worker);
    for (int i = 0; i < NODES; i++)
        server_done(&cluster->nodes[i]);
    return stage_end(&stage);
}

/* ---- the operator ---- */

/* Run a command to its end; its status. It may take a while: elections do. */
static int run(const struct cluster *cluster, const char *const command[], char output[8192])
{
    const char *argv[12] = {JETJOBS_PROGRAM, "--config", cluster->stage->config, "--url",
                            cluster->stage->url};

    for (size_t i = 0; command[i] != NULL; i++)
        argv[i + 5] = command[i];
    struct process *process = process_start(argv, NULL);
    int status = process_wait(process, 0);
    snprintf(output, 8192, "%s%s", process_output(process), process_errors(process));
    process_free(process);
    return status;
}

static bool is_provisioned(void *ctx)
{
    char output[8192];

    return run(ctx, CLI_ARGS("provision"), output) == 0;
}

/* Enqueue it, under the same id until it works. */
static bool is_enqueued(void *ctx)
{
    const struct cluster *cluster = ctx;
    char output[8192];

    return run(ctx, CLI_ARGS("enqueue", "work", "", "--id", cluster->id), output) == 0;
}

static bool is_completed(void *ctx)
{
    const struct cluster *cluster = ctx;
    char output[8192];

    return run(ctx, CLI_ARGS("--json", "get", cluster->id), output) == 0 &&
           strstr(output, "\"status\":\"completed\"") != NULL;
}

static bool finds_nothing_wrong(void *ctx)
{
    char output[8192];

    return run(ctx, CLI_ARGS("doctor"), output) == 0;
}

static bool finds_it(void *ctx)
{
    struct cluster *cluster = ctx;

    return run(cluster, CLI_ARGS("doctor"), cluster->said) != 0 &&
           strstr(cluster->said, cluster->finding) != NULL;
}

/* The doctor says so, as soon as the servers know. */
static void expect_finding(struct cluster *cluster, const char *finding)
{
    cluster->finding = finding;
    if (!wait_until(finds_it, cluster, 2 * WAIT_MS))
        fail_msg("\"%s\" is not in:\n%s", finding, cluster->said);
}

static void expect_run(struct cluster *cluster, const char *id)
{
    cluster->id = id;
    assert_true(wait_until(is_enqueued, cluster, 2 * WAIT_MS));
    assert_true(wait_until(is_completed, cluster, 2 * WAIT_MS));
}

static void one_of_three_may_be_lost(void **state)
{
    struct cluster *cluster = *state;
    struct stage *stage = cluster->stage;

    stage_configure(stage, "streams: { replicas: 3 }\n"
                           "index: { path: jobs.db }\n"
                           "handlers:\n- { name: work, exec: [/bin/true] }\n");
    assert_true(wait_until(is_provisioned, cluster, 2 * WAIT_MS));
    cluster->worker = stage_start(stage, "worker", NULL);
    stage->process = stage_start(stage, "serve", NULL);
    expect_run(cluster, "with-three");
    assert_true(wait_until(finds_nothing_wrong, cluster, 2 * WAIT_MS));

    server_kill(&cluster->nodes[0]);
    expect_run(cluster, "with-two");
    assert_int_equal(stage_stop(cluster->worker), 0);
    assert_int_equal(stage_stop(stage->process), 0);
}

/* One copy; one of three that is gone; and two. */
static void the_doctor_names_what_is_missing(void **state)
{
    struct cluster *cluster = *state;
    struct stage *stage = cluster->stage;

    stage_configure(stage, "index: { path: jobs.db }\n");
    assert_true(wait_until(is_provisioned, cluster, 2 * WAIT_MS));
    expect_finding(cluster, "warning: stream JOBS: it is on one server of a cluster: when that "
                            "fails, it is gone\n    set streams.replicas to 3, then");
    stage_configure(stage, "streams: { replicas: 3 }\nindex: { path: jobs.db }\n");
    assert_true(wait_until(is_provisioned, cluster, 2 * WAIT_MS));
    stage->process = stage_start(stage, "serve", NULL);
    assert_true(wait_until(finds_nothing_wrong, cluster, 2 * WAIT_MS));

    server_kill(&cluster->nodes[2]);
    expect_finding(cluster, "warning: stream JOBS: its copy on jetjobs-3 is ");
    assert_non_null(strstr(cluster->said, " s ago\n    see to that server; until then"));
    server_kill(&cluster->nodes[1]);
    expect_finding(cluster, "JetStream has no leader: most servers of the cluster are gone");
    server_restart(&cluster->nodes[1]);
    server_restart(&cluster->nodes[2]);
    assert_true(wait_until(finds_nothing_wrong, cluster, 2 * WAIT_MS));
    assert_int_equal(stage_stop(stage->process), 0);
}

static bool has_no_room(void *ctx)
{
    struct cluster *cluster = ctx;

    return run(cluster, CLI_ARGS("provision"), cluster->said) == 1 &&
           strstr(cluster->said, "index.history_bytes") != NULL;
}

static void small_disks_are_told_and_what_takes_their_room(void **state)
{
    struct cluster *cluster = *state;

    stage_configure(cluster->stage, "streams: { replicas: 3 }\n"
                                    "index: { path: jobs.db, history_bytes: 1000000GiB }\n");
    if (!wait_until(has_no_room, cluster, 2 * WAIT_MS))
        fail_msg("%s", cluster->said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_three_may_be_lost, begin, end),
        cmocka_unit_test_setup_teardown(the_doctor_names_what_is_missing, begin, end),
        cmocka_unit_test_setup_teardown(small_disks_are_told_and_what_takes_their_room, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

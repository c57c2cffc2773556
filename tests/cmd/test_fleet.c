/* SPDX-License-Identifier: Apache-2.0 */

/* A fleet: three workers that run programs, an index service, a producer and a listener that know
 * nothing of jetjobs. One worker is killed, one is stopped politely, one is added; each job is
 * completed. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

enum { JOBS = 300, WAVE = 100, WORKERS = 4, UNTOLD = 20 };

struct fleet {
    struct stage *stage;
    struct process *workers[WORKERS];
    struct process *index;
    struct listener *completed;
    uint64_t last_seq; /* in JOBS */
};

static struct process *start(struct fleet *fleet, const char *command, const char *ready)
{
    struct process *process = stage_start(fleet->stage, command, NULL);

    assert_true(process_wait_errors(process, ready));
    return process;
}

static void publish_wave(struct fleet *fleet, int first)
{
    char data[32];

    for (int i = first; i < first + WAVE; i++) {
        snprintf(data, sizeof(data), "%d", i);
        fleet->last_seq = nats_client_store_text(fleet->stage->stranger, "jobs.enqueue.work", data);
    }
}

/* What the index service counts. */
static int64_t count_state(struct fleet *fleet, const char *state)
{
    char seq[32];
    const jj_header known = {"Jobs-Seq", seq};
    const struct note ask = {
        .subject = "jobs.stats", .data = "{}", .headers = &known, .header_count = 1};

    snprintf(seq, sizeof(seq), "%llu", (unsigned long long)fleet->last_seq);
    json_t *stats = nats_client_ask(fleet->stage->stranger, &ask);
    json_t *name = json_object_get(json_object_get(stats, "names"), "work");
    int64_t count = json_integer_value(json_object_get(name, state));
    json_decref(stats);
    return count;
}

static bool all_are_completed(void *ctx)
{
    return count_state(ctx, "completed") == JOBS;
}

/* Those that were heard of, once each: how many, and that each has its own result. */
static size_t count_heard(struct fleet *fleet)
{
    static bool heard[JOBS + 1];
    size_t count = 0;

    memset(heard, 0, sizeof(heard));
    for (size_t i = 0; i < listener_count(fleet->completed); i++) {
        json_t *event = json_loads(listener_get(fleet->completed, i)->data, 0, NULL);
        const char *id = json_string_value(json_object_get(event, "jobId"));
        int64_t result = json_integer_value(json_object_get(event, "result"));
        long seq = id == NULL ? 0 : strtol(id, NULL, 10); /* the id of a job that had none */
        assert_true(seq >= 1 && seq <= JOBS);
        assert_int_equal(result, 2 * (seq - 1));
        count += heard[seq] ? 0 : 1;
        heard[seq] = true;
        json_decref(event);
    }
    return count;
}

static void every_job_is_completed_whatever_becomes_of_workers(void **state)
{
    struct fleet fleet = {.stage = *state};
    struct stage *stage = fleet.stage;

    stage_write(stage, "double.sh", "#!/bin/sh\nread -r n\necho $((n * 2))\n", 0755);
    stage_configure(stage, "worker: { concurrency: 3, ack_wait: 2s }\n"
                           "handlers:\n- { name: work, exec: [./double.sh] }\n");
    fleet.completed = nats_client_listen(stage->stranger, "job.work.completed", NULL);
    fleet.index = start(&fleet, "serve", "answers requests");
    for (int i = 0; i < 3; i++)
        fleet.workers[i] = start(&fleet, "worker", "takes jobs for work");

    publish_wave(&fleet, 0);
    assert_true(listener_wait(fleet.completed, WAVE / 2));
    process_signal(fleet.workers[0], SIGKILL); /* in the midst of it */
    publish_wave(&fleet, WAVE);
    process_signal(fleet.workers[1], SIGTERM);
    fleet.workers[3] = start(&fleet, "worker", "takes jobs for work");
    publish_wave(&fleet, 2 * WAVE);
    assert_int_equal(process_wait(fleet.workers[0], 0), -SIGKILL);
    assert_int_equal(process_wait(fleet.workers[1], 0), 0);

    assert_true(wait_until(all_are_completed, &fleet, 2 * WAIT_MS));
    assert_int_equal(count_state(&fleet, "failed"), 0);
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    for (int i = 2; i < WORKERS; i++)
        assert_int_equal(stage_stop(fleet.workers[i]), 0);
    nats_client_settle(stage->stranger);
    /* The one that was killed may not have got round to telling of what it had just stored. */
    assert_in_range(count_heard(&fleet), JOBS - UNTOLD, JOBS);
    assert_int_equal(stage_stop(fleet.index), 0);
    for (int i = 0; i < WORKERS; i++)
        process_free(fleet.workers[i]);
    process_free(fleet.index);
    listener_close(fleet.completed);
}

/* How often a worker has said that other handlers are in effect. */
static size_t count_takeovers(struct process *worker)
{
    static const char said[] = "the handlers are now";
    const char *at = process_errors(worker);
    size_t count = 0;

    while ((at = strstr(at, said)) != NULL) {
        at += strlen(said);
        count++;
    }
    return count;
}

/* No job is lost, and none is run a second time. */
static void handlers_are_read_again_in_full_swing(void **state)
{
    struct fleet fleet = {.stage = *state};
    struct stage *stage = fleet.stage;

    stage_write(stage, "double.sh", "#!/bin/sh\nread -r n\necho $((n * 2))\n", 0755);
    stage_configure(stage, "handlers:\n- { name: work, exec: [./double.sh] }\n");
    fleet.completed = nats_client_listen(stage->stranger, "job.work.completed", NULL);
    fleet.workers[0] = start(&fleet, "worker", "takes jobs for work");
    for (int wave = 0; wave < JOBS / WAVE; wave++) {
        publish_wave(&fleet, wave * WAVE);
        assert_true(listener_wait(fleet.completed, (size_t)(wave * WAVE + 1)));
        process_signal(fleet.workers[0], SIGHUP);
    }
    assert_true(listener_wait(fleet.completed, JOBS));
    assert_true(nats_client_wait_messages(stage->stranger, "JOBS", 0));
    assert_int_equal(stage_stop(fleet.workers[0]), 0);
    nats_client_settle(stage->stranger);
    assert_int_equal(listener_count(fleet.completed), JOBS);
    assert_int_equal(count_heard(&fleet), JOBS);
    assert_true(count_takeovers(fleet.workers[0]) > 0);
    process_free(fleet.workers[0]);
    listener_close(fleet.completed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_job_is_completed_whatever_becomes_of_workers,
                                        stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(handlers_are_read_again_in_full_swing, stage_begin,
                                        stage_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

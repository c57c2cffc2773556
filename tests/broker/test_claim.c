/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of claims: shared by many jobs, and lost to a cancellation that came before. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "codec_pb.h"
#include "crew.h"

#define JOBS 5000

/* The canceller's message: "these jobs are cancelled". */
static void cancel(struct crew *crew, const char *name, const char *const *ids, size_t count)
{
    struct event events[8];
    struct buf body = {0};
    char subject[128];

    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++)
        events[i] = (struct event){
            .type = EVENT_CANCELLED, .id = ids[i], .name = name, .time_ms = jj__clock_wall_ms()};
    assert_int_equal(jj__pb_write_events(&body, "stranger", events, count, NULL), JJ_OK);
    snprintf(subject, sizeof(subject), "jobs.events.%s.cancelled", name);
    const struct note note = {.subject = subject, .data = body.data, .len = body.len};
    nats_client_store(crew->stranger, &note);
    jj__buf_done(&body);
}

static void enqueue_with_id(struct crew *crew, const char *name, const char *id)
{
    const jj_spec spec = {.name = name, .id = id, .data = id, .data_len = strlen(id)};

    assert_int_equal(jj_enqueue(crew->client, &spec, NULL, NULL), JJ_OK);
}

static void claims_of_many_jobs_share_messages(void **state)
{
    struct crew *crew = *state;
    jj_spec *specs = calloc(JOBS, sizeof(*specs));

    assert_non_null(specs);
    crew_open(crew, NULL);
    for (size_t i = 0; i < JOBS; i++)
        specs[i] = (jj_spec){.name = "quick", .data = "x", .data_len = 1};
    assert_int_equal(jj_enqueue_many(crew->client, specs, JOBS, NULL, NULL, NULL), JJ_OK);
    free(specs);
    crew_register(crew, "quick", NULL, NULL);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "quick", JOBS));
    assert_true(crew_wait_backlog(crew, 0));
    uint64_t stored = nats_client_stream_messages(crew->stranger, "JOBS_EVENTS");
    print_message("%d jobs: %llu messages of claims and results\n", JOBS,
                  (unsigned long long)stored);
    assert_true(stored < JOBS / 2);
    assert_int_equal(crew_runs(crew, NULL), JOBS);
}

static void a_job_that_was_cancelled_before_it_came_is_not_run(void **state)
{
    struct crew *crew = *state;
    const char *id = "gone";

    crew_open(crew, NULL);
    crew_register(crew, "task", NULL, NULL);
    cancel(crew, "task", &id, 1);
    enqueue_with_id(crew, "task", "gone");
    enqueue_with_id(crew, "task", "stays");
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "task", 1));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 1);
    assert_string_equal(crew_run(crew, 0).id, "stays");
}

static void a_cancelled_job_that_was_prefetched_is_not_run(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.concurrency = 1};
    const char *id = "prefetched";

    crew_open(crew, &options);
    crew_register(crew, "first", crew_pass, NULL);
    crew_register(crew, "second", NULL, NULL);
    crew_start(crew);
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "first", "num_waiting", 1));
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "second", "num_waiting", 1));
    crew_close_gate(crew);
    enqueue_with_id(crew, "first", "blocks");
    assert_true(crew_wait_running(crew, 1));
    /* The worker's open pull takes it in, but its only slot is busy. */
    enqueue_with_id(crew, "second", "prefetched");
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "second", "num_ack_pending", 1));
    cancel(crew, "second", &id, 1);
    crew_open_gate(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, "second"), 0);
    enqueue_with_id(crew, "second", "runs");
    assert_true(crew_wait_runs(crew, "second", 1));
}

static void a_cancellation_behind_the_claim_changes_nothing(void **state)
{
    struct crew *crew = *state;
    const char *id = "running";

    crew_open(crew, NULL);
    crew_register(crew, "slow", crew_pass, NULL);
    crew_start(crew);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    crew_close_gate(crew);
    enqueue_with_id(crew, "slow", "running");
    assert_true(crew_wait_running(crew, 1));
    cancel(crew, "slow", &id, 1);
    crew_open_gate(crew);
    assert_true(listener_wait(completed, 1));
    listener_close(completed);
}

static void a_redriven_job_is_not_held_up_by_its_old_cancellation(void **state)
{
    struct crew *crew = *state;
    const char *id = "lazarus";
    static const jj_header headers[] = {{"Job-Id", "lazarus"}, {"Job-Redrives", "1"}};
    const struct note note = {
        .subject = "jobs.enqueue.task", .headers = headers, .header_count = 2, .data = "x"};

    crew_open(crew, NULL);
    crew_register(crew, "task", NULL, NULL);
    cancel(crew, "task", &id, 1);
    crew_start(crew);
    nats_client_store(crew->stranger, &note);
    assert_true(crew_wait_runs(crew, "task", 1));
    assert_string_equal(crew_run(crew, 0).id, "lazarus");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(claims_of_many_jobs_share_messages),
        STORY(a_job_that_was_cancelled_before_it_came_is_not_run),
        STORY(a_cancelled_job_that_was_prefetched_is_not_run),
        STORY(a_cancellation_behind_the_claim_changes_nothing),
        STORY(a_redriven_job_is_not_held_up_by_its_old_cancellation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

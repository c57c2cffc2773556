/* SPDX-License-Identifier: Apache-2.0 */

/* A job's way through a worker. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "codec_pb.h"
#include "shortage.h"
#include "workshop.h"

/* ---- a job's whole way ---- */

static atomic_int whole_runs;
static atomic_int whole_told; /* lines and events */

static jj_verdict be_whole(jj_attempt *attempt, void *user)
{
    (void)user;
    atomic_fetch_add(&whole_told, jj_log(attempt, JJ_LOG_INFO, NULL, "line") == JJ_OK);
    atomic_fetch_add(&whole_told, jj_emit(attempt, "happened", "1") == JJ_OK);
    jj_progress(attempt, 40, "some of it");
    shortage_spare(true); /* else it might end in another way */
    jj_verdict verdict = jj_done(attempt, "whole", 5);
    shortage_spare(false);
    atomic_fetch_add(&whole_runs, 1);
    return verdict;
}

/* It ran once, has its result, and what it could tell. */
static void judge_whole(const char *id)
{
    workshop_expect_result(id, "whole");
    assert_int_equal(atomic_exchange(&whole_runs, 0), 1);
    assert_int_equal(workshop_count_lines(id), atomic_exchange(&whole_told, 0));
}

static void no_job_is_lost_without_memory(void **state)
{
    (void)state;
    workshop_try_jobs("whole", judge_whole);
}

static bool is_past(void *ctx)
{
    return jj__clock_mono_ms() >= *(int64_t *)ctx;
}

static void no_job_is_lost_while_there_is_no_memory(void **state)
{
    char id[JJ_NAME_SIZE];

    (void)state;
    for (int n = 0; n < 24; n += 3) {
        snprintf(id, sizeof(id), "while-%d", n);
        shortage_begin(n, SHORT_FOR_GOOD);
        workshop_enqueue("whole", id, NULL);
        int64_t until_ms = jj__clock_mono_ms() + 300;
        wait_until(is_past, &until_ms, WAIT_MS);
        shortage_end();
        judge_whole(id);
    }
}

/* ---- cancellations ---- */

#define AIMED 3 /* jobs that one message cancels */

static atomic_int aimed_runs;
static atomic_int other_runs;

static jj_verdict be_aimed(jj_attempt *attempt, void *user)
{
    (void)user;
    atomic_fetch_add(strncmp(jj_attempt_id(attempt), "aimed", 5) == 0 ? &aimed_runs : &other_runs,
                     1);
    return jj_done(attempt, NULL, 0);
}

static void cancel(char ids[AIMED][JJ_NAME_SIZE])
{
    struct event events[AIMED];
    struct buf body = {0};

    for (size_t i = 0; i < AIMED; i++)
        events[i] = (struct event){
            .type = EVENT_CANCELLED, .id = ids[i], .name = "aimed", .time_ms = jj__clock_wall_ms()};
    assert_int_equal(jj__pb_write_events(&body, "stranger", events, AIMED, NULL), JJ_OK);
    const struct note note = {
        .subject = "jobs.events.aimed.cancelled", .data = body.data, .len = body.len};
    nats_client_store(workshop.stage->stranger, &note);
    jj__buf_done(&body);
}

static bool some_failed(void *ctx)
{
    (void)ctx;
    return shortage_failures() > 0;
}

static bool other_ran(void *ctx)
{
    return atomic_load(&other_runs) == *(int *)ctx;
}

/* The worker hears of them before the jobs come. */
static void no_cancellation_is_lost_without_memory(void **state)
{
    char ids[AIMED][JJ_NAME_SIZE];
    char other[JJ_NAME_SIZE];
    int rounds = 0;

    (void)state;
    for (bool some = true; some; rounds++) {
        assert_true(rounds < ALLOCATIONS_MAX);
        for (int i = 0; i < AIMED; i++)
            snprintf(ids[i], sizeof(ids[i]), "aimed-%d-%d", rounds, i);
        snprintf(other, sizeof(other), "other-%d", rounds);
        shortage_begin(rounds / 2, rounds % 2 == 0 ? SHORT_ONCE : SHORT_FOR_GOOD);
        cancel(ids);
        some = wait_until(some_failed, NULL, 3000);
        shortage_end();
        for (int i = 0; i < AIMED; i++)
            workshop_enqueue("aimed", ids[i], NULL);
        workshop_enqueue("aimed", other, NULL);
        int ran = rounds + 1;
        assert_true(wait_until(other_ran, &ran, WAIT_MS));
        assert_int_equal(atomic_load(&aimed_runs), 0);
    }
    assert_true(rounds / 2 > AIMED);
    print_message("%d rounds\n", rounds);
}

/* ---- the tests ---- */

static int begin(void **state)
{
    workshop_begin(state);
    workshop_register("whole", be_whole);
    workshop_register("aimed", be_aimed);
    workshop_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_job_is_lost_without_memory),
        cmocka_unit_test(no_job_is_lost_while_there_is_no_memory),
        cmocka_unit_test(no_cancellation_is_lost_without_memory),
    };

    return cmocka_run_group_tests_name("memory.worker", tests, begin, workshop_end);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of jobs for later: on time, never early, moved once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"
#include "rfc3339.h"

#define JOBS 100

/* On an idle machine the median is 1 to 3 ms. This is for one that runs other things, sanitizers
 * among them, and still tells a mover from the server's own timer, which is 250 ms late at times.
 */
#define MEDIAN_MAX_MS 250

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void a_scheduled_job_starts_within_50_ms_of_its_time(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.concurrency = 20};
    int64_t first_ms = jj__clock_wall_ms() + 1500;
    int64_t late[JOBS];
    jj_error err;

    crew_open(crew, &options);
    crew_register(crew, "later", NULL, NULL);
    crew_start(crew);
    for (int i = 0; i < JOBS; i++) {
        const jj_spec spec = {.name = "later", .data = "x", .data_len = 1};
        if (jj_schedule(crew->client, &spec, first_ms + i * 47, NULL, &err) != JJ_OK)
            fail_msg("%s", err.text);
    }
    assert_true(crew_wait_runs(crew, "later", JOBS));
    for (size_t i = 0; i < JOBS; i++) {
        struct run run = crew_run(crew, i);
        late[i] = run.started_at_ms - run.run_at_ms;
        assert_true(late[i] >= 0);
    }
    qsort(late, JOBS, sizeof(late[0]), compare);
    print_message("lateness of %d scheduled jobs: median %lld ms, 99th %lld ms, most %lld ms\n",
                  JOBS, (long long)late[JOBS / 2], (long long)late[JOBS - 2],
                  (long long)late[JOBS - 1]);
    assert_in_range(late[JOBS / 2], 0, MEDIAN_MAX_MS);
    assert_true(crew_wait_backlog(crew, 0));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 0));
}

static void a_time_that_has_passed_means_now(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "late", .id = "yesterday"};
    jj_receipt receipt;

    crew_open(crew, NULL);
    crew_register(crew, "late", NULL, NULL);
    crew_start(crew);
    assert_int_equal(jj_schedule(crew->client, &spec, 1000, &receipt, NULL), JJ_OK);
    assert_true(crew_wait_runs(crew, "late", 1));
    assert_string_equal(crew_run(crew, 0).id, "yesterday");
    assert_int_equal(crew_run(crew, 0).run_at_ms, 1000);
}

static void a_foreign_schedule_runs_under_the_id_of_its_subject(void **state)
{
    struct crew *crew = *state;
    char at[64] = "@at ";

    crew_open(crew, NULL);
    crew_register(crew, "tea", NULL, NULL);
    crew_start(crew);
    jj__rfc3339_write(jj__clock_wall_ms() + 500, at + 4);
    const jj_header headers[] = {{"Nats-Schedule", at}, {"Nats-Schedule-Target", "jobs.due.tea"}};
    const struct note note = {.subject = "jobs.schedule.tea.five-o-clock",
                              .headers = headers,
                              .header_count = 2,
                              .data = "milk"};
    nats_client_store(crew->stranger, &note);
    assert_true(crew_wait_runs(crew, "tea", 1));
    assert_string_equal(crew_run(crew, 0).id, "five-o-clock");
    assert_string_equal(crew_run(crew, 0).data, "milk");
}

static void a_job_found_before_its_time_is_put_off(void **state)
{
    struct crew *crew = *state;
    char run_at[JJ__RFC3339_SIZE];

    crew_open(crew, NULL);
    crew_register(crew, "soon", NULL, NULL);
    crew_start(crew);
    jj__rfc3339_write(jj__clock_wall_ms() + 1200, run_at);
    const jj_header header = {"Job-Run-At", run_at};
    const struct note note = {
        .subject = "jobs.enqueue.soon", .headers = &header, .header_count = 1, .data = "x"};
    nats_client_store(crew->stranger, &note);
    assert_true(crew_wait_runs(crew, "soon", 1));
    struct run run = crew_run(crew, 0);
    assert_true(run.started_at_ms >= run.run_at_ms);
    assert_int_equal(run.attempt, 1);
    assert_true(crew_wait_backlog(crew, 0));
}

/* As by a mover that died before it acknowledged the due message. */
static void a_due_job_that_was_moved_already_is_not_moved_again(void **state)
{
    struct crew *crew = *state;
    static const jj_header headers[] = {{"Nats-Msg-Id", "twin:0:due"}, {"Job-Id", "twin"}};
    const struct note moved = {
        .subject = "jobs.enqueue.move", .headers = headers, .header_count = 2, .data = "x"};
    const jj_spec spec = {.name = "move", .id = "twin"};

    crew_open(crew, NULL);
    crew_register(crew, "move", NULL, NULL);
    nats_client_store(crew->stranger, &moved);
    assert_int_equal(jj_schedule(crew->client, &spec, jj__clock_wall_ms() + 100, NULL, NULL),
                     JJ_OK);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "move", 1));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 0));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 1);
}

static void a_recurring_schedule_makes_jobs(void **state)
{
    struct crew *crew = *state;
    static const jj_header headers[] = {{"Nats-Schedule", "@every 1s"},
                                        {"Nats-Schedule-Target", "jobs.due.beat"},
                                        {"Job-Schedule-Id", "pulse"}};
    const struct note note = {
        .subject = "jobs.schedule.beat.pulse", .headers = headers, .header_count = 3, .data = "x"};

    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    nats_client_store(crew->stranger, &note);
    assert_true(crew_wait_runs(crew, "beat", 2));
    assert_string_not_equal(crew_run(crew, 0).id, crew_run(crew, 1).id);
    assert_memory_equal(crew_run(crew, 0).id, "pulse-", 6);
}

static void many_jobs_of_one_moment_all_run_once(void **state)
{
    struct crew *crew = *state;
    int64_t at_ms = jj__clock_wall_ms() + 2500;
    char id[24];

    crew_open(crew, NULL);
    crew_register(crew, "burst", NULL, NULL);
    crew_start(crew);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "burst-%d", i);
        const jj_spec spec = {.name = "burst", .id = id};
        assert_int_equal(jj_schedule(crew->client, &spec, at_ms, NULL, NULL), JJ_OK);
    }
    assert_true(crew_wait_runs(crew, "burst", 2000));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 0));
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 2000);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_scheduled_job_starts_within_50_ms_of_its_time),
        STORY(a_time_that_has_passed_means_now),
        STORY(a_foreign_schedule_runs_under_the_id_of_its_subject),
        STORY(a_job_found_before_its_time_is_put_off),
        STORY(a_due_job_that_was_moved_already_is_not_moved_again),
        STORY(a_recurring_schedule_makes_jobs),
        STORY(many_jobs_of_one_moment_all_run_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

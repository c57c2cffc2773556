/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of a job that two workers held: of the next steps that both store the later one stays. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "desk.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SCHEDULE     "jobs.schedule.twice.mine"
#define LATER        "@at 2099-01-02T03:04:05Z"

/* What another worker stored: a step of the job, with so many attempts and snoozes. */
static void store_step(struct nats_client *stranger, const char *attempts, const char *snoozes)
{
    const jj_header headers[] = {{"Nats-Schedule", LATER},
                                 {"Nats-Schedule-Target", "jobs.due.twice"},
                                 {"Job-Id", "mine"},
                                 {"Job-Attempts", attempts},
                                 {"Job-Snoozes", snoozes}};

    nats_client_store(stranger, &(struct note){.subject = SCHEDULE,
                                               .headers = headers,
                                               .header_count = COUNT(headers),
                                               .data = "another's"});
}

static void store_recurring(struct nats_client *stranger)
{
    const jj_header headers[] = {{"Nats-Schedule", "@every 24h"},
                                 {"Nats-Schedule-Target", "jobs.due.twice"},
                                 {"Job-Schedule-Id", "mine"}};

    nats_client_store(stranger, &(struct note){.subject = SCHEDULE,
                                               .headers = headers,
                                               .header_count = COUNT(headers),
                                               .data = "another's"});
}

/* What is stored on the one subject, and nothing else is. */
static void expect_step(struct nats_client *stranger, const char *data, const char *attempts,
                        const char *snoozes)
{
    struct heard *heard = NULL;

    assert_int_equal(nats_client_stream_messages(stranger, "JOBS_SCHEDULE"), 1);
    for (uint64_t seq = 1; heard == NULL && seq < 5; seq++)
        heard = nats_client_get(stranger, "JOBS_SCHEDULE", seq);
    assert_non_null(heard);
    assert_string_equal(heard->subject, SCHEDULE);
    assert_string_equal(heard->data, data);
    if (attempts != NULL)
        assert_string_equal(heard_header(heard, "Job-Attempts"), attempts);
    if (snoozes == NULL)
        assert_null(heard_header(heard, "Job-Snoozes"));
    else
        assert_string_equal(heard_header(heard, "Job-Snoozes"), snoozes);
    heard_free(heard);
}

/* ---- a worker's ---- */

static jj_verdict fail_slowly(struct crew *crew, jj_attempt *attempt)
{
    const char *const *other = crew->extra; /* stored while this one runs */

    if (other != NULL)
        store_step(crew->stranger, other[0], other[1]);
    return jj_retry_in(attempt, 3600 * 1000, "not yet");
}

/* The job runs, its first attempt fails, and that is said and done. */
static void run_once(struct crew *crew, const char *const *other, crew_act act)
{
    const jj_spec spec = {.name = "twice", .id = "mine", .data = "ours", .data_len = 4};

    crew->extra = (void *)other;
    crew_open(crew, NULL);
    crew_register(crew, "twice", act, NULL);
    crew_start(crew);
    crew_enqueue_spec(crew, &spec);
    assert_true(crew_wait_runs(crew, "twice", 1));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 0));
}

static void a_later_step_stays(void **state)
{
    static const char *const later[] = {"1", "1"};
    struct crew *crew = *state;
    struct listener *retrying = nats_client_listen(crew->stranger, "job.retrying", NULL);

    run_once(crew, later, fail_slowly);
    expect_step(crew->stranger, "another's", "1", "1");
    assert_true(listener_wait(retrying, 1));
    listener_close(retrying);
}

static void the_same_step_stays(void **state)
{
    static const char *const same[] = {"1", "0"};
    struct crew *crew = *state;

    run_once(crew, same, fail_slowly);
    expect_step(crew->stranger, "another's", "1", "0");
}

static void an_earlier_step_is_replaced(void **state)
{
    static const char *const put_off[] = {"0", "1"}; /* of the same generation */
    struct crew *crew = *state;

    run_once(crew, put_off, fail_slowly);
    expect_step(crew->stranger, "ours", "1", NULL);
}

static void what_is_no_step_is_replaced(void **state)
{
    static const char *const nonsense[] = {"many", "0"};
    struct crew *crew = *state;

    run_once(crew, nonsense, fail_slowly);
    expect_step(crew->stranger, "ours", "1", NULL);
}

static jj_verdict snooze(struct crew *crew, jj_attempt *attempt)
{
    const char *const *other = crew->extra;

    store_step(crew->stranger, other[0], other[1]);
    return jj_snooze(attempt, 3600 * 1000);
}

static void what_was_put_off_does_not_replace_what_was_run(void **state)
{
    static const char *const run[] = {"1", "0"};
    struct crew *crew = *state;

    run_once(crew, run, snooze);
    expect_step(crew->stranger, "another's", "1", "0");
}

static jj_verdict meet_a_recurring_one(struct crew *crew, jj_attempt *attempt)
{
    store_recurring(crew->stranger);
    return jj_retry_in(attempt, 3600 * 1000, "not yet");
}

static void a_recurring_schedule_stays_and_the_job_says_why_it_ends(void **state)
{
    struct crew *crew = *state;
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);

    run_once(crew, NULL, meet_a_recurring_one);
    expect_step(crew->stranger, "another's", NULL, NULL);
    assert_true(listener_wait(failed, 1));
    const char *error = event_member(listener_get(failed, 0), "error");
    assert_string_equal(error, "not yet (not repeated: its id is that of a recurring schedule)");
    listener_close(failed);
}

/* Another worker's retry has a delay of its own: it came due while ours ran. */
static jj_verdict fail_at_once(struct crew *crew, jj_attempt *attempt)
{
    const jj_header headers[] = {
        {"Nats-Msg-Id", "mine:1:due"}, {"Job-Id", "mine"}, {"Job-Attempts", "1"}};

    if (jj_attempt_number(attempt) > 1)
        return jj_done(attempt, NULL, 0);
    nats_client_store(crew->stranger, &(struct note){.subject = "jobs.enqueue.twice",
                                                     .headers = headers,
                                                     .header_count = COUNT(headers),
                                                     .data = "another's"});
    return jj_retry_in(attempt, 0, "at once");
}

static void a_retry_without_delay_is_the_one_that_came_due(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "twice", .id = "mine", .data = "ours", .data_len = 4};

    crew_open(crew, NULL);
    crew_register(crew, "twice", fail_at_once, NULL);
    crew_start(crew);
    crew_enqueue_spec(crew, &spec);
    assert_true(crew_wait_runs(crew, "twice", 2));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "twice"), 2);
    assert_int_equal(crew_run(crew, 1).attempt, 2);
}

/* ---- a service's ---- */

static void expect_answer(struct desk *desk, const char *attempts, const char *answer)
{
    const jj_header headers[] = {{"Nats-Schedule", LATER},
                                 {"Nats-Msg-Id", attempts},
                                 {"Job-Id", "mine"},
                                 {"Job-Attempts", attempts + strlen("mine:")}};
    const struct note note = {.subject = "jobs.schedule.twice",
                              .headers = headers,
                              .header_count = COUNT(headers),
                              .data = "ours"};
    struct heard *heard = nats_client_request(desk->crew->stranger, &note);

    assert_non_null(heard);
    if (strstr(heard->data, answer) == NULL)
        fail_msg("the answer to %s is %s, not %s", attempts, heard->data, answer);
    heard_free(heard);
}

static void a_service_leaves_a_later_step(void **state)
{
    struct desk *desk = *state;
    struct nats_client *stranger = desk->crew->stranger;

    store_step(stranger, "1", "1");
    expect_answer(desk, "mine:1", "{\"id\":\"mine\",\"seq\":1,\"duplicate\":true}");
    expect_step(stranger, "another's", "1", "1");
    expect_answer(desk, "mine:3", "{\"id\":\"mine\",\"seq\":2,\"duplicate\":false}");
    expect_step(stranger, "ours", "3", NULL);
}

/* ---- a producer's ---- */

static jj_status schedule(jj_client *client, jj_receipt *receipt, jj_error *err)
{
    const jj_spec spec = {.name = "twice", .id = "mine", .data = "ours", .data_len = 4};

    return jj_schedule(client, &spec, INT64_C(4000000000000), receipt, err);
}

static void a_job_that_waits_to_be_repeated_is_not_scheduled_anew(void **state)
{
    struct crew *crew = *state;
    jj_receipt receipt;
    jj_error err;

    crew_open(crew, NULL);
    store_step(crew->stranger, "1", "0");
    if (schedule(crew->client, &receipt, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_true(receipt.duplicate);
    assert_string_equal(receipt.id, "mine");
    assert_int_equal(receipt.seq, 1);
    expect_step(crew->stranger, "another's", "1", "0");
}

static void the_id_of_a_recurring_schedule_is_taken(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    store_recurring(crew->stranger);
    assert_int_equal(schedule(crew->client, NULL, &err), JJ_ERR_EXISTS);
    assert_string_equal(err.text, "its id is that of a recurring schedule");
    expect_step(crew->stranger, "another's", NULL, NULL);
}

/* ---- of those who may write and not read ---- */

#define BLIND                                                                                      \
    "authorization { users: [\n"                                                                   \
    "    { user: blind, password: x, permissions: { publish: {\n"                                  \
    "        allow: \">\", deny: \"$JS.API.DIRECT.GET.>\" } } }\n"                                 \
    "    { user: all, password: x }\n] }\n"

static int begin_blind(void **state)
{
    char all[128], blind[128];

    crew_begin(state);
    struct crew *crew = *state;
    nats_client_close(crew->stranger);
    server_done(&crew->server);
    server_start(&crew->server, &(struct server_options){.config = BLIND});
    server_url_of(&crew->server, "all:x", all);
    server_url_of(&crew->server, "blind:x", blind);
    crew->stranger = nats_client_open(all);
    snprintf(crew->server.url, sizeof(crew->server.url), "%.63s", blind);
    return 0;
}

static void a_worker_that_sees_nothing_replaces_anything(void **state)
{
    static const char *const put_off[] = {"0", "1"};
    struct crew *crew = *state;

    run_once(crew, put_off, fail_slowly);
    expect_step(crew->stranger, "ours", "1", NULL);
}

static void a_producer_that_sees_nothing_replaces_anything(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    store_step(crew->stranger, "0", "0");
    if (schedule(crew->client, NULL, &err) != JJ_OK)
        fail_msg("%s", err.text);
    expect_step(crew->stranger, "ours", NULL, NULL);
}

#define CREW(story) cmocka_unit_test_setup_teardown(story, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CREW(a_later_step_stays),
        CREW(the_same_step_stays),
        CREW(an_earlier_step_is_replaced),
        CREW(what_is_no_step_is_replaced),
        CREW(what_was_put_off_does_not_replace_what_was_run),
        CREW(a_recurring_schedule_stays_and_the_job_says_why_it_ends),
        CREW(a_retry_without_delay_is_the_one_that_came_due),
        DESK_TEST(a_service_leaves_a_later_step, DESK_REMOTE_MEMORY),
        CREW(a_job_that_waits_to_be_repeated_is_not_scheduled_anew),
        CREW(the_id_of_a_recurring_schedule_is_taken),
        cmocka_unit_test_setup_teardown(a_worker_that_sees_nothing_replaces_anything, begin_blind,
                                        crew_end),
        cmocka_unit_test_setup_teardown(a_producer_that_sees_nothing_replaces_anything, begin_blind,
                                        crew_end),
    };

    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}

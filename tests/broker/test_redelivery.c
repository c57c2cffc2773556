/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of jobs that are delivered again: the index is asked what became of them. It is played by
 * the stranger, who also takes jobs before the worker does and gives them back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"
#include "jetjobs.pb-c.h"

#define MS ((json_int_t)1000000) /* in nanoseconds */

/* A client with the handler "x", not started, and x's consumer. */
static void prepare(struct crew *crew, const jj_options *options, crew_act act)
{
    const int64_t ack_wait_ms =
        options != NULL && options->ack_wait_ms > 0 ? options->ack_wait_ms : 15000;

    crew_open(crew, options);
    crew_register(crew, "x", act, NULL);
    json_decref(nats_client_api(
        crew->stranger, "CONSUMER.CREATE.JOBS.x.jobs.enqueue.x",
        json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i}}", "stream_name", "JOBS",
                  "config", "durable_name", "x", "filter_subject", "jobs.enqueue.x",
                  "deliver_policy", "all", "ack_policy", "explicit", "ack_wait", ack_wait_ms * MS,
                  "max_deliver", -1, "max_ack_pending", 10000, "max_waiting", 8192)));
}

/* Have one job of x delivered to the stranger, so many times; after each it is answered so. NULL:
 * not at all. */
static void take_away(struct crew *crew, size_t times, const char *answer)
{
    struct listener *fetched = nats_client_listen(crew->stranger, "fetched", NULL);

    for (size_t i = 0; i < times; i++) {
        nats_client_publish(crew->stranger,
                            &(struct note){.subject = "$JS.API.CONSUMER.MSG.NEXT.JOBS.x",
                                           .reply = "fetched",
                                           .data = "1"});
        assert_true(listener_wait(fetched, i + 1));
        const char *reply = listener_get(fetched, i)->reply;
        assert_non_null(reply);
        if (answer != NULL)
            nats_client_publish(crew->stranger, &(struct note){.subject = reply, .data = answer});
    }
    listener_close(fetched);
}

/* ---- the index ---- */

struct facts {
    const char *status;
    uint32_t attempts;
    uint32_t lost;
    uint32_t redrives;
};

/* What an index answers, as text: protobuf without zeros. facts NULL: no such job. */
static const char *answer_of(const struct facts *facts)
{
    static char text[256];
    Jetjobs__V1__GetAnswer answer = JETJOBS__V1__GET_ANSWER__INIT;
    Jetjobs__V1__Job job = JETJOBS__V1__JOB__INIT;

    if (facts != NULL) {
        job.id = (char *)"job-1";
        job.name = (char *)"x";
        job.status = (char *)facts->status;
        job.attempts = facts->attempts;
        job.lost = facts->lost;
        job.redrives = facts->redrives;
        answer.job = &job;
    }
    size_t len = jetjobs__v1__get_answer__pack(&answer, (uint8_t *)text);
    text[len] = '\0';
    assert_int_equal(strlen(text), len);
    return text;
}

static struct listener *serve_as_index(struct crew *crew, const struct facts *facts)
{
    return nats_client_listen(crew->stranger, "jobs.get.x", answer_of(facts));
}

static void enqueue_job_1(struct crew *crew)
{
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = "job-1", .data = "{}", .data_len = 2});
}

/* The job has been delivered once before; the index knows this of it. Started. */
static struct listener *begin_again(struct crew *crew, const struct facts *facts)
{
    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    struct listener *index = serve_as_index(crew, facts);
    crew_start(crew);
    return index;
}

/* ---- with an index ---- */

static void the_index_is_asked_about_a_job_that_is_delivered_again(void **state)
{
    struct crew *crew = *state;
    struct listener *index = begin_again(crew, &(struct facts){.status = "pending"});

    assert_true(crew_wait_runs(crew, "x", 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(index), 1);
    const struct heard *asked = listener_get(index, 0);
    assert_string_equal(heard_header(asked, "Content-Type"), "application/protobuf");
    assert_string_equal(heard_header(asked, "Jobs-Seq"), "1");
    Jetjobs__V1__GetRequest *request =
        jetjobs__v1__get_request__unpack(NULL, asked->len, (const uint8_t *)asked->data);
    assert_non_null(request);
    assert_string_equal(request->id, "job-1");
    jetjobs__v1__get_request__free_unpacked(request, NULL);
    listener_close(index);
}

static void the_index_is_not_asked_about_a_job_that_is_delivered_first(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "completed", .attempts = 1};
    struct listener *index = serve_as_index(crew, &facts);

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(index), 0);
    listener_close(index);
}

static void assert_dropped(struct crew *crew, const struct facts *facts)
{
    struct listener *index = begin_again(crew, facts);

    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 0);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_EVENTS"), 0);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 0);
    listener_close(index);
}

static void a_job_that_completed_is_acknowledged_and_not_run(void **state)
{
    assert_dropped(*state, &(struct facts){.status = "completed", .attempts = 1});
}

static void a_job_that_failed_is_acknowledged_and_not_run(void **state)
{
    assert_dropped(*state, &(struct facts){.status = "failed", .attempts = 3});
}

static void a_job_that_was_cancelled_is_acknowledged_and_not_run(void **state)
{
    assert_dropped(*state, &(struct facts){.status = "cancelled"});
}

static void an_attempt_whose_retry_is_scheduled_is_not_run_again(void **state)
{
    assert_dropped(*state, &(struct facts){.status = "scheduled", .attempts = 1});
}

static void a_job_that_was_revived_since_is_not_run_again(void **state)
{
    assert_dropped(*state, &(struct facts){.status = "pending", .redrives = 1});
}

static void assert_runs_with_lost(struct crew *crew, const struct facts *facts, uint32_t lost)
{
    struct listener *index = begin_again(crew, facts);

    assert_true(crew_wait_runs(crew, "x", 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_run(crew, 0).lost, lost);
    assert_int_equal(crew_run(crew, 0).attempt, 1);
    struct history *history = crew_read_history(crew);
    assert_int_equal(history_claim(history, "job-1", 1)->claim->lost, lost);
    assert_true(history_claim(history, "job-1", 1)->claim->with_job);
    assert_int_equal(history_event(history, "job-1", EVENT_COMPLETED)->event->lost, lost);
    history_free(history);
    listener_close(index);
}

static void a_job_that_was_only_given_back_has_lost_nothing(void **state)
{
    assert_runs_with_lost(*state, &(struct facts){.status = "pending"}, 0);
}

static void a_job_that_was_claimed_once_before_has_lost_one_worker(void **state)
{
    assert_runs_with_lost(*state, &(struct facts){.status = "running", .attempts = 1}, 1);
}

static void each_claim_counts_as_a_lost_worker(void **state)
{
    assert_runs_with_lost(*state, &(struct facts){.status = "running", .attempts = 1, .lost = 2},
                          3);
}

static void a_job_that_the_index_does_not_know_has_lost_nothing(void **state)
{
    assert_runs_with_lost(*state, NULL, 0);
}

static void assert_fails_unrun(struct crew *crew, struct listener *failed, const char *error)
{
    assert_true(listener_wait(failed, 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(failed), 1);
    assert_string_equal(event_member(listener_get(failed, 0), "jobId"), "job-1");
    assert_string_equal(event_member(listener_get(failed, 0), "error"), error);
    assert_int_equal(crew_runs(crew, NULL), 0);
    struct history *history = crew_read_history(crew);
    assert_int_equal(history->count, 1);
    const struct event *event = history->entries[0].event;
    assert_int_equal(event->type, EVENT_FAILED);
    assert_string_equal(event->error, error);
    history_free(history);
}

static void a_job_that_lost_too_many_workers_fails_without_being_run(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1, .lost = 3};
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    struct listener *index = begin_again(crew, &facts);

    assert_fails_unrun(crew, failed, "worker lost 4 times");
    assert_string_equal(event_member(listener_get(failed, 0), "attempts"), "1");
    assert_string_equal(event_member(listener_get(failed, 0), "maxAttempts"), "3");
    listener_close(index);
    listener_close(failed);
}

static void how_many_workers_may_be_lost_is_an_option(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1, .lost = 1};
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    struct listener *index = serve_as_index(crew, &facts);

    prepare(crew, &(jj_options){.max_lost = 1}, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_fails_unrun(crew, failed, "worker lost 2 times");
    listener_close(index);
    listener_close(failed);
}

static void workers_lost_in_an_earlier_attempt_do_not_count(void **state)
{
    struct crew *crew = *state;
    const jj_header headers[] = {{"Job-Id", "job-1"}, {"Job-Attempts", "1"}};
    const struct facts facts = {.status = "scheduled", .attempts = 1, .lost = 3};
    struct listener *index = serve_as_index(crew, &facts);

    prepare(crew, NULL, NULL);
    nats_client_store(
        crew->stranger,
        &(struct note){.subject = "jobs.enqueue.x", .headers = headers, .header_count = 2});
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(crew_run(crew, 0).attempt, 2);
    assert_int_equal(crew_run(crew, 0).lost, 0);
    listener_close(index);
}

static void a_job_whose_worker_fell_silent_runs_after_ack_wait(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1};
    struct listener *index = serve_as_index(crew, &facts);

    prepare(crew, &(jj_options){.ack_wait_ms = 1000}, NULL);
    enqueue_job_1(crew);
    int64_t taken_ms = jj__clock_mono_ms();
    take_away(crew, 1, NULL);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_in_range(crew_run(crew, 0).started_ms - taken_ms, 1000, 14000);
    assert_int_equal(crew_run(crew, 0).lost, 1);
    assert_true(crew_wait_over(crew));
    listener_close(index);
}

/* ---- without one ---- */

static void without_an_index_each_delivery_counts(void **state)
{
    struct crew *crew = *state;

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 3, "-NAK");
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(crew_run(crew, 0).lost, 3);
    assert_true(crew_wait_over(crew));
}

static void without_an_index_a_job_that_was_delivered_too_often_fails(void **state)
{
    struct crew *crew = *state;
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 4, "-NAK");
    crew_start(crew);
    assert_fails_unrun(crew, failed, "worker lost 4 times");
    listener_close(failed);
}

/* Answer the question of the worker by hand. */
static void answer(struct crew *crew, struct listener *index, const struct note *note)
{
    struct note to_worker = *note;

    assert_true(listener_wait(index, 1));
    to_worker.subject = listener_get(index, 0)->reply;
    nats_client_publish(crew->stranger, &to_worker);
}

static void assert_each_delivery_counts_after(struct crew *crew, const struct note *note)
{
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 2, "-NAK");
    crew_start(crew);
    answer(crew, index, note);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(crew_run(crew, 0).lost, 2);
    assert_true(crew_wait_over(crew));
    listener_close(index);
}

static void an_index_that_reports_an_error_is_none(void **state)
{
    static const jj_header header = {"Nats-Service-Error-Code", "504"};
    const struct facts facts = {.status = "completed", .attempts = 1};

    assert_each_delivery_counts_after(
        *state, &(struct note){.headers = &header, .header_count = 1, .data = answer_of(&facts)});
}

static void an_index_that_talks_nonsense_is_none(void **state)
{
    assert_each_delivery_counts_after(*state, &(struct note){.data = "{\"job\":null}"});
}

static void an_index_that_says_nothing_holds_up_no_job_for_long(void **state)
{
    struct crew *crew = *state;
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_true(listener_wait(index, 1));
    crew_enqueue(crew, "x", "the next one");
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_string_equal(crew_run(crew, 0).data, "the next one");
    assert_in_range(crew_run(crew, 1).started_ms - listener_get(index, 0)->at_ms, 1900, 14000);
    assert_int_equal(crew_run(crew, 1).lost, 1);
    assert_true(crew_wait_over(crew));
    listener_close(index);
}

static void a_job_that_the_index_is_asked_about_is_given_back_at_a_stop(void **state)
{
    struct crew *crew = *state;
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);
    jj_error err;

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_true(listener_wait(index, 1));
    int64_t before_ms = jj__clock_mono_ms();
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
    listener_close(index);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_in_range(jj__clock_mono_ms() - before_ms, 0, 14000); /* less than ack_wait */
    assert_true(crew_wait_over(crew));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_index_is_asked_about_a_job_that_is_delivered_again),
        STORY(the_index_is_not_asked_about_a_job_that_is_delivered_first),
        STORY(a_job_that_completed_is_acknowledged_and_not_run),
        STORY(a_job_that_failed_is_acknowledged_and_not_run),
        STORY(a_job_that_was_cancelled_is_acknowledged_and_not_run),
        STORY(an_attempt_whose_retry_is_scheduled_is_not_run_again),
        STORY(a_job_that_was_revived_since_is_not_run_again),
        STORY(a_job_that_was_only_given_back_has_lost_nothing),
        STORY(a_job_that_was_claimed_once_before_has_lost_one_worker),
        STORY(each_claim_counts_as_a_lost_worker),
        STORY(a_job_that_the_index_does_not_know_has_lost_nothing),
        STORY(a_job_that_lost_too_many_workers_fails_without_being_run),
        STORY(how_many_workers_may_be_lost_is_an_option),
        STORY(workers_lost_in_an_earlier_attempt_do_not_count),
        STORY(a_job_whose_worker_fell_silent_runs_after_ack_wait),
        STORY(without_an_index_each_delivery_counts),
        STORY(without_an_index_a_job_that_was_delivered_too_often_fails),
        STORY(an_index_that_reports_an_error_is_none),
        STORY(an_index_that_talks_nonsense_is_none),
        STORY(an_index_that_says_nothing_holds_up_no_job_for_long),
        STORY(a_job_that_the_index_is_asked_about_is_given_back_at_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

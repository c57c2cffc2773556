/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of jobs that are delivered again: the index is asked what became of them. It is played by
 * the stranger, who also takes jobs before the worker does and gives them back. */

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
    uint32_t snoozes;
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
        job.snoozes = facts->snoozes;
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
    assert_in_range(crew_run(crew, 1).started_ms - listener_get(index, 0)->at_ms, 500, 14000);
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

/* ---- again while it is at hand ---- */

static bool is_still_held(void *ctx)
{
    struct crew *crew = ctx;

    return log_book_has(&crew->book, JJ_LOG_DEBUG, "is still held");
}

/* Have job-1 delivered to the worker again that has it: a negative answer of somebody else counts
 * as well as its own. */
static void deliver_again(struct crew *crew)
{
    nats_client_publish(crew->stranger,
                        &(struct note){.subject = "$JS.ACK.JOBS.x.1.1.1.1.0", .data = "-NAK"});
    assert_true(wait_until(is_still_held, crew, WAIT_MS));
}

static void a_job_that_is_delivered_again_while_it_runs_is_not_run_beside_itself(void **state)
{
    struct crew *crew = *state;

    prepare(crew, NULL, crew_pass);
    crew_start(crew);
    crew_close_gate(crew);
    enqueue_job_1(crew);
    assert_true(crew_wait_running(crew, 1));
    deliver_again(crew);
    assert_int_equal(crew_running(crew), 1);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 1);
}

/* Answer the question of that number as the index. */
static void answer_question(struct crew *crew, struct listener *index, size_t number,
                            const struct facts *facts)
{
    assert_true(listener_wait(index, number + 1));
    nats_client_publish(
        crew->stranger,
        &(struct note){.subject = listener_get(index, number)->reply, .data = answer_of(facts)});
}

static void a_job_that_is_delivered_again_while_the_index_is_asked_is_asked_about_anew(void **state)
{
    struct crew *crew = *state;
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);

    prepare(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_true(listener_wait(index, 1));
    deliver_again(crew);
    answer_question(crew, index, 0, &(struct facts){.status = "pending"});
    answer_question(crew, index, 1, &(struct facts){.status = "completed", .attempts = 1});
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, NULL), 0);
    listener_close(index);
}

/* ---- cancellations ---- */

/* Somebody cancels job-1 as it stood then: an event that the index may refuse. */
static void cancel(struct crew *crew, uint32_t redrives, uint32_t attempts, uint32_t snoozes)
{
    const struct event event = {.type = EVENT_CANCELLED,
                                .id = "job-1",
                                .name = "x",
                                .time_ms = jj__clock_wall_ms(),
                                .redrives = redrives,
                                .attempts = attempts,
                                .snoozes = snoozes};
    struct buf body = {0};

    assert_int_equal(jj__pb_write_events(&body, NULL, &event, 1, NULL), JJ_OK);
    const struct note note = {
        .subject = "jobs.events.x.cancelled", .data = body.data, .len = body.len};
    nats_client_store(crew->stranger, &note);
    jj__buf_done(&body);
}

/* Another job runs: whatever was stored before it, the worker has read. */
static void run_another(struct crew *crew)
{
    size_t before = crew_runs(crew, "probe");

    crew_enqueue(crew, "probe", "x");
    assert_true(crew_wait_runs(crew, "probe", before + 1));
}

/* As prepare(), with a second name to probe with. */
static void prepare_probe(struct crew *crew, const jj_options *options, crew_act act)
{
    prepare(crew, options, act);
    crew_register(crew, "probe", NULL, NULL);
}

/* A message of job-1 as a worker or mover would send it. */
static void store_job_1(struct crew *crew, const char *header, const char *value)
{
    const jj_header headers[] = {{"Job-Id", "job-1"}, {header, value}};

    nats_client_store(
        crew->stranger,
        &(struct note){.subject = "jobs.enqueue.x", .headers = headers, .header_count = 2});
}

/* job-1 as a worker sends it back that got it before its time. */
static void store_put_off(struct crew *crew)
{
    const jj_header headers[] = {{"Job-Id", "job-1"}, {"Job-Snoozes", "1"}, {"Job-Put-Offs", "1"}};

    nats_client_store(
        crew->stranger,
        &(struct note){.subject = "jobs.enqueue.x", .headers = headers, .header_count = 3});
}

static void finish(struct crew *crew, struct listener *index, size_t runs)
{
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "x"), runs);
    listener_close(index);
}

static jj_verdict fail_at_first(struct crew *crew, jj_attempt *attempt)
{
    crew_pass(crew, attempt);
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 0, "for once");
    return jj_done(attempt, NULL, 0);
}

static void a_cancellation_that_came_too_late_does_not_drop_the_retry(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "pending", .attempts = 1};
    struct listener *index = serve_as_index(crew, &facts);

    prepare_probe(crew, NULL, fail_at_first);
    crew_start(crew);
    crew_close_gate(crew);
    enqueue_job_1(crew);
    assert_true(crew_wait_running(crew, 1));
    cancel(crew, 0, 0, 0);
    run_another(crew);
    crew_open_gate(crew);
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_int_equal(listener_count(index), 0); /* it was run, so nobody need be asked */
    finish(crew, index, 2);
    assert_int_equal(crew_run(crew, 2).attempt, 2);
    assert_int_equal(crew_run(crew, 2).lost, 0);
}

static void a_job_that_was_put_off_while_it_was_cancelled_is_dropped(void **state)
{
    struct crew *crew = *state;
    struct listener *index = serve_as_index(crew, &(struct facts){.status = "cancelled"});

    prepare_probe(crew, NULL, NULL);
    crew_start(crew);
    cancel(crew, 0, 0, 0);
    run_another(crew);
    store_put_off(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(listener_count(index), 1);
    /* The index is to answer when it knows of the cancellation. */
    const char *seq = heard_header(listener_get(index, 0), "Jobs-Events-Seq");
    assert_non_null(seq);
    assert_true(strtoul(seq, NULL, 10) >= 1);
    finish(crew, index, 0);
}

static struct listener *begin_again_cancelled(struct crew *crew, const struct facts *facts)
{
    struct listener *index = serve_as_index(crew, facts);

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    return index;
}

static void a_job_that_is_delivered_again_runs_if_its_cancellation_was_refused(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1};
    struct listener *index = begin_again_cancelled(crew, &facts);

    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(crew_run(crew, 0).lost, 1);
    finish(crew, index, 1);
}

static void a_job_that_is_delivered_again_is_dropped_if_it_is_cancelled(void **state)
{
    struct crew *crew = *state;
    struct listener *index = begin_again_cancelled(crew, &(struct facts){.status = "cancelled"});

    assert_true(crew_wait_backlog(crew, 0));
    finish(crew, index, 0);
}

static void assert_dropped_unasked(struct crew *crew)
{
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);

    crew_start(crew);
    run_another(crew);
    store_job_1(crew, "Job-Attempts", "1");
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(listener_count(index), 0);
    finish(crew, index, 0);
}

static void a_cancellation_of_a_later_message_drops_those_before_it(void **state)
{
    struct crew *crew = *state;

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    cancel(crew, 0, 1, 1);
    assert_dropped_unasked(crew);
}

static void a_cancellation_of_a_later_redrive_drops_those_before_it(void **state)
{
    struct crew *crew = *state;

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 1, 0, 0);
    assert_dropped_unasked(crew);
}

static void a_cancelled_retry_is_dropped_unasked_when_it_comes_first(void **state)
{
    struct crew *crew = *state;

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 1, 0);
    assert_dropped_unasked(crew);
}

static void a_job_in_doubt_waits_for_an_index_and_holds_up_nobody(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.concurrency = 1};
    const struct facts facts = {.status = "pending", .snoozes = 1};

    prepare_probe(crew, &options, NULL);
    cancel(crew, 0, 0, 0);
    crew_start(crew);
    run_another(crew);
    store_put_off(crew);
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "x", "num_ack_pending", 1));
    run_another(crew);
    assert_true(crew_wait_backlog(crew, 1));
    assert_int_equal(crew_runs(crew, "x"), 0);
    struct listener *index = serve_as_index(crew, &facts);
    assert_true(crew_wait_runs(crew, "x", 1));
    finish(crew, index, 1);
    assert_int_equal(crew_run(crew, 2).attempt, 1);
    assert_int_equal(crew_run(crew, 2).lost, 0);
}

static void a_job_in_doubt_that_proves_cancelled_is_dropped(void **state)
{
    struct crew *crew = *state;

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    crew_start(crew);
    run_another(crew);
    store_put_off(crew);
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "x", "num_ack_pending", 1));
    struct listener *index = serve_as_index(crew, &(struct facts){.status = "cancelled"});
    finish(crew, index, 0);
}

static void a_job_in_doubt_is_given_back_at_a_stop(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "pending", .snoozes = 1};

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    crew_start(crew);
    run_another(crew);
    store_put_off(crew);
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "x", "num_ack_pending", 1));
    run_another(crew);
    int64_t before_ms = jj__clock_mono_ms();
    assert_int_equal(jj_stop(crew->client, NULL), JJ_OK);
    struct listener *index = serve_as_index(crew, &facts);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_in_range(jj__clock_mono_ms() - before_ms, 0, 14000); /* less than ack_wait */
    finish(crew, index, 1);
}

static void a_job_in_doubt_is_asked_about_again_after_a_while(void **state)
{
    struct crew *crew = *state;
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", "nonsense");

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    crew_start(crew);
    run_another(crew);
    store_put_off(crew);
    assert_true(listener_wait(index, 2));
    assert_in_range(listener_get(index, 1)->at_ms - listener_get(index, 0)->at_ms, 500, 14000);
    assert_int_equal(crew_runs(crew, "x"), 0);
    listener_close(index);
}

static void a_cancellation_that_comes_while_the_index_is_asked_is_asked_about(void **state)
{
    struct crew *crew = *state;
    struct listener *index = nats_client_listen(crew->stranger, "jobs.get.x", NULL);

    prepare_probe(crew, NULL, NULL);
    enqueue_job_1(crew);
    take_away(crew, 1, "-NAK");
    crew_start(crew);
    assert_true(listener_wait(index, 1));
    cancel(crew, 0, 0, 0);
    run_another(crew);
    answer_question(crew, index, 0, &(struct facts){.status = "pending"});
    answer_question(crew, index, 1, &(struct facts){.status = "cancelled"});
    assert_true(crew_wait_backlog(crew, 0));
    finish(crew, index, 0);
}

static void what_the_index_has_cleared_is_not_asked_about_twice(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1};
    struct listener *index = serve_as_index(crew, &facts);

    prepare_probe(crew, NULL, NULL);
    cancel(crew, 0, 0, 0);
    crew_start(crew);
    run_another(crew);
    store_put_off(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(listener_count(index), 1);
    finish(crew, index, 1);
}

/* The worker gets the job at once, but has much to read before it finds the cancellation. */
static void a_cancellation_that_is_found_on_the_way_to_the_claim_counts(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "pending", .snoozes = 1};
    struct listener *index = serve_as_index(crew, &facts);

    prepare_probe(crew, NULL, NULL);
    for (int i = 0; i < 3000; i++)
        nats_client_send(crew->stranger,
                         &(struct note){.subject = "jobs.events.y.cancelled", .data = "nonsense"});
    cancel(crew, 0, 0, 0);
    store_put_off(crew);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(listener_count(index), 1);
    assert_int_equal(crew_run(crew, 0).attempt, 1);
    assert_int_equal(crew_run(crew, 0).lost, 0);
    finish(crew, index, 1);
}

static void after_a_broker_came_back_no_delivery_is_known_to_be_the_first(void **state)
{
    struct crew *crew = *state;
    const struct facts facts = {.status = "running", .attempts = 1};

    prepare_probe(crew, &(jj_options){.timeout_ms = 20000}, NULL);
    crew_start(crew);
    server_kill(&crew->server);
    server_restart(&crew->server);
    nats_client_settle(crew->stranger);
    struct listener *index = serve_as_index(crew, &facts);
    cancel(crew, 0, 0, 0);
    run_another(crew);
    enqueue_job_1(crew);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_int_equal(crew_run(crew, 1).lost, 1);
    finish(crew, index, 1);
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
        STORY(a_job_that_is_delivered_again_while_it_runs_is_not_run_beside_itself),
        STORY(a_job_that_is_delivered_again_while_the_index_is_asked_is_asked_about_anew),
        STORY(a_cancellation_that_came_too_late_does_not_drop_the_retry),
        STORY(a_job_that_was_put_off_while_it_was_cancelled_is_dropped),
        STORY(a_job_that_is_delivered_again_runs_if_its_cancellation_was_refused),
        STORY(a_job_that_is_delivered_again_is_dropped_if_it_is_cancelled),
        STORY(a_cancellation_of_a_later_message_drops_those_before_it),
        STORY(a_cancellation_of_a_later_redrive_drops_those_before_it),
        STORY(a_cancelled_retry_is_dropped_unasked_when_it_comes_first),
        STORY(a_job_in_doubt_waits_for_an_index_and_holds_up_nobody),
        STORY(a_job_in_doubt_that_proves_cancelled_is_dropped),
        STORY(a_job_in_doubt_is_given_back_at_a_stop),
        STORY(a_job_in_doubt_is_asked_about_again_after_a_while),
        STORY(a_cancellation_that_comes_while_the_index_is_asked_is_asked_about),
        STORY(what_the_index_has_cleared_is_not_asked_about_twice),
        STORY(a_cancellation_that_is_found_on_the_way_to_the_claim_counts),
        STORY(after_a_broker_came_back_no_delivery_is_known_to_be_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of enqueueing: ids and duplicates, what travels with a job, many at once, refusals. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "codec_pb.h"
#include "crew.h"
#include "spec.h"

#define MIB ((size_t)1024 * 1024)

static uint64_t jobs_stored(struct crew *crew)
{
    return nats_client_stream_messages(crew->stranger, "JOBS");
}

static jj_receipt schedule(struct crew *crew, const jj_spec *spec, int64_t in_ms)
{
    jj_receipt receipt;
    jj_error err;

    if (jj_schedule(crew->client, spec, jj__clock_wall_ms() + in_ms, &receipt, &err) != JJ_OK)
        fail_msg("jj_schedule: %s", err.text);
    return receipt;
}

/* ---- ids ---- */

static void assert_is_uuidv7(const char *id)
{
    static const char form[] = "xxxxxxxx-xxxx-7xxx-vxxx-xxxxxxxxxxxx";

    assert_int_equal(strlen(id), strlen(form));
    for (size_t i = 0; form[i] != '\0'; i++) {
        const char *allowed = form[i] == 'x'   ? "0123456789abcdef"
                              : form[i] == 'v' ? "89ab"
                              : form[i] == '7' ? "7"
                                               : "-";
        if (strchr(allowed, id[i]) == NULL)
            fail_msg("%s is no UUIDv7 at %zu", id, i);
    }
}

static void a_job_gets_a_uuidv7_as_its_id(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail"};

    crew_open(crew, NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    jj_receipt second = crew_enqueue_spec(crew, &spec);
    assert_is_uuidv7(first.id);
    assert_is_uuidv7(second.id);
    assert_true(strcmp(first.id, second.id) < 0);
    assert_int_equal(first.seq, 1);
    assert_int_equal(second.seq, 2);
    assert_false(second.duplicate);
    struct heard *stored = nats_client_get(crew->stranger, "JOBS", 1);
    assert_string_equal(stored->subject, "jobs.enqueue.mail");
    assert_string_equal(heard_header(stored, "Job-Id"), first.id);
    assert_string_equal(heard_header(stored, "Nats-Msg-Id"), first.id);
    heard_free(stored);
}

static void a_given_id_is_kept(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .id = "Order_17-b"};

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    assert_string_equal(crew_enqueue_spec(crew, &spec).id, "Order_17-b");
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_string_equal(crew_run(crew, 0).id, "Order_17-b");
}

static void an_id_that_is_the_name_of_a_handler_is_refused(void **state)
{
    struct crew *crew = *state;
    const jj_spec specs[] = {{.name = "mail"}, {.name = "mail", .id = "report"}};
    size_t stored = 7;
    jj_error err;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_register(crew, "report", NULL, NULL);
    assert_int_equal(jj_enqueue(crew->client, &specs[1], NULL, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "'report' is the name of a handler"));
    assert_int_equal(jj_schedule(crew->client, &specs[1], 1, NULL, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_enqueue_many(crew->client, specs, 2, NULL, &stored, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "spec 1: "));
    assert_int_equal(stored, 0);
    assert_int_equal(jobs_stored(crew), 0);
}

static void a_repeat_with_the_same_id_is_told_and_makes_no_second_message(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .id = "order-17"};

    crew_open(crew, NULL);
    crew_enqueue(crew, "mail", NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    jj_receipt again = crew_enqueue_spec(crew, &spec);
    assert_false(first.duplicate);
    assert_true(again.duplicate);
    assert_string_equal(again.id, "order-17");
    assert_int_equal(again.seq, first.seq);
    assert_int_equal(jobs_stored(crew), 2);
    jj_receipt later = schedule(crew, &spec, 3600000);
    jj_receipt later_again = schedule(crew, &spec, 7200000);
    assert_false(later.duplicate);
    assert_true(later_again.duplicate);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 1);
}

/* ---- unique keys ---- */

static void assert_is_duplicate_of(const jj_receipt *again, const jj_receipt *first)
{
    assert_true(again->duplicate);
    assert_string_equal(again->id, first->id);
    assert_int_equal(again->seq, first->seq);
}

static void a_duplicate_key_gives_the_id_of_the_job_that_waits_or_runs(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "invoice:7781"};

    crew_open(crew, NULL);
    crew_register(crew, "mail", crew_pass, NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    jj_receipt while_waiting = crew_enqueue_spec(crew, &spec);
    assert_false(first.duplicate);
    assert_is_duplicate_of(&while_waiting, &first);

    crew_close_gate(crew);
    crew_start(crew);
    assert_true(crew_wait_running(crew, 1));
    jj_receipt while_running = crew_enqueue_spec(crew, &spec);
    assert_is_duplicate_of(&while_running, &first);
    assert_int_equal(jobs_stored(crew), 1);
}

static void a_duplicate_key_gives_the_id_of_the_job_that_is_over(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "invoice:7781"};

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    crew_enqueue(crew, "mail", NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    crew_enqueue(crew, "mail", NULL);
    assert_true(crew_wait_runs(crew, "mail", 3));
    assert_true(crew_wait_backlog(crew, 0));
    jj_receipt again = crew_enqueue_spec(crew, &spec);
    assert_is_duplicate_of(&again, &first);
    assert_int_equal(jobs_stored(crew), 0);
}

static void a_duplicate_key_gives_the_id_of_the_schedule_that_waits_or_has_fired(void **state)
{
    struct crew *crew = *state;
    const jj_spec soon = {.name = "mail", .unique_key = "soon"};
    const jj_spec late = {.name = "mail", .unique_key = "late"};

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    jj_receipt waits = schedule(crew, &late, 3600000);
    jj_receipt waits_again = schedule(crew, &late, 3600000);
    assert_is_duplicate_of(&waits_again, &waits);

    jj_receipt fires = schedule(crew, &soon, 0);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_true(crew_wait_backlog(crew, 0));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 1));
    jj_receipt fired_again = schedule(crew, &soon, 0);
    assert_is_duplicate_of(&fired_again, &fires);
}

/* Each stream knows its own keys, so a key can be of a job and of a schedule at the same time. */
static void a_duplicate_key_is_not_mixed_up_with_that_of_the_other_stream(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "twice"};

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    jj_receipt scheduled = schedule(crew, &spec, 0);
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_true(crew_wait_over(crew));
    jj_receipt enqueued = crew_enqueue_spec(crew, &spec);
    assert_false(enqueued.duplicate);
    assert_true(crew_wait_runs(crew, "mail", 2));
    assert_true(crew_wait_over(crew));

    jj_receipt enqueued_again = crew_enqueue_spec(crew, &spec);
    assert_is_duplicate_of(&enqueued_again, &enqueued);
    jj_receipt scheduled_again = schedule(crew, &spec, 0);
    assert_is_duplicate_of(&scheduled_again, &scheduled);
}

/* The cancellation of a job, as an index service writes it. */
static void tell_cancelled(struct crew *crew, const char *name, const char *id, const char *key)
{
    const jj_header header = {"Job-Key", key};
    const struct job job = {.headers = &header, .header_count = 1};
    struct event event = {.type = EVENT_CANCELLED, .id = id, .job = &job};
    struct job cancelled = job;
    struct buf body = {0};
    char subject[64];
    jj_error err;

    snprintf(cancelled.id, sizeof(cancelled.id), "%s", id);
    snprintf(cancelled.name, sizeof(cancelled.name), "%s", name);
    event.job = &cancelled;
    snprintf(subject, sizeof(subject), "jobs.events.%s.cancelled", name);
    assert_int_equal(jj__pb_write_events(&body, NULL, &event, 1, &err), JJ_OK);
    nats_client_store(crew->stranger,
                      &(struct note){.subject = subject, .data = body.data, .len = body.len});
    jj__buf_done(&body);
}

static void a_duplicate_key_gives_the_id_of_the_job_that_was_cancelled(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "invoice:7781"};

    crew_open(crew, NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    tell_cancelled(crew, "mail", first.id, "invoice:7781");
    json_decref(nats_client_api(crew->stranger, "STREAM.MSG.DELETE.JOBS",
                                json_pack("{s:i}", "seq", (int)first.seq)));
    jj_receipt again = crew_enqueue_spec(crew, &spec);
    assert_is_duplicate_of(&again, &first);
}

static void a_duplicate_key_whose_job_left_no_trace_says_so(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "invoice:7781"};
    jj_error err;

    crew_open(crew, NULL);
    jj_receipt first = crew_enqueue_spec(crew, &spec);
    json_decref(nats_client_api(crew->stranger, "STREAM.MSG.DELETE.JOBS",
                                json_pack("{s:i}", "seq", (int)first.seq)));
    assert_int_equal(jj_enqueue(crew->client, &spec, NULL, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "invoice:7781"));
    assert_non_null(strstr(err.text, "its id can't be found"));
}

/* ---- what travels ---- */

static jj_verdict tell_what_came(struct crew *crew, jj_attempt *attempt)
{
    static const char *const names[] = {"Content-Type", "traceparent", "X-Tenant", "x-tenant",
                                        "X-None"};
    json_t *seen = json_object();
    size_t len = 0;

    (void)crew;
    jj_attempt_data(attempt, &len);
    json_object_set_new(seen, "len", json_integer((json_int_t)len));
    json_object_set_new(seen, "max", json_integer(jj_attempt_max(attempt)));
    json_object_set_new(seen, "left", json_integer(jj_attempt_remaining_ms(attempt)));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = jj_attempt_header(attempt, names[i]);
        json_object_set_new(seen, names[i], value == NULL ? json_null() : json_string(value));
    }
    char *text = json_dumps(seen, JSON_COMPACT);
    jj_verdict verdict = jj_done(attempt, text, strlen(text));
    free(text);
    json_decref(seen);
    return verdict;
}

/* Enqueue it, let it run, and give what the handler told. */
static json_t *what_comes_of(struct crew *crew, const jj_spec *spec)
{
    struct listener *done = nats_client_listen(crew->stranger, "job.completed", NULL);

    crew_enqueue_spec(crew, spec);
    assert_true(listener_wait(done, 1));
    json_t *seen = json_loads(event_member(listener_get(done, 0), "result"), 0, NULL);
    assert_non_null(seen);
    listener_close(done);
    return seen;
}

static void assert_seen(const json_t *seen, const char *name, const char *value)
{
    assert_string_equal(json_string_value(json_object_get(seen, name)), value);
}

static void headers_content_type_and_trace_reach_the_handler(void **state)
{
    struct crew *crew = *state;
    const jj_header headers[] = {{"X-Tenant", "acme \xC3\xA4"}, {"X-Other", "1"}};
    const jj_spec spec = {.name = "mail",
                          .data = "<xml/>",
                          .data_len = 6,
                          .content_type = "text/xml",
                          .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                          .headers = headers,
                          .header_count = 2};

    crew_open(crew, NULL);
    crew_register(crew, "mail", tell_what_came, NULL);
    crew_start(crew);
    json_t *seen = what_comes_of(crew, &spec);
    assert_seen(seen, "Content-Type", "text/xml");
    assert_seen(seen, "traceparent", spec.traceparent);
    assert_seen(seen, "X-Tenant", "acme \xC3\xA4");
    assert_true(json_is_null(json_object_get(seen, "x-tenant")));
    assert_true(json_is_null(json_object_get(seen, "X-None")));
    json_decref(seen);
}

static void max_attempts_and_timeout_travel_with_the_job(void **state)
{
    struct crew *crew = *state;
    const jj_spec spec = {.name = "mail", .max_attempts = 7, .timeout_ms = 4000};

    crew_open(crew, NULL);
    crew_register(crew, "mail", tell_what_came, NULL);
    crew_start(crew);
    json_t *seen = what_comes_of(crew, &spec);
    json_int_t left_ms = json_integer_value(json_object_get(seen, "left"));
    assert_int_equal(json_integer_value(json_object_get(seen, "max")), 7);
    assert_true(left_ms > 0 && left_ms <= 4000);
    json_decref(seen);
}

static void headers_that_could_harm_are_refused(void **state)
{
    struct crew *crew = *state;
    static const jj_header bad[] = {
        {"Nats-Rollup", "all"},
        {"nAtS-x", ""},
        {"Job-Attempts", "9"},
        {"job-id", "x"},
        {"two words", "x"},
        {"colon:", "x"},
        {"", "x"},
        {NULL, "x"},
        {"X", "a\r\nPUB x 0"},
        {"X", "ends with it\n"},
        {"X", NULL},
    };
    jj_error err;

    crew_open(crew, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const jj_spec spec = {.name = "mail", .headers = &bad[i], .header_count = 1};
        assert_int_equal(jj_enqueue(crew->client, &spec, NULL, &err), JJ_ERR_INVALID);
        assert_int_equal(jj_schedule(crew->client, &spec, 1, NULL, &err), JJ_ERR_INVALID);
        assert_int_equal(jj_enqueue_many(crew->client, &spec, 1, NULL, NULL, &err), JJ_ERR_INVALID);
    }
    assert_int_equal(jobs_stored(crew), 0);
}

/* ---- sizes ---- */

static jj_verdict fail_once(struct crew *crew, jj_attempt *attempt)
{
    if (jj_attempt_number(attempt) == 1)
        return jj_retry(attempt, "once");
    return tell_what_came(crew, attempt);
}

static void data_that_is_too_large_is_refused_before_it_is_sent(void **state)
{
    struct crew *crew = *state;
    char *data = calloc(1, MIB);
    const jj_spec spec = {.name = "mail", .data = data, .data_len = MIB - JJ__SPEC_OVERHEAD + 1};
    struct listener *sent = nats_client_listen(crew->stranger, "jobs.>", NULL);
    jj_error err;

    assert_non_null(data);
    crew_open(crew, NULL);
    assert_int_equal(jj_enqueue(crew->client, &spec, NULL, &err), JJ_ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "1044481 bytes"));
    assert_int_equal(jj_schedule(crew->client, &spec, 1, NULL, &err), JJ_ERR_TOO_LARGE);
    assert_int_equal(jj_enqueue_many(crew->client, &spec, 1, NULL, NULL, &err), JJ_ERR_TOO_LARGE);
    crew_enqueue(crew, "mail", "small");
    assert_true(listener_wait(sent, 1));
    assert_int_equal(listener_count(sent), 1);
    assert_int_equal(jobs_stored(crew), 1);
    listener_close(sent);
    free(data);
}

static void the_largest_job_that_is_taken_runs_and_is_retried(void **state)
{
    struct crew *crew = *state;
    char *data = calloc(1, MIB);
    char value[JJ__SPEC_OVERHEAD / 2 - 5] = {0}, text[257] = {0};
    const jj_header header = {"X", memset(value, 'v', sizeof(value) - 1)};
    const jj_spec spec = {.name = "mail",
                          .data = data,
                          .data_len = MIB - JJ__SPEC_OVERHEAD,
                          .unique_key = memset(text, 'k', sizeof(text) - 1),
                          .content_type = text,
                          .traceparent = text,
                          .headers = &header,
                          .header_count = 1};

    assert_non_null(data);
    crew_open(crew, NULL);
    crew_register(crew, "mail", fail_once, NULL);
    crew_start(crew);
    json_t *seen = what_comes_of(crew, &spec);
    assert_int_equal(json_integer_value(json_object_get(seen, "len")), spec.data_len);
    assert_int_equal(crew_runs(crew, "mail"), 2);
    json_decref(seen);
    free(data);
}

/* ---- without a worker, without a stream ---- */

static void a_job_waits_for_a_worker_that_comes_later(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    char id[JJ_NAME_SIZE];
    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "mail", "hello"));
    crew_close(crew);

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "mail", 1));
    assert_string_equal(crew_run(crew, 0).id, id);
    assert_string_equal(crew_run(crew, 0).data, "hello");
}

static void enqueueing_without_a_stream_fails_in_time(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.no_provision = true, .timeout_ms = 700};
    const jj_spec spec = {.name = "mail"};
    jj_receipt receipt = {0};
    size_t stored = 7;
    jj_error err;

    crew_open(crew, &options);
    int64_t before_ms = jj__clock_mono_ms();
    assert_int_equal(jj_enqueue(crew->client, &spec, NULL, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no stream takes it"));
    assert_int_equal(jj_schedule(crew->client, &spec, 1, NULL, &err), JJ_ERR_UNAVAILABLE);
    assert_int_equal(jj_enqueue_many(crew->client, &spec, 1, &receipt, &stored, &err),
                     JJ_ERR_UNAVAILABLE);
    assert_int_equal(stored, 0);
    assert_int_equal(receipt.seq, 0);
    assert_is_uuidv7(receipt.id);
    assert_true(jj__clock_mono_ms() - before_ms < 3 * 700 + 3000);
}

static void a_full_stream_refuses_and_what_is_in_runs(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.jobs_bytes = 20000, .timeout_ms = 2000};
    const char data[1000] = {0};
    const jj_spec spec = {.name = "mail", .data = data, .data_len = sizeof(data)};
    const jj_spec specs[] = {spec, spec};
    size_t stored = 0;
    jj_receipt receipts[2];
    jj_error err;

    crew_open(crew, &options);
    crew_register(crew, "mail", NULL, NULL);
    while (jj_enqueue(crew->client, &spec, NULL, &err) == JJ_OK)
        assert_true(++stored < 20);
    assert_int_equal(err.status, JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "maximum bytes"));
    assert_int_equal(jobs_stored(crew), stored);
    size_t stored_of_many = 7;
    assert_int_equal(jj_enqueue_many(crew->client, specs, 2, receipts, &stored_of_many, &err),
                     JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "maximum bytes"));
    assert_int_equal(stored_of_many, 0);

    crew_start(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, "mail"), stored);
    crew_enqueue_spec(crew, &spec);
    assert_true(crew_wait_runs(crew, "mail", stored + 1));
}

/* ---- many at once ---- */

#define MANY 2500

struct many {
    jj_spec specs[MANY];
    jj_receipt receipts[MANY];
    char ids[MANY][JJ_NAME_SIZE];
};

static struct many *make_many(const char *name)
{
    struct many *many = calloc(1, sizeof(*many));

    assert_non_null(many);
    for (size_t i = 0; i < MANY; i++)
        many->specs[i] = (jj_spec){.name = name, .data = "{}", .data_len = 2};
    return many;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Each job of the receipts was run once, and no other. */
static void assert_all_ran_once(struct crew *crew, const jj_receipt *receipts, size_t count)
{
    char(*ran)[JJ_NAME_SIZE] = calloc(count, sizeof(*ran));
    char(*stored)[JJ_NAME_SIZE] = calloc(count, sizeof(*stored));

    assert_non_null(ran);
    assert_non_null(stored);
    assert_int_equal(crew_runs(crew, NULL), count);
    for (size_t i = 0; i < count; i++) {
        memcpy(ran[i], crew_run(crew, i).id, sizeof(ran[i]));
        memcpy(stored[i], receipts[i].id, sizeof(stored[i]));
    }
    qsort(ran, count, sizeof(*ran), compare_ids);
    qsort(stored, count, sizeof(*stored), compare_ids);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(ran[i], stored[i]);
    free(ran);
    free(stored);
}

static void many_jobs_are_enqueued_in_batches_and_all_run(void **state)
{
    struct crew *crew = *state;
    struct many *many = make_many("mail");
    struct listener *acks = nats_client_listen(crew->stranger, "jobs.enqueue.mail", NULL);
    size_t stored = 0, commits = 0;
    jj_error err;

    crew_open(crew, &(jj_options){.concurrency = 16});
    crew_register(crew, "mail", NULL, NULL);
    assert_int_equal(
        jj_enqueue_many(crew->client, many->specs, MANY, many->receipts, &stored, &err), JJ_OK);
    assert_int_equal(stored, MANY);
    assert_true(listener_wait(acks, MANY));
    for (size_t i = 0; i < MANY; i++) {
        commits += heard_header(listener_get(acks, i), "Nats-Batch-Commit") != NULL;
        assert_int_equal(many->receipts[i].seq, i + 1);
        assert_false(many->receipts[i].duplicate);
        assert_is_uuidv7(many->receipts[i].id);
    }
    assert_int_equal(commits, 3);
    crew_start(crew);
    assert_true(crew_wait_backlog(crew, 0));
    assert_all_ran_once(crew, many->receipts, MANY);
    listener_close(acks);
    free(many);
}

static void a_batch_with_a_job_that_is_there_stores_none_of_it(void **state)
{
    struct crew *crew = *state;
    struct many *many = make_many("mail");
    size_t stored = 0;
    jj_error err;

    crew_open(crew, NULL);
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "before"});
    many->specs[1700].id = "before";
    many->specs[2200].id = "mine";
    assert_int_equal(
        jj_enqueue_many(crew->client, many->specs, MANY, many->receipts, &stored, &err),
        JJ_ERR_EXISTS);
    assert_int_equal(stored, 1000);
    assert_int_equal(jobs_stored(crew), 1 + 1000);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(many->receipts[i].seq, i < 1000 ? i + 2 : 0);
        if (i != 1700 && i != 2200)
            assert_is_uuidv7(many->receipts[i].id);
    }
    assert_string_equal(many->receipts[1700].id, "before");
    assert_string_equal(many->receipts[2200].id, "mine");
    free(many);
}

static void a_call_with_many_can_be_repeated_with_the_ids_of_its_receipts(void **state)
{
    struct crew *crew = *state;
    struct many *many = make_many("mail");
    size_t stored = 0;
    jj_error err;

    crew_open(crew, NULL);
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "before"});
    many->specs[1700].id = "before";
    assert_int_equal(
        jj_enqueue_many(crew->client, many->specs, MANY, many->receipts, &stored, &err),
        JJ_ERR_EXISTS);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(many->ids[i], many->receipts[i].id, sizeof(many->ids[i]));
        many->specs[i].id = many->receipts[i].id;
    }
    many->specs[1700].id = NULL;
    assert_int_equal(jj_enqueue_many(crew->client, many->specs + stored, MANY - stored,
                                     many->receipts + stored, &stored, &err),
                     JJ_OK);
    assert_int_equal(stored, MANY - 1000);
    assert_int_equal(jobs_stored(crew), MANY + 1);
    for (size_t i = 0; i < MANY; i++)
        if (i != 1700)
            assert_string_equal(many->receipts[i].id, many->ids[i]);
    free(many);
}

static void a_bad_spec_among_many_is_named_and_what_came_before_stays(void **state)
{
    struct crew *crew = *state;
    struct many *many = make_many("mail");
    size_t stored = 0;
    jj_error err;

    crew_open(crew, NULL);
    many->specs[1234].name = "a.b";
    assert_int_equal(
        jj_enqueue_many(crew->client, many->specs, MANY, many->receipts, &stored, &err),
        JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "spec 1234: job name 'a.b'"));
    assert_int_equal(stored, 1000);
    assert_int_equal(jobs_stored(crew), 1000);
    free(many);
}

static void jobs_that_are_the_same_in_one_call_are_named(void **state)
{
    struct crew *crew = *state;
    jj_spec specs[5] = {{.name = "mail", .id = "c"},
                        {.name = "mail", .id = "a"},
                        {.name = "mail"},
                        {.name = "mail", .id = "b"},
                        {.name = "mail", .id = "a"}};
    size_t stored = 7;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_enqueue_many(crew->client, specs, 5, NULL, &stored, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "specs 1 and 4 have the same id 'a'");
    assert_int_equal(stored, 0);
    specs[4].id = NULL;
    specs[2].unique_key = specs[3].unique_key = "k";
    assert_int_equal(jj_enqueue_many(crew->client, specs, 5, NULL, &stored, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "specs 2 and 3 have the same unique key 'k'");
    assert_int_equal(jobs_stored(crew), 0);
}

#define FLOOD ((size_t)20000)

struct flood {
    jj_client *client;
    jj_spec *specs;
    jj_receipt *receipts;
    size_t stored;
    jj_status status;
};

static void *enqueue_flood(void *arg)
{
    struct flood *flood = arg;

    flood->status =
        jj_enqueue_many(flood->client, flood->specs, FLOOD, flood->receipts, &flood->stored, NULL);
    return NULL;
}

static bool some_are_stored(void *ctx)
{
    return jobs_stored(ctx) > 0;
}

static void many_are_stored_once_through_the_death_of_the_broker(void **state)
{
    struct crew *crew = *state;
    struct flood flood = {.specs = calloc(FLOOD, sizeof(jj_spec)),
                          .receipts = calloc(FLOOD, sizeof(jj_receipt))};
    pthread_t thread;

    assert_true(flood.specs != NULL && flood.receipts != NULL);
    for (size_t i = 0; i < FLOOD; i++)
        flood.specs[i] = (jj_spec){.name = "mail", .data = "{}", .data_len = 2};
    crew_open(crew, &(jj_options){.timeout_ms = WAIT_MS});
    flood.client = crew->client;
    assert_int_equal(pthread_create(&thread, NULL, enqueue_flood, &flood), 0);
    assert_true(wait_until(some_are_stored, crew, WAIT_MS));
    server_kill(&crew->server);
    server_restart(&crew->server);
    pthread_join(thread, NULL);
    assert_int_equal(flood.status, JJ_OK);
    assert_int_equal(flood.stored, FLOOD);
    assert_int_equal(jobs_stored(crew), FLOOD);
    for (size_t i = 0; i < FLOOD; i++)
        assert_int_equal(flood.receipts[i].seq, i + 1);
    free(flood.specs);
    free(flood.receipts);
}

static void many_can_be_none(void **state)
{
    struct crew *crew = *state;
    size_t stored = 7;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_enqueue_many(crew->client, NULL, 0, NULL, &stored, &err), JJ_OK);
    assert_int_equal(stored, 0);
    assert_int_equal(jj_enqueue_many(crew->client, NULL, 0, NULL, NULL, NULL), JJ_OK);
}

/* ---- from many threads ---- */

#define THREADS ((size_t)8)
#define OF_EACH ((size_t)500)
#define OF_THEM (THREADS * OF_EACH)

struct producer {
    pthread_t thread;
    jj_client *client;
    jj_receipt *receipts;
    size_t failed;
};

static void *produce(void *arg)
{
    struct producer *producer = arg;
    const jj_spec spec = {.name = "mail", .data = "{}", .data_len = 2};

    for (size_t i = 0; i < OF_EACH; i++)
        if (jj_enqueue(producer->client, &spec, &producer->receipts[i], NULL) != JJ_OK)
            producer->failed++;
    return NULL;
}

static void many_threads_enqueue_at_once_and_each_job_runs_once(void **state)
{
    struct crew *crew = *state;
    struct producer producers[THREADS];
    jj_receipt *receipts = calloc(OF_THEM, sizeof(*receipts));

    assert_non_null(receipts);
    crew_open(crew, &(jj_options){.timeout_ms = WAIT_MS});
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    for (size_t i = 0; i < THREADS; i++) {
        producers[i] =
            (struct producer){.client = crew->client, .receipts = receipts + i * OF_EACH};
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(producers[i].failed, 0);
    }
    assert_true(crew_wait_runs(crew, "mail", OF_THEM));
    assert_true(crew_wait_backlog(crew, 0));
    assert_all_ran_once(crew, receipts, OF_THEM);
    free(receipts);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_job_gets_a_uuidv7_as_its_id),
        STORY(a_given_id_is_kept),
        STORY(an_id_that_is_the_name_of_a_handler_is_refused),
        STORY(a_repeat_with_the_same_id_is_told_and_makes_no_second_message),
        STORY(a_duplicate_key_gives_the_id_of_the_job_that_waits_or_runs),
        STORY(a_duplicate_key_gives_the_id_of_the_job_that_is_over),
        STORY(a_duplicate_key_gives_the_id_of_the_schedule_that_waits_or_has_fired),
        STORY(a_duplicate_key_is_not_mixed_up_with_that_of_the_other_stream),
        STORY(a_duplicate_key_gives_the_id_of_the_job_that_was_cancelled),
        STORY(a_duplicate_key_whose_job_left_no_trace_says_so),
        STORY(headers_content_type_and_trace_reach_the_handler),
        STORY(max_attempts_and_timeout_travel_with_the_job),
        STORY(headers_that_could_harm_are_refused),
        STORY(data_that_is_too_large_is_refused_before_it_is_sent),
        STORY(the_largest_job_that_is_taken_runs_and_is_retried),
        STORY(a_job_waits_for_a_worker_that_comes_later),
        STORY(enqueueing_without_a_stream_fails_in_time),
        STORY(a_full_stream_refuses_and_what_is_in_runs),
        STORY(many_jobs_are_enqueued_in_batches_and_all_run),
        STORY(a_batch_with_a_job_that_is_there_stores_none_of_it),
        STORY(a_call_with_many_can_be_repeated_with_the_ids_of_its_receipts),
        STORY(a_bad_spec_among_many_is_named_and_what_came_before_stays),
        STORY(jobs_that_are_the_same_in_one_call_are_named),
        STORY(many_are_stored_once_through_the_death_of_the_broker),
        STORY(many_can_be_none),
        STORY(many_threads_enqueue_at_once_and_each_job_runs_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

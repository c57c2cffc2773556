/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of verdicts: how an attempt ends, and what is told and stored of it. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"
#include "rfc3339.h"
#include "utf8.h"

/* What most stories listen to: all that becomes of jobs of the name "x". */
struct ears {
    struct listener *started, *completed, *failed, *retrying;
};

static struct ears open_ears(struct crew *crew)
{
    return (struct ears){
        .started = nats_client_listen(crew->stranger, "job.started", NULL),
        .completed = nats_client_listen(crew->stranger, "job.completed", NULL),
        .failed = nats_client_listen(crew->stranger, "job.failed", NULL),
        .retrying = nats_client_listen(crew->stranger, "job.retrying", NULL),
    };
}

static void close_ears(struct ears *ears)
{
    listener_close(ears->started);
    listener_close(ears->completed);
    listener_close(ears->failed);
    listener_close(ears->retrying);
}

/* A client with one handler, started. */
static void begin(struct crew *crew, crew_act act, const jj_handler_options *options)
{
    crew_open(crew, NULL);
    crew_register(crew, "x", act, options);
    crew_start(crew);
}

static int64_t time_of(const struct heard *heard, const char *key)
{
    int64_t ms = 0;

    if (!jj__rfc3339_read(event_member(heard, key), &ms))
        fail_msg("%s of %s is no time", key, heard->data);
    return ms;
}

/* ---- done ---- */

static jj_verdict give_back_the_data(struct crew *crew, jj_attempt *attempt)
{
    size_t len = 0;
    const void *data = jj_attempt_data(attempt, &len);

    (void)crew;
    return jj_done(attempt, data, len);
}

static void a_result_that_is_json_is_told_as_it_is(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, give_back_the_data, NULL);
    const char *id = crew_enqueue(crew, "x", "{\"sent\": true,\n \"ids\": [1, 2]}");
    assert_true(listener_wait(ears.completed, 1));
    const struct heard *done = listener_get(ears.completed, 0);
    assert_string_equal(event_member(done, "result"), "{\"sent\":true,\"ids\":[1,2]}");
    assert_string_equal(event_member(done, "resultBase64"), "");
    assert_null(strchr(done->data, '\n'));
    assert_true(crew_wait_over(crew));

    struct history *history = crew_read_history(crew);
    const struct entry *entry = history_event(history, id, EVENT_COMPLETED);
    assert_int_equal(entry->event->result_len, 30);
    assert_memory_equal(entry->event->result, "{\"sent\": true,\n \"ids\": [1, 2]}", 30);
    history_free(history);
    close_ears(&ears);
}

static void a_result_that_is_no_json_is_told_in_base64(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const jj_spec spec = {.name = "x", .data = "\x00\xFF{", .data_len = 3};

    begin(crew, give_back_the_data, NULL);
    crew_enqueue_spec(crew, &spec);
    assert_true(listener_wait(ears.completed, 1));
    const struct heard *done = listener_get(ears.completed, 0);
    assert_string_equal(event_member(done, "resultBase64"), "AP97");
    assert_string_equal(event_member(done, "result"), "");
    assert_true(crew_wait_over(crew));

    struct history *history = crew_read_history(crew);
    const struct event *event = history_event(history, NULL, EVENT_COMPLETED)->event;
    assert_int_equal(event->result_len, 3);
    assert_memory_equal(event->result, "\x00\xFF{", 3);
    history_free(history);
    close_ears(&ears);
}

static void a_job_may_be_done_without_a_result(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, NULL, NULL);
    crew_enqueue(crew, "x", "any");
    assert_true(listener_wait(ears.completed, 1));
    const struct heard *done = listener_get(ears.completed, 0);
    assert_null(strstr(done->data, "\"result"));
    assert_string_equal(event_member(done, "attempts"), "1");
    assert_string_equal(event_member(done, "maxAttempts"), "3");
    assert_true(strlen(event_member(done, "durationMs")) > 0);
    assert_true(strlen(event_member(done, "worker")) > 0);
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

#define TOO_MUCH ((size_t)2 * 1024 * 1024)

static jj_verdict say_too_much_or_little(struct crew *crew, jj_attempt *attempt)
{
    size_t len = 0;

    (void)crew;
    jj_attempt_data(attempt, &len);
    if (len == 0)
        return jj_done(attempt, "1", 1);
    char *result = calloc(1, TOO_MUCH);
    jj_verdict verdict = jj_done(attempt, result, TOO_MUCH);
    free(result);
    return verdict;
}

static void a_result_that_is_too_large_fails_that_job_alone(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, say_too_much_or_little, NULL);
    for (int i = 0; i < 20; i++)
        crew_enqueue(crew, "x", i == 7 ? "much" : NULL);
    assert_true(listener_wait(ears.completed, 19));
    assert_true(listener_wait(ears.failed, 1));
    const char *error = event_member(listener_get(ears.failed, 0), "error");
    assert_non_null(strstr(error, "result of 2097152 bytes does not fit into a message"));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "x"), 20);
    assert_int_equal(listener_count(ears.completed), 19);
    close_ears(&ears);
}

static jj_verdict give_nearly_too_much(struct crew *crew, jj_attempt *attempt)
{
    const size_t len = 1024 * 1024 - 2048;
    char *result = malloc(len);

    (void)crew;
    if (result == NULL)
        abort();
    memset(result, 0xFF, len); /* no JSON: as base64 it does not fit into the live event */
    jj_verdict verdict = jj_done(attempt, result, len);
    free(result);
    return verdict;
}

static void a_result_that_is_too_large_for_the_live_event_only_is_stored(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, give_nearly_too_much, NULL);
    const char *id = crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "jobId"), id);
    struct history *history = crew_read_history(crew);
    assert_int_equal(history_event(history, id, EVENT_COMPLETED)->event->result_len, 1046528);
    history_free(history);
    close_ears(&ears);
}

/* ---- retry ---- */

static jj_verdict fail_at_first(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1)
        return jj_retry(attempt, "smtp: %d %s", 451, "later");
    return jj_done(attempt, NULL, 0);
}

static void an_attempt_that_failed_is_repeated_and_the_reason_told(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_at_first, NULL);
    const char *id = crew_enqueue(crew, "x", "data");
    assert_true(listener_wait(ears.completed, 1));
    const struct heard *retrying = listener_get(ears.retrying, 0);
    assert_string_equal(event_member(retrying, "type"), "retrying");
    assert_string_equal(event_member(retrying, "jobId"), id);
    assert_string_equal(event_member(retrying, "error"), "smtp: 451 later");
    assert_string_equal(event_member(retrying, "attempts"), "1");
    assert_string_equal(event_member(retrying, "maxAttempts"), "3");
    int64_t delay_ms = time_of(retrying, "runAt") - time_of(retrying, "time");
    assert_in_range(delay_ms, 1, 60); /* 50 ms and a fifth, less what it took to say so */
    assert_int_equal(crew_run(crew, 1).attempt, 2);
    assert_string_equal(crew_run(crew, 1).data, "data");
    assert_string_equal(crew_run(crew, 1).id, id);
    assert_int_equal(crew_run(crew, 1).run_at_ms, time_of(retrying, "runAt"));
    assert_true(crew_run(crew, 1).started_at_ms >= time_of(retrying, "runAt"));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "attempts"), "2");
    assert_true(crew_wait_over(crew));

    struct history *history = crew_read_history(crew);
    const struct entry *stored = history_event(history, id, EVENT_RETRYING);
    assert_string_equal(stored->event->error, "smtp: 451 later");
    assert_int_equal(stored->event->run_at_ms, time_of(retrying, "runAt"));
    history_free(history);
    close_ears(&ears);
}

static jj_verdict fail_with_own_delays(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    switch (jj_attempt_number(attempt)) {
    case 1:
        return jj_retry_in(attempt, 700, "in %d", 700);
    case 2:
        return jj_retry_in(attempt, 0, "at once");
    case 3:
        return jj_retry_in(attempt, -5, "at once, too");
    default:
        return jj_done(attempt, NULL, 0);
    }
}

static void a_handler_may_choose_the_delay(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const jj_handler_options options = {.max_attempts = 4, .backoff_initial_ms = 60000};

    begin(crew, fail_with_own_delays, &options);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_true(listener_wait(ears.retrying, 3));
    const struct heard *first = listener_get(ears.retrying, 0);
    const struct heard *second = listener_get(ears.retrying, 1);
    assert_string_equal(event_member(first, "error"), "in 700");
    assert_in_range(time_of(first, "runAt") - time_of(first, "time"), 1, 700);
    assert_true(crew_run(crew, 1).started_ms - crew_run(crew, 0).started_ms >= 699);
    assert_string_equal(event_member(second, "error"), "at once");
    assert_int_equal(time_of(second, "runAt"), time_of(second, "time"));
    assert_string_equal(event_member(listener_get(ears.retrying, 2), "error"), "at once, too");
    assert_int_equal(crew_run(crew, 3).attempt, 4);
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

static jj_verdict fail_for_very_long(struct crew *crew, jj_attempt *attempt)
{
    size_t len = 0;

    (void)crew;
    jj_attempt_data(attempt, &len);
    if (len > 0)
        return jj_snooze(attempt, INT64_MAX);
    return jj_retry_in(attempt, INT64_MAX, "see you");
}

static void a_delay_beyond_all_time_ends_with_the_year_9999(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_for_very_long, NULL);
    crew_enqueue(crew, "x", NULL);
    crew_enqueue(crew, "x", "snooze");
    assert_true(listener_wait(ears.retrying, 2));
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(event_member(listener_get(ears.retrying, i), "runAt"),
                            "9999-12-31T23:59:59.999Z");
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 2);
    close_ears(&ears);
}

static jj_verdict forget(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    (void)attempt;
    return (jj_verdict)0;
}

static void a_forgotten_verdict_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, forget, &(jj_handler_options){.max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    assert_string_equal(event_member(listener_get(ears.retrying, 0), "error"),
                        "the handler gave no reason");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"),
                        "the handler gave no reason");
    assert_int_equal(crew_runs(crew, "x"), 2);
    close_ears(&ears);
}

static jj_verdict change_ones_mind(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1) {
        jj_done(attempt, "{\"a\":1}", 7);
        jj_snooze(attempt, 3600000);
        return jj_retry(attempt, "after all");
    }
    jj_retry_in(attempt, 3600000, "not at all");
    return jj_done(attempt, "2", 1);
}

static void the_last_verdict_counts(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, change_ones_mind, NULL);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.retrying, 0), "error"), "after all");
    assert_string_equal(event_member(listener_get(ears.completed, 0), "result"), "2");
    assert_string_equal(event_member(listener_get(ears.completed, 0), "error"), "");
    close_ears(&ears);
}

/* ---- fail ---- */

static jj_verdict give_up(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_fail(attempt, "no such %s", "address");
}

static void a_job_that_failed_for_good_is_not_repeated(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, give_up, NULL);
    const char *id = crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"), "no such address");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "maxAttempts"), "3");
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "x"), 1);
    assert_int_equal(listener_count(ears.retrying), 0);
    struct history *history = crew_read_history(crew);
    assert_string_equal(history_event(history, id, EVENT_FAILED)->event->error, "no such address");
    history_free(history);
    close_ears(&ears);
}

static jj_verdict fail_always(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_retry(attempt, "attempt %u", (unsigned)jj_attempt_number(attempt));
}

static void the_last_attempt_fails_for_good_and_that_is_said_once(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char id[JJ_NAME_SIZE];

    begin(crew, fail_always, &(jj_handler_options){.max_attempts = 3});
    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "x", NULL));
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = "only-one", .max_attempts = 1});
    assert_true(listener_wait(ears.failed, 2));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(ears.failed), 2);
    assert_int_equal(listener_count(ears.retrying), 2);
    assert_string_equal(event_member(listener_get(ears.failed, 0), "jobId"), "only-one");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "maxAttempts"), "1");
    const struct heard *failed = listener_get(ears.failed, 1);
    assert_string_equal(event_member(failed, "attempts"), "3");
    assert_string_equal(event_member(failed, "maxAttempts"), "3");
    assert_string_equal(event_member(failed, "error"), "attempt 3");
    assert_int_equal(crew_runs(crew, "x"), 4);

    struct history *history = crew_read_history(crew);
    assert_int_equal(history_events(history, id, EVENT_FAILED), 1);
    assert_int_equal(history_events(history, id, EVENT_RETRYING), 2);
    assert_int_equal(history_event(history, id, EVENT_FAILED)->event->attempts, 3);
    history_free(history);
    close_ears(&ears);
}

static jj_verdict fail_in_garbage(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    return jj_fail(attempt, "%s",
                   "a\xFF\x80"
                   "b\x01\x1B[31m\n\"\\\xC3\xA4\xED\xA0\x80");
}

static void an_error_in_garbage_is_stored_and_told_as_text(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    static const char mended[] = "a??b\x01\x1B[31m\n\"\\\xC3\xA4???";

    begin(crew, fail_in_garbage, NULL);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"), mended);
    struct history *history = crew_read_history(crew);
    assert_string_equal(history_event(history, NULL, EVENT_FAILED)->event->error, mended);
    history_free(history);
    close_ears(&ears);
}

static jj_verdict fail_at_length(struct crew *crew, jj_attempt *attempt)
{
    const size_t len = TOO_MUCH;
    char *text = malloc(len + 1);

    (void)crew;
    if (text == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        text[i] = i % 2 == 0 ? '\xC3' : '\xA4';
    text[len] = '\0';
    jj_verdict verdict = jj_fail(attempt, "!%s", text);
    free(text);
    return verdict;
}

static void an_error_that_is_very_long_is_cut(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_at_length, NULL);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    struct history *history = crew_read_history(crew);
    const char *error = history_event(history, NULL, EVENT_FAILED)->event->error;
    assert_int_equal(strlen(error), 65536);
    assert_memory_equal(error, "!\xC3\xA4\xC3\xA4", 5);
    assert_true(jj__utf8_valid(error));
    history_free(history);
    close_ears(&ears);
}

/* ---- snooze ---- */

/* Each run takes the next of these delays; then the job is done. */
static jj_verdict snooze_three_times(struct crew *crew, jj_attempt *attempt)
{
    static const int64_t delays_ms[] = {100, 0, -1};
    size_t runs = crew_runs(crew, "x");

    if (runs <= sizeof(delays_ms) / sizeof(delays_ms[0]))
        return jj_snooze(attempt, delays_ms[runs - 1]);
    return jj_done(attempt, NULL, 0);
}

static void a_snooze_costs_no_attempt_however_often(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, snooze_three_times, &(jj_handler_options){.max_attempts = 2});
    const char *id = crew_enqueue(crew, "x", "data");
    assert_true(listener_wait(ears.completed, 1));
    assert_int_equal(crew_runs(crew, "x"), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(crew_run(crew, i).attempt, 1);
        assert_int_equal(crew_run(crew, i).lost, 0);
        assert_string_equal(crew_run(crew, i).data, "data");
    }
    const struct heard *snoozed = listener_get(ears.retrying, 0);
    assert_string_equal(event_member(snoozed, "error"), "");
    assert_string_equal(event_member(snoozed, "attempts"), "0");
    assert_in_range(time_of(snoozed, "runAt") - time_of(snoozed, "time"), 1, 100);
    assert_true(crew_run(crew, 1).started_ms - crew_run(crew, 0).started_ms >= 99);
    assert_string_equal(event_member(listener_get(ears.completed, 0), "attempts"), "1");
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(ears.retrying), 3);
    assert_int_equal(listener_count(ears.failed), 0);

    struct history *history = crew_read_history(crew);
    assert_int_equal(history_events(history, id, EVENT_RETRYING), 3);
    assert_null(history_event(history, id, EVENT_RETRYING)->event->error);
    assert_int_equal(history_event(history, id, EVENT_RETRYING)->event->snoozes, 1);
    assert_int_equal(history_event(history, id, EVENT_COMPLETED)->event->snoozes, 3);
    history_free(history);
    close_ears(&ears);
}

static jj_verdict snooze_then_fail(struct crew *crew, jj_attempt *attempt)
{
    if (crew_runs(crew, "x") % 2 == 1)
        return jj_snooze(attempt, 20);
    return jj_retry(attempt, "no");
}

static void snoozes_and_failed_attempts_are_counted_apart(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    static const uint32_t attempts[] = {1, 1, 2, 2};

    begin(crew, snooze_then_fail, &(jj_handler_options){.max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    assert_int_equal(crew_runs(crew, "x"), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(crew_run(crew, i).attempt, attempts[i]);
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "2");
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

/* ---- jobs that fill a message ---- */

static jj_verdict fail_or_snooze(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_header(attempt, "X-Snooze") != NULL)
        return jj_snooze(attempt, 10);
    return jj_retry_in(attempt, 10, "no");
}

/* As another client may do it: nothing is left for headers. */
static void enqueue_a_whole_message(struct crew *crew, const char *header, const char *value)
{
    const jj_header headers[] = {{"Job-Id", "large"}, {header, value}};
    const size_t len = TOO_MUCH / 2 - 120;
    char *data = malloc(len);

    assert_non_null(data);
    memset(data, 'x', len);
    nats_client_store(crew->stranger, &(struct note){.subject = "jobs.enqueue.x",
                                                     .headers = headers,
                                                     .header_count = 2,
                                                     .data = data,
                                                     .len = len});
    free(data);
}

static void a_job_that_leaves_no_room_for_a_retry_fails(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_or_snooze, NULL);
    enqueue_a_whole_message(crew, "X-Retry", "yes");
    assert_true(listener_wait(ears.failed, 1));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"),
                        "no (not repeated: the job is too large to be stored again)");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    enqueue_a_whole_message(crew, "X-Snooze", "yes");
    assert_true(listener_wait(ears.failed, 2));
    assert_string_equal(event_member(listener_get(ears.failed, 1), "error"),
                        "put off (not repeated: the job is too large to be stored again)");
    assert_string_equal(event_member(listener_get(ears.failed, 1), "attempts"), "1");
    enqueue_a_whole_message(crew, "Job-Run-At", "9999-01-01T00:00:00Z");
    assert_true(listener_wait(ears.failed, 3));
    assert_string_equal(event_member(listener_get(ears.failed, 2), "jobId"), "large");
    assert_string_equal(event_member(listener_get(ears.failed, 2), "error"),
                        "put off (not repeated: the job is too large to be stored again)");
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(ears.retrying), 0);
    assert_int_equal(crew_runs(crew, "x"), 2);
    close_ears(&ears);
}

/* ---- headers that no library would send ---- */

/* Store a job of x with these header lines, by the protocol itself. Its data is "1": of a message
 * without data nats.c itself reads the headers, and keeps to itself what was wrong with them. */
static void store_raw(struct crew *crew, const char *lines)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)crew->server.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    char text[512], answers[8192] = {0};
    size_t got = 0, len = strlen("NATS/1.0\r\n\r\n") + strlen(lines);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof(server)), 0);
    int text_len = snprintf(text, sizeof(text),
                            "CONNECT {\"verbose\":false,\"headers\":true}\r\n"
                            "HPUB jobs.enqueue.x %zu %zu\r\nNATS/1.0\r\n%s\r\n1\r\nPING\r\n",
                            len, len + 1, lines);
    assert_int_equal(write(fd, text, (size_t)text_len), text_len);
    while (strstr(answers, "PONG\r\n") == NULL) {
        ssize_t more = read(fd, answers + got, sizeof(answers) - 1 - got);
        assert_true(more > 0);
        got += (size_t)more;
    }
    close(fd);
}

static void a_header_that_can_not_be_sent_again_does_not_hold_up_a_retry(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_at_first, NULL);
    store_raw(crew, "Job-Id: a\r\ntwo words: x\r\n");
    store_raw(crew, "Job-Id: b\r\nX-Line: end\rit\r\n");
    store_raw(crew, "Job-Id: c\r\ntab\t: x\r\nX-Good: x\r\n");
    assert_true(listener_wait(ears.completed, 3));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "x"), 6);
    close_ears(&ears);
}

static void a_job_whose_headers_make_no_sense_fails(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, NULL, NULL);
    store_raw(crew, "Job-Id: a\r\n: without a name\r\n");
    crew_enqueue(crew, "x", "the next one");
    assert_true(listener_wait(ears.failed, 1));
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "jobId"), "1");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"),
                        "the job's headers can't be read");
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, "x"), 1);
    close_ears(&ears);
}

/* A library for other languages sends them without a word. */
static void an_empty_value_hides_no_other_header(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, fail_at_first, NULL);
    store_raw(crew, "X-Empty: \r\nJob-Id: a\r\nJob-Max-Attempts: 2\r\n");
    store_raw(crew, "Job-Id: b\r\nX-Empty: \r\nX-Empty-Too: \r\nJob-Max-Attempts: 2\r\n");
    store_raw(crew, "Job-Id: c\r\nJob-Max-Attempts: 2\r\nX-Empty:\r\n");
    assert_true(listener_wait(ears.completed, 3));
    for (size_t i = 0; i < 3; i++) {
        const struct heard *completed = listener_get(ears.completed, i);
        assert_int_equal(strlen(event_member(completed, "jobId")), 1);
        assert_in_range(event_member(completed, "jobId")[0], 'a', 'c');
        assert_string_equal(event_member(completed, "maxAttempts"), "2");
    }
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

static void an_empty_value_of_our_own_header_is_told(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, NULL, NULL);
    store_raw(crew, "Job-Max-Attempts: \r\nJob-Id: a\r\n");
    store_raw(crew, "Job-Id: a\r\nJob-Max-Attempts: \r\n");
    assert_true(listener_wait(ears.failed, 2));
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(event_member(listener_get(ears.failed, i), "jobId"), "a");
        assert_string_equal(event_member(listener_get(ears.failed, i), "error"),
                            "header Job-Max-Attempts is '': allowed is 1 to 1000");
    }
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

/* ---- timeouts ---- */

static jj_verdict work_until_told(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    while (!jj_attempt_stopping(attempt))
        wait_a_moment();
    return jj_done(attempt, "\"too late\"", 10);
}

static void a_handler_that_notices_its_timeout_has_failed(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, work_until_told, &(jj_handler_options){.timeout_ms = 150, .max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    const struct heard *retrying = listener_get(ears.retrying, 0);
    assert_string_equal(event_member(retrying, "error"), "timeout after 150 ms");
    assert_in_range(strtoll(event_member(retrying, "durationMs"), NULL, 10), 150, WAIT_MS);
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"),
                        "timeout after 150 ms");
    assert_int_equal(listener_count(ears.completed), 0);
    assert_int_equal(crew_runs(crew, "x"), 2);
    assert_true(crew_wait_over(crew));
    close_ears(&ears);
}

static void the_timeout_of_the_job_wins_over_that_of_the_handler(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const jj_spec spec = {.name = "x", .timeout_ms = 60, .max_attempts = 1};

    begin(crew, work_until_told, &(jj_handler_options){.timeout_ms = 3600000});
    crew_enqueue_spec(crew, &spec);
    assert_true(listener_wait(ears.failed, 1));
    assert_string_equal(event_member(listener_get(ears.failed, 0), "error"), "timeout after 60 ms");
    close_ears(&ears);
}

static void a_timeout_beyond_all_time_never_comes(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    static const jj_header header = {"Job-Timeout", "9223372036854775807"};

    begin(crew, NULL, NULL);
    nats_client_store(
        crew->stranger,
        &(struct note){.subject = "jobs.enqueue.x", .headers = &header, .header_count = 1});
    assert_true(listener_wait(ears.completed, 1));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(ears.retrying), 0);
    close_ears(&ears);
}

/* Ignores its timeout in the first attempt, until the gate opens. */
static jj_verdict be_deaf_at_first(struct crew *crew, jj_attempt *attempt)
{
    for (bool closed = jj_attempt_number(attempt) == 1; closed;) {
        wait_a_moment();
        pthread_mutex_lock(&crew->lock);
        closed = crew->gate_closed;
        pthread_mutex_unlock(&crew->lock);
    }
    return jj_done(attempt, "\"late\"", 6);
}

static void a_handler_that_ignores_its_timeout_is_given_up(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    crew_open(crew, &(jj_options){.concurrency = 2, .backoff_initial_ms = 50});
    crew_register(crew, "x", be_deaf_at_first, &(jj_handler_options){.timeout_ms = 100});
    crew_register(crew, "quick", NULL, NULL);
    crew_start(crew);
    crew_close_gate(crew);
    char id[JJ_NAME_SIZE];
    snprintf(id, sizeof(id), "%s", crew_enqueue(crew, "x", NULL));
    assert_true(crew_wait_running(crew, 1));
    for (size_t i = 1; i <= 20; i++) {
        crew_enqueue(crew, "quick", NULL);
        assert_true(crew_wait_runs(crew, "quick", i));
    }
    assert_true(listener_wait(ears.retrying, 1));
    const struct heard *retrying = listener_get(ears.retrying, 0);
    assert_string_equal(event_member(retrying, "error"), "timeout after 100 ms");
    assert_in_range(retrying->at_ms - crew_run(crew, 0).started_ms, 5000, WAIT_MS);
    assert_in_range(strtoll(event_member(retrying, "durationMs"), NULL, 10), 5000, WAIT_MS);
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_true(listener_wait(ears.completed, 21));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_running(crew), 1); /* the deaf one still runs */

    crew_open_gate(crew);
    assert_true(crew_wait_running(crew, 0));
    crew_close(crew);
    assert_int_equal(listener_count(ears.completed), 21);
    struct history *history = crew_read_history(crew);
    assert_int_equal(history_events(history, id, EVENT_COMPLETED), 1);
    assert_int_equal(history_events(history, id, EVENT_RETRYING), 1);
    assert_int_equal(history_event(history, id, EVENT_COMPLETED)->event->attempts, 2);
    history_free(history);
    close_ears(&ears);
}

static bool are_given_up(void *ctx)
{
    return jj__clock_mono_ms() >= *(int64_t *)ctx;
}

/* Their end is on its way to a broker that does not answer. */
static void handlers_that_return_after_they_were_given_up_lose_nothing(void **state)
{
    enum { DEAF = 8, GIVEN_UP_MS = 100 + 5000 + 1500 };
    struct crew *crew = *state;

    crew_open(crew, &(jj_options){.concurrency = DEAF, .ack_wait_ms = 60000});
    crew_register(crew, "x", be_deaf_at_first,
                  &(jj_handler_options){.timeout_ms = 100, .max_attempts = 1});
    crew_start(crew);
    crew_close_gate(crew);
    for (int i = 0; i < DEAF; i++)
        crew_enqueue(crew, "x", NULL);
    assert_true(crew_wait_running(crew, DEAF));
    int64_t given_up_ms = jj__clock_mono_ms() + GIVEN_UP_MS;
    server_freeze(&crew->server);
    assert_true(wait_until(are_given_up, &given_up_ms, WAIT_MS));
    crew_open_gate(crew);
    assert_true(crew_wait_running(crew, 0));
    server_thaw(&crew->server);
    assert_true(crew_wait_over(crew));
    struct history *history = crew_read_history(crew);
    assert_int_equal(history_events(history, NULL, EVENT_FAILED), DEAF);
    history_free(history);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_result_that_is_json_is_told_as_it_is),
        STORY(a_result_that_is_no_json_is_told_in_base64),
        STORY(a_job_may_be_done_without_a_result),
        STORY(a_result_that_is_too_large_fails_that_job_alone),
        STORY(a_result_that_is_too_large_for_the_live_event_only_is_stored),
        STORY(an_attempt_that_failed_is_repeated_and_the_reason_told),
        STORY(a_handler_may_choose_the_delay),
        STORY(a_delay_beyond_all_time_ends_with_the_year_9999),
        STORY(a_forgotten_verdict_is_a_failed_attempt),
        STORY(the_last_verdict_counts),
        STORY(a_job_that_failed_for_good_is_not_repeated),
        STORY(the_last_attempt_fails_for_good_and_that_is_said_once),
        STORY(an_error_in_garbage_is_stored_and_told_as_text),
        STORY(an_error_that_is_very_long_is_cut),
        STORY(a_snooze_costs_no_attempt_however_often),
        STORY(snoozes_and_failed_attempts_are_counted_apart),
        STORY(a_job_that_leaves_no_room_for_a_retry_fails),
        STORY(a_header_that_can_not_be_sent_again_does_not_hold_up_a_retry),
        STORY(a_job_whose_headers_make_no_sense_fails),
        STORY(an_empty_value_hides_no_other_header),
        STORY(an_empty_value_of_our_own_header_is_told),
        STORY(a_handler_that_notices_its_timeout_has_failed),
        STORY(the_timeout_of_the_job_wins_over_that_of_the_handler),
        STORY(a_timeout_beyond_all_time_never_comes),
        STORY(a_handler_that_ignores_its_timeout_is_given_up),
        STORY(handlers_that_return_after_they_were_given_up_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

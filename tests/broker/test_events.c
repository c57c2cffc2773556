/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of what is told: log lines, events and progress of handlers, and the durable history. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"
#include "rfc3339.h"

#define MIB   ((size_t)1024 * 1024)
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* A client with one handler, started. */
static void begin(struct crew *crew, crew_act act, const jj_handler_options *options)
{
    crew_open(crew, NULL);
    crew_register(crew, "x", act, options);
    crew_start(crew);
}

static struct listener *listen(struct crew *crew, const char *subject)
{
    return nats_client_listen(crew->stranger, subject, NULL);
}

static void assert_member(const struct heard *heard, const char *key, const char *value)
{
    if (strcmp(event_member(heard, key), value) != 0)
        fail_msg("%s is '%s', not '%s', in %s", key, event_member(heard, key), value, heard->data);
}

/* ---- what a handler tells ---- */

static jj_verdict tell_some(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    bool told = jj_log(attempt, JJ_LOG_WARN, "{\"disk\":\n97}", "%d%% full", 97) == JJ_OK &&
                jj_log(attempt, JJ_LOG_DEBUG, NULL, "a\xFF\tb") == JJ_OK &&
                jj_emit(attempt, "thumbnail ready", "[1,\"two\"]") == JJ_OK &&
                jj_emit(attempt, "plain", NULL) == JJ_OK &&
                jj_progress(attempt, 40, "resized") == JJ_OK &&
                jj_progress(attempt, 100, NULL) == JJ_OK;
    return jj_done(attempt, told ? "true" : "false", told ? 4 : 5);
}

/* Two of them were heard on a subject, of this type, about this job. */
static void assert_two_heard(struct listener *listener, const char *type, const char *id)
{
    int64_t time_ms;

    assert_true(listener_wait(listener, 2));
    for (size_t i = 0; i < 2; i++) {
        const struct heard *heard = listener_get(listener, i);
        assert_member(heard, "type", type);
        assert_member(heard, "jobId", id);
        assert_member(heard, "name", "x");
        assert_member(heard, "attempts", "1");
        assert_member(heard, "maxAttempts", "3");
        assert_member(heard, "traceparent", TRACE);
        assert_true(strlen(event_member(heard, "worker")) > 0);
        assert_true(jj__rfc3339_read(event_member(heard, "time"), &time_ms));
        assert_in_range(jj__clock_wall_ms() - time_ms, 0, WAIT_MS);
    }
}

static void log_lines_are_heard_on_four_subjects(void **state)
{
    struct crew *crew = *state;
    static const char *const subjects[] = {"log.job", "log.job.job-1", "job.x.log", "job.log"};
    const jj_spec spec = {.name = "x", .id = "job-1", .traceparent = TRACE};
    struct listener *listeners[4];

    for (size_t i = 0; i < 4; i++)
        listeners[i] = listen(crew, subjects[i]);
    begin(crew, tell_some, NULL);
    crew_enqueue_spec(crew, &spec);
    for (size_t i = 0; i < 4; i++) {
        assert_two_heard(listeners[i], "log", "job-1");
        const struct heard *first = listener_get(listeners[i], 0);
        const struct heard *second = listener_get(listeners[i], 1);
        assert_member(first, "level", "warn");
        assert_member(first, "message", "97% full");
        assert_member(first, "data", "{\"disk\":97}");
        assert_null(strchr(first->data, '\n'));
        assert_member(second, "level", "debug");
        assert_member(second, "message", "a?\tb");
        assert_null(strstr(second->data, "\"data\""));
        assert_int_equal(listener_count(listeners[i]), 2);
    }
    for (size_t i = 0; i < 4; i++)
        listener_close(listeners[i]);
}

static void custom_events_are_heard_on_three_subjects(void **state)
{
    struct crew *crew = *state;
    static const char *const subjects[] = {"job.event", "job.x.event", "job.job-1.event"};
    const jj_spec spec = {.name = "x", .id = "job-1", .traceparent = TRACE};
    struct listener *listeners[3];

    for (size_t i = 0; i < 3; i++)
        listeners[i] = listen(crew, subjects[i]);
    begin(crew, tell_some, NULL);
    crew_enqueue_spec(crew, &spec);
    for (size_t i = 0; i < 3; i++) {
        assert_two_heard(listeners[i], "event", "job-1");
        assert_member(listener_get(listeners[i], 0), "event", "thumbnail ready");
        assert_member(listener_get(listeners[i], 0), "data", "[1,\"two\"]");
        assert_member(listener_get(listeners[i], 1), "event", "plain");
        assert_member(listener_get(listeners[i], 1), "data", "");
    }
    for (size_t i = 0; i < 3; i++)
        listener_close(listeners[i]);
}

static void progress_is_heard_on_two_subjects(void **state)
{
    struct crew *crew = *state;
    static const char *const subjects[] = {"job.progress", "job.x.progress"};
    const jj_spec spec = {.name = "x", .id = "job-1", .traceparent = TRACE};
    struct listener *listeners[2];

    for (size_t i = 0; i < 2; i++)
        listeners[i] = listen(crew, subjects[i]);
    begin(crew, tell_some, NULL);
    crew_enqueue_spec(crew, &spec);
    for (size_t i = 0; i < 2; i++) {
        assert_two_heard(listeners[i], "progress", "job-1");
        assert_member(listener_get(listeners[i], 0), "percent", "40");
        assert_member(listener_get(listeners[i], 0), "message", "resized");
        assert_member(listener_get(listeners[i], 1), "percent", "100");
        assert_null(strstr(listener_get(listeners[i], 1)->data, "\"message\""));
    }
    for (size_t i = 0; i < 2; i++)
        listener_close(listeners[i]);
}

static void what_a_handler_tells_is_stored_before_the_end_of_its_job(void **state)
{
    struct crew *crew = *state;
    static const enum event_type types[] = {EVENT_LOG, EVENT_EVENT, EVENT_PROGRESS};
    const jj_spec spec = {.name = "x", .id = "job-1", .traceparent = TRACE};

    begin(crew, tell_some, NULL);
    crew_enqueue_spec(crew, &spec);
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_true(crew_wait_over(crew));
    struct history *history = crew_read_history(crew);
    const struct entry *end = history_event(history, "job-1", EVENT_COMPLETED);
    assert_memory_equal(end->event->result, "true", 4);
    for (size_t i = 0; i < 3; i++) {
        const struct entry *told = history_event(history, "job-1", types[i]);
        assert_int_equal(history_events(history, "job-1", types[i]), 2);
        assert_true(told->seq < end->seq);
        assert_string_equal(told->event->name, "x");
        assert_int_equal(told->event->attempts, 1);
        assert_string_equal(told->event->traceparent, TRACE);
        assert_string_equal(told->worker, end->worker);
    }
    const struct event *line = history_event(history, "job-1", EVENT_LOG)->event;
    assert_int_equal(line->level, JJ_LOG_WARN);
    assert_string_equal(line->message, "97% full");
    assert_string_equal(line->data, "{\"disk\":\n97}");
    const struct event *event = history_event(history, "job-1", EVENT_EVENT)->event;
    assert_string_equal(event->event, "thumbnail ready");
    assert_string_equal(event->data, "[1,\"two\"]");
    const struct event *progress = history_event(history, "job-1", EVENT_PROGRESS)->event;
    assert_int_equal(progress->percent, 40);
    assert_string_equal(progress->message, "resized");
    history_free(history);
}

static jj_verdict tell_and_fail(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    jj_log(attempt, JJ_LOG_ERROR, NULL, "attempt %u", (unsigned)jj_attempt_number(attempt));
    return jj_retry(attempt, "no");
}

static void what_an_attempt_that_fails_told_is_stored_before_that(void **state)
{
    struct crew *crew = *state;

    begin(crew, tell_and_fail, &(jj_handler_options){.max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_true(crew_wait_over(crew));
    struct history *history = crew_read_history(crew);
    uint64_t retrying = history_event(history, NULL, EVENT_RETRYING)->seq;
    uint64_t failed = history_event(history, NULL, EVENT_FAILED)->seq;
    size_t lines = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct entry *entry = &history->entries[i];
        if (entry->event == NULL || entry->event->type != EVENT_LOG)
            continue;
        lines++;
        assert_int_equal(entry->event->attempts, lines);
        assert_true(entry->seq < (lines == 1 ? retrying : failed));
    }
    assert_int_equal(lines, 2);
    assert_true(retrying < failed);
    history_free(history);
}

/* ---- a lot of it ---- */

#define LINES 10000

static jj_verdict log_a_lot(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    for (int i = 0; i < LINES; i++)
        if (jj_log(attempt, JJ_LOG_INFO, NULL, "%d", i) != JJ_OK)
            return jj_fail(attempt, "line %d", i);
    return jj_done(attempt, NULL, 0);
}

static void ten_thousand_log_lines_of_a_job_arrive_in_order(void **state)
{
    struct crew *crew = *state;
    struct listener *lines = listen(crew, "log.job.job-1");
    char number[12];
    int stored = 0;

    begin(crew, log_a_lot, NULL);
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = "job-1"});
    assert_true(listener_wait(lines, LINES));
    for (int i = 0; i < LINES; i++) {
        snprintf(number, sizeof(number), "%d", i);
        assert_member(listener_get(lines, (size_t)i), "message", number);
    }
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(lines), LINES);

    struct history *history = crew_read_history(crew);
    uint64_t end = history_event(history, "job-1", EVENT_COMPLETED)->seq;
    for (size_t i = 0; i < history->count; i++) {
        const struct entry *entry = &history->entries[i];
        if (entry->event == NULL || entry->event->type != EVENT_LOG)
            continue;
        assert_int_equal(strtol(entry->event->message, NULL, 10), stored);
        assert_true(entry->seq < end);
        stored++;
    }
    assert_int_equal(stored, LINES);
    assert_true(history->messages < LINES / 10);
    history_free(history);
    listener_close(lines);
}

#define TALKERS       5
#define LINES_OF_EACH 500

static jj_verdict log_together(struct crew *crew, jj_attempt *attempt)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (crew_running(crew) < TALKERS && crew_runs(crew, "x") < TALKERS &&
           jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    for (int i = 0; i < LINES_OF_EACH; i++)
        if (jj_log(attempt, JJ_LOG_INFO, NULL, "%d", i) != JJ_OK)
            return jj_fail(attempt, "line %d", i);
    return jj_done(attempt, NULL, 0);
}

static void several_handlers_may_tell_at_once(void **state)
{
    struct crew *crew = *state;
    struct listener *lines = listen(crew, "log.job");
    struct listener *completed = listen(crew, "job.completed");
    struct listener *of_job[TALKERS];
    char id[TALKERS][16], subject[32], number[12];

    begin(crew, log_together, NULL);
    for (size_t i = 0; i < TALKERS; i++) {
        snprintf(id[i], sizeof(id[i]), "job-%zu", i);
        snprintf(subject, sizeof(subject), "log.job.%s", id[i]);
        of_job[i] = listen(crew, subject);
        crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = id[i]});
    }
    assert_true(listener_wait(completed, TALKERS));
    assert_true(listener_wait(lines, (size_t)TALKERS * LINES_OF_EACH));
    for (size_t i = 0; i < TALKERS; i++) {
        assert_true(listener_wait(of_job[i], LINES_OF_EACH));
        for (size_t line = 0; line < LINES_OF_EACH; line++) {
            snprintf(number, sizeof(number), "%zu", line);
            assert_member(listener_get(of_job[i], line), "message", number);
        }
        listener_close(of_job[i]);
    }
    assert_int_equal(listener_count(lines), TALKERS * LINES_OF_EACH);
    listener_close(lines);
    listener_close(completed);
}

/* ---- what is refused ---- */

static jj_verdict try_what_is_wrong(struct crew *crew, jj_attempt *attempt)
{
    char long_name[258] = {0}, text[400];
    char *large = calloc(1, MIB + 1);

    (void)crew;
    if (large == NULL)
        abort();
    memset(long_name, 'n', 257);
    memset(large, ' ', MIB);
    large[0] = '1';
    int len = snprintf(text, sizeof(text),
                       "[\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\"]",
                       jj_status_text(jj_log(attempt, JJ_LOG_INFO, "{bad", "text")),
                       jj_status_text(jj_log(attempt, JJ_LOG_INFO, "", "text")),
                       jj_status_text(jj_log(attempt, (jj_log_level)9, NULL, "text")),
                       jj_status_text(jj_log(attempt, JJ_LOG_INFO, large, "text")),
                       jj_status_text(jj_emit(attempt, "e", "1 2")),
                       jj_status_text(jj_emit(attempt, "", NULL)),
                       jj_status_text(jj_emit(attempt, NULL, NULL)),
                       jj_status_text(jj_emit(attempt, long_name, NULL)),
                       jj_status_text(jj_progress(attempt, 101, NULL)),
                       jj_status_text(jj_progress(attempt, 0, NULL)));
    free(large);
    return jj_done(attempt, text, (size_t)len);
}

static void what_can_not_be_told_is_refused(void **state)
{
    struct crew *crew = *state;
    struct listener *completed = listen(crew, "job.completed");
    struct listener *told = listen(crew, "job.x.*");

    begin(crew, try_what_is_wrong, NULL);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(completed, 1));
    assert_string_equal(
        event_member(listener_get(completed, 0), "result"),
        "[\"invalid\",\"invalid\",\"invalid\",\"too large\",\"invalid\",\"invalid\","
        "\"invalid\",\"invalid\",\"invalid\",\"ok\"]");
    assert_true(listener_wait(told, 3)); /* started, the progress, completed */
    assert_int_equal(listener_count(told), 3);
    listener_close(completed);
    listener_close(told);
}

/* Log as much as is taken, whatever that is: no more than what the trace leaves of a message. */
static jj_verdict log_the_most(struct crew *crew, jj_attempt *attempt)
{
    char *data = calloc(1, MIB + 1);
    size_t len = MIB - 60000;

    (void)crew;
    if (data == NULL)
        abort();
    memset(data, ' ', len);
    data[0] = '1';
    while (len > 100 && jj_log(attempt, JJ_LOG_INFO, data, "m") == JJ_ERR_TOO_LARGE)
        data[len -= 100] = '\0';
    free(data);
    char text[24];
    snprintf(text, sizeof(text), "%zu", len);
    return jj_done(attempt, text, strlen(text));
}

static void the_largest_log_line_is_stored_beside_the_longest_trace(void **state)
{
    struct crew *crew = *state;
    struct listener *completed = listen(crew, "job.completed");
    char trace[60001] = {0};
    const jj_header headers[] = {{"traceparent", memset(trace, 't', 60000)}, {"Job-Id", "job-1"}};

    begin(crew, log_the_most, NULL);
    nats_client_store(
        crew->stranger,
        &(struct note){.subject = "jobs.enqueue.x", .headers = headers, .header_count = 2});
    assert_true(listener_wait(completed, 1));
    size_t len = strtoul(event_member(listener_get(completed, 0), "result"), NULL, 10);
    assert_true(len > MIB - 70000);
    struct history *history = crew_read_history(crew);
    assert_int_equal(history_events(history, "job-1", EVENT_LOG), 1);
    assert_int_equal(strlen(history_event(history, "job-1", EVENT_LOG)->event->data), len);
    history_free(history);
    listener_close(completed);
}

/* ---- the durable stream ---- */

static jj_verdict fail_at_first(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    if (jj_attempt_number(attempt) == 1)
        return jj_retry(attempt, "once");
    return jj_done(attempt, NULL, 0);
}

static const char *header_of(const struct job *job, const char *name)
{
    return jj__header_find(job->headers, job->header_count, name);
}

static void a_claim_carries_the_job_at_its_first_attempt_only(void **state)
{
    struct crew *crew = *state;
    const jj_header header = {"X-Tenant", "acme"};
    const jj_spec spec = {.name = "x",
                          .id = "job-1",
                          .data = "\x00{}",
                          .data_len = 3,
                          .max_attempts = 5,
                          .content_type = "text/plain",
                          .headers = &header,
                          .header_count = 1};

    begin(crew, fail_at_first, NULL);
    jj_receipt receipt = crew_enqueue_spec(crew, &spec);
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_true(crew_wait_over(crew));
    struct history *history = crew_read_history(crew);
    const struct entry *first = history_claim(history, "job-1", 1);
    const struct entry *second = history_claim(history, "job-1", 2);
    assert_true(first->claim->with_job);
    assert_int_equal(first->claim->seq, receipt.seq);
    assert_int_equal(first->claim->max_attempts, 5);
    assert_int_equal(first->claim->lost, 0);
    assert_string_equal(first->claim->job->name, "x");
    assert_int_equal(first->claim->job->data_len, 3);
    assert_memory_equal(first->claim->job->data, "\x00{}", 3);
    assert_string_equal(header_of(first->claim->job, "X-Tenant"), "acme");
    assert_string_equal(header_of(first->claim->job, "Content-Type"), "text/plain");
    assert_in_range(jj__clock_wall_ms() - first->claim->job->created_at_ms, 0, WAIT_MS);
    assert_false(second->claim->with_job);
    assert_int_equal(second->claim->job->data_len, 0);
    assert_int_equal(second->claim->job->header_count, 0);
    assert_string_equal(second->claim->job->name, "x");

    assert_true(first->seq < history_event(history, "job-1", EVENT_RETRYING)->seq);
    assert_true(history_event(history, "job-1", EVENT_RETRYING)->seq < second->seq);
    assert_true(second->seq < history_event(history, "job-1", EVENT_COMPLETED)->seq);
    history_free(history);
}

/* Its message was acknowledged before any claim: an index may know of it by the claim alone. */
static void a_job_that_came_before_its_time_is_claimed_with_all_it_is(void **state)
{
    struct crew *crew = *state;
    char run_at[JJ__RFC3339_SIZE];
    const jj_header headers[] = {{"Job-Id", "job-1"}, {"Job-Run-At", run_at}};

    begin(crew, NULL, NULL);
    jj__rfc3339_write(jj__clock_wall_ms() + 600, run_at);
    nats_client_store(crew->stranger, &(struct note){.subject = "jobs.enqueue.x",
                                                     .headers = headers,
                                                     .header_count = 2,
                                                     .data = "data"});
    assert_true(crew_wait_runs(crew, "x", 1));
    assert_true(crew_wait_over(crew));
    struct history *history = crew_read_history(crew);
    const struct claim *claim = history_claim(history, "job-1", 1)->claim;
    assert_true(claim->with_job);
    assert_int_equal(claim->job->data_len, 4);
    assert_memory_equal(claim->job->data, "data", 4);
    history_free(history);
}

#define QUICK_JOBS 2000

static void many_quick_jobs_share_the_messages_that_are_stored(void **state)
{
    struct crew *crew = *state;
    jj_spec *specs = calloc(QUICK_JOBS, sizeof(*specs));
    jj_receipt *receipts = calloc(QUICK_JOBS, sizeof(*receipts));
    jj_error err;

    assert_non_null(specs);
    assert_non_null(receipts);
    for (size_t i = 0; i < QUICK_JOBS; i++)
        specs[i] = (jj_spec){.name = i % 2 == 0 ? "x" : "y", .data = "{}", .data_len = 2};
    crew_open(crew, NULL);
    crew_register(crew, "x", NULL, NULL);
    crew_register(crew, "y", NULL, NULL);
    assert_int_equal(jj_enqueue_many(crew->client, specs, QUICK_JOBS, receipts, NULL, &err), JJ_OK);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, NULL, QUICK_JOBS));
    assert_true(crew_wait_over(crew));

    struct history *history = crew_read_history(crew);
    print_message("%d jobs: %zu messages stored, %zu of them claims\n", QUICK_JOBS,
                  history->messages, history->claim_messages);
    assert_true(history->messages < 2 * QUICK_JOBS / 4);
    for (size_t i = 0; i < QUICK_JOBS; i += 97) {
        const struct entry *claim = history_claim(history, receipts[i].id, 1);
        const struct entry *end = history_event(history, receipts[i].id, EVENT_COMPLETED);
        assert_non_null(claim);
        assert_non_null(end);
        assert_true(claim->seq < end->seq);
        assert_string_equal(claim->claim->job->name, specs[i].name);
        assert_string_equal(end->event->name, specs[i].name);
    }
    assert_int_equal(history_events(history, NULL, EVENT_COMPLETED), QUICK_JOBS);
    history_free(history);
    free(specs);
    free(receipts);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(log_lines_are_heard_on_four_subjects),
        STORY(custom_events_are_heard_on_three_subjects),
        STORY(progress_is_heard_on_two_subjects),
        STORY(what_a_handler_tells_is_stored_before_the_end_of_its_job),
        STORY(what_an_attempt_that_fails_told_is_stored_before_that),
        STORY(ten_thousand_log_lines_of_a_job_arrive_in_order),
        STORY(several_handlers_may_tell_at_once),
        STORY(what_can_not_be_told_is_refused),
        STORY(the_largest_log_line_is_stored_beside_the_longest_trace),
        STORY(a_claim_carries_the_job_at_its_first_attempt_only),
        STORY(a_job_that_came_before_its_time_is_claimed_with_all_it_is),
        STORY(many_quick_jobs_share_the_messages_that_are_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

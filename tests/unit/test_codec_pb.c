/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_json.h"
#include "codec_pb.h"
#include "subject.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, NULs within included. */
#define BYTES(literal) literal, sizeof(literal) - 1

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

/* The first ones are left out: fields say the same. */
#define LEFT_OUT 3
static const jj_header job_headers[] = {
    {"Job-Id", "17"},
    {"Nats-Msg-Id", "17"},
    {"Nats-Batch-Id", "b"},
    {"X-Latin", "gr\xFC\xDF"},
    {"traceparent", "00-ab"},
    {"X-Empty", ""},
    {"Nats-Msg-Id", "key:not the id"},
};

static const struct job whole_job = {
    .id = "17",
    .name = "mail",
    .data = "a\0b",
    .data_len = 3,
    .headers = job_headers,
    .header_count = COUNT(job_headers),
    .attempts = 1,
    .max_attempts = 7,
    .redrives = 2,
    .snoozes = 3,
    .created_at_ms = 1000,
    .run_at_ms = -1,
    .schedule_id = "nightly",
    .traceparent = "00-ab",
};

static const struct job bare_job = {.id = "18", .name = "mail"};

static const struct event whole_event = {
    .type = EVENT_LOG,
    .id = "17",
    .name = "mail",
    .worker = "w1",
    .traceparent = "00-ab",
    .time_ms = 123,
    .attempts = 1,
    .max_attempts = 2,
    .redrives = 3,
    .snoozes = 4,
    .lost = 5,
    .result = "\0\xFF",
    .result_len = 2,
    .duration_ms = 6,
    .error = "error",
    .run_at_ms = 7,
    .event = "event",
    .level = JJ_LOG_ERROR,
    .message = "gr\xC3\xBC\xC3\x9F",
    .data = "[1]",
    .percent = 8,
    .job = &whole_job,
};

/* ---- there and back ---- */

static void assert_same_payload(const struct job *job, const struct job *expected)
{
    assert_int_equal(job->data_len, expected->data_len);
    if (expected->data_len != 0)
        assert_memory_equal(job->data, expected->data, expected->data_len);
    assert_int_equal(job->header_count, expected->header_count - LEFT_OUT);
    for (size_t i = 0; i < job->header_count; i++) {
        assert_string_equal(job->headers[i].name, expected->headers[LEFT_OUT + i].name);
        assert_string_equal(job->headers[i].value, expected->headers[LEFT_OUT + i].value);
    }
    assert_int_equal(job->max_attempts, expected->max_attempts);
    assert_int_equal(job->created_at_ms, expected->created_at_ms);
    assert_int_equal(job->run_at_ms, expected->run_at_ms);
    assert_string_equal(job->schedule_id, expected->schedule_id);
    assert_string_equal(job->traceparent, expected->traceparent);
}

static void claims_come_back_as_they_were(void **state)
{
    (void)state;
    const struct claim claims[] = {
        {.job = &whole_job, .seq = 900, .attempt = 2, .max_attempts = 7, .with_job = true},
        {.job = &bare_job, .seq = UINT64_MAX, .attempt = 4, .max_attempts = 5, .lost = 6},
    };
    struct buf out = {0};
    struct pb_claims back;

    assert_int_equal(jj__pb_write_claims(&out, "w1", 77, 1234, claims, COUNT(claims), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_string_equal(back.worker, "w1");
    assert_int_equal(back.number, 77);
    assert_int_equal(back.time_ms, 1234);
    assert_int_equal(back.count, 2);

    const struct claim *first = &back.claims[0];
    assert_string_equal(first->job->id, "17");
    assert_string_equal(first->job->name, "mail");
    assert_int_equal(first->job->attempts, 1);
    assert_int_equal(first->job->redrives, 2);
    assert_int_equal(first->job->snoozes, 3);
    assert_int_equal(first->seq, 900);
    assert_int_equal(first->attempt, 2);
    assert_int_equal(first->max_attempts, 7);
    assert_int_equal(first->lost, 0);
    assert_true(first->with_job);
    assert_false(first->omit_data);
    assert_same_payload(first->job, &whole_job);

    const struct claim *second = &back.claims[1];
    assert_string_equal(second->job->id, "18");
    assert_int_equal(second->job->attempts, 3);
    assert_true(second->seq == UINT64_MAX);
    assert_int_equal(second->lost, 6);
    assert_false(second->with_job);
    assert_int_equal(second->job->header_count, 0);
    assert_null(second->job->data);
    assert_null(second->job->schedule_id);

    jj__pb_claims_free(&back);
    assert_int_equal(back.count, 0);
    jj__buf_done(&out);
}

static void data_that_does_not_fit_is_left_out_and_said_so(void **state)
{
    (void)state;
    const struct claim claim = {
        .job = &whole_job, .attempt = 2, .with_job = true, .omit_data = true};
    struct buf out = {0};
    struct pb_claims back;

    assert_int_equal(jj__pb_write_claims(&out, "w1", 1, 1, &claim, 1, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_true(back.claims[0].with_job);
    assert_true(back.claims[0].omit_data);
    assert_int_equal(back.claims[0].job->data_len, 0);
    assert_int_equal(back.claims[0].job->header_count, COUNT(job_headers) - LEFT_OUT);
    jj__pb_claims_free(&back);
    jj__buf_done(&out);
}

static void jobs_of_different_size_share_a_batch(void **state)
{
    (void)state;
    const struct claim claims[] = {
        {.job = &bare_job, .attempt = 1, .with_job = true},
        {.job = &whole_job, .attempt = 1, .with_job = true},
        {.job = &bare_job, .attempt = 1, .with_job = true},
        {.job = &whole_job, .attempt = 1, .with_job = true},
    };
    struct buf out = {0};
    struct pb_claims back;

    assert_int_equal(jj__pb_write_claims(&out, "w1", 1, 1, claims, COUNT(claims), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.count, 4);
    assert_int_equal(back.claims[2].job->header_count, 0);
    assert_same_payload(back.claims[3].job, &whole_job);
    jj__pb_claims_free(&back);
    jj__buf_done(&out);
}

static void events_come_back_as_they_were(void **state)
{
    (void)state;
    const struct event events[] = {whole_event, {.type = EVENT_FAILED, .id = "18"}};
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, "w1", events, COUNT(events), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_string_equal(back.worker, "w1");
    assert_int_equal(back.count, 2);

    const struct event *first = &back.events[0];
    assert_string_equal(first->id, "17");
    assert_null(first->name); /* the subject says it, and the type */
    assert_string_equal(first->worker, "w1");
    assert_string_equal(first->traceparent, "00-ab");
    assert_int_equal(first->time_ms, 123);
    assert_int_equal(first->attempts, 1);
    assert_int_equal(first->max_attempts, 2);
    assert_int_equal(first->redrives, 3);
    assert_int_equal(first->snoozes, 4);
    assert_int_equal(first->lost, 5);
    assert_int_equal(first->result_len, 2);
    assert_memory_equal(first->result, "\0\xFF", 2);
    assert_int_equal(first->duration_ms, 6);
    assert_string_equal(first->error, "error");
    assert_int_equal(first->run_at_ms, 7);
    assert_string_equal(first->event, "event");
    assert_int_equal(first->level, JJ_LOG_ERROR);
    assert_string_equal(first->message, "gr\xC3\xBC\xC3\x9F");
    assert_string_equal(first->data, "[1]");
    assert_int_equal(first->percent, 8);
    assert_string_equal(first->job->id, "17");
    assert_string_equal(first->job->name, "mail");
    assert_int_equal(first->job->attempts, 1);
    assert_int_equal(first->job->redrives, 2);
    assert_int_equal(first->job->snoozes, 3);
    assert_same_payload(first->job, &whole_job);

    const struct event *second = &back.events[1];
    assert_string_equal(second->id, "18");
    assert_null(second->traceparent);
    assert_null(second->result);
    assert_int_equal(second->result_len, 0);
    assert_null(second->error);
    assert_null(second->event);
    assert_null(second->message);
    assert_null(second->data);
    assert_null(second->job);

    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

static void empty_batch_is_a_batch(void **state)
{
    (void)state;
    struct buf out = {0};
    struct pb_claims claims;
    struct pb_events events;

    jj__buf_str(&out, "what it held before");
    assert_int_equal(jj__pb_write_events(&out, NULL, NULL, 0, NULL), JJ_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(jj__pb_read_events(NULL, 0, &events, NULL), JJ_OK);
    assert_null(events.worker);
    assert_int_equal(events.count, 0);
    assert_int_equal(jj__pb_read_claims(NULL, 0, &claims, NULL), JJ_OK);
    assert_int_equal(claims.count, 0);
    jj__pb_events_free(&events);
    jj__pb_claims_free(&claims);
    jj__buf_done(&out);
}

static void freeing_twice_or_nothing_is_harmless(void **state)
{
    (void)state;
    struct pb_claims claims = {0};
    struct pb_events events = {0};

    jj__pb_claims_free(&claims);
    jj__pb_claims_free(&claims);
    jj__pb_events_free(&events);
}

static void level_is_written_for_log_lines_only(void **state)
{
    (void)state;
    const struct event events[] = {
        {.type = EVENT_LOG, .id = "1", .level = JJ_LOG_DEBUG},
        {.type = EVENT_PROGRESS, .id = "2", .level = JJ_LOG_DEBUG},
    };
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, NULL, events, COUNT(events), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.events[0].level, JJ_LOG_DEBUG);
    assert_int_equal(back.events[1].level, JJ_LOG_INFO);
    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

/* ---- writing ---- */

static void texts_that_are_not_utf8_are_mended_and_results_are_not(void **state)
{
    (void)state;
    const jj_header headers[] = {{"X-\xFC", "\xFC"}};
    const struct job job = {.id = "17", .name = "mail", .headers = headers, .header_count = 1};
    const struct event event = {
        .id = "17",
        .traceparent = "\xFF",
        .error = "gr\xFC\xDF",
        .message = "a\xC3",
        .result = "\xFF",
        .result_len = 1,
        .job = &job,
    };
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, NULL, &event, 1, NULL), JJ_OK);
    assert_null(memchr(out.data, 0xDF, out.len));
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_string_equal(back.events[0].traceparent, "?");
    assert_string_equal(back.events[0].error, "gr??");
    assert_string_equal(back.events[0].message, "a?");
    assert_memory_equal(back.events[0].result, "\xFF", 1);
    assert_string_equal(back.events[0].job->headers[0].name, "X-?");
    assert_string_equal(back.events[0].job->headers[0].value, "\xFC");
    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

static void batch_beyond_the_maximum_is_too_large(void **state)
{
    (void)state;
    const struct claim claim = {.job = &whole_job, .attempt = 1, .with_job = true};
    struct buf whole = {0};
    jj_error err = {0};

    assert_int_equal(jj__pb_write_claims(&whole, "w1", 1, 1, &claim, 1, NULL), JJ_OK);
    for (size_t max = 1; max < whole.len; max++) {
        struct buf out = {.max = max};
        assert_int_equal(jj__pb_write_claims(&out, "w1", 1, 1, &claim, 1, &err), JJ_ERR_TOO_LARGE);
        assert_int_equal(out.len, 0);
        assert_false(out.failed);
        assert_int_equal(jj__pb_write_events(&out, "worker-name", &whole_event, 1, &err),
                         JJ_ERR_TOO_LARGE);
        jj__buf_done(&out);
    }
    struct buf exact = {.max = whole.len};
    assert_int_equal(jj__pb_write_claims(&exact, "w1", 1, 1, &claim, 1, NULL), JJ_OK);
    jj__buf_done(&exact);
    jj__buf_done(&whole);
}

static void assert_claim_size(const struct claim *claim, size_t slack)
{
    struct buf out = {0};

    assert_int_equal(jj__pb_write_claims(&out, NULL, 0, 0, claim, 1, NULL), JJ_OK);
    assert_in_range(jj__pb_claim_size(claim), out.len, out.len + slack);
    jj__buf_done(&out);
}

static void assert_event_size(const struct event *event, size_t slack)
{
    struct buf out = {0};

    assert_int_equal(jj__pb_write_events(&out, NULL, event, 1, NULL), JJ_OK);
    assert_in_range(jj__pb_event_size(event), out.len, out.len + slack);
    jj__buf_done(&out);
}

static void size_of_an_entry_is_the_truth_or_a_little_more(void **state)
{
    (void)state;
    static const char text[70000] = {0};
    char long_text[20000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    const jj_header long_headers[] = {{"A", long_text}, {"B", ""}, {long_text, long_text}};
    const struct job largest = {
        .id = SIXTY_FOUR,
        .name = SIXTY_FOUR,
        .data = text,
        .data_len = sizeof(text),
        .headers = long_headers,
        .header_count = COUNT(long_headers),
        .attempts = UINT32_MAX,
        .max_attempts = UINT32_MAX,
        .redrives = UINT32_MAX,
        .snoozes = UINT32_MAX,
        .created_at_ms = INT64_MIN,
        .run_at_ms = -1,
        .schedule_id = SIXTY_FOUR,
    };
    struct claim claim = {
        .job = &largest,
        .seq = UINT64_MAX,
        .attempt = UINT32_MAX,
        .max_attempts = UINT32_MAX,
        .lost = UINT32_MAX,
        .with_job = true,
    };

    assert_claim_size(&claim, 48);
    claim.omit_data = true;
    assert_claim_size(&claim, 48);
    claim.with_job = false;
    assert_claim_size(&claim, 48);
    claim.job = &bare_job;
    assert_claim_size(&claim, 48);
    claim.with_job = true;
    assert_claim_size(&claim, 48);

    struct event event = whole_event;
    assert_event_size(&event, 48);
    event.time_ms = event.duration_ms = event.run_at_ms = INT64_MIN;
    event.attempts = event.max_attempts = event.redrives = UINT32_MAX;
    event.snoozes = event.lost = event.percent = UINT32_MAX;
    event.error = event.event = event.message = event.data = event.traceparent = long_text;
    event.result = text;
    event.result_len = sizeof(text);
    event.job = &largest;
    assert_event_size(&event, 48);
    assert_event_size(&(struct event){.id = "1"}, 48);
}

/* ---- hostile bytes ---- */

static void assert_claims_refused(const void *data, size_t len)
{
    struct pb_claims claims = {.number = 4711};
    jj_error err = {0};

    assert_int_equal(jj__pb_read_claims(data, len, &claims, &err), JJ_ERR_PROTOCOL);
    assert_int_equal(err.status, JJ_ERR_PROTOCOL);
    assert_int_equal(claims.number, 4711);
}

static void bytes_that_are_no_batch_are_refused(void **state)
{
    (void)state;
    struct pb_events events;

    assert_claims_refused(BYTES("hello, world"));
    assert_claims_refused(BYTES("\x00"));
    assert_claims_refused(BYTES("\x10\xFF")); /* varint without end */
    assert_claims_refused(BYTES("\x0A\x05"
                                "abc"));                      /* length beyond the end */
    assert_claims_refused(BYTES("\x0A\xFF\xFF\xFF\xFF\x7F")); /* 2^35 - 1 */
    assert_claims_refused(BYTES("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01")); /* -1 */
    assert_claims_refused(BYTES("\x0A\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")); /* 2^63 */
    assert_claims_refused(BYTES("\x0B\x0C"));                                     /* a group */
    assert_claims_refused(BYTES("\x08\x01"));                 /* worker as a number */
    assert_claims_refused(BYTES("\x22\x02\x0A\x05"));         /* length beyond its entry */
    assert_claims_refused(BYTES("\x22\x04\x4A\x02\x0A\x05")); /* and one deeper */
    assert_int_equal(jj__pb_read_events(BYTES("\x12\x01\x0A"), &events, NULL), JJ_ERR_PROTOCOL);
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    struct pb_events events;

    assert_int_equal(jj__pb_read_events(BYTES("\xF2\x07\x03xyz"
                                              "\x12\x09\x0A\x02"
                                              "17\xF8\x07\x01\x10\x05"),
                                        &events, NULL),
                     JJ_OK);
    assert_int_equal(events.count, 1);
    assert_int_equal(events.events[0].time_ms, 5);
    jj__pb_events_free(&events);
}

static void claims_that_can_not_be_used_are_left_out(void **state)
{
    (void)state;
    const struct job wrong_id = {.id = "a.b", .name = "mail"};
    const struct job wrong_name = {.id = "17", .name = "*"};
    const struct job no_id = {.name = "mail"};
    const struct claim claims[] = {
        {.job = &wrong_id, .attempt = 1}, {.job = &wrong_name, .attempt = 1},
        {.job = &bare_job, .attempt = 1}, {.job = &no_id, .attempt = 1},
        {.job = &bare_job, .attempt = 0}, {.job = &bare_job, .attempt = UINT32_MAX},
    };
    struct buf out = {0};
    struct pb_claims back;

    assert_int_equal(jj__pb_write_claims(&out, "a.b", 1, 1, claims, COUNT(claims), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_null(back.worker);
    assert_int_equal(back.count, 2);
    assert_int_equal(back.claims[0].attempt, 1);
    assert_true(back.claims[1].attempt == UINT32_MAX);
    assert_true(back.claims[1].job->attempts == UINT32_MAX - 1);
    jj__pb_claims_free(&back);
    jj__buf_done(&out);
}

static void events_that_can_not_be_used_are_left_out(void **state)
{
    (void)state;
    const struct event events[] = {
        {.id = "a.b"},          {.id = ""},     {.id = "18", .error = "x"},
        {.id = SIXTY_FOUR "x"}, {.id = "\xFF"},
    };
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, "w 1", events, COUNT(events), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_null(back.worker);
    assert_int_equal(back.count, 1);
    assert_string_equal(back.events[0].id, "18");
    assert_null(back.events[0].worker);
    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

static void headers_that_could_not_be_sent_are_left_out(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"", "a"}, {"A B", "b"}, {"C", "c"}, {"D", "d\r\nE: e"}, {"F:", "f"},
    };
    const struct job job = {.id = "17", .name = "mail", .headers = headers, .header_count = 5};
    const struct claim claim = {.job = &job, .attempt = 1, .with_job = true};
    struct buf out = {0};
    struct pb_claims back;

    assert_int_equal(jj__pb_write_claims(&out, "w", 1, 1, &claim, 1, NULL), JJ_OK);
    char *value = memchr(out.data, 'c', out.len);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.claims[0].job->header_count, 1);
    assert_string_equal(back.claims[0].job->headers[0].name, "C");
    assert_string_equal(back.claims[0].job->headers[0].value, "c");
    jj__pb_claims_free(&back);

    *value = '\0';
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.claims[0].job->header_count, 0);
    jj__pb_claims_free(&back);

    value[-3] = '\xFF'; /* its name, before tag and length of the value */
    *value = 'c';
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.claims[0].job->header_count, 0);
    jj__pb_claims_free(&back);
    jj__buf_done(&out);
}

static void values_out_of_range_are_put_right(void **state)
{
    (void)state;
    const struct job job = {.id = "17", .name = "mail", .schedule_id = "a b"};
    const struct event event = {.id = "17", .percent = 101, .data = "{", .job = &job};
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, "w", &event, 1, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.events[0].percent, 100);
    assert_null(back.events[0].data);
    assert_null(back.events[0].job->schedule_id);
    jj__pb_events_free(&back);

    /* id "17", level "loud", message FF */
    assert_int_equal(jj__pb_read_events(BYTES("\x12\x0E\x0A\x02"
                                              "17\x7A\x04loud\x82\x01\x01\xFF"),
                                        &back, NULL),
                     JJ_OK);
    assert_int_equal(back.events[0].level, JJ_LOG_INFO);
    assert_string_equal(back.events[0].message, "?");
    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

static void job_of_another_event_is_not_believed(void **state)
{
    (void)state;
    const struct job nameless = {.id = "17"};
    const struct event events[] = {
        {.id = "18", .job = &whole_job},
        {.id = "17", .job = &nameless},
        {.id = "17", .job = &whole_job},
    };
    struct buf out = {0};
    struct pb_events back;

    assert_int_equal(jj__pb_write_events(&out, "w", events, COUNT(events), NULL), JJ_OK);
    assert_int_equal(jj__pb_read_events(out.data, out.len, &back, NULL), JJ_OK);
    assert_null(back.events[0].job);
    assert_null(back.events[1].job);
    assert_non_null(back.events[2].job);
    jj__pb_events_free(&back);
    jj__buf_done(&out);
}

/* A million bytes of the same few: that many times a unit, in as many frames as depth says. */
static void assert_flood(const char *unit, size_t unit_len, unsigned depth, jj_status expected)
{
    static unsigned char flood[1000000 + 64];
    static const unsigned char tags[] = {0x22, 0x4A}; /* a claim, its job */
    size_t start = sizeof(flood) - 1000000;
    jj_error err = {0};
    struct pb_claims claims;

    for (size_t i = start; i + unit_len <= sizeof(flood); i += unit_len)
        memcpy(flood + i, unit, unit_len);
    size_t end = start + 1000000 / unit_len * unit_len;
    for (unsigned level = depth; level-- > 0;) { /* wrap it */
        size_t len = end - start;
        flood[--start] = (unsigned char)(len >> 14 & 0x7F);
        flood[--start] = (unsigned char)(len >> 7 | 0x80);
        flood[--start] = (unsigned char)(len | 0x80);
        flood[--start] = tags[level];
    }
    jj_status status = jj__pb_read_claims(flood + start, end - start, &claims, &err);
    assert_int_equal(status, expected);
    if (status == JJ_OK)
        jj__pb_claims_free(&claims);
    else
        assert_non_null(strstr(err.text, "too much memory"));
}

static void floods_end_before_memory_and_time_do(void **state)
{
    (void)state;
    assert_flood(BYTES("\x22\x00"), 0, JJ_ERR_PROTOCOL);         /* empty claims */
    assert_flood(BYTES("\x4A\x00"), 1, JJ_ERR_PROTOCOL);         /* the same claim's job */
    assert_flood(BYTES("\x4A\x02\x22\x00"), 1, JJ_ERR_PROTOCOL); /* with a header to merge */
    assert_flood(BYTES("\x22\x00"), 2, JJ_OK);                   /* empty headers: small enough */
    assert_flood(BYTES("\xF8\x07\x01"), 0, JJ_OK);               /* unknown fields: likewise */
}

static void batch_as_large_as_ours_become_is_no_flood(void **state)
{
    (void)state;
    const size_t count = 20000;
    struct claim *claims = calloc(count, sizeof(*claims));
    struct buf out = {0};
    struct pb_claims back;

    assert_non_null(claims);
    for (size_t i = 0; i < count; i++)
        claims[i] = (struct claim){.job = &whole_job, .seq = i, .attempt = 1, .with_job = true};
    assert_int_equal(jj__pb_write_claims(&out, "w", 1, 1, claims, count, NULL), JJ_OK);
    assert_true(out.len > 1000000);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.count, count);
    jj__pb_claims_free(&back);

    for (size_t i = 0; i < count; i++)
        claims[i] = (struct claim){.job = &bare_job, .seq = i, .attempt = 2};
    assert_int_equal(jj__pb_write_claims(&out, "w", 1, 1, claims, count, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_claims(out.data, out.len, &back, NULL), JJ_OK);
    assert_int_equal(back.count, count);
    jj__pb_claims_free(&back);
    jj__buf_done(&out);
    free(claims);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void assert_events_sane(const struct pb_events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = &events->events[i];
        assert_true(jj__token_valid(event->id));
        assert_true(event->percent <= 100);
        if (event->error != NULL)
            assert_true(jj__utf8_valid(event->error));
        if (event->data != NULL)
            assert_true(jj__json_valid(event->data, strlen(event->data)));
    }
}

static void damaged_batches_are_refused_or_read_but_never_harm(void **state)
{
    (void)state;
    const struct event events[] = {whole_event, whole_event};
    uint32_t seed = 1;
    struct buf good = {0};
    struct buf again = {0};

    assert_int_equal(jj__pb_write_events(&good, "w1", events, COUNT(events), NULL), JJ_OK);
    char *bytes = malloc(good.len);
    assert_non_null(bytes);
    for (int round = 0; round < 20000; round++) {
        struct pb_events back;
        size_t len = good.len - (round % 3 == 0 ? next_random(&seed) % good.len : 0);
        memcpy(bytes, good.data, len);
        for (uint32_t i = next_random(&seed) % 4; i > 0; i--)
            bytes[next_random(&seed) % len] = (char)next_random(&seed);
        if (jj__pb_read_events(bytes, len, &back, NULL) != JJ_OK)
            continue;
        assert_events_sane(&back);
        assert_int_equal(jj__pb_write_events(&again, back.worker, back.events, back.count, NULL),
                         JJ_OK);
        jj__pb_events_free(&back);
    }
    free(bytes);
    jj__buf_done(&again);
    jj__buf_done(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_come_back_as_they_were),
        cmocka_unit_test(data_that_does_not_fit_is_left_out_and_said_so),
        cmocka_unit_test(jobs_of_different_size_share_a_batch),
        cmocka_unit_test(events_come_back_as_they_were),
        cmocka_unit_test(empty_batch_is_a_batch),
        cmocka_unit_test(freeing_twice_or_nothing_is_harmless),
        cmocka_unit_test(level_is_written_for_log_lines_only),
        cmocka_unit_test(texts_that_are_not_utf8_are_mended_and_results_are_not),
        cmocka_unit_test(batch_beyond_the_maximum_is_too_large),
        cmocka_unit_test(size_of_an_entry_is_the_truth_or_a_little_more),
        cmocka_unit_test(bytes_that_are_no_batch_are_refused),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(claims_that_can_not_be_used_are_left_out),
        cmocka_unit_test(events_that_can_not_be_used_are_left_out),
        cmocka_unit_test(headers_that_could_not_be_sent_are_left_out),
        cmocka_unit_test(values_out_of_range_are_put_right),
        cmocka_unit_test(job_of_another_event_is_not_believed),
        cmocka_unit_test(floods_end_before_memory_and_time_do),
        cmocka_unit_test(batch_as_large_as_ours_become_is_no_flood),
        cmocka_unit_test(damaged_batches_are_refused_or_read_but_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

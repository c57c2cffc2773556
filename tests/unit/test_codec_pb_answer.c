/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_pb_request.h"
#include "codec_request.h"
#include "jetjobs.pb-c.h"
#include "json_write.h"
#include "record.h"
#include "subject.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, NULs within included. */
#define BYTES(literal) literal, sizeof(literal) - 1

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

static jj_job whole = {{
    .id = SIXTY_FOUR,
    .name = "sendEmail",
    .state = JJ_FAILED,
    .created_at_ms = INT64_C(1795472356244),
    .run_at_ms = -1,
    .started_at_ms = INT64_MAX,
    .completed_at_ms = INT64_MIN,
    .attempts = 2,
    .max_attempts = 5,
    .lost = 3,
    .redrives = 4,
    .snoozes = UINT32_MAX,
    .progress = 100,
    .worker = "mail1-4711-q7x2ka",
    .schedule_id = "nightly",
    .error = "gr\xC3\xBC\xC3\x9F\n",
    .result = "\0\xFF",
    .result_len = 2,
    .data_known = true,
    .data = "a\0b",
    .data_len = 3,
    .headers = "Content-Type\0text/plain\0X-Empty\0\0traceparent\0"
               "00-ab",
    .headers_len = 51,
}};

static jj_job bare = {{.id = "17",
                       .name = "mail",
                       .state = JJ_PENDING,
                       .progress = JJ_NO_PROGRESS,
                       .data_known = true}};

static jj_job without_data = {{
    .id = "18",
    .name = "mail",
    .state = JJ_RUNNING,
    .progress = 0,
    .data = "not to be sent",
    .data_len = 14,
}};

/* ---- there and back ---- */

static void write_and_read(const struct answer *answer, struct answer *back)
{
    struct buf out = {0};
    jj_error err;

    jj__buf_str(&out, "before");
    assert_int_equal(jj__pb_write_answer(&out, answer, NULL), JJ_OK);
    assert_memory_equal(out.data, "before", 6);
    *back = (struct answer){.verb = answer->verb};
    if (jj__pb_read_answer(out.data + 6, out.len - 6, back, &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj__buf_done(&out);
}

static void assert_same_text(const char *text, const char *expected)
{
    if (expected == NULL)
        assert_null(text);
    else
        assert_string_equal(text, expected);
}

static void assert_same_bytes(const void *data, size_t len, const void *expected,
                              size_t expected_len)
{
    assert_int_equal(len, expected_len);
    if (len != 0)
        assert_memory_equal(data, expected, len);
}

static void assert_same_job(const jj_job *job, const jj_job *expected)
{
    const jj_record *a = &job->record;
    const jj_record *b = &expected->record;

    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->state, b->state);
    assert_true(a->created_at_ms == b->created_at_ms);
    assert_true(a->run_at_ms == b->run_at_ms);
    assert_true(a->started_at_ms == b->started_at_ms);
    assert_true(a->completed_at_ms == b->completed_at_ms);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->max_attempts, b->max_attempts);
    assert_int_equal(a->lost, b->lost);
    assert_int_equal(a->redrives, b->redrives);
    assert_int_equal(a->snoozes, b->snoozes);
    assert_int_equal(a->progress, b->progress);
    assert_same_text(a->worker, b->worker);
    assert_same_text(a->schedule_id, b->schedule_id);
    assert_same_text(a->error, b->error);
    assert_same_bytes(a->result, a->result_len, b->result, b->result_len);
    assert_int_equal(a->data_known, b->data_known);
    if (b->data_known)
        assert_same_bytes(a->data, a->data_len, b->data, b->data_len);
    else
        assert_int_equal(a->data_len, 0);
    assert_same_bytes(a->headers, a->headers_len, b->headers, b->headers_len);
}

static void job_comes_back_with_all_it_has(void **state)
{
    (void)state;
    jj_job *const jobs[] = {&whole, &bare, &without_data};

    for (size_t i = 0; i < COUNT(jobs); i++) {
        struct answer back;
        write_and_read(&(struct answer){.verb = VERB_GET, .job = jobs[i]}, &back);
        assert_non_null(back.job);
        assert_same_job(back.job, jobs[i]);
        jj__answer_done(&back);
    }
}

static void no_job_comes_back_as_none(void **state)
{
    (void)state;
    struct answer back;

    write_and_read(&(struct answer){.verb = VERB_GET}, &back);
    assert_null(back.job);
    assert_int_equal(back.verb, VERB_GET);
    jj__answer_done(&back);
}

static void page_comes_back_in_its_order(void **state)
{
    (void)state;
    jj_job *jobs[] = {&without_data, &whole, &bare};
    jj_page page = {.jobs = jobs, .count = 3, .cursor = (char *)"MTItYQ"};
    const struct answer answer = {.verb = VERB_GET_BY_NAME, .page = &page};
    struct answer back;

    write_and_read(&answer, &back);
    assert_int_equal(jj_page_count(back.page), 3);
    for (size_t i = 0; i < 3; i++)
        assert_same_job(jj_page_job(back.page, i), jobs[i]);
    assert_string_equal(jj_page_cursor(back.page), "MTItYQ");
    jj__answer_done(&back);

    page = (jj_page){0};
    write_and_read(&answer, &back);
    assert_int_equal(jj_page_count(back.page), 0);
    assert_null(jj_page_cursor(back.page));
    jj__answer_done(&back);
}

static void yes_and_no_come_back(void **state)
{
    (void)state;
    struct answer back;

    for (int yes = 0; yes <= 1; yes++) {
        write_and_read(&(struct answer){.verb = VERB_CANCEL, .yes = yes}, &back);
        assert_int_equal(back.yes, yes);
        write_and_read(&(struct answer){.verb = VERB_RETRY, .yes = yes}, &back);
        assert_int_equal(back.yes, yes);
    }
}

static void log_lines_come_back(void **state)
{
    (void)state;
    jj_log_line log_lines[] = {
        {.time_ms = INT64_MAX,
         .level = JJ_LOG_ERROR,
         .message = "relay was slow",
         .data = "{\"ms\":63}",
         .attempt = UINT32_MAX},
        {.time_ms = -1, .level = JJ_LOG_DEBUG, .message = ""},
        {.time_ms = 1, .level = JJ_LOG_INFO, .message = "", .event = "half way", .data = "5"},
    };
    jj_lines lines = {.lines = log_lines, .count = 3};
    const struct answer answer = {.verb = VERB_LOGS, .lines = &lines};
    struct answer back;

    write_and_read(&answer, &back);
    assert_int_equal(jj_lines_count(back.lines), 3);
    for (size_t i = 0; i < 3; i++) {
        const jj_log_line *line = jj_lines_get(back.lines, i);
        assert_true(line->time_ms == log_lines[i].time_ms);
        assert_int_equal(line->level, log_lines[i].level);
        assert_int_equal(line->attempt, log_lines[i].attempt);
        assert_same_text(line->message, log_lines[i].message);
        assert_same_text(line->data, log_lines[i].data);
        assert_same_text(line->event, log_lines[i].event);
    }
    jj__answer_done(&back);

    lines.count = 0;
    write_and_read(&answer, &back);
    assert_int_equal(jj_lines_count(back.lines), 0);
    jj__answer_done(&back);
}

static void stats_come_back_by_name(void **state)
{
    (void)state;
    jj_name_stats names[] = {
        {.name = "b", .counts = {0, 1, 2, 3, 4, 5, UINT64_MAX}},
        {.name = SIXTY_FOUR},
        {.name = "a", .counts = {0, 7, 8, 9, 10, 11, 12}},
    };
    static const size_t sorted[] = {1, 2, 0};
    jj_stats stats = {.names = names, .count = 3, .lag_jobs = 13, .lag_events = UINT64_MAX};
    const struct answer answer = {.verb = VERB_STATS, .stats = &stats};
    struct answer back;

    write_and_read(&answer, &back);
    assert_int_equal(jj_stats_count(back.stats), 3);
    for (size_t i = 0; i < 3; i++) {
        const jj_name_stats *name = jj_stats_name(back.stats, i);
        assert_string_equal(name->name, names[sorted[i]].name);
        assert_memory_equal(name->counts, names[sorted[i]].counts, sizeof(name->counts));
    }
    assert_int_equal(jj_stats_lag_jobs(back.stats), 13);
    assert_true(jj_stats_lag_events(back.stats) == UINT64_MAX);
    jj__answer_done(&back);

    stats.count = 0;
    write_and_read(&answer, &back);
    assert_int_equal(jj_stats_count(back.stats), 0);
    jj__answer_done(&back);
}

static void a_worker_reads_the_facts_of_it(void **state)
{
    (void)state;
    struct buf out = {0};
    struct job_facts facts;
    struct answer answer = {.verb = VERB_GET, .job = &whole};

    assert_int_equal(jj__pb_write_answer(&out, &answer, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_facts(out.data, out.len, &facts, NULL), JJ_OK);
    assert_true(facts.found);
    assert_string_equal(facts.status, "failed");
    assert_int_equal(facts.attempts, 2);
    assert_int_equal(facts.redrives, 4);
    assert_true(facts.snoozes == UINT32_MAX);
    assert_int_equal(facts.lost, 3);

    jj__buf_reset(&out);
    answer.job = NULL;
    assert_int_equal(jj__pb_write_answer(&out, &answer, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_facts(out.data, out.len, &facts, NULL), JJ_OK);
    assert_false(facts.found);
    jj__buf_done(&out);
}

static void error_answer_has_code_and_message(void **state)
{
    (void)state;
    struct buf out = {0};

    assert_int_equal(jj__pb_write_error(&out, "invalid_argument", "id \xFF is wrong", NULL), JJ_OK);
    Jetjobs__V1__ErrorAnswer *pb =
        jetjobs__v1__error_answer__unpack(NULL, out.len, (const uint8_t *)out.data);
    assert_non_null(pb);
    assert_string_equal(pb->code, "invalid_argument");
    assert_string_equal(pb->message, "id ? is wrong");
    jetjobs__v1__error_answer__free_unpacked(pb, NULL);
    jj__buf_done(&out);
}

static void texts_are_mended_before_they_are_sent(void **state)
{
    (void)state;
    jj_job job = {{.id = "17",
                   .name = "mail",
                   .state = JJ_FAILED,
                   .error = "a\xFF",
                   .headers = "X\xFF\0\xFF\0",
                   .headers_len = 5}};
    jj_log_line line = {.message = "\xC3"};
    jj_lines lines = {.lines = &line, .count = 1};
    struct answer answer = {.verb = VERB_GET, .job = &job};
    struct buf out = {0};

    assert_int_equal(jj__pb_write_answer(&out, &answer, NULL), JJ_OK);
    Jetjobs__V1__GetAnswer *get =
        jetjobs__v1__get_answer__unpack(NULL, out.len, (const uint8_t *)out.data);
    assert_non_null(get);
    assert_string_equal(get->job->error, "a?");
    assert_string_equal(get->job->headers[0]->name, "X?");
    assert_memory_equal(get->job->headers[0]->value.data, "\xFF", 1); /* bytes, no string */
    jetjobs__v1__get_answer__free_unpacked(get, NULL);

    answer = (struct answer){.verb = VERB_LOGS, .lines = &lines};
    jj__buf_reset(&out);
    assert_int_equal(jj__pb_write_answer(&out, &answer, NULL), JJ_OK);
    Jetjobs__V1__LogsAnswer *logs =
        jetjobs__v1__logs_answer__unpack(NULL, out.len, (const uint8_t *)out.data);
    assert_non_null(logs);
    assert_string_equal(logs->logs[0]->message, "?");
    jetjobs__v1__logs_answer__free_unpacked(logs, NULL);
    jj__buf_done(&out);
}

static void answer_that_does_not_fit_leaves_what_was_there(void **state)
{
    (void)state;
    const struct answer answers[] = {{.verb = VERB_GET, .job = &whole},
                                     {.verb = VERB_CANCEL, .yes = true}};

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct buf all = {0};
        assert_int_equal(jj__pb_write_answer(&all, &answers[i], NULL), JJ_OK);
        for (size_t max = 3; max <= all.len + 3; max++) {
            struct buf out = {.max = max};
            bool fits = max == all.len + 3;
            jj__buf_str(&out, "abc");
            assert_int_equal(jj__pb_write_answer(&out, &answers[i], NULL),
                             fits ? JJ_OK : JJ_ERR_TOO_LARGE);
            assert_int_equal(out.len, fits ? max : 3);
            assert_false(out.failed);
            jj__buf_done(&out);
        }
        jj__buf_done(&all);
    }
    struct buf out = {.max = 5};
    assert_int_equal(jj__pb_write_error(&out, "internal", "x", NULL), JJ_ERR_TOO_LARGE);
    jj__buf_done(&out);
}

/* ---- what others send ---- */

static void assert_refused(enum verb verb, const void *data, size_t len, const char *text)
{
    struct answer answer = {.verb = verb, .yes = true};
    jj_error err = {0};

    assert_int_equal(jj__pb_read_answer(data, len, &answer, &err), JJ_ERR_PROTOCOL);
    assert_string_equal(err.text, text);
    assert_true(answer.yes);
    assert_null(answer.job);
    assert_null(answer.page);
    assert_null(answer.lines);
    assert_null(answer.stats);
}

static void bytes_that_are_no_answer_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{\"jobs\":[]}",    "null",     "\x0A\x7F",
                                        "\x0A\x02\x0A\x05", "\x0B\x0C", "\xFF"};

    for (enum verb verb = 0; verb < VERBS; verb++) {
        for (size_t i = 0; i < COUNT(wrong); i++) {
            if (i == 3 && (verb == VERB_CANCEL || verb == VERB_RETRY))
                continue; /* protobuf-c takes any bytes for a bool */
            assert_refused(verb, wrong[i], strlen(wrong[i]),
                           "the answer of the index can't be read");
        }
    }
}

static void write_pb(struct buf *out, const ProtobufCMessage *message)
{
    jj__buf_reset(out);
    char *at = jj__buf_reserve(out, protobuf_c_message_get_packed_size(message));
    assert_non_null(at);
    out->len = protobuf_c_message_pack(message, (uint8_t *)at);
}

static Jetjobs__V1__Job pb_job(const char *id, const char *name, const char *status)
{
    Jetjobs__V1__Job job = JETJOBS__V1__JOB__INIT;

    job.id = (char *)id;
    job.name = (char *)name;
    job.status = (char *)status;
    return job;
}

static void write_pb_job(struct buf *out, Jetjobs__V1__Job *job)
{
    Jetjobs__V1__GetAnswer answer = JETJOBS__V1__GET_ANSWER__INIT;

    answer.job = job;
    write_pb(out, &answer.base);
}

static void job_that_can_not_be_one_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "the answer of the index has a job without an id, a name or a status";
    Jetjobs__V1__Job jobs[] = {
        pb_job("", "mail", "failed"),     pb_job("a.b", "mail", "failed"),
        pb_job("17", "", "failed"),       pb_job("17", "*", "failed"),
        pb_job("17", "mail", ""),         pb_job("17", "mail", "done"),
        pb_job("17", "mail", "failed\n"), pb_job(SIXTY_FOUR "x", "mail", "failed"),
    };
    Jetjobs__V1__Job good = pb_job("17", "mail", "failed");
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(jobs); i++) {
        Jetjobs__V1__GetByNameAnswer page = JETJOBS__V1__GET_BY_NAME_ANSWER__INIT;
        Jetjobs__V1__Job *two[] = {&good, &jobs[i]};
        write_pb_job(&out, &jobs[i]);
        assert_refused(VERB_GET, out.data, out.len, text);
        page.n_jobs = 2;
        page.jobs = two;
        write_pb(&out, &page.base);
        assert_refused(VERB_GET_BY_NAME, out.data, out.len, text);
    }
    jj__buf_done(&out);
}

static void values_that_can_not_be_used_are_put_right(void **state)
{
    (void)state;
    Jetjobs__V1__Job job = pb_job("17", "mail", "completed");
    struct answer answer = {.verb = VERB_GET};
    struct buf out = {0};

    job.worker = (char *)"w 1";
    job.schedule_id = (char *)"a.b";
    job.error = (char *)"a\xFF";
    job.progress = 101;
    job.has_progress = true;
    job.data_omitted = true;
    job.data = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    job.has_result = true; /* and it is empty */
    write_pb_job(&out, &job);
    assert_int_equal(jj__pb_read_answer(out.data, out.len, &answer, NULL), JJ_OK);
    const jj_record *record = &answer.job->record;
    assert_null(record->worker);
    assert_null(record->schedule_id);
    assert_string_equal(record->error, "a?");
    assert_int_equal(record->progress, 100);
    assert_false(record->data_known);
    assert_int_equal(record->data_len, 0);
    assert_int_equal(record->result_len, 0);
    jj__answer_done(&answer);

    job.has_progress = false;
    write_pb_job(&out, &job);
    assert_int_equal(jj__pb_read_answer(out.data, out.len, &answer, NULL), JJ_OK);
    assert_true(answer.job->record.progress == JJ_NO_PROGRESS);
    jj__answer_done(&answer);
    jj__buf_done(&out);
}

static void headers_that_could_not_be_sent_are_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        size_t len;
    } table[] = {
        {"", "a", 1},       {"A B", "a", 1},   {"Z", "last", 4},  {"C", "a\r\nD: e", 7},
        {"F:", "f", 1},     {"G", "a\0b", 3},  {"H\xFF", "h", 1}, {"Nats-Msg-Id", "1", 1},
        {"Job-Id", "1", 1}, {"B", "first", 5},
    };
    Jetjobs__V1__Header headers[COUNT(table)];
    Jetjobs__V1__Header *pointers[COUNT(table)];
    Jetjobs__V1__Job job = pb_job("17", "mail", "completed");
    struct answer answer = {.verb = VERB_GET};
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(table); i++) {
        jetjobs__v1__header__init(&headers[i]);
        headers[i].name = (char *)table[i].name;
        headers[i].value = (ProtobufCBinaryData){table[i].len, (uint8_t *)table[i].value};
        pointers[i] = &headers[i];
    }
    job.n_headers = COUNT(table);
    job.headers = pointers;
    write_pb_job(&out, &job);
    assert_int_equal(jj__pb_read_answer(out.data, out.len, &answer, NULL), JJ_OK);
    assert_same_bytes(answer.job->record.headers, answer.job->record.headers_len,
                      BYTES("B\0first\0Z\0last\0"));
    jj__answer_done(&answer);
    jj__buf_done(&out);
}

static void log_lines_are_put_right(void **state)
{
    (void)state;
    struct answer answer = {.verb = VERB_LOGS};

    /* level "loud", message FF, data "{", event FF */
    assert_int_equal(jj__pb_read_answer(BYTES("\x0A\x0F\x12\x04"
                                              "loud\x1A\x01\xFF\x22\x01{\x32\x01\xFF"),
                                        &answer, NULL),
                     JJ_OK);
    const jj_log_line *line = jj_lines_get(answer.lines, 0);
    assert_int_equal(line->level, JJ_LOG_INFO);
    assert_string_equal(line->message, "?");
    assert_null(line->data);
    assert_string_equal(line->event, "?");
    jj__answer_done(&answer);
}

static void names_and_cursors_that_can_not_be_ones_are_refused(void **state)
{
    (void)state;
    char bytes[2 + 128] = "\x12\x7F";
    struct answer answer = {.verb = VERB_GET_BY_NAME};

    assert_refused(VERB_STATS,
                   BYTES("\x0A\x05\x0A\x03"
                         "a.b"),
                   "the answer of the index has a job name that can't be one");
    assert_refused(VERB_STATS,
                   BYTES("\x0A\x03\x0A\x01"
                         "b\x0A\x00"),
                   "the answer of the index has a job name that can't be one");
    assert_refused(VERB_GET_BY_NAME, BYTES("\x12\x02\r\n"),
                   "the answer of the index has a cursor that can't be one");
    memset(bytes + 2, 'x', 128);
    assert_int_equal(jj__pb_read_answer(bytes, 2 + 127, &answer, NULL), JJ_OK);
    assert_int_equal(strlen(jj_page_cursor(answer.page)), JJ__CURSOR_SIZE - 1);
    jj__answer_done(&answer);
    assert_refused(VERB_GET_BY_NAME,
                   BYTES("\x12\x80\x01"
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                         "xxxxxxxxxxxxxxxx"),
                   "the answer of the index has a cursor that can't be one");
}

/* So many times a unit, and nothing else. */
static char *flood(const char *unit, size_t unit_len, size_t times)
{
    char *bytes = malloc(unit_len * times);

    assert_non_null(bytes);
    for (size_t i = 0; i < times; i++)
        memcpy(bytes + i * unit_len, unit, unit_len);
    return bytes;
}

static void assert_flood_refused(enum verb verb, const char *unit, size_t unit_len, size_t times,
                                 const char *text)
{
    char *bytes = flood(unit, unit_len, times);

    assert_refused(verb, bytes, unit_len * times, text);
    free(bytes);
}

static void answer_has_no_more_than_was_asked_for(void **state)
{
    (void)state;
    static const char job[] = "\x0A\x0F\x0A\x01"
                              "1\x12\x01"
                              "a\x2A\x07"
                              "pending";
    struct answer page = {.verb = VERB_GET_BY_NAME};
    struct answer logs = {.verb = VERB_LOGS};

    char *bytes = flood(BYTES(job), 1000);
    assert_int_equal(jj__pb_read_answer(bytes, 1000 * (sizeof(job) - 1), &page, NULL), JJ_OK);
    assert_int_equal(jj_page_count(page.page), 1000);
    jj__answer_done(&page);
    free(bytes);
    assert_flood_refused(VERB_GET_BY_NAME, BYTES(job), 1001,
                         "the answer of the index has too many jobs");

    bytes = flood(BYTES("\x0A\x00"), 2001);
    assert_int_equal(jj__pb_read_answer(bytes, 4002, &logs, NULL), JJ_OK);
    assert_int_equal(jj_lines_count(logs.lines), 2001);
    jj__answer_done(&logs);
    free(bytes);
    assert_flood_refused(VERB_LOGS, BYTES("\x0A\x00"), 2002,
                         "the answer of the index has too many log lines");
}

static void floods_end_before_memory_and_time_do(void **state)
{
    (void)state;
    static const char text[] = "the answer of the index can't be read";

    assert_flood_refused(VERB_GET, BYTES("\x0A\x02\x22\x00"), 250000, text); /* merged headers */
    assert_flood_refused(VERB_GET_BY_NAME, BYTES("\x0A\x00"), 500000, text);
    assert_flood_refused(VERB_LOGS, BYTES("\x0A\x00"), 500000, text);
    assert_flood_refused(VERB_STATS, BYTES("\x0A\x00"), 500000, text);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void assert_job_sane(const jj_job *job)
{
    struct buf out = {0};

    assert_true(jj__token_valid(job->record.id));
    assert_true(jj__token_valid(job->record.name));
    assert_in_range(job->record.state, JJ_PENDING, JJ_CANCELLED);
    assert_true(job->record.error == NULL || jj__utf8_valid(job->record.error));
    jj__json_job(&out, &job->record);
    assert_true(jj__json_valid(out.data, out.len));
    jj__buf_done(&out);
}

/* What was read can be written in both forms. */
static void assert_answer_sane(const struct answer *answer)
{
    struct buf out = {0};

    assert_int_equal(jj__pb_write_answer(&out, answer, NULL), JJ_OK);
    jj__buf_reset(&out);
    assert_int_equal(jj__json_write_answer(&out, answer, NULL), JJ_OK);
    assert_true(jj__json_valid(out.data, out.len));
    jj__buf_done(&out);
    if (answer->job != NULL)
        assert_job_sane(answer->job);
    for (size_t i = 0; answer->page != NULL && i < jj_page_count(answer->page); i++)
        assert_job_sane(jj_page_job(answer->page, i));
}

static void damage(const struct buf *good, enum verb verb, uint32_t *seed, size_t *taken)
{
    struct answer answer = {.verb = verb};
    size_t len = good->len;
    jj_error err = {0};

    if (next_random(seed) % 3 == 0)
        len = next_random(seed) % (len + 1);
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, good->data, len);
    for (uint32_t i = next_random(seed) % 4; i > 0 && len > 0; i--)
        bytes[next_random(seed) % len] = (char)next_random(seed);
    jj_status s = jj__pb_read_answer(bytes, len, &answer, &err);
    free(bytes);
    if (s != JJ_OK) {
        assert_int_equal(s, JJ_ERR_PROTOCOL);
        return;
    }
    (*taken)++;
    assert_answer_sane(&answer);
    jj__answer_done(&answer);
}

static void damaged_answers_are_refused_or_read_but_never_harm(void **state)
{
    (void)state;
    jj_job *jobs[] = {&whole, &bare, &without_data};
    jj_page page = {.jobs = jobs, .count = 3, .cursor = (char *)"MTItYQ"};
    jj_log_line log_lines[] = {{.message = "a", .data = "[1]"}, {.message = "b"}};
    jj_lines lines = {.lines = log_lines, .count = 2};
    jj_name_stats names[] = {{.name = "a"}, {.name = "b", .counts = {0, 1, 2, 3, 4, 5, 6}}};
    jj_stats stats = {.names = names, .count = 2, .lag_jobs = 7};
    const struct answer answers[] = {
        {.verb = VERB_GET, .job = &whole},    {.verb = VERB_GET_BY_NAME, .page = &page},
        {.verb = VERB_CANCEL, .yes = true},   {.verb = VERB_RETRY, .yes = true},
        {.verb = VERB_LOGS, .lines = &lines}, {.verb = VERB_STATS, .stats = &stats},
    };
    uint32_t seed = 13;

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct buf good = {0};
        size_t taken = 0;
        assert_int_equal(jj__pb_write_answer(&good, &answers[i], NULL), JJ_OK);
        for (int round = 0; round < 10000; round++)
            damage(&good, answers[i].verb, &seed, &taken);
        assert_true(taken > 1000);
        for (enum verb other = 0; other < VERBS; other++)
            damage(&good, other, &seed, &taken);
        jj__buf_done(&good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_comes_back_with_all_it_has),
        cmocka_unit_test(no_job_comes_back_as_none),
        cmocka_unit_test(page_comes_back_in_its_order),
        cmocka_unit_test(yes_and_no_come_back),
        cmocka_unit_test(log_lines_come_back),
        cmocka_unit_test(stats_come_back_by_name),
        cmocka_unit_test(a_worker_reads_the_facts_of_it),
        cmocka_unit_test(error_answer_has_code_and_message),
        cmocka_unit_test(texts_are_mended_before_they_are_sent),
        cmocka_unit_test(answer_that_does_not_fit_leaves_what_was_there),
        cmocka_unit_test(bytes_that_are_no_answer_are_refused),
        cmocka_unit_test(job_that_can_not_be_one_is_refused),
        cmocka_unit_test(values_that_can_not_be_used_are_put_right),
        cmocka_unit_test(headers_that_could_not_be_sent_are_left_out),
        cmocka_unit_test(log_lines_are_put_right),
        cmocka_unit_test(names_and_cursors_that_can_not_be_ones_are_refused),
        cmocka_unit_test(answer_has_no_more_than_was_asked_for),
        cmocka_unit_test(floods_end_before_memory_and_time_do),
        cmocka_unit_test(damaged_answers_are_refused_or_read_but_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

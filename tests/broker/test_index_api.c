/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of requests to an index service, as a stranger sends them: the exact JSON, protobuf,
 * errors, and what a hostile one may try. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "buf.h"
#include "clock.h"
#include "codec_request.h"
#include "desk.h"
#include "rfc3339.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CREATED      "2026-11-23T22:19:16.244Z"

static struct heard *request(struct desk *desk, const char *subject, const char *data,
                             const jj_header *headers, size_t header_count)
{
    const struct note note = {
        .subject = subject, .data = data, .headers = headers, .header_count = header_count};
    struct heard *heard = nats_client_request(desk->crew->stranger, &note);

    if (heard == NULL)
        fail_msg("%s: nobody answers", subject);
    return heard;
}

static void expect_error(struct heard *heard, const char *number, const char *code,
                         const char *text)
{
    char body[512];

    assert_non_null(heard_header(heard, "Nats-Service-Error-Code"));
    assert_string_equal(heard_header(heard, "Nats-Service-Error-Code"), number);
    assert_string_equal(heard_header(heard, "Nats-Service-Error"), text);
    snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, text);
    assert_string_equal(heard->data, body);
    heard_free(heard);
}

static uint64_t store_job(struct desk *desk, const char *name, const char *id, const char *data)
{
    char subject[128];
    const jj_header headers[] = {
        {"Job-Id", id}, {"Job-Created-At", CREATED}, {"Job-Max-Attempts", "5"}};

    snprintf(subject, sizeof(subject), "jobs.enqueue.%s", name);
    const struct note note = {
        .subject = subject, .headers = headers, .header_count = 3, .data = data};
    return nats_client_store(desk->crew->stranger, &note);
}

/* Ask when the index has read all that was enqueued so far. */
static void expect_after(struct desk *desk, uint64_t seq, const char *subject, const char *data,
                         const char *answer)
{
    char number[24];
    const jj_header header = {"Jobs-Seq", number};

    snprintf(number, sizeof(number), "%llu", (unsigned long long)seq);
    struct heard *heard = request(desk, subject, data, &header, 1);
    assert_string_equal(heard->data, answer);
    assert_null(heard_header(heard, "Nats-Service-Error-Code"));
    heard_free(heard);
}

/* ---- what is answered ---- */

static void get_answers_the_job(void **state)
{
    struct desk *desk = *state;
    uint64_t seq = store_job(desk, "mail", "a", "{\"to\": \"ada\"}");

    expect_after(desk, seq, "jobs.get", "{\"id\":\"a\"}",
                 "{\"id\":\"a\",\"name\":\"mail\",\"data\":{\"to\": \"ada\"},"
                 "\"status\":\"pending\",\"createdAt\":\"" CREATED "\",\"attempts\":0,"
                 "\"maxAttempts\":5,\"lost\":0}");
    seq = store_job(desk, "mail", "b", "not json");
    expect_after(desk, seq, "jobs.get", "{\"id\":\"b\",\"more\":[1,2]}",
                 "{\"id\":\"b\",\"name\":\"mail\",\"dataBase64\":\"bm90IGpzb24=\","
                 "\"status\":\"pending\",\"createdAt\":\"" CREATED "\",\"attempts\":0,"
                 "\"maxAttempts\":5,\"lost\":0}");
}

static void a_job_that_is_not_known_is_null_false_or_nothing(void **state)
{
    struct desk *desk = *state;

    desk_expect_answer(desk, "jobs.get", "{\"id\":\"x\"}", "null");
    desk_expect_answer(desk, "jobs.get.mail", "{\"id\":\"x\"}", "null");
    desk_expect_answer(desk, "jobs.cancel", "{\"id\":\"x\"}", "{\"cancelled\":false}");
    desk_expect_answer(desk, "jobs.retry", "{\"id\":\"x\"}", "{\"retried\":false}");
    desk_expect_answer(desk, "jobs.logs", "{\"id\":\"x\"}", "{\"logs\":[]}");
    desk_expect_answer(desk, "jobs.getByName", "{\"name\":\"x\"}", "{\"jobs\":[]}");
    desk_expect_answer(desk, "jobs.stats", "", "{\"names\":{},\"lag\":{\"jobs\":0,\"events\":0}}");
}

static void stats_and_pages_are_answered(void **state)
{
    struct desk *desk = *state;
    uint64_t seq = store_job(desk, "mail", "a", "1");

    expect_after(desk, seq, "jobs.stats", "{}",
                 "{\"names\":{\"mail\":{\"pending\":1,\"scheduled\":0,\"running\":0,"
                 "\"completed\":0,\"failed\":0,\"cancelled\":0}},"
                 "\"lag\":{\"jobs\":0,\"events\":0}}");
    expect_after(desk, seq, "jobs.getByName", "{\"name\":\"mail\",\"status\":\"pending\"}",
                 "{\"jobs\":[{\"id\":\"a\",\"name\":\"mail\",\"data\":1,\"status\":\"pending\","
                 "\"createdAt\":\"" CREATED "\",\"attempts\":0,\"maxAttempts\":5,\"lost\":0}]}");
    seq = store_job(desk, "mail", "b", "2");
    json_t *page = NULL;
    struct heard *heard =
        request(desk, "jobs.getByName.mail", "{\"limit\":1}", &(jj_header){"Jobs-Seq", "2"}, 1);
    page = json_loads(heard->data, 0, NULL);
    heard_free(heard);
    const char *cursor = json_string_value(json_object_get(page, "cursor"));
    assert_non_null(cursor);
    char next[256];
    snprintf(next, sizeof(next), "{\"limit\":1,\"cursor\":\"%s\"}", cursor);
    json_decref(page);
    desk_expect_answer(desk, "jobs.getByName.mail", next,
                       "{\"jobs\":[{\"id\":\"a\",\"name\":\"mail\",\"data\":1,"
                       "\"status\":\"pending\",\"createdAt\":\"" CREATED
                       "\",\"attempts\":0,\"maxAttempts\":5,\"lost\":0}]}");
}

static void a_name_in_the_subject_hides_the_jobs_of_others(void **state)
{
    struct desk *desk = *state;
    uint64_t seq = store_job(desk, "mail", "a", "1");

    expect_after(desk, seq, "jobs.get.other", "{\"id\":\"a\"}", "null");
    desk_expect_answer(desk, "jobs.cancel.other", "{\"id\":\"a\"}", "{\"cancelled\":false}");
    desk_expect_answer(desk, "jobs.stats.other", "{}",
                       "{\"names\":{},\"lag\":{\"jobs\":0,\"events\":0}}");
    desk_expect_answer(desk, "jobs.cancel.mail", "{\"id\":\"a\"}", "{\"cancelled\":true}");
    desk_expect_answer(desk, "jobs.retry.other", "{\"id\":\"a\"}", "{\"retried\":false}");
    desk_expect_answer(desk, "jobs.retry.mail", "{\"id\":\"a\"}", "{\"retried\":true}");
    desk_expect_answer(desk, "jobs.logs.other", "{\"id\":\"a\"}", "{\"logs\":[]}");
}

/* So that a client sees what it has changed, whoever it asks next. */
static void answers_say_what_was_written(void **state)
{
    struct desk *desk = *state;
    uint64_t seq = store_job(desk, "mail", "a", "1");
    const jj_header header = {"Jobs-Seq", "1"};

    assert_int_equal(seq, 1);
    struct heard *heard = request(desk, "jobs.cancel", "{\"id\":\"a\"}", &header, 1);
    assert_string_equal(heard->data, "{\"cancelled\":true}");
    assert_string_equal(heard_header(heard, "Jobs-Events-Seq"), "1");
    heard_free(heard);
    heard = request(desk, "jobs.retry", "{\"id\":\"a\"}", NULL, 0);
    assert_string_equal(heard->data, "{\"retried\":true}");
    assert_string_equal(heard_header(heard, "Jobs-Seq"), "2");
    heard_free(heard);
    heard = request(desk, "jobs.retry", "{\"id\":\"a\"}", NULL, 0);
    assert_string_equal(heard->data, "{\"retried\":false}");
    assert_null(heard_header(heard, "Jobs-Seq"));
    heard_free(heard);
}

/* ---- waiting ---- */

static void what_was_never_written_is_waited_for_in_vain(void **state)
{
    struct desk *desk = *state;
    static const char *const names[] = {"Jobs-Seq", "Jobs-Schedule-Seq", "Jobs-Events-Seq"};

    for (size_t i = 0; i < 3; i++) {
        const jj_header header = {names[i], "1000000"};
        expect_error(request(desk, "jobs.get", "{\"id\":\"a\"}", &header, 1), "504", "timeout",
                     "the index has not caught up in time");
    }
}

static void get_can_wait_until_the_job_is_over(void **state)
{
    struct desk *desk = *state;
    static const jj_header headers[] = {{"Jobs-Wait", "60000"}, {"Jobs-Seq", "1"}};
    static const jj_header brief[] = {{"Jobs-Wait", "20"}, {"Jobs-Seq", "1"}};
    struct nats_client *stranger = desk->crew->stranger;
    struct listener *answers = nats_client_listen(stranger, "_INBOX.waits", NULL);
    struct note note = {.subject = "jobs.get",
                        .reply = "_INBOX.waits",
                        .data = "{\"id\":\"a\"}",
                        .headers = headers,
                        .header_count = 2};

    store_job(desk, "mail", "a", "1");
    struct heard *heard = request(desk, "jobs.get", "{\"id\":\"a\"}", brief, 2);
    assert_non_null(strstr(heard->data, "\"status\":\"pending\"")); /* the time was over */
    heard_free(heard);
    nats_client_publish(stranger, &note);
    desk_expect_answer(desk, "jobs.cancel", "{\"id\":\"a\"}", "{\"cancelled\":true}");
    assert_true(listener_wait(answers, 1));
    assert_non_null(strstr(listener_get(answers, 0)->data, "\"status\":\"cancelled\""));
    nats_client_publish(stranger, &note); /* over already */
    assert_true(listener_wait(answers, 2));
    note.data = "{\"id\":\"nobody\"}";
    nats_client_publish(stranger, &note); /* not known: nothing to wait for */
    assert_true(listener_wait(answers, 3));
    assert_string_equal(listener_get(answers, 2)->data, "null");
    listener_close(answers);
}

/* ---- errors ---- */

struct hostile {
    const char *subject;
    const char *data;
    jj_header header; /* name NULL: none */
    const char *text;
};

static void what_makes_no_sense_is_an_invalid_argument(void **state)
{
    static const struct hostile table[] = {
        {"jobs.get", "", {0}, "id is missing"},
        {"jobs.get", "{}", {0}, "id is missing"},
        {"jobs.cancel", "{\"id\":null}", {0}, "id is missing"},
        {"jobs.retry", "{}", {0}, "id is missing"},
        {"jobs.logs", "{}", {0}, "id is missing"},
        {"jobs.getByName", "{}", {0}, "name is missing"},
        {"jobs.get.a!b", "{\"id\":\"a\"}", {0}, "job name 'a!b' is not 1 to 64 of A-Z a-z 0-9 _ -"},
        {"jobs.get",
         "{\"id\":\"a\"}",
         {"Jobs-Seq", "-1"},
         "header Jobs-Seq is '-1': allowed is 0 to 18446744073709551615"},
        {"jobs.get",
         "{\"id\":\"a\"}",
         {"Jobs-Seq", "18446744073709551616"},
         "header Jobs-Seq is '18446744073709551616': allowed is 0 to 18446744073709551615"},
        {"jobs.stats",
         "{}",
         {"Jobs-Schedule-Seq", "1x"},
         "header Jobs-Schedule-Seq is '1x': allowed is 0 to 18446744073709551615"},
        {"jobs.stats",
         "{}",
         {"Jobs-Events-Seq", "0x10"},
         "header Jobs-Events-Seq is '0x10': allowed is 0 to 18446744073709551615"},
        {"jobs.stats",
         "{}",
         {"Jobs-Seq", ""},
         "header Jobs-Seq is '': allowed is 0 to 18446744073709551615"},
        {"jobs.get",
         "{\"id\":\"a\"}",
         {"Jobs-Wait", "60001"},
         "header Jobs-Wait is '60001': allowed is 0 to 60000"},
    };
    struct desk *desk = *state;

    for (size_t i = 0; i < COUNT(table); i++)
        expect_error(request(desk, table[i].subject, table[i].data, &table[i].header,
                             table[i].header.name != NULL),
                     "400", "invalid_argument", table[i].text);
}

/* Of these the exact text is the reader's own affair. */
static void hostile_requests_are_refused_and_do_no_harm(void **state)
{
    static const char *const bodies[] = {
        "{",
        "[]",
        "\"a\"",
        "{\"id\":7}",
        "{\"id\":\"a b\"}",
        "{\"id\":\"a\\r\\nPUB x 0\"}",
        "{\"id\":\"\"}",
        "{\"id\":\"\\u0000\"}",
        "{\"id\":\"a\",\"id\":\"b\"}",
        "{\"id\":\"\xff\xfe\"}",
        "{\"id\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    struct desk *desk = *state;
    size_t len = 70000;
    char *huge = calloc(1, len + 1);

    assert_non_null(huge);
    memset(huge, ' ', len);
    for (size_t i = 0; i <= COUNT(bodies); i++) {
        const char *body = i < COUNT(bodies) ? bodies[i] : huge;
        struct heard *heard = request(desk, "jobs.get", body, NULL, 0);
        assert_string_equal(heard_header(heard, "Nats-Service-Error-Code"), "400");
        const char *text = heard_header(heard, "Nats-Service-Error");
        assert_non_null(text);
        assert_null(strpbrk(text, "\r\n"));
        json_t *json = json_loads(heard->data, 0, NULL);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(json, "error"), "message")), text);
        json_decref(json);
        heard_free(heard);
    }
    free(huge);
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"x\"}", "null");
}

static void a_request_without_reply_is_ignored(void **state)
{
    struct desk *desk = *state;

    nats_client_publish(desk->crew->stranger,
                        &(struct note){.subject = "jobs.get", .data = "{\"id\":\"x\"}"});
    nats_client_publish(desk->crew->stranger, &(struct note){.subject = "jobs.cancel"});
    nats_client_publish(desk->crew->stranger, &(struct note){.subject = "jobs.schedule.mail"});
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"x\"}", "null");
}

static void nobody_has_the_service_publish_for_him(void **state)
{
    static const char *const replies[] = {"$JS.API.STREAM.PURGE.JOBS_SCHEDULE", "jobs.enqueue.mail",
                                          "job.completed", "log.job"};
    static const jj_header headers[] = {{"Nats-Schedule", "@at 2999-01-01T00:00:00Z"},
                                        {"Nats-Schedule-Target", "jobs.due.mail"}};
    struct desk *desk = *state;
    struct nats_client *stranger = desk->crew->stranger;

    nats_client_store(
        stranger,
        &(struct note){.subject = "jobs.schedule.mail.x", .headers = headers, .header_count = 2});
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        nats_client_publish(stranger, &(struct note){.subject = "jobs.get",
                                                     .reply = replies[i],
                                                     .data = "{\"id\":\"none\"}"});
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"none\"}", "null");
    nats_client_settle(stranger);
    assert_int_equal(nats_client_stream_messages(stranger, "JOBS_SCHEDULE"), 1);
    assert_int_equal(nats_client_stream_messages(stranger, "JOBS"), 0);
}

/* ---- protobuf ---- */

static const jj_header protobuf = {"Content-Type", "application/protobuf"};

static struct heard *request_protobuf(struct desk *desk, const char *subject,
                                      const struct request *asked)
{
    struct buf body = {0};

    assert_int_equal(jj__pb_write_request(&body, asked, NULL), JJ_OK);
    const struct note note = {.subject = subject,
                              .data = body.len == 0 ? NULL : body.data,
                              .len = body.len,
                              .headers = &protobuf,
                              .header_count = 1};
    struct heard *heard = nats_client_request(desk->crew->stranger, &note);
    jj__buf_done(&body);
    assert_non_null(heard);
    return heard;
}

static void protobuf_is_answered_in_protobuf(void **state)
{
    struct desk *desk = *state;
    const struct request get = {.verb = VERB_GET, .id = "a"};
    const struct request cancel = {.verb = VERB_CANCEL, .id = "a"};
    struct answer answer = {.verb = VERB_GET};

    expect_after(desk, store_job(desk, "mail", "a", "hello"), "jobs.get", "{\"id\":\"x\"}", "null");
    struct heard *heard = request_protobuf(desk, "jobs.get", &get);
    assert_int_equal(jj__pb_read_answer(heard->data, heard->len, &answer, NULL), JJ_OK);
    assert_non_null(answer.job);
    assert_string_equal(jj_job_id(answer.job), "a");
    assert_memory_equal(jj_job_data(answer.job, NULL), "hello", 5);
    assert_int_equal(jj_job_max_attempts(answer.job), 5);
    jj__answer_done(&answer);
    heard_free(heard);
    heard = request_protobuf(desk, "jobs.cancel.mail", &cancel);
    answer = (struct answer){.verb = VERB_CANCEL};
    assert_int_equal(jj__pb_read_answer(heard->data, heard->len, &answer, NULL), JJ_OK);
    assert_true(answer.yes);
    heard_free(heard);
}

static void errors_are_protobuf_too(void **state)
{
    /* ErrorAnswer: code, message */
    static const char wanted[] = "\x0a\x10invalid_argument\x12\x0did is missing";
    struct desk *desk = *state;
    const struct request get = {.verb = VERB_GET};

    struct heard *heard = request_protobuf(desk, "jobs.get", &get);
    assert_string_equal(heard_header(heard, "Nats-Service-Error-Code"), "400");
    assert_string_equal(heard_header(heard, "Nats-Service-Error"), "id is missing");
    assert_int_equal(heard->len, sizeof(wanted) - 1);
    assert_memory_equal(heard->data, wanted, sizeof(wanted) - 1);
    heard_free(heard);
    heard = request(desk, "jobs.get", "\xff\xff\xff\xff", &protobuf, 1);
    assert_string_equal(heard_header(heard, "Nats-Service-Error-Code"), "400");
    heard_free(heard);
}

/* ---- large answers ---- */

static void store_large(struct desk *desk, const char *id, size_t len, char fill)
{
    char *data = malloc(len);
    const jj_header header = {"Job-Id", id};
    const struct note note = {.subject = "jobs.enqueue.large",
                              .headers = &header,
                              .header_count = 1,
                              .data = data,
                              .len = len};

    assert_non_null(data);
    memset(data, fill, len);
    data[0] = data[len - 1] = fill == 'x' ? '"' : fill;
    nats_client_store(desk->crew->stranger, &note);
    free(data);
}

/* Walk all pages; returns how many jobs they had. */
static size_t walk(struct desk *desk, const char *ids, size_t *pages_out)
{
    char body[256] = "{\"name\":\"large\"}";
    size_t count = 0;
    bool more = true;

    for (*pages_out = 0; more; ++*pages_out) {
        struct heard *heard =
            request(desk, "jobs.getByName", body, &(jj_header){"Jobs-Seq", "6"}, 1);
        json_t *page = json_loads(heard->data, 0, NULL);
        const json_t *jobs = json_object_get(page, "jobs");
        const char *cursor = json_string_value(json_object_get(page, "cursor"));
        assert_null(heard_header(heard, "Nats-Service-Error-Code"));
        for (size_t i = 0; i < json_array_size(jobs); i++, count++) {
            const char *id = json_string_value(json_object_get(json_array_get(jobs, i), "id"));
            assert_int_equal(id[0], ids[count]);
        }
        more = cursor != NULL;
        if (more)
            snprintf(body, sizeof(body), "{\"name\":\"large\",\"cursor\":\"%s\"}", cursor);
        json_decref(page);
        heard_free(heard);
    }
    return count;
}

static void a_page_that_does_not_fit_is_cut(void **state)
{
    struct desk *desk = *state;
    size_t pages = 0;

    for (char id = 'a'; id <= 'e'; id++)
        store_large(desk, (char[]){id, '\0'}, 300000, 'x');
    store_large(desk, "f", 1000000, '\x01'); /* in base64 it fits into no message */
    assert_int_equal(walk(desk, "fedcba", &pages), 6);
    assert_true(pages >= 3);
    struct heard *heard = request(desk, "jobs.get", "{\"id\":\"f\"}", NULL, 0);
    expect_error(heard, "400", "invalid_argument",
                 "the answer does not fit into a message, which may have 1048576 bytes");
}

/* ---- schedules ---- */

static void a_schedule_is_checked_and_published(void **state)
{
    struct desk *desk = *state;
    static const jj_header headers[] = {
        {"Nats-Schedule", "@at 2099-01-02T03:04:05.600Z"},
        {"Nats-Schedule-Target", "jobs.due.other"}, /* not the sender's to say */
        {"Nats-Rollup", "all"},
        {"nats-ttl", "1s"},
        {"Nats-Expected-Last-Sequence", "7"},
        {"Jobs-Seq", "1"},
        {"Job-Id", "later"},
        {"Job-Max-Attempts", "4"},
        {"X-Tenant", "acme"},
    };
    static const jj_header wanted[] = {
        {"Nats-Schedule", "@at 2099-01-02T03:04:05.100Z"},
        {"Nats-Schedule-Target", "jobs.due.mail"},
        {"Nats-Msg-Id", "later"},
        {"Job-Id", "later"},
        {"Job-Run-At", "2099-01-02T03:04:05.600Z"},
        {"Job-Max-Attempts", "4"},
        {"X-Tenant", "acme"},
        {"Nats-Rollup", "sub"}, /* from the server: one schedule to a subject */
    };
    struct heard *heard = request(desk, "jobs.schedule.mail", "hello", headers, COUNT(headers));

    assert_string_equal(heard->data, "{\"id\":\"later\",\"seq\":1,\"duplicate\":false}");
    heard_free(heard);
    heard = nats_client_get(desk->crew->stranger, "JOBS_SCHEDULE", 1);
    assert_non_null(heard);
    assert_string_equal(heard->subject, "jobs.schedule.mail.later");
    assert_string_equal(heard->data, "hello");
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_non_null(heard_header(heard, wanted[i].name));
        assert_string_equal(heard_header(heard, wanted[i].name), wanted[i].value);
    }
    assert_non_null(heard_header(heard, "Job-Created-At"));
    assert_string_equal(heard_header(heard, "Nats-Expected-Last-Subject-Sequence"), "0");
    assert_int_equal(heard->header_count, COUNT(wanted) + 2);
    heard_free(heard);
    heard = request(desk, "jobs.schedule.mail", "hello", headers, COUNT(headers));
    assert_string_equal(heard->data, "{\"id\":\"later\",\"seq\":1,\"duplicate\":true}");
    heard_free(heard);
    heard = request(desk, "jobs.get.mail", "{\"id\":\"later\"}",
                    &(jj_header){"Jobs-Schedule-Seq", "1"}, 1);
    assert_non_null(strstr(heard->data, "\"status\":\"scheduled\""));
    assert_non_null(strstr(heard->data, "\"runAt\":\"2099-01-02T03:04:05.600Z\""));
    heard_free(heard);
}

static void a_schedule_by_unique_key_says_whose_duplicate_it_is(void **state)
{
    struct desk *desk = *state;
    jj_header headers[] = {
        {"Nats-Schedule", "@at 2099-01-02T03:04:05Z"}, {"Job-Key", "k"}, {"Job-Id", "first"}};
    struct heard *heard = request(desk, "jobs.schedule.mail", "x", headers, 3);

    assert_string_equal(heard->data, "{\"id\":\"first\",\"seq\":1,\"duplicate\":false}");
    heard_free(heard);
    headers[2].value = "second";
    heard = request(desk, "jobs.schedule.mail", "x", headers, 3);
    assert_string_equal(heard->data, "{\"id\":\"first\",\"seq\":1,\"duplicate\":true}");
    heard_free(heard);
}

static void a_recurring_schedule_makes_jobs(void **state)
{
    struct desk *desk = *state;
    static const jj_header headers[] = {{"Nats-Schedule", "@every 1s"},
                                        {"Job-Schedule-Id", "tick"}};
    struct heard *heard = request(desk, "jobs.schedule.mail", "x", headers, 2);

    assert_string_equal(heard->data, "{\"id\":\"tick\",\"seq\":1,\"duplicate\":false}");
    heard_free(heard);
    heard = request(desk, "jobs.schedule.mail", "y", headers, 2); /* replaces it */
    assert_non_null(strstr(heard->data, "\"duplicate\":false"));
    heard_free(heard);
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", NULL, NULL);
    crew_start(desk->crew);
    assert_true(crew_wait_runs(desk->crew, "mail", 1));
    struct run run = crew_run(desk->crew, 0);
    assert_memory_equal(run.id, "tick-", 5);
    assert_string_equal(run.data, "y");
}

static void a_schedule_is_answered_in_protobuf_where_its_data_is(void **state)
{
    /* ScheduleAnswer: id, seq */
    static const char wanted[] = "\x0a\x04once\x10\x01";
    struct desk *desk = *state;
    const jj_header headers[] = {
        {"Nats-Schedule", "@at 2099-01-02T03:04:05Z"}, {"Job-Id", "once"}, protobuf};
    struct heard *heard = request(desk, "jobs.schedule.mail", "x", headers, 3);

    assert_int_equal(heard->len, sizeof(wanted) - 1);
    assert_memory_equal(heard->data, wanted, sizeof(wanted) - 1);
    heard_free(heard);
}

struct hostile_schedule {
    const char *name;
    jj_header headers[3];
    const char *text; /* part of it */
};

static void a_schedule_that_makes_no_sense_is_refused(void **state)
{
#define AT                                                                                         \
    {                                                                                              \
        "Nats-Schedule", "@at 2099-01-02T03:04:05Z"                                                \
    }
    static const struct hostile_schedule table[] = {
        {"mail", {{0}}, "header Nats-Schedule is missing"},
        {"a!b", {AT}, "job name 'a!b'"},
        {"mail", {{"Nats-Schedule", "@at tomorrow"}}, "not RFC 3339"},
        {"mail", {AT, {"Job-Id", "a.b"}}, "header Job-Id 'a.b'"},
        {"mail", {AT, {"Job-Schedule-Id", "s"}}, "Job-Schedule-Id is not allowed with @at"},
        {"mail", {AT, {"Nats-Schedule-Time-Zone", "Europe/Berlin"}}, "not allowed with @at"},
        {"mail", {AT, {"Job-Max-Attempts", "0"}}, "header Job-Max-Attempts is '0'"},
        {"mail", {AT, {"Job-Run-At", "soon"}}, "header Job-Run-At is 'soon'"},
        {"mail", {{"Nats-Schedule", "@daily"}}, "header Job-Schedule-Id is missing"},
        {"mail",
         {{"Nats-Schedule", "@daily"},
          {"Job-Schedule-Id", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
         "has 51 characters: allowed is 1 to 50"},
        {"mail",
         {{"Nats-Schedule", "@daily"}, {"Job-Schedule-Id", "s"}, {"Job-Id", "a"}},
         "header Job-Id is not allowed with a recurring schedule"},
        {"mail",
         {{"Nats-Schedule", "@daily"},
          {"Job-Schedule-Id", "s"},
          {"Job-Run-At", "2099-01-02T03:04:05Z"}},
         "header Job-Run-At is not allowed with a recurring schedule"},
        {"mail", {{"Nats-Schedule", "every day"}, {"Job-Schedule-Id", "s"}}, "(10189)"},
        {"mail", {{"Nats-Schedule", "@every 1ms"}, {"Job-Schedule-Id", "s"}}, "(10189)"},
        {"mail",
         {{"Nats-Schedule", "@daily"},
          {"Job-Schedule-Id", "s"},
          {"Nats-Schedule-Time-Zone", "Nowhere/Land"}},
         "(10223)"},
    };
#undef AT
    struct desk *desk = *state;
    char subject[128];

    for (size_t i = 0; i < COUNT(table); i++) {
        size_t count = 0;
        while (count < 3 && table[i].headers[count].name != NULL)
            count++;
        snprintf(subject, sizeof(subject), "jobs.schedule.%s", table[i].name);
        struct heard *heard = request(desk, subject, "x", table[i].headers, count);
        const char *text = heard_header(heard, "Nats-Service-Error");
        if (text == NULL || strstr(text, table[i].text) == NULL)
            fail_msg("row %zu: '%s' does not say '%s'", i, text == NULL ? heard->data : text,
                     table[i].text);
        assert_string_equal(heard_header(heard, "Nats-Service-Error-Code"), "400");
        heard_free(heard);
    }
    assert_int_equal(nats_client_stream_messages(desk->crew->stranger, "JOBS_SCHEDULE"), 0);
}

/* ---- too many, and the end ---- */

#define WAITING_MAX 5000

static void requests_that_wait_are_bounded_and_answered_at_the_end(void **state)
{
    struct desk *desk = *state;
    static const jj_header headers[] = {{"Jobs-Wait", "60000"}, {"Jobs-Seq", "1"}};
    struct nats_client *stranger = desk->crew->stranger;
    struct listener *answers = nats_client_listen(stranger, "_INBOX.waits", NULL);
    const struct note note = {.subject = "jobs.get",
                              .reply = "_INBOX.waits",
                              .data = "{\"id\":\"a\"}",
                              .headers = headers,
                              .header_count = 2};

    store_job(desk, "mail", "a", "1");
    for (int i = 0; i < WAITING_MAX + 7; i++)
        nats_client_send(stranger, &note);
    assert_true(listener_wait(answers, 7));
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"x\"}", "null"); /* others are not held up */
    assert_int_equal(listener_count(answers), 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(heard_header(listener_get(answers, i), "Nats-Service-Error-Code"),
                            "503");
    desk_close_keeper(desk);
    assert_true(listener_wait(answers, WAITING_MAX + 7));
    for (size_t i = 7; i < WAITING_MAX + 7; i++) {
        const char *code = heard_header(listener_get(answers, i), "Nats-Service-Error-Code");
        assert_non_null(code);
        assert_string_equal(code, "503");
    }
    listener_close(answers);
    desk_open_keeper(desk);
}

static void a_service_that_has_ended_is_asked_no_more(void **state)
{
    struct desk *desk = *state;
    const struct note note = {.subject = "jobs.get", .data = "{\"id\":\"x\"}"};

    desk_close_keeper(desk);
    assert_null(nats_client_request(desk->crew->stranger, &note));
    desk_open_keeper(desk);
    desk_expect_answer(desk, "jobs.get", "{\"id\":\"x\"}", "null");
}

/* While questions come in, the service ends and begins again and again: each is answered or finds
 * nobody, and nothing is touched that is gone. */
static void a_service_ends_under_load(void **state)
{
    struct desk *desk = *state;
    struct nats_client *stranger = desk->crew->stranger;
    struct listener *answers = nats_client_listen(stranger, "_INBOX.load", NULL);
    static const char *const subjects[] = {"jobs.get", "jobs.cancel", "jobs.retry", "jobs.logs"};
    const jj_header wait = {"Jobs-Wait", "50"};
    size_t sent = 0;

    store_job(desk, "mail", "a", "1");
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 2000; i++, sent++) {
            const struct note note = {.subject = subjects[i % 4],
                                      .reply = "_INBOX.load",
                                      .data = "{\"id\":\"a\"}",
                                      .headers = &wait,
                                      .header_count = i % 3 == 0};
            nats_client_send(stranger, &note);
        }
        desk_close_keeper(desk);
        desk_open_keeper(desk);
    }
    assert_true(listener_wait(answers, sent));
    listener_close(answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(get_answers_the_job, DESK_REMOTE_MEMORY),
        DESK_TEST(get_answers_the_job, DESK_REMOTE_SQLITE),
        DESK_TEST(a_job_that_is_not_known_is_null_false_or_nothing, DESK_REMOTE_MEMORY),
        DESK_TEST(stats_and_pages_are_answered, DESK_REMOTE_MEMORY),
        DESK_TEST(stats_and_pages_are_answered, DESK_REMOTE_SQLITE),
        DESK_TEST(a_name_in_the_subject_hides_the_jobs_of_others, DESK_REMOTE_MEMORY),
        DESK_TEST(answers_say_what_was_written, DESK_REMOTE_MEMORY),
        DESK_TEST(what_was_never_written_is_waited_for_in_vain, DESK_REMOTE_MEMORY),
        DESK_TEST(get_can_wait_until_the_job_is_over, DESK_REMOTE_MEMORY),
        DESK_TEST(what_makes_no_sense_is_an_invalid_argument, DESK_REMOTE_MEMORY),
        DESK_TEST(hostile_requests_are_refused_and_do_no_harm, DESK_REMOTE_MEMORY),
        DESK_TEST(a_request_without_reply_is_ignored, DESK_REMOTE_MEMORY),
        DESK_TEST(nobody_has_the_service_publish_for_him, DESK_REMOTE_MEMORY),
        DESK_TEST(protobuf_is_answered_in_protobuf, DESK_REMOTE_MEMORY),
        DESK_TEST(errors_are_protobuf_too, DESK_REMOTE_MEMORY),
        DESK_TEST(a_page_that_does_not_fit_is_cut, DESK_REMOTE_MEMORY),
        DESK_TEST(a_schedule_is_checked_and_published, DESK_REMOTE_MEMORY),
        DESK_TEST(a_schedule_by_unique_key_says_whose_duplicate_it_is, DESK_REMOTE_MEMORY),
        DESK_TEST(a_recurring_schedule_makes_jobs, DESK_REMOTE_MEMORY),
        DESK_TEST(a_schedule_is_answered_in_protobuf_where_its_data_is, DESK_REMOTE_MEMORY),
        DESK_TEST(a_schedule_that_makes_no_sense_is_refused, DESK_REMOTE_MEMORY),
        DESK_TEST(requests_that_wait_are_bounded_and_answered_at_the_end, DESK_REMOTE_MEMORY),
        DESK_TEST(a_service_that_has_ended_is_asked_no_more, DESK_REMOTE_MEMORY),
        DESK_TEST(a_service_ends_under_load, DESK_REMOTE_MEMORY),
        DESK_TEST(a_service_ends_under_load, DESK_REMOTE_SQLITE),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include "subject.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, NULs within included. */
#define BYTES(literal) literal, sizeof(literal) - 1

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

#define NO_TOKEN " is not a string of 1 to 64 of A-Z a-z 0-9 _ -"

static void assert_comes_back(const struct request *request)
{
    struct request back = {.verb = request->verb};
    struct buf out = {0};
    jj_error err;

    jj__buf_str(&out, "before");
    assert_int_equal(jj__pb_write_request(&out, request, NULL), JJ_OK);
    assert_memory_equal(out.data, "before", 6);
    if (jj__pb_read_request(out.data + 6, out.len - 6, &back, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_string_equal(back.id, request->id);
    assert_string_equal(back.name, request->name);
    assert_string_equal(back.cursor, request->cursor);
    assert_int_equal(back.state, request->state);
    assert_int_equal(back.limit, request->limit);
    jj__buf_done(&out);
}

static void assert_refused(enum verb verb, const void *data, size_t len, const char *text)
{
    struct request request = {.verb = verb, .limit = 4711};
    struct request before = request;
    jj_error err = {0};

    assert_int_equal(jj__pb_read_request(data, len, &request, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, text);
    assert_memory_equal(&request, &before, sizeof(before));
    assert_int_equal(jj__pb_read_request(data, len, &request, NULL), JJ_ERR_INVALID);
}

static void every_request_comes_back(void **state)
{
    (void)state;
    struct request query = {
        .verb = VERB_GET_BY_NAME, .name = SIXTY_FOUR, .state = JJ_CANCELLED, .limit = 1000};

    jj__cursor_write(INT64_MIN, SIXTY_FOUR, query.cursor);
    assert_comes_back(&query);
    assert_comes_back(&(struct request){.verb = VERB_GET_BY_NAME, .name = "a", .limit = 1});
    assert_comes_back(&(struct request){.verb = VERB_GET, .id = SIXTY_FOUR, .limit = 100});
    assert_comes_back(&(struct request){.verb = VERB_CANCEL, .id = "17", .limit = 100});
    assert_comes_back(&(struct request){.verb = VERB_RETRY, .id = "17", .limit = 100});
    assert_comes_back(&(struct request){.verb = VERB_LOGS, .id = "17", .limit = 2001});
    assert_comes_back(&(struct request){.verb = VERB_LOGS, .id = "17", .limit = 5, .events = true});
    assert_comes_back(&(struct request){.verb = VERB_LOGS, .id = "17", .limit = 1});
    assert_comes_back(&(struct request){.verb = VERB_STATS, .limit = 100});
}

static void what_a_worker_asks_is_a_request(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_GET, .name = "mail"};
    struct buf out = {0};

    assert_int_equal(jj__pb_write_get(&out, "job-1", NULL), JJ_OK);
    assert_int_equal(jj__pb_read_request(out.data, out.len, &request, NULL), JJ_OK);
    assert_string_equal(request.id, "job-1");
    assert_string_equal(request.name, "mail");
    jj__buf_done(&out);
}

static void zero_and_empty_are_absent(void **state)
{
    (void)state;
    struct request query = {.verb = VERB_GET_BY_NAME};
    struct request logs = {.verb = VERB_LOGS};

    assert_int_equal(jj__pb_read_request(BYTES("\x0A\x01"
                                               "a\x12\x00\x18\x00\x22\x00"),
                                         &query, NULL),
                     JJ_OK);
    assert_string_equal(query.name, "a");
    assert_int_equal(query.state, JJ_ANY_STATE);
    assert_int_equal(query.limit, JJ__LIMIT_DEFAULT);
    assert_string_equal(query.cursor, "");
    assert_int_equal(jj__pb_read_request(BYTES("\x0A\x01"
                                               "1\x10\x00"),
                                         &logs, NULL),
                     JJ_OK);
    assert_int_equal(logs.limit, JJ__LOGS_MAX);

    assert_refused(VERB_GET, NULL, 0, "id is missing");
    assert_refused(VERB_CANCEL, "", 0, "id is missing");
    assert_refused(VERB_RETRY, BYTES("\x0A\x00"), "id is missing");
    assert_refused(VERB_GET_BY_NAME, "", 0, "name is missing");
}

static void name_of_the_subject_need_not_be_said_again(void **state)
{
    (void)state;
    struct request query = {.verb = VERB_GET_BY_NAME, .name = "mail"};
    jj_error err;

    assert_int_equal(jj__pb_read_request("", 0, &query, NULL), JJ_OK);
    assert_string_equal(query.name, "mail");
    assert_int_equal(jj__pb_read_request(BYTES("\x0A\x04mail"), &query, NULL), JJ_OK);
    assert_int_equal(jj__pb_read_request(BYTES("\x0A\x05mails"), &query, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "name \"mails\" is not mail, as the subject says");
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_GET};

    /* fields 100 to 103: a varint, 8 bytes, three bytes with a NUL, 4 bytes; then the id */
    assert_int_equal(jj__pb_read_request(BYTES("\xA0\x06\x96\x01"
                                               "\xA9\x06"
                                               "\0\0\0\0\0\0\0\0"
                                               "\xB2\x06\x03"
                                               "a\0b"
                                               "\xBD\x06"
                                               "\0\0\0\0"
                                               "\x0A\x02"
                                               "17"),
                                         &request, NULL),
                     JJ_OK);
    assert_string_equal(request.id, "17");
    request = (struct request){.verb = VERB_STATS};
    assert_int_equal(jj__pb_read_request(BYTES("\x0A\x01\0"), &request, NULL), JJ_OK);
}

static void hostile_requests_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        enum verb verb;
        const char *data;
        size_t len;
        const char *text;
    } table[] = {
        {VERB_GET, BYTES("{\"id\":\"1\"}"), "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET, BYTES("\x0A\x7F"), "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET, BYTES("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
         "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET, BYTES("\x08\x01"), "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET, BYTES("\x0B\x0C"), "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET, BYTES("\0"), "request is not a jetjobs.v1.GetRequest"},
        {VERB_GET_BY_NAME, BYTES("{}"), "request is not a jetjobs.v1.GetByNameRequest"},
        {VERB_CANCEL, BYTES("\xFF"), "request is not a jetjobs.v1.CancelRequest"},
        {VERB_RETRY, BYTES("\x0A"), "request is not a jetjobs.v1.RetryRequest"},
        {VERB_LOGS, BYTES("\x10\xFF"), "request is not a jetjobs.v1.LogsRequest"},
        {VERB_STATS, BYTES("{}"), "request is not a jetjobs.v1.StatsRequest"},

        {VERB_GET,
         BYTES("\x0A\x03"
               "a.b"),
         "id \"a.b\"" NO_TOKEN},
        {VERB_GET, BYTES("\x0A\x03\r\n\xFF"), "id \"???\"" NO_TOKEN},
        {VERB_GET,
         BYTES("\x0A\x03"
               "a\0b"),
         "id has a NUL"},
        {VERB_GET, BYTES("\x0A\x01\0"), "id has a NUL"},
        {VERB_GET,
         BYTES("\x0A\x02"
               "a\0\x0A\x01"
               "b"),
         "id has a NUL"},
        {VERB_LOGS, BYTES("\x0A\x41" SIXTY_FOUR "x"),
         "id \"0123456789abcdefghijklmnopqrstuvwxyzABC..." NO_TOKEN},
        {VERB_GET_BY_NAME, BYTES("\x0A\x01*"), "name \"*\"" NO_TOKEN},
        {VERB_GET_BY_NAME,
         BYTES("\x0A\x01"
               "a\x12\x04"
               "done"),
         "status \"done\" is not one of pending scheduled running completed failed cancelled"},
        {VERB_GET_BY_NAME,
         BYTES("\x0A\x01"
               "a\x12\x07"
               "failed\0"),
         "status has a NUL"},
        {VERB_GET_BY_NAME,
         BYTES("\x0A\x01"
               "a\x22\x08"
               "b3BhcXVl"),
         "cursor \"b3BhcXVl\" is not one that an answer gave"},
        {VERB_GET_BY_NAME,
         BYTES("\x0A\x01"
               "a\x18\xE9\x07"),
         "limit 1001 is not an integer from 1 to 1000"},
        {VERB_GET_BY_NAME,
         BYTES("\x0A\x01"
               "a\x18\xFF\xFF\xFF\xFF\x0F"),
         "limit 4294967295 is not an integer from 1 to 1000"},
        {VERB_LOGS,
         BYTES("\x0A\x01"
               "1\x10\xD2\x0F"),
         "limit 2002 is not an integer from 1 to 2001"},
    };

    for (size_t i = 0; i < COUNT(table); i++)
        assert_refused(table[i].verb, table[i].data, table[i].len, table[i].text);
}

static void request_may_have_64_kib(void **state)
{
    (void)state;
    char *bytes = malloc(1000000);

    assert_non_null(bytes);
    memset(bytes, 'x', 1000000);
    assert_refused(VERB_GET, bytes, 65537, "request has 65537 bytes, and 65536 are allowed");
    assert_refused(VERB_GET, bytes, 1000000, "request has 1000000 bytes, and 65536 are allowed");
    memcpy(bytes, "\x0A\xFC\xFF\x03", 4);
    assert_refused(VERB_GET, bytes, 65536,
                   "id \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..." NO_TOKEN);
    free(bytes);
}

static void request_that_does_not_fit_leaves_what_was_there(void **state)
{
    (void)state;
    const struct request request = {.verb = VERB_GET, .id = "job-1"};
    struct buf out = {.max = 9};
    jj_error err = {0};

    jj__buf_str(&out, "abc");
    assert_int_equal(jj__pb_write_request(&out, &request, &err), JJ_ERR_TOO_LARGE);
    assert_string_equal(err.text, "request would have 10 bytes");
    assert_int_equal(out.len, 3);
    assert_false(out.failed);
    jj__buf_done(&out);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void assert_request_sane(const struct request *request)
{
    assert_in_range(request->limit, 1, JJ__LOGS_MAX);
    assert_in_range(request->state, JJ_ANY_STATE, JJ_CANCELLED);
    if (request->verb == VERB_GET_BY_NAME)
        assert_true(jj__token_valid(request->name));
    else if (request->verb != VERB_STATS)
        assert_true(jj__token_valid(request->id));
}

static void damaged_requests_are_refused_or_read_but_never_harm(void **state)
{
    (void)state;
    static const char good[] = "\x0A\x02"
                               "a1\x12\x06"
                               "failed\x18\x11\x22\x06"
                               "MTItYQ\xA0\x06\x96\x01";
    uint32_t seed = 5;
    size_t taken = 0;

    for (int round = 0; round < 50000; round++) {
        size_t len = sizeof(good) - 1;
        struct request request = {.verb = (enum verb)(next_random(&seed) % VERBS)};
        jj_error err = {0};
        if (round % 3 == 0)
            len = next_random(&seed) % (len + 1);
        char *bytes = malloc(len + 1);
        assert_non_null(bytes);
        memcpy(bytes, good, len);
        for (uint32_t i = next_random(&seed) % 4; i > 0 && len > 0; i--)
            bytes[next_random(&seed) % len] = (char)next_random(&seed);
        jj_status s = jj__pb_read_request(bytes, len, &request, &err);
        free(bytes);
        if (s == JJ_OK) {
            taken++;
            assert_request_sane(&request);
            continue;
        }
        assert_int_equal(s, JJ_ERR_INVALID);
        assert_true(err.text[0] != '\0' && jj__utf8_valid(err.text));
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_comes_back),
        cmocka_unit_test(what_a_worker_asks_is_a_request),
        cmocka_unit_test(zero_and_empty_are_absent),
        cmocka_unit_test(name_of_the_subject_need_not_be_said_again),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(hostile_requests_are_refused_with_a_reason),
        cmocka_unit_test(request_may_have_64_kib),
        cmocka_unit_test(request_that_does_not_fit_leaves_what_was_there),
        cmocka_unit_test(damaged_requests_are_refused_or_read_but_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

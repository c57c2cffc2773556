/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_request.h"
#include "subject.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, NULs within included. */
#define BYTES(literal) literal, sizeof(literal) - 1

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

#define NO_TOKEN " is not a string of 1 to 64 of A-Z a-z 0-9 _ -"

static struct request read_ok(enum verb verb, const char *json)
{
    struct request request = {.verb = verb};
    jj_error err = {.text = "?"};

    if (jj__json_read_request(json, strlen(json), &request, &err) != JJ_OK)
        fail_msg("%s: %s", json, err.text);
    return request;
}

static void assert_refused_len(enum verb verb, const void *json, size_t len, const char *text)
{
    struct request request = {.verb = verb, .limit = 4711};
    struct request before = request;
    jj_error err = {0};

    assert_int_equal(jj__json_read_request(json, len, &request, &err), JJ_ERR_INVALID);
    assert_int_equal(err.status, JJ_ERR_INVALID);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, err.text);
    assert_memory_equal(&request, &before, sizeof(before));
    assert_int_equal(jj__json_read_request(json, len, &request, NULL), JJ_ERR_INVALID);
}

static void assert_refused(enum verb verb, const char *json, const char *text)
{
    assert_refused_len(verb, json, strlen(json), text);
}

/* ---- what is read ---- */

static void examples_of_the_readme_are_read(void **state)
{
    (void)state;
    struct request request;

    request = read_ok(VERB_GET, "{\"id\":\"01a20a7d-f394-709e-b135-5d9bf1459d8f\"}");
    assert_string_equal(request.id, "01a20a7d-f394-709e-b135-5d9bf1459d8f");
    request =
        read_ok(VERB_GET_BY_NAME, "{\"name\":\"sendEmail\",\"status\":\"scheduled\",\"limit\":1}");
    assert_string_equal(request.name, "sendEmail");
    assert_int_equal(request.state, JJ_SCHEDULED);
    assert_int_equal(request.limit, 1);
    request = read_ok(VERB_CANCEL, "{\"id\":\"01a20a7d-f953-7e82-a03c-a00a6ae1392b\"}");
    assert_string_equal(request.id, "01a20a7d-f953-7e82-a03c-a00a6ae1392b");
    request = read_ok(VERB_RETRY, "{\"id\":\"01a20a7d-f953-7e82-a03c-a00a6ae1392b\"}");
    assert_string_equal(request.id, "01a20a7d-f953-7e82-a03c-a00a6ae1392b");
    request = read_ok(VERB_LOGS, "{\"id\":\"01a20a7d-f394-709e-b135-5d9bf1459d8f\",\"limit\":100}");
    assert_string_equal(request.id, "01a20a7d-f394-709e-b135-5d9bf1459d8f");
    assert_int_equal(request.limit, 100);
    read_ok(VERB_STATS, "{}");
}

static void empty_body_is_an_empty_object(void **state)
{
    (void)state;
    struct request stats = {.verb = VERB_STATS};
    struct request query = {.verb = VERB_GET_BY_NAME, .name = "mail"};

    assert_int_equal(jj__json_read_request(NULL, 0, &stats, NULL), JJ_OK);
    assert_int_equal(jj__json_read_request("", 0, &query, NULL), JJ_OK);
    assert_string_equal(query.name, "mail");
    assert_int_equal(query.limit, 100);
    assert_refused(VERB_GET, "", "id is missing");
    assert_refused(VERB_GET_BY_NAME, "", "name is missing");
}

static void logs_may_be_asked_for_with_events(void **state)
{
    (void)state;
    assert_false(read_ok(VERB_LOGS, "{\"id\":\"1\"}").events);
    assert_false(read_ok(VERB_LOGS, "{\"id\":\"1\",\"events\":false}").events);
    assert_false(read_ok(VERB_LOGS, "{\"id\":\"1\",\"events\":null}").events);
    assert_true(read_ok(VERB_LOGS, "{\"id\":\"1\",\"events\":true}").events);
    read_ok(VERB_GET, "{\"id\":\"1\",\"events\":1}");
}

static void whole_query_is_read(void **state)
{
    (void)state;
    char cursor[JJ__CURSOR_SIZE];
    char json[400] = " {\n\"limit\" : 1000, \"name\":\"" SIXTY_FOUR "\", \"cursor\":\"";

    jj__cursor_write(INT64_C(1795472356244), SIXTY_FOUR, cursor);
    size_t len = strlen(json);
    memcpy(json + len, cursor, strlen(cursor));
    memcpy(json + len + strlen(cursor), BYTES("\",\"status\":\"failed\"}\t"));
    struct request request = read_ok(VERB_GET_BY_NAME, json);
    assert_string_equal(request.name, SIXTY_FOUR);
    assert_string_equal(request.cursor, cursor);
    assert_int_equal(request.state, JJ_FAILED);
    assert_int_equal(request.limit, 1000);
}

static void null_is_as_good_as_absent(void **state)
{
    (void)state;
    struct request request = read_ok(
        VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":null,\"limit\":null,\"cursor\":null}");

    assert_int_equal(request.state, JJ_ANY_STATE);
    assert_int_equal(request.limit, JJ__LIMIT_DEFAULT);
    assert_string_equal(request.cursor, "");
    assert_int_equal(read_ok(VERB_LOGS, "{\"id\":\"1\",\"limit\":null}").limit, JJ__LOGS_MAX);
    assert_refused(VERB_GET, "{\"id\":null}", "id is missing");
    assert_refused(VERB_GET_BY_NAME, "{\"name\":null}", "name is missing");
}

static void unknown_members_are_passed_over(void **state)
{
    (void)state;
    read_ok(VERB_GET, "{\"id\":\"1\",\"limit\":\"x\",\"name\":7,\"status\":[],\"cursor\":{}}");
    read_ok(VERB_GET, "{\"more\":{\"id\":2},\"id\":\"1\",\"x\":[[1e308]],\"y\":\"\\u0000\"}");
    read_ok(VERB_LOGS, "{\"id\":\"1\",\"name\":{}}");
    read_ok(VERB_STATS, "{\"id\":7}");
    read_ok(VERB_GET_BY_NAME, "{\"name\":\"a\",\"id\":[]}");
    read_ok(VERB_GET, "{\"id\":\"\\u0031\",\"big\":9223372036854775807}");
}

/* ---- what is refused ---- */

static void hostile_requests_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        enum verb verb;
        const char *json;
        const char *text;
    } table[] = {
        /* no object */
        {VERB_GET, " ", "request is not JSON: "},
        {VERB_GET, "x", "request is not JSON: "},
        {VERB_GET, "{", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\"", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\",}", "request is not JSON: "},
        {VERB_GET, "{'id':'1'}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\"} x", "request is not JSON: end of file expected"},
        {VERB_GET, "{\"id\":\"1\"}{}", "request is not JSON: end of file expected"},
        {VERB_GET, "\xEF\xBB\xBF{\"id\":\"1\"}", "request is not JSON: "},
        {VERB_GET, "\xFF\xFE{\0", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"\xFF\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"\xC0\x80\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"\xED\xA0\x80\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"\\ud800\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"\\udc00x\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\",\"x\":1e999}",
         "request has a number beyond 64 bits: real number overflow"},
        {VERB_GET, "{\"id\":\"1\",\"x\":-1e999}",
         "request has a number beyond 64 bits: real number overflow"},
        {VERB_GET, "{\"id\":\"1\",\"x\":NaN}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\",\"i\\u0000d\":1}", "request is not JSON: NUL byte"},
        {VERB_GET, "{\"id\":\"1\r\n2\"}", "request is not JSON: "},
        {VERB_GET, "{\"id\":\"1\",\"id\":\"2\"}", "request has a member twice: "},
        {VERB_GET, "{\"id\":\"1\",\"x\":{\"y\":1,\"y\":1}}", "request has a member twice: "},
        {VERB_STATS, "null", "request null is not a JSON object"},
        {VERB_STATS, "[]", "request [] is not a JSON object"},
        {VERB_STATS, "\"{}\"", "request \"{}\" is not a JSON object"},
        {VERB_STATS, "17", "request 17 is not a JSON object"},
        {VERB_GET, "[{\"id\": \"1\"}]", "request [{\"id\":\"1\"}] is not a JSON object"},

        /* ids and names */
        {VERB_GET, "{}", "id is missing"},
        {VERB_CANCEL, "{\"ID\":\"1\"}", "id is missing"},
        {VERB_RETRY, "{\"id\":17}", "id 17" NO_TOKEN},
        {VERB_LOGS, "{\"id\":true}", "id true" NO_TOKEN},
        {VERB_GET, "{\"id\":1.5}", "id 1.5" NO_TOKEN},
        {VERB_GET, "{\"id\":{}}", "id {}" NO_TOKEN},
        {VERB_GET, "{\"id\":[\"1\", 2]}", "id [\"1\",2]" NO_TOKEN},
        {VERB_GET, "{\"id\":\"\"}", "id \"\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"a.b\"}", "id \"a.b\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\">\"}", "id \">\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"1 2\"}", "id \"1 2\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"\\r\\nPUB x\"}", "id \"??PUB x\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"1\\u0000\"}", "id \"1\\u0000\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"\\u0000\"}", "id \"\\u0000\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"\xE2\x80\xAE\"}", "id \"???\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"gr\xC3\xBC\xC3\x9F\"}", "id \"gr\xC3\xBC\xC3\x9F\"" NO_TOKEN},
        {VERB_GET, "{\"id\":\"" SIXTY_FOUR "x\"}", "...\x20is not a string"},
        {VERB_GET_BY_NAME, "{}", "name is missing"},
        {VERB_GET_BY_NAME, "{\"id\":\"1\"}", "name is missing"},
        {VERB_GET_BY_NAME, "{\"name\":\"a.b\"}", "name \"a.b\"" NO_TOKEN},
        {VERB_GET_BY_NAME, "{\"name\":[]}", "name []" NO_TOKEN},

        /* the rest of a query */
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":\"done\"}",
         "status \"done\" is not one of pending scheduled running completed failed cancelled"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":\"Pending\"}", "status \"Pending\" is not"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":\"pending\\u0000\"}",
         "status \"pending\\u0000\" is not one of pending"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":\"\"}", "status \"\" is not one of pending"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"status\":3}", "status 3 is not one of pending"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"cursor\":\"b3BhcXVl\"}",
         "cursor \"b3BhcXVl\" is not one that an answer gave"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"cursor\":\"\"}", "cursor \"\" is not one that"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"cursor\":5}", "cursor 5 is not one that"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"cursor\":\"MTItYQ\\u0000\"}",
         "cursor \"MTItYQ\\u0000\" is not"},

        /* limits */
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":0}",
         "limit 0 is not an integer from 1 to 1000"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":1001}",
         "limit 1001 is not an integer from 1 to 1000"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":-1}", "limit -1 is not an integer from 1 to"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":\"10\"}", "limit \"10\" is not an integer"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":10.0}", "limit 10.0 is not an integer"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":1e2}", "limit 100.0 is not an integer"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":4294967297}", "limit 4294967297 is not an"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":18446744073709551617}",
         "request has a number beyond 64 bits: too big integer"},
        {VERB_GET_BY_NAME, "{\"name\":\"a\",\"limit\":[]}", "limit [] is not an integer from 1"},
        {VERB_LOGS, "{\"id\":\"a\",\"limit\":2002}", "limit 2002 is not an integer from 1 to 2001"},
        {VERB_LOGS, "{\"id\":\"a\",\"events\":1}", "events 1 is not true or false"},
        {VERB_LOGS, "{\"id\":\"a\",\"limit\":false}", "limit false is not an integer from 1 to"},
    };

    for (size_t i = 0; i < COUNT(table); i++)
        assert_refused(table[i].verb, table[i].json, table[i].text);
}

static void bytes_after_a_nul_count(void **state)
{
    (void)state;
    assert_refused_len(VERB_STATS, BYTES("{}\0"), "request is not JSON: ");
    assert_refused_len(VERB_STATS, BYTES("\0"), "request is not JSON: ");
    assert_refused_len(VERB_GET, BYTES("{\"id\":\"a\0b\"}"), "request is not JSON: ");
}

/* A body of len bytes that begins with one text, ends with another and has c between them. */
static char *stuffed(const char *begin, char c, const char *end, size_t len)
{
    char *json = malloc(len);

    assert_non_null(json);
    memset(json, c, len);
    memcpy(json, begin, strlen(begin));
    memcpy(json + len - strlen(end), end, strlen(end));
    return json;
}

static void assert_stuffed_refused(const char *begin, char c, const char *end, size_t len,
                                   const char *text)
{
    char *json = stuffed(begin, c, end, len);

    assert_refused_len(VERB_GET, json, len, text);
    free(json);
}

static void body_may_have_64_kib(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_GET};
    char *json = stuffed("{\"id\":\"1\"", ' ', "}", 65536);

    assert_int_equal(jj__json_read_request(json, 65536, &request, NULL), JJ_OK);
    free(json);
    assert_stuffed_refused("{\"id\":\"1\"", ' ', "}", 65537,
                           "request has 65537 bytes, and 65536 are allowed");
    assert_stuffed_refused("{\"id\":\"", 'x', "\"}", 1000000, "request has 1000000 bytes");
}

static void long_value_is_shown_cut(void **state)
{
    (void)state;
    assert_stuffed_refused("{\"id\":\"", 'x', "\"}", 60000,
                           "id \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..." NO_TOKEN);
    assert_stuffed_refused("{\"id\":[\"", 'x', "\"]}", 60000,
                           "id [\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..." NO_TOKEN);
    assert_stuffed_refused("\"", '\x7F', "\"", 60000, "request \"??????");
}

/* An object with so many levels, itself included. */
static void nested(char *json, unsigned levels, bool closed)
{
    memcpy(json, "{\"x\":", 5);
    memset(json + 5, '[', levels - 1);
    memset(json + 5 + levels - 1, ']', levels - 1);
    memcpy(json + 5 + 2 * (levels - 1), "}", 2);
    if (!closed)
        json[5 + levels - 1] = '\0';
}

static void depth_ends_at_32_levels(void **state)
{
    (void)state;
    static char json[60000];

    nested(json, 32, true);
    read_ok(VERB_STATS, json);
    nested(json, 33, true);
    assert_refused(VERB_STATS, json, "request has more than 32 levels");
    nested(json, 20000, true);
    assert_refused(VERB_STATS, json, "request has more than 32 levels");
    nested(json, 20000, false);
    assert_refused(VERB_STATS, json, "request has more than 32 levels");
    nested(json, 20, false);
    assert_refused(VERB_STATS, json, "request is not JSON");
}

static void brackets_in_strings_and_side_by_side_are_not_depth(void **state)
{
    (void)state;
    char json[1000] = "{\"a\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\":\"\\\\\",\"x\":[[]";

    for (int i = 0; i < 100; i++)
        memcpy(json + strlen(json), ",[{}]", 6);
    memcpy(json + strlen(json), "]}", 3);
    read_ok(VERB_STATS, json);
}

/* ---- anything at all ---- */

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
    static const char good[] = "{\"id\":\"a1\",\"name\":\"b2\",\"limit\":17,\"status\":\"failed\","
                               "\"cursor\":\"MTItYQ\",\"x\":[1,{}]}";
    static const char bytes[] = "\"\"{}[]:,\\u0e.-19 \n\0\xFF\xC3";
    uint32_t seed = 11;
    size_t taken = 0;

    for (int round = 0; round < 50000; round++) {
        size_t len = sizeof(good) - 1 - (round % 5 == 0 ? next_random(&seed) % sizeof(good) : 0);
        struct request request = {.verb = (enum verb)(next_random(&seed) % VERBS)};
        jj_error err = {0};
        if (len > sizeof(good))
            len = 0;
        char *json = malloc(len + 1);
        assert_non_null(json);
        memcpy(json, good, len);
        for (uint32_t i = next_random(&seed) % 4; i > 0 && len > 0; i--)
            json[next_random(&seed) % len] = round % 2 == 0
                                                 ? bytes[next_random(&seed) % sizeof(bytes)]
                                                 : (char)next_random(&seed);
        jj_status s = jj__json_read_request(json, len, &request, &err);
        free(json);
        if (s == JJ_OK) {
            taken++;
            assert_request_sane(&request);
            continue;
        }
        assert_int_equal(s, JJ_ERR_INVALID);
        assert_true(err.text[0] != '\0' && jj__utf8_valid(err.text));
        assert_null(strpbrk(err.text, "\r\n\x1B\x7F"));
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_readme_are_read),
        cmocka_unit_test(empty_body_is_an_empty_object),
        cmocka_unit_test(logs_may_be_asked_for_with_events),
        cmocka_unit_test(whole_query_is_read),
        cmocka_unit_test(null_is_as_good_as_absent),
        cmocka_unit_test(unknown_members_are_passed_over),
        cmocka_unit_test(hostile_requests_are_refused_with_a_reason),
        cmocka_unit_test(bytes_after_a_nul_count),
        cmocka_unit_test(body_may_have_64_kib),
        cmocka_unit_test(long_value_is_shown_cut),
        cmocka_unit_test(depth_ends_at_32_levels),
        cmocka_unit_test(brackets_in_strings_and_side_by_side_are_not_depth),
        cmocka_unit_test(damaged_requests_are_refused_or_read_but_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

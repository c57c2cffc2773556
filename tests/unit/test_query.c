/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"
#include "query.h"
#include "record.h"
#include "subject.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

static void verbs_are_called_as_on_the_wire(void **state)
{
    (void)state;
    static const char *const texts[VERBS] = {"get",   "getByName", "cancel",
                                             "retry", "logs",      "stats"};

    for (enum verb verb = 0; verb < VERBS; verb++)
        assert_string_equal(jj__verb_text(verb), texts[verb]);
}

/* ---- cursors ---- */

static void cursor_comes_back_as_the_place_it_was_made_of(void **state)
{
    (void)state;
    static const char *const ids[] = {"1",     "-",        "--1",
                                      "a-b_C", SIXTY_FOUR, "01a20a7d-f394-709e-b135-5d9bf1459d8f"};
    static const int64_t times[] = {0, 1, -1, INT64_C(1795472356244), INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < COUNT(ids); i++) {
        for (size_t j = 0; j < COUNT(times); j++) {
            char cursor[JJ__CURSOR_SIZE];
            char id[JJ_NAME_SIZE];
            int64_t time_ms = 4711;

            jj__cursor_write(times[j], ids[i], cursor);
            assert_true(strspn(cursor, SIXTY_FOUR) == strlen(cursor));
            assert_true(jj__cursor_read(cursor, &time_ms, id));
            assert_true(time_ms == times[j]);
            assert_string_equal(id, ids[i]);
        }
    }
}

static void assert_no_cursor(const char *cursor)
{
    char id[JJ_NAME_SIZE] = "as it was";
    int64_t time_ms = 4711;

    assert_false(jj__cursor_read(cursor, &time_ms, id));
    assert_int_equal(time_ms, 4711);
    assert_string_equal(id, "as it was");
}

/* The base64 of a place that is never written. */
static void assert_no_place(const char *place, size_t len)
{
    char cursor[256] = "";

    size_t written = jj__base64_write(cursor, place, len);
    while (written > 0 && cursor[written - 1] == '=')
        written--;
    cursor[written] = '\0';
    assert_no_cursor(cursor);
}

static void places_that_are_never_written_are_no_cursor(void **state)
{
    (void)state;
    static const char *const places[] = {
        "",
        "-",
        "--",
        "1",
        "1-",
        "-1",
        "-1-",
        "-a",
        "a-a",
        "+1-a",
        " 1-a",
        "01-a",
        "-0-a",
        "00-a",
        "1 -a",
        "1.0-a",
        "1e3-a",
        "0x1-a",
        "1-a.b",
        "1-a b",
        "1-\xFF",
        "1-a\n",
        "1_a",
        "1-a\r\n",
        "1-\xC3\xBC",
        "9223372036854775808-a",
        "-9223372036854775809-a",
        "99999999999999999999999-a",
        "1-" SIXTY_FOUR "x", /* too long an id */
    };

    for (size_t i = 0; i < COUNT(places); i++)
        assert_no_place(places[i], strlen(places[i]));
    assert_no_place("1-a\0", 4);
    assert_no_place("1-a\0b", 5);
    assert_no_place("1\0-a", 4);
}

static void texts_that_are_never_written_are_no_cursor(void **state)
{
    (void)state;
    char cursor[JJ__CURSOR_SIZE];
    char longer[2 * JJ__CURSOR_SIZE];

    jj__cursor_write(12, "a", cursor); /* MTItYQ */
    assert_string_equal(cursor, "MTItYQ");
    assert_no_cursor("");
    assert_no_cursor("MTItYQ==");
    assert_no_cursor("MTItYQ=");
    assert_no_cursor("MTItYR"); /* the same bytes, with a bit left over */
    assert_no_cursor("MTItYQA");
    assert_no_cursor("MTItY");
    assert_no_cursor(" MTItYQ");
    assert_no_cursor("MTItYQ\n");
    assert_no_cursor("MTI.YQ");
    assert_no_cursor("b3BhcXVl"); /* "opaque" */
    assert_no_cursor("\xFF\xFE");
    memset(longer, 'M', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_no_cursor(longer);
    longer[JJ__CURSOR_SIZE] = '\0';
    assert_no_cursor(longer);
    longer[JJ__CURSOR_SIZE - 1] = '\0';
    assert_no_cursor(longer);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void what_is_read_is_always_what_is_written(void **state)
{
    (void)state;
    uint32_t seed = 3;
    size_t taken = 0;

    for (int round = 0; round < 200000; round++) {
        char cursor[JJ__CURSOR_SIZE];
        char again[JJ__CURSOR_SIZE];
        char id[JJ_NAME_SIZE];
        int64_t time_ms;
        jj__cursor_write((int64_t)next_random(&seed) << next_random(&seed) % 30, "x-9", cursor);
        for (uint32_t i = next_random(&seed) % 3; i > 0; i--)
            cursor[next_random(&seed) % strlen(cursor)] = SIXTY_FOUR[next_random(&seed) % 64];
        if (!jj__cursor_read(cursor, &time_ms, id))
            continue;
        taken++;
        assert_true(jj__token_valid(id));
        jj__cursor_write(time_ms, id, again);
        assert_string_equal(again, cursor);
    }
    assert_true(taken > 1000);
}

/* ---- requests ---- */

static const int64_t numbers[] = {0, 1, 1000, 1001, 1002, -1, INT64_MAX, INT64_MIN, 2001, 2002};

static void assert_filled(struct request *request, struct asked asked)
{
    jj_error err;

    if (jj__request_fill(request, &asked, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void assert_refused(struct request request, struct asked asked, const char *text)
{
    struct request before = request;
    jj_error err = {0};

    assert_int_equal(jj__request_fill(&request, &asked, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, text);
    assert_memory_equal(&request, &before, sizeof(before));
    assert_int_equal(jj__request_fill(&request, &asked, NULL), JJ_ERR_INVALID);
}

static void request_about_one_job_needs_its_id(void **state)
{
    (void)state;
    static const enum verb verbs[] = {VERB_GET, VERB_CANCEL, VERB_RETRY, VERB_LOGS};

    for (size_t i = 0; i < COUNT(verbs); i++) {
        struct request request = {.verb = verbs[i], .name = "mail"};
        assert_filled(&request, (struct asked){.id = SIXTY_FOUR, .name = "not looked at"});
        assert_int_equal(request.verb, verbs[i]);
        assert_string_equal(request.id, SIXTY_FOUR);
        assert_string_equal(request.name, "mail");
        assert_string_equal(request.cursor, "");
        assert_int_equal(request.state, JJ_ANY_STATE);
        assert_true(request.limit != 0);

        request = (struct request){.verb = verbs[i]};
        assert_refused(request, (struct asked){0}, "id is missing");
        assert_refused(request, (struct asked){.id = ""},
                       "id \"\" is not a string of 1 to 64 of A-Z a-z 0-9 _ -");
        assert_refused(request, (struct asked){.id = "a.b"},
                       "id \"a.b\" is not a string of 1 to 64 of A-Z a-z 0-9 _ -");
        assert_refused(request, (struct asked){.id = SIXTY_FOUR "x"},
                       "id \"0123456789abcdefghijklmnopqrstuvwxyzABC... is not a string of 1 to 64 "
                       "of A-Z a-z 0-9 _ -");
    }
}

static void stats_need_nothing(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_STATS};

    assert_filled(&request, (struct asked){0});
    assert_filled(&request, (struct asked){.id = "a.b", .limit = &numbers[0]});
    assert_string_equal(request.id, "");
}

static void query_is_filled_in_as_a_whole(void **state)
{
    (void)state;
    struct request request = {.verb = VERB_GET_BY_NAME};
    char cursor[JJ__CURSOR_SIZE];

    assert_filled(&request, (struct asked){.name = "mail"});
    assert_string_equal(request.name, "mail");
    assert_int_equal(request.state, JJ_ANY_STATE);
    assert_int_equal(request.limit, 100);
    assert_string_equal(request.cursor, "");
    assert_string_equal(request.id, "");

    jj__cursor_write(5, "17", cursor);
    request.name[0] = '\0';
    assert_filled(&request, (struct asked){.name = "mail",
                                           .status = "cancelled",
                                           .cursor = cursor,
                                           .limit = &numbers[2]});
    assert_int_equal(request.state, JJ_CANCELLED);
    assert_int_equal(request.limit, 1000);
    assert_string_equal(request.cursor, cursor);
}

static void what_a_query_can_not_be_is_refused(void **state)
{
    (void)state;
    const struct request query = {.verb = VERB_GET_BY_NAME};

    assert_refused(query, (struct asked){0}, "name is missing");
    assert_refused(query, (struct asked){.name = "*"},
                   "name \"*\" is not a string of 1 to 64 of A-Z a-z 0-9 _ -");
    assert_refused(query, (struct asked){.name = "a", .status = "done"},
                   "status \"done\" is not one of pending scheduled running completed failed "
                   "cancelled");
    assert_refused(query, (struct asked){.name = "a", .status = ""},
                   "status \"\" is not one of pending scheduled running completed failed "
                   "cancelled");
    assert_refused(query, (struct asked){.name = "a", .cursor = "b3BhcXVl"},
                   "cursor \"b3BhcXVl\" is not one that an answer gave");
    assert_refused(query, (struct asked){.name = "a", .cursor = ""},
                   "cursor \"\" is not one that an answer gave");
}

static void limit_must_be_in_range(void **state)
{
    (void)state;
    struct request query = {.verb = VERB_GET_BY_NAME, .name = "a"};
    struct request logs = {.verb = VERB_LOGS};

    assert_filled(&query, (struct asked){.limit = &numbers[1]});
    assert_int_equal(query.limit, 1);
    assert_refused(query, (struct asked){.limit = &numbers[0]},
                   "limit 0 is not an integer from 1 to 1000");
    assert_refused(query, (struct asked){.limit = &numbers[3]},
                   "limit 1001 is not an integer from 1 to 1000");
    assert_refused(query, (struct asked){.limit = &numbers[6]},
                   "limit 9223372036854775807 is not an integer from 1 to 1000");
    assert_refused(query, (struct asked){.limit = &numbers[7]},
                   "limit -9223372036854775808 is not an integer from 1 to 1000");

    assert_filled(&logs, (struct asked){.id = "17"});
    assert_int_equal(logs.limit, 2001);
    assert_false(logs.events);
    assert_filled(&logs, (struct asked){.id = "17", .limit = &numbers[8], .events = true});
    assert_int_equal(logs.limit, 2001);
    assert_true(logs.events);
    assert_refused(logs, (struct asked){.id = "17", .limit = &numbers[9]},
                   "limit 2002 is not an integer from 1 to 2001");
    assert_refused(logs, (struct asked){.id = "17", .limit = &numbers[5]},
                   "limit -1 is not an integer from 1 to 2001");
}

static void name_of_the_subject_is_the_name(void **state)
{
    (void)state;
    struct request query = {.verb = VERB_GET_BY_NAME, .name = "mail"};

    assert_filled(&query, (struct asked){0});
    assert_string_equal(query.name, "mail");
    assert_filled(&query, (struct asked){.name = "mail"});
    assert_refused(query, (struct asked){.name = "mails"},
                   "name \"mails\" is not mail, as the subject says");
    assert_refused(query, (struct asked){.name = ""}, "name \"\" is not mail, as the subject says");
}

static void shown_value_is_cut_between_characters_and_printable(void **state)
{
    (void)state;
    char text[200];
    jj_error err;

    for (size_t before = 0; before < 60; before++) {
        memset(text, 'x', before);
        memset(text + before, 0, sizeof(text) - before);
        for (size_t at = before; at + 4 < sizeof(text); at += 4)
            memcpy(text + at, "\xF0\x9F\x98\x80", 4);
        jj__ignore(jj__request_refuse("id", text, "it", &err), "it is an error");
        assert_true(strlen(err.text) < 64);
        assert_true(jj__utf8_valid(err.text));
        assert_null(strchr(err.text, '?'));
        assert_non_null(strstr(err.text, "... is not it"));
    }
    memset(text, '\x80', sizeof(text) - 1);
    jj__ignore(jj__request_refuse("id", text, "it", &err), "it is an error");
    assert_string_equal(err.text, "id ... is not it");
    jj__ignore(jj__request_refuse("id", "a\r\n\x1B[31m", "it", &err), "it is an error");
    assert_string_equal(err.text, "id a???[31m is not it");
}

/* ---- answers ---- */

static jj_job *job_of(const char *id)
{
    const jj_record record = {.id = id, .name = "mail", .state = JJ_PENDING};
    jj_job *job;

    assert_int_equal(jj__record_copy(&record, &job, NULL), JJ_OK);
    return job;
}

static jj_page *page_of_two(void)
{
    jj_page *page = calloc(1, sizeof(*page));

    assert_non_null(page);
    page->jobs = calloc(2, sizeof(jj_job *));
    page->cursor = strdup("next");
    assert_non_null(page->jobs);
    page->jobs[0] = job_of("1");
    page->jobs[1] = job_of("2");
    page->count = 2;
    return page;
}

static jj_lines *two_lines(void)
{
    jj_lines *lines = calloc(1, sizeof(*lines));

    assert_non_null(lines);
    lines->arena.max = 1000;
    lines->lines = jj__arena_array(&lines->arena, 2, sizeof(*lines->lines));
    assert_non_null(lines->lines);
    lines->lines[1].message = jj__arena_text(&lines->arena, "second", 6);
    lines->count = 2;
    return lines;
}

static jj_stats *stats_of_one(void)
{
    jj_stats *stats = calloc(1, sizeof(*stats));

    assert_non_null(stats);
    stats->names = calloc(1, sizeof(*stats->names));
    assert_non_null(stats->names);
    stats->names[0].name = strdup("mail");
    stats->names[0].counts[JJ_RUNNING] = 3;
    stats->count = 1;
    stats->lag_jobs = 4;
    stats->lag_events = UINT64_MAX;
    return stats;
}

static void page_gives_its_jobs_and_its_cursor(void **state)
{
    (void)state;
    jj_page *page = page_of_two();

    assert_int_equal(jj_page_count(page), 2);
    assert_string_equal(jj_page_job(page, 1)->record.id, "2");
    assert_null(jj_page_job(page, 2));
    assert_string_equal(jj_page_cursor(page), "next");
    jj_page_free(page);
}

static void lines_give_their_lines(void **state)
{
    (void)state;
    jj_lines *lines = two_lines();

    assert_int_equal(jj_lines_count(lines), 2);
    assert_string_equal(jj_lines_get(lines, 1)->message, "second");
    assert_null(jj_lines_get(lines, 2));
    jj_lines_free(lines);
}

static void stats_give_their_names_and_the_lag(void **state)
{
    (void)state;
    jj_stats *stats = stats_of_one();

    assert_int_equal(jj_stats_count(stats), 1);
    assert_string_equal(jj_stats_name(stats, 0)->name, "mail");
    assert_int_equal(jj_stats_name(stats, 0)->counts[JJ_RUNNING], 3);
    assert_null(jj_stats_name(stats, 1));
    assert_int_equal(jj_stats_lag_jobs(stats), 4);
    assert_true(jj_stats_lag_events(stats) == UINT64_MAX);
    jj_stats_free(stats);
}

static void nothing_can_be_freed(void **state)
{
    (void)state;
    struct answer answer = {.verb = VERB_LOGS};

    jj_page_free(NULL);
    jj_lines_free(NULL);
    jj_stats_free(NULL);
    jj__answer_done(&answer);
    answer.page = calloc(1, sizeof(*answer.page)); /* half built */
    answer.lines = calloc(1, sizeof(*answer.lines));
    answer.stats = calloc(1, sizeof(*answer.stats));
    jj__answer_done(&answer);
}

static void answer_frees_all_it_has_and_is_then_empty(void **state)
{
    (void)state;
    struct answer answer = {
        .verb = VERB_GET_BY_NAME,
        .job = job_of("1"),
        .page = page_of_two(),
        .lines = two_lines(),
        .stats = stats_of_one(),
        .yes = true,
    };

    jj__answer_done(&answer);
    assert_int_equal(answer.verb, VERB_GET_BY_NAME);
    assert_null(answer.job);
    assert_null(answer.page);
    assert_null(answer.lines);
    assert_null(answer.stats);
    assert_false(answer.yes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_called_as_on_the_wire),
        cmocka_unit_test(cursor_comes_back_as_the_place_it_was_made_of),
        cmocka_unit_test(places_that_are_never_written_are_no_cursor),
        cmocka_unit_test(texts_that_are_never_written_are_no_cursor),
        cmocka_unit_test(what_is_read_is_always_what_is_written),
        cmocka_unit_test(request_about_one_job_needs_its_id),
        cmocka_unit_test(stats_need_nothing),
        cmocka_unit_test(query_is_filled_in_as_a_whole),
        cmocka_unit_test(what_a_query_can_not_be_is_refused),
        cmocka_unit_test(limit_must_be_in_range),
        cmocka_unit_test(name_of_the_subject_is_the_name),
        cmocka_unit_test(shown_value_is_cut_between_characters_and_printable),
        cmocka_unit_test(page_gives_its_jobs_and_its_cursor),
        cmocka_unit_test(lines_give_their_lines),
        cmocka_unit_test(stats_give_their_names_and_the_lag),
        cmocka_unit_test(nothing_can_be_freed),
        cmocka_unit_test(answer_frees_all_it_has_and_is_then_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

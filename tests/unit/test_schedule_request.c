/* SPDX-License-Identifier: Apache-2.0 */

/* Requests for schedules: what is filled in, and what can't be smuggled through. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schedule_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AT           "@at 2026-11-23T22:19:16.244Z"
#define NEW_ID       "01a20a7d-f394-709e-b135-5d9bf1459d8f"

static jj_status plan(const jj_header *headers, size_t count, struct schedule_plan *out,
                      jj_error *err)
{
    const struct schedule_request request = {.name = "mail",
                                             .headers = headers,
                                             .header_count = count,
                                             .now_ms = 1000,
                                             .new_id = NEW_ID};

    return jj__schedule_plan(&request, out, err);
}

static const char *header(const struct schedule_plan *made, const char *name)
{
    const char *value = jj__header_find(made->headers, made->header_count, name);

    return value == NULL ? "" : value;
}

static void a_time_alone_is_enough(void **state)
{
    (void)state;
    static const jj_header headers[] = {{"Nats-Schedule", AT}};
    struct schedule_plan made;

    assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_OK);
    assert_string_equal(made.id, NEW_ID);
    assert_string_equal(made.subject, "jobs.schedule.mail." NEW_ID);
    assert_false(made.recurring);
    assert_string_equal(header(&made, "Nats-Schedule"), "@at 2026-11-23T22:19:15.744Z");
    assert_string_equal(header(&made, "Nats-Schedule-Target"), "jobs.due.mail");
    assert_string_equal(header(&made, "Nats-Msg-Id"), NEW_ID);
    assert_string_equal(header(&made, "Job-Id"), NEW_ID);
    assert_string_equal(header(&made, "Job-Run-At"), "2026-11-23T22:19:16.244Z");
    assert_string_equal(header(&made, "Job-Created-At"), "1970-01-01T00:00:01.000Z");
    assert_int_equal(made.header_count, 6);
    jj__schedule_plan_done(&made);
}

static void who_says_when_it_runs_has_chosen_the_time_of_firing(void **state)
{
    (void)state;
    static const jj_header headers[] = {{"Nats-Schedule", AT},
                                        {"Job-Run-At", "2026-11-23T22:19:17Z"},
                                        {"Job-Created-At", "2026-11-23T22:19:00Z"}};
    struct schedule_plan made;

    assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_OK);
    assert_string_equal(header(&made, "Nats-Schedule"), AT);
    assert_string_equal(header(&made, "Job-Run-At"), "2026-11-23T22:19:17Z");
    assert_string_equal(header(&made, "Job-Created-At"), "2026-11-23T22:19:00Z");
    assert_int_equal(made.header_count, 6);
    jj__schedule_plan_done(&made);
}

static void a_recurring_one_has_the_id_of_its_schedule_and_no_message_id(void **state)
{
    (void)state;
    static const jj_header headers[] = {{"Nats-Schedule", "0 0 6 * * 1"},
                                        {"Nats-Schedule-Time-Zone", "Europe/Berlin"},
                                        {"Job-Schedule-Id", "weekly"}};
    struct schedule_plan made;

    assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_OK);
    assert_true(made.recurring);
    assert_null(made.msg_id);
    assert_string_equal(made.subject, "jobs.schedule.mail.weekly");
    assert_string_equal(header(&made, "Nats-Schedule-Time-Zone"), "Europe/Berlin");
    assert_string_equal(header(&made, "Job-Schedule-Id"), "weekly");
    assert_string_equal(header(&made, "Job-Id"), "");
    assert_string_equal(header(&made, "Job-Created-At"), "");
    assert_int_equal(made.header_count, 4);
    jj__schedule_plan_done(&made);
}

static void the_message_id_is_the_senders_or_the_keys(void **state)
{
    (void)state;
    jj_header headers[] = {
        {"Nats-Schedule", AT}, {"Job-Key", "invoice-7"}, {"Nats-Msg-Id", "mine"}};
    struct schedule_plan made;

    assert_int_equal(plan(headers, 2, &made, NULL), JJ_OK);
    assert_string_equal(header(&made, "Nats-Msg-Id"), "key:invoice-7");
    assert_string_equal(header(&made, "Job-Key"), "invoice-7");
    jj__schedule_plan_done(&made);
    assert_int_equal(plan(headers, 3, &made, NULL), JJ_OK);
    assert_string_equal(header(&made, "Nats-Msg-Id"), "mine");
    jj__schedule_plan_done(&made);
}

static void a_key_is_bounded(void **state)
{
    (void)state;
    char key[258];
    jj_header headers[] = {{"Nats-Schedule", AT}, {"Job-Key", key}};
    struct schedule_plan made;

    memset(key, 'k', sizeof(key));
    key[257] = '\0';
    assert_int_equal(plan(headers, 2, &made, NULL), JJ_ERR_INVALID);
    key[256] = '\0';
    assert_int_equal(plan(headers, 2, &made, NULL), JJ_OK);
    assert_int_equal(strlen(made.msg_id), 260);
    jj__schedule_plan_done(&made);
    key[0] = '\0';
    assert_int_equal(plan(headers, 2, &made, NULL), JJ_ERR_INVALID);
}

static void headers_that_the_server_obeys_do_not_pass(void **state)
{
    (void)state;
    static const char *const names[] = {"Nats-Rollup",
                                        "nats-rollup",
                                        "NATS-TTL",
                                        "Nats-Schedule-TTL",
                                        "Nats-Schedule-Source",
                                        "Nats-Scheduler",
                                        "Nats-Schedule-Next",
                                        "Nats-Expected-Last-Sequence",
                                        "Nats-Batch-Id",
                                        "Jobs-Seq",
                                        "jobs-wait"};
    struct schedule_plan made;

    for (size_t i = 0; i < COUNT(names); i++) {
        const jj_header headers[] = {
            {"Nats-Schedule", AT}, {names[i], "x"}, {"Nats-Schedule-Target", "jobs.due.other"}};
        assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_OK);
        assert_string_equal(header(&made, names[i]), "");
        assert_string_equal(header(&made, "Nats-Schedule-Target"), "jobs.due.mail");
        assert_int_equal(made.header_count, 6);
        jj__schedule_plan_done(&made);
    }
}

/* Of several with one name the first counts, and the second is not the server's to choose. */
/* Without data it would be taken for a word of the server's. */
static void a_status_without_data_is_refused(void **state)
{
    (void)state;
    static const jj_header headers[] = {{"Nats-Schedule", AT}, {"Status", "503"}};
    struct schedule_plan made;
    jj_error err;

    assert_int_equal(plan(headers, COUNT(headers), &made, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "header Status is not allowed without data");
}

static void a_second_header_of_a_name_changes_nothing(void **state)
{
    (void)state;
    static const jj_header headers[] = {{"Nats-Schedule", AT}, {"Nats-Schedule", "@every 1s"},
                                        {"Job-Id", "a"},       {"Job-Id", "b"},
                                        {"Nats-Msg-Id", "m"},  {"Nats-Msg-Id", "n"}};
    struct schedule_plan made;

    assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_OK);
    assert_string_equal(made.subject, "jobs.schedule.mail.a");
    assert_string_equal(header(&made, "Nats-Msg-Id"), "m");
    assert_int_equal(made.header_count, 6);
    jj__schedule_plan_done(&made);
}

static void what_could_not_be_sent_is_refused(void **state)
{
    (void)state;
    static const jj_header bad[] = {
        {"X-A", "b\r\nNats-Rollup: all"}, {"X A", "b"},
        {"Nats-Msg-Id", "a\rb"},          {"X-A:", "b"},
        {"Job-Timeout", "1 s"},           {"Job-Created-At", "yesterday"}};
    struct schedule_plan made;

    for (size_t i = 0; i < COUNT(bad); i++) {
        const jj_header headers[] = {{"Nats-Schedule", AT}, bad[i]};
        assert_int_equal(plan(headers, COUNT(headers), &made, NULL), JJ_ERR_INVALID);
        assert_null(made.headers);
    }
    const jj_header zone[] = {{"Nats-Schedule", "@daily"},
                              {"Job-Schedule-Id", "a"},
                              {"Nats-Schedule-Time-Zone", "UTC\r\nNats-Rollup: all"}};
    assert_int_equal(plan(zone, COUNT(zone), &made, NULL), JJ_ERR_INVALID);
}

static void the_answer_is_json_or_protobuf(void **state)
{
    (void)state;
    const struct schedule_answer answer = {.id = "a", .seq = 300, .duplicate = true};
    struct buf out = {0};

    jj__schedule_write_json(&out, &answer);
    assert_int_equal(out.len, strlen("{\"id\":\"a\",\"seq\":300,\"duplicate\":true}"));
    assert_memory_equal(out.data, "{\"id\":\"a\",\"seq\":300,\"duplicate\":true}", out.len);
    jj__buf_reset(&out);
    jj__pb_write_schedule_answer(&out, &answer);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "\x0a\x01\x61\x10\xac\x02\x18\x01", 8);
    jj__buf_done(&out);
}

static void either_answer_is_read(void **state)
{
    (void)state;
    const struct schedule_answer answer = {.id = "a", .seq = 300, .duplicate = true};

    for (int protobuf = 0; protobuf < 2; protobuf++) {
        struct schedule_stored stored = {0};
        struct buf out = {0};
        if (protobuf)
            jj__pb_write_schedule_answer(&out, &answer);
        else
            jj__schedule_write_json(&out, &answer);
        assert_int_equal(jj__schedule_read_answer(out.data, out.len, &stored, NULL), JJ_OK);
        assert_string_equal(stored.id, "a");
        assert_int_equal(stored.seq, 300);
        assert_true(stored.duplicate);
        jj__buf_done(&out);
    }
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const answers[] = {
        "",
        "{",
        "{}",
        "{\"seq\":1}",
        "{\"id\":5}",
        "{\"id\":\"a.b\",\"seq\":1}",
        "\x0a\x03"
        "a.b",
        "\x0a\x7f",
        "\x10\x01",
        "hello",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct schedule_stored stored = {0};
        jj_error err = {0};
        assert_int_equal(jj__schedule_read_answer(answers[i], strlen(answers[i]), &stored, &err),
                         JJ_ERR_PROTOCOL);
        assert_int_equal(stored.seq, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_alone_is_enough),
        cmocka_unit_test(who_says_when_it_runs_has_chosen_the_time_of_firing),
        cmocka_unit_test(a_recurring_one_has_the_id_of_its_schedule_and_no_message_id),
        cmocka_unit_test(the_message_id_is_the_senders_or_the_keys),
        cmocka_unit_test(a_key_is_bounded),
        cmocka_unit_test(headers_that_the_server_obeys_do_not_pass),
        cmocka_unit_test(a_status_without_data_is_refused),
        cmocka_unit_test(a_second_header_of_a_name_changes_nothing),
        cmocka_unit_test(what_could_not_be_sent_is_refused),
        cmocka_unit_test(the_answer_is_json_or_protobuf),
        cmocka_unit_test(either_answer_is_read),
        cmocka_unit_test(what_is_no_answer_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

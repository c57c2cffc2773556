/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "subject.h"

#define SIXTY_FOUR "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

static const char *const hostile[] = {
    "",     "*",   ">",        ".",     "a.b",   "..",  "a b", " a",  "a ",  "a\tb", "a\r\nPUB x 1",
    "$JS",  "a/b", "\xC3\xBC", "a\x01", "a\x7F", "a*",  "a>",  "a\n", "a:b", "a'b",  SIXTY_FOUR "x",
    "\xFF", "a,b", "a[",       "a`",    "a{",    "a@b",
};

#define HOSTILE_COUNT (sizeof(hostile) / sizeof(hostile[0]))

static void token_is_1_to_64_harmless_characters(void **state)
{
    (void)state;
    assert_true(jj__token_valid("a"));
    assert_true(jj__token_valid("-x"));
    assert_true(jj__token_valid("sendEmail_2"));
    assert_true(jj__token_valid(SIXTY_FOUR));
    for (size_t i = 0; i < HOSTILE_COUNT; i++)
        assert_false(jj__token_valid(hostile[i]));
}

static void token_that_is_none_is_named_in_the_error(void **state)
{
    (void)state;
    jj_error err = {0};

    assert_int_equal(jj__token_check("job name", "a", NULL), JJ_OK);
    assert_int_equal(jj__token_check("job name", NULL, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "job name is missing");
    assert_int_equal(jj__token_check("job id", "", &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "job id is empty");
    assert_int_equal(jj__token_check("worker name", "a\r\nb", &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "worker name 'a??b' is not 1 to 64 of A-Z a-z 0-9 _ -");
    for (size_t i = 0; i < HOSTILE_COUNT; i++)
        assert_int_equal(jj__token_check("job name", hostile[i], NULL), JJ_ERR_INVALID);
}

static void subjects_are_built_from_their_tokens(void **state)
{
    (void)state;
    char out[JJ__SUBJECT_SIZE];

    jj__subject_enqueue(out, "mail");
    assert_string_equal(out, "jobs.enqueue.mail");
    jj__subject_schedule(out, "mail", "17");
    assert_string_equal(out, "jobs.schedule.mail.17");
    jj__subject_due(out, "mail");
    assert_string_equal(out, "jobs.due.mail");
    jj__subject_claims(out, "w1");
    assert_string_equal(out, "jobs.claims.w1");
    jj__subject_events(out, "mail", "completed");
    assert_string_equal(out, "jobs.events.mail.completed");
    jj__subject_live(out, "completed");
    assert_string_equal(out, "job.completed");
    jj__subject_live_of(out, "mail", "completed");
    assert_string_equal(out, "job.mail.completed");
    jj__subject_log_of(out, "17");
    assert_string_equal(out, "log.job.17");
}

static void longest_subject_fits(void **state)
{
    (void)state;
    char out[JJ__SUBJECT_SIZE];

    jj__subject_schedule(out, SIXTY_FOUR, SIXTY_FOUR);
    assert_string_equal(out, "jobs.schedule." SIXTY_FOUR "." SIXTY_FOUR);
    jj__subject_events(out, SIXTY_FOUR, SIXTY_FOUR);
    assert_true(strlen(out) < JJ__SUBJECT_SIZE);
}

static void what_was_built_is_parsed(void **state)
{
    (void)state;
    char subject[JJ__SUBJECT_SIZE];
    char first[JJ_NAME_SIZE];
    char second[JJ_NAME_SIZE];

    jj__subject_enqueue(subject, "mail");
    assert_true(jj__subject_read_enqueue(subject, first));
    assert_string_equal(first, "mail");
    jj__subject_due(subject, SIXTY_FOUR);
    assert_true(jj__subject_read_due(subject, first));
    assert_string_equal(first, SIXTY_FOUR);
    jj__subject_claims(subject, "w1");
    assert_true(jj__subject_read_claims(subject, first));
    assert_string_equal(first, "w1");
    jj__subject_schedule(subject, "mail", SIXTY_FOUR);
    assert_true(jj__subject_read_schedule(subject, first, second));
    assert_string_equal(first, "mail");
    assert_string_equal(second, SIXTY_FOUR);
    jj__subject_events(subject, "mail", "log");
    assert_true(jj__subject_read_events(subject, first, second));
    assert_string_equal(first, "mail");
    assert_string_equal(second, "log");
}

static void hostile_tokens_are_not_parsed(void **state)
{
    (void)state;
    char subject[2 * JJ__SUBJECT_SIZE];
    char first[JJ_NAME_SIZE];
    char second[JJ_NAME_SIZE];

    for (size_t i = 0; i < HOSTILE_COUNT; i++) {
        snprintf(subject, sizeof(subject), "jobs.enqueue.%s", hostile[i]);
        assert_false(jj__subject_read_enqueue(subject, first));
        snprintf(subject, sizeof(subject), "jobs.schedule.%s.x", hostile[i]);
        assert_false(jj__subject_read_schedule(subject, first, second));
        snprintf(subject, sizeof(subject), "jobs.schedule.x.%s", hostile[i]);
        assert_false(jj__subject_read_schedule(subject, first, second));
    }
}

static void subjects_of_another_form_are_not_parsed(void **state)
{
    (void)state;
    char first[JJ_NAME_SIZE];
    char second[JJ_NAME_SIZE];

    assert_false(jj__subject_read_enqueue("", first));
    assert_false(jj__subject_read_enqueue("jobs.enqueue", first));
    assert_false(jj__subject_read_enqueue("jobs.enqueue.a.b", first));
    assert_false(jj__subject_read_enqueue("jobs.due.a", first));
    assert_false(jj__subject_read_enqueue("xjobs.enqueue.a", first));
    assert_false(jj__subject_read_due("jobs.enqueue.a", first));
    assert_false(jj__subject_read_claims("jobs.claims.a.", first));
    assert_false(jj__subject_read_events("jobs.events.a", first, second));
    assert_false(jj__subject_read_events("jobs.schedule.a.b", first, second));
    assert_false(jj__subject_read_events("jobs.events.a.b.c", first, second));
    assert_false(jj__subject_read_schedule("jobs.schedule.a", first, second));
}

static void assert_ack(const char *reply)
{
    struct delivery delivery = {0};

    assert_true(jj__subject_read_ack(reply, &delivery));
    assert_int_equal(delivery.delivered, 2);
    assert_int_equal(delivery.seq, 345);
    assert_int_equal(delivery.consumer_seq, 67);
    assert_int_equal(delivery.stored_at_ms, INT64_C(1769903999123));
    assert_int_equal(delivery.pending, 8);
}

static void delivery_is_read_from_the_reply_subject(void **state)
{
    (void)state;
    assert_ack("$JS.ACK.JOBS.mail.2.345.67.1769903999123456789.8");
    assert_ack("$JS.ACK._.abc.JOBS.mail.2.345.67.1769903999123456789.8");
    assert_ack("$JS.ACK.hub.abc.JOBS.mail.2.345.67.1769903999123456789.8.x4Zr");
    assert_ack("$JS.ACK.hub.abc.JOBS.mail.2.345.67.1769903999123456789.8.x.y.z");
}

static void numbers_of_a_delivery_go_up_to_64_bits(void **state)
{
    (void)state;
    struct delivery delivery = {0};

    assert_true(jj__subject_read_ack("$JS.ACK.JOBS.mail.1.18446744073709551615.0.0.0", &delivery));
    assert_true(delivery.seq == UINT64_MAX);
    assert_false(jj__subject_read_ack("$JS.ACK.JOBS.mail.1.18446744073709551616.0.0.0", &delivery));
    assert_false(jj__subject_read_ack("$JS.ACK.JOBS.mail.1.99999999999999999999.0.0.0", &delivery));
}

static void other_reply_subjects_are_no_delivery(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "_INBOX.abc.1",
        "$JS.ACK.",
        "$JS.ACK.JOBS.mail.2.345.67.1769903999123456789",
        "$JS.ACK._.JOBS.mail.2.345.67.1769903999123456789.8", /* ten tokens: neither form */
        "$JS.ACK.JOBS.mail.2.345.67..8",
        "$JS.ACK.JOBS.mail.2.345.67.1.8.",
        "$JS.ACK.JOBS.mail.x.345.67.1.8",
        "$JS.ACK.JOBS.mail.2.-345.67.1.8",
        "$JS.ACK.JOBS.mail.2.345.6 7.1.8",
        "$JS.ACK.JOBS.mail.2.345.67.+1.8",
        "$JS.ACK.JOBS.mail.2.345.67.1.8x",
        "$JS.ACK.hub.abc.JOBS.mail.2.345.67.1769903999123456789.x.x4Zr",
        "$JS.API.JOBS.mail.2.345.67.1.8",
    };
    struct delivery delivery = {.seq = 4711};

    assert_false(jj__subject_read_ack(NULL, &delivery));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(jj__subject_read_ack(others[i], &delivery));
    assert_int_equal(delivery.seq, 4711);
}

static void live_subjects_may_be_listened_to(void **state)
{
    (void)state;
    static const char *const live[] = {
        "job.>",          "job.*",       "job.completed",  "job.log",   "job.mail.*",
        "job.mail.>",     "job.*.event", "job.mail.event", "job.*.*",   "job.*.>",
        "job.log.failed", "log.job",     "log.job.17",     "log.job.*", "log.job.>",
    };

    for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
        assert_int_equal(jj__subject_live_check(live[i], NULL), JJ_OK);
    assert_int_equal(jj__subject_live_check("job." SIXTY_FOUR ".log", NULL), JJ_OK);
}

static void where_nothing_is_told_nobody_listens(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",           ">",           "*",           "job",         "job.",        "job.mail",
        "*.mail.log", "job.mail.x",  "job.a.b.log", "job.a.log.b", "job.>.log",   "job.*x.log",
        "jobs.>",     "log",         "log.>",       "log.*",       "log.job.a.b", "log.jobs",
        "job..log",   "job.log\r\n", "job.a b.log", "$JS.>",       "job.>.>",     "job.mail.Log",
    };
    jj_error err;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(jj__subject_live_check(others[i], NULL), JJ_ERR_INVALID);
    for (size_t i = 0; i < HOSTILE_COUNT; i++) {
        char subject[JJ__SUBJECT_SIZE];
        snprintf(subject, sizeof(subject), "job.%s.x", hostile[i]);
        assert_int_equal(jj__subject_live_check(subject, NULL), JJ_ERR_INVALID);
        snprintf(subject, sizeof(subject), "log.job.%s.x", hostile[i]);
        assert_int_equal(jj__subject_live_check(subject, NULL), JJ_ERR_INVALID);
    }
    assert_int_equal(jj__subject_live_check("job." SIXTY_FOUR "x.log", NULL), JJ_ERR_INVALID);
    assert_int_equal(jj__subject_live_check(NULL, NULL), JJ_ERR_INVALID);
    assert_int_equal(jj__subject_live_check("job.mail", &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "'job.mail' is nothing to listen to"));
    assert_non_null(strstr(err.text, "may stand for any"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_1_to_64_harmless_characters),
        cmocka_unit_test(token_that_is_none_is_named_in_the_error),
        cmocka_unit_test(subjects_are_built_from_their_tokens),
        cmocka_unit_test(longest_subject_fits),
        cmocka_unit_test(what_was_built_is_parsed),
        cmocka_unit_test(hostile_tokens_are_not_parsed),
        cmocka_unit_test(subjects_of_another_form_are_not_parsed),
        cmocka_unit_test(delivery_is_read_from_the_reply_subject),
        cmocka_unit_test(numbers_of_a_delivery_go_up_to_64_bits),
        cmocka_unit_test(other_reply_subjects_are_no_delivery),
        cmocka_unit_test(live_subjects_may_be_listened_to),
        cmocka_unit_test(where_nothing_is_told_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "codec_pb_request.h"
#include "jetjobs.pb-c.h"
#include "redeliver.h"

/* What an index knows, and a job's message, in the order redrives, attempts, snoozes. */
static struct job_facts know(const char *status, uint32_t redrives, uint32_t attempts,
                             uint32_t snoozes)
{
    struct job_facts facts = {
        .found = true, .attempts = attempts, .redrives = redrives, .snoozes = snoozes};

    snprintf(facts.status, sizeof(facts.status), "%s", status);
    return facts;
}

static struct job message(uint32_t redrives, uint32_t attempts, uint32_t snoozes)
{
    return (struct job){.redrives = redrives, .attempts = attempts, .snoozes = snoozes};
}

static bool is_over(struct job_facts facts, struct job job)
{
    return jj__redeliver_is_over(&facts, &job);
}

static uint32_t lost(struct job_facts facts, uint32_t lost_before, struct job job)
{
    facts.lost = lost_before;
    return jj__redeliver_lost(&facts, &job);
}

static void a_job_that_the_index_does_not_know_is_not_over(void **state)
{
    (void)state;
    assert_false(is_over((struct job_facts){0}, message(0, 0, 0)));
    assert_int_equal(lost((struct job_facts){0}, 0, message(0, 0, 0)), 0);
}

static void a_job_that_is_final_is_over(void **state)
{
    (void)state;
    assert_true(is_over(know("completed", 0, 1, 0), message(0, 0, 0)));
    assert_true(is_over(know("failed", 0, 3, 0), message(0, 2, 0)));
    assert_true(is_over(know("cancelled", 0, 0, 0), message(0, 0, 0)));
    assert_true(is_over(know("completed", 1, 1, 0), message(1, 0, 0)));
}

static void a_job_that_is_to_run_or_was_claimed_is_not_over(void **state)
{
    (void)state;
    assert_false(is_over(know("pending", 0, 0, 0), message(0, 0, 0)));
    assert_false(is_over(know("scheduled", 0, 0, 0), message(0, 0, 0)));
    assert_false(is_over(know("running", 0, 1, 0), message(0, 0, 0)));
    assert_false(is_over(know("running", 0, 3, 2), message(0, 2, 2)));
    assert_false(is_over(know("scheduled", 0, 2, 2), message(0, 2, 2)));
}

static void a_message_whose_attempt_led_to_a_later_one_is_over(void **state)
{
    (void)state;
    assert_true(is_over(know("scheduled", 0, 1, 0), message(0, 0, 0)));
    assert_true(is_over(know("pending", 0, 1, 0), message(0, 0, 0)));
    assert_true(is_over(know("running", 0, 2, 0), message(0, 0, 0)));
    assert_true(is_over(know("scheduled", 0, 0, 1), message(0, 0, 0)));
    assert_true(is_over(know("running", 0, 1, 1), message(0, 0, 0)));
}

static void an_index_that_is_behind_the_message_does_not_end_it(void **state)
{
    (void)state;
    assert_false(is_over(know("running", 0, 1, 0), message(0, 1, 0)));
    assert_false(is_over(know("running", 0, 1, 0), message(0, 0, 1)));
    assert_false(is_over(know("scheduled", 0, 1, 0), message(0, 2, 0)));
}

/* Two workers held the job: one put it off, the other ran it. */
static void of_two_steps_of_a_generation_the_one_that_was_run_counts(void **state)
{
    (void)state;
    assert_true(is_over(know("scheduled", 0, 1, 0), message(0, 0, 1)));
    assert_false(is_over(know("scheduled", 0, 0, 1), message(0, 1, 0)));
    assert_true(is_over(know("running", 0, 2, 0), message(0, 0, 1)));
    assert_false(is_over(know("running", 0, 1, 1), message(0, 1, 0)));
    assert_true(is_over(know("pending", 0, 1, 1), message(0, 1, 0)));
    assert_false(is_over(know("pending", 0, 1, 0), message(0, 1, 1)));
}

static void a_life_that_has_ended_does_not_end_the_next_one(void **state)
{
    (void)state;
    assert_false(is_over(know("failed", 0, 3, 0), message(1, 0, 0)));
    assert_false(is_over(know("cancelled", 1, 0, 0), message(2, 0, 0)));
    assert_true(is_over(know("pending", 1, 0, 0), message(0, 2, 0)));
    assert_true(is_over(know("running", 2, 1, 0), message(1, 0, 0)));
}

static void a_claim_of_the_same_attempt_is_a_lost_worker(void **state)
{
    (void)state;
    assert_int_equal(lost(know("running", 0, 1, 0), 0, message(0, 0, 0)), 1);
    assert_int_equal(lost(know("running", 0, 1, 0), 3, message(0, 0, 0)), 4);
    assert_int_equal(lost(know("running", 1, 3, 2), 0, message(1, 2, 2)), 1);
}

static void what_was_not_claimed_has_lost_nothing(void **state)
{
    (void)state;
    assert_int_equal(lost(know("pending", 0, 0, 0), 0, message(0, 0, 0)), 0);
    assert_int_equal(lost(know("scheduled", 0, 1, 0), 2, message(0, 1, 0)), 0);
}

static void what_another_attempt_lost_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(lost(know("running", 0, 1, 0), 2, message(0, 1, 0)), 0);
    assert_int_equal(lost(know("running", 0, 1, 0), 2, message(0, 0, 1)), 0);
    assert_int_equal(lost(know("running", 0, 1, 0), 2, message(1, 0, 0)), 0);
}

/* ---- the question and its answer ---- */

static void a_question_names_the_job(void **state)
{
    (void)state;
    struct buf body = {0};

    assert_int_equal(jj__pb_write_get(&body, "job-1", NULL), JJ_OK);
    Jetjobs__V1__GetRequest *request =
        jetjobs__v1__get_request__unpack(NULL, body.len, (const uint8_t *)body.data);
    assert_non_null(request);
    assert_string_equal(request->id, "job-1");
    jetjobs__v1__get_request__free_unpacked(request, NULL);
    jj__buf_done(&body);
}

static void an_answer_tells_the_facts(void **state)
{
    (void)state;
    Jetjobs__V1__Job job = JETJOBS__V1__JOB__INIT;
    Jetjobs__V1__GetAnswer answer = JETJOBS__V1__GET_ANSWER__INIT;
    struct job_facts facts;
    uint8_t bytes[256];

    job.status = (char *)"running";
    job.attempts = 2;
    job.redrives = 3;
    job.snoozes = 4;
    job.lost = 5;
    answer.job = &job;
    size_t len = jetjobs__v1__get_answer__pack(&answer, bytes);
    assert_int_equal(jj__pb_read_facts(bytes, len, &facts, NULL), JJ_OK);
    assert_true(facts.found);
    assert_string_equal(facts.status, "running");
    assert_int_equal(facts.attempts, 2);
    assert_int_equal(facts.redrives, 3);
    assert_int_equal(facts.snoozes, 4);
    assert_int_equal(facts.lost, 5);
}

static void an_answer_without_a_job_means_that_there_is_none(void **state)
{
    (void)state;
    struct job_facts facts = know("running", 1, 2, 3);

    assert_int_equal(jj__pb_read_facts("", 0, &facts, NULL), JJ_OK);
    assert_false(facts.found);
    assert_int_equal(facts.attempts, 0);
    assert_string_equal(facts.status, "");
    assert_int_equal(jj__pb_read_facts(NULL, 0, &facts, NULL), JJ_OK);
}

static void a_status_of_any_length_is_cut(void **state)
{
    (void)state;
    Jetjobs__V1__Job job = JETJOBS__V1__JOB__INIT;
    Jetjobs__V1__GetAnswer answer = JETJOBS__V1__GET_ANSWER__INIT;
    struct job_facts facts;
    uint8_t bytes[256];

    job.status = (char *)"completed-and-then-some";
    answer.job = &job;
    size_t len = jetjobs__v1__get_answer__pack(&answer, bytes);
    assert_int_equal(jj__pb_read_facts(bytes, len, &facts, NULL), JJ_OK);
    assert_string_equal(facts.status, "completed-and-t");
    assert_false(is_over(facts, message(0, 0, 0)));
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{\"job\":null}", "null", "\x0A\x7F", "\x0A\x02\x0A\x05"};
    struct job_facts facts;
    jj_error err;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(jj__pb_read_facts(wrong[i], strlen(wrong[i]), &facts, &err),
                         JJ_ERR_PROTOCOL);
    assert_string_equal(err.text, "the answer of the index can't be read");
}

static void an_answer_that_would_take_ages_is_refused(void **state)
{
    (void)state;
    static const char twig[] = "\x0A\x02\x22\x00"; /* a job with a header, again and again */
    const size_t times = 250000, size = sizeof(twig) - 1;
    char *bytes = malloc(times * size);
    struct job_facts facts;

    assert_non_null(bytes);
    for (size_t i = 0; i < times; i++)
        memcpy(bytes + i * size, twig, size);
    int64_t before_ms = jj__clock_mono_ms();
    assert_int_equal(jj__pb_read_facts(bytes, times * size, &facts, NULL), JJ_ERR_PROTOCOL);
    assert_true(jj__clock_mono_ms() - before_ms < 2000);
    free(bytes);
}

static void a_large_answer_is_read(void **state)
{
    (void)state;
    Jetjobs__V1__Job job = JETJOBS__V1__JOB__INIT;
    Jetjobs__V1__GetAnswer answer = JETJOBS__V1__GET_ANSWER__INIT;
    const size_t len = (size_t)8 * 1024 * 1024;
    struct job_facts facts;

    job.status = (char *)"failed";
    job.data.len = len;
    job.data.data = calloc(1, len);
    answer.job = &job;
    uint8_t *bytes = malloc(len + 256);
    assert_non_null(job.data.data);
    assert_non_null(bytes);
    size_t packed = jetjobs__v1__get_answer__pack(&answer, bytes);
    assert_int_equal(jj__pb_read_facts(bytes, packed, &facts, NULL), JJ_OK);
    assert_string_equal(facts.status, "failed");
    free(job.data.data);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_the_index_does_not_know_is_not_over),
        cmocka_unit_test(a_job_that_is_final_is_over),
        cmocka_unit_test(a_job_that_is_to_run_or_was_claimed_is_not_over),
        cmocka_unit_test(a_message_whose_attempt_led_to_a_later_one_is_over),
        cmocka_unit_test(an_index_that_is_behind_the_message_does_not_end_it),
        cmocka_unit_test(of_two_steps_of_a_generation_the_one_that_was_run_counts),
        cmocka_unit_test(a_life_that_has_ended_does_not_end_the_next_one),
        cmocka_unit_test(a_claim_of_the_same_attempt_is_a_lost_worker),
        cmocka_unit_test(what_was_not_claimed_has_lost_nothing),
        cmocka_unit_test(what_another_attempt_lost_does_not_count),
        cmocka_unit_test(a_question_names_the_job),
        cmocka_unit_test(an_answer_tells_the_facts),
        cmocka_unit_test(an_answer_without_a_job_means_that_there_is_none),
        cmocka_unit_test(a_status_of_any_length_is_cut),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(an_answer_that_would_take_ages_is_refused),
        cmocka_unit_test(a_large_answer_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

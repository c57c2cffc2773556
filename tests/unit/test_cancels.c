/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jetjobs/job.h>

#include "cancels.h"

#define MANY 5000

/* A job whose first message, never delivered before, is of that redrive. */
static bool drops(const struct cancels *cancels, const char *id, uint32_t redrives)
{
    const struct cancel_question question = {
        .id = id, .redrives = redrives, .first = true, .until = UINT64_MAX};

    return jj__cancels_judge(cancels, &question) == CANCEL_DROP;
}

/* A message of "a", delivered before. */
static enum cancel_verdict judge(const struct cancels *cancels, uint32_t redrives,
                                 uint64_t generation)
{
    const struct cancel_question question = {
        .id = "a", .redrives = redrives, .generation = generation, .until = UINT64_MAX};

    return jj__cancels_judge(cancels, &question);
}

static void a_cancellation_of_what_was_run_is_refused_for_sure(void **state)
{
    struct cancels cancels = {0};
    struct cancel_question question = {
        .id = "a", .generation = 3, .unclaimed = 2, .until = UINT64_MAX};

    (void)state;
    assert_true(jj__cancels_add(&cancels, "a", 0, 1, 1));
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_NONE);
    assert_true(jj__cancels_add(&cancels, "a", 0, 2, 2)); /* at one that was put off */
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_ASK);
    jj__cancels_done(&cancels);
}

static void nothing_is_cancelled_at_first(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_false(drops(&cancels, "a", 0));
    jj__cancels_forget(&cancels, INT64_MAX);
    assert_int_equal(cancels.count, 0);
    jj__cancels_done(&cancels);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 1));
    assert_true(drops(&cancels, "a", 0));
    assert_false(drops(&cancels, "b", 0));
    assert_false(drops(&cancels, "", 0));
    assert_false(drops(&cancels, "aa", 0));
    jj__cancels_done(&cancels);
}

static void a_cancellation_counts_for_its_redrive_and_those_before(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 2, 0, 1));
    assert_true(drops(&cancels, "a", 1));
    assert_true(drops(&cancels, "a", 2));
    assert_false(drops(&cancels, "a", 3));
    assert_true(jj__cancels_add(&cancels, "a", 3, 0, 2));
    assert_true(drops(&cancels, "a", 3));
    jj__cancels_done(&cancels);
}

static void the_longest_id_is_kept_whole(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    char id[JJ_NAME_SIZE] = {0};

    memset(id, 'x', JJ_NAME_MAX);
    assert_true(jj__cancels_add(&cancels, id, 0, 0, 1));
    assert_true(drops(&cancels, id, 0));
    id[JJ_NAME_MAX - 1] = 'y';
    assert_false(drops(&cancels, id, 0));
    jj__cancels_done(&cancels);
}

static void those_before_a_time_are_forgotten(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 10));
    assert_true(jj__cancels_add(&cancels, "b", 0, 0, 20));
    assert_true(jj__cancels_add(&cancels, "c", 0, 0, 30));
    jj__cancels_forget(&cancels, 10);
    assert_int_equal(cancels.count, 3);
    jj__cancels_forget(&cancels, 20);
    assert_false(drops(&cancels, "a", 0));
    assert_true(drops(&cancels, "b", 0));
    assert_true(drops(&cancels, "c", 0));
    jj__cancels_forget(&cancels, 31);
    assert_int_equal(cancels.count, 0);
    assert_false(drops(&cancels, "c", 0));
    assert_true(jj__cancels_add(&cancels, "d", 0, 0, 40));
    assert_true(drops(&cancels, "d", 0));
    jj__cancels_done(&cancels);
}

static void one_that_was_told_twice_is_remembered_from_the_second_time_on(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 10));
    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 20));
    jj__cancels_forget(&cancels, 15);
    assert_true(drops(&cancels, "a", 0));
    jj__cancels_forget(&cancels, 25);
    assert_false(drops(&cancels, "a", 0));
    jj__cancels_done(&cancels);
}

static void many_are_found_and_forgotten_one_by_one(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    char id[24];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        assert_true(jj__cancels_add(&cancels, id, (uint32_t)i % 3, 0, i));
    }
    assert_int_equal(cancels.count, MANY);
    assert_true(cancels.bucket_count >= MANY);
    assert_int_equal(cancels.bucket_count & (cancels.bucket_count - 1), 0);
    for (int forgotten = 0; forgotten <= MANY; forgotten += 500) {
        jj__cancels_forget(&cancels, forgotten);
        for (int i = 0; i < MANY; i++) {
            snprintf(id, sizeof(id), "job-%d", i);
            assert_int_equal(drops(&cancels, id, (uint32_t)i % 3), i >= forgotten);
        }
    }
    assert_int_equal(cancels.count, 0);
    jj__cancels_done(&cancels);
}

static void when_done_it_is_empty_and_can_be_used_again(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, INT64_MAX - 1));
    jj__cancels_done(&cancels);
    assert_false(drops(&cancels, "a", 0));
    assert_true(jj__cancels_add(&cancels, "b", 0, 0, 1));
    assert_true(drops(&cancels, "b", 0));
    jj__cancels_done(&cancels);
    jj__cancels_done(&cancels);
}

static void one_of_a_later_redrive_or_generation_has_overtaken_the_message(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 1, 2, 1));
    assert_int_equal(judge(&cancels, 0, 0), CANCEL_DROP);
    assert_int_equal(judge(&cancels, 0, 7), CANCEL_DROP);
    assert_int_equal(judge(&cancels, 1, 1), CANCEL_DROP);
    jj__cancels_done(&cancels);
}

static void one_of_an_earlier_redrive_means_nothing(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 1, 2, 1));
    assert_int_equal(judge(&cancels, 2, 0), CANCEL_NONE);
    assert_int_equal(judge(&cancels, 2, 2), CANCEL_NONE);
    jj__cancels_done(&cancels);
}

static void one_aimed_at_a_message_drops_its_first_delivery(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    const struct cancel_question first = {
        .id = "a", .generation = 2, .first = true, .until = UINT64_MAX};

    assert_true(jj__cancels_add(&cancels, "a", 0, 2, 1));
    assert_int_equal(jj__cancels_judge(&cancels, &first), CANCEL_DROP);
    assert_int_equal(judge(&cancels, 0, 2), CANCEL_ASK);
    jj__cancels_done(&cancels);
}

static void one_aimed_at_an_earlier_message_is_to_be_asked_about(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    const struct cancel_question first = {
        .id = "a", .generation = 1, .first = true, .until = UINT64_MAX};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 1));
    assert_int_equal(jj__cancels_judge(&cancels, &first), CANCEL_ASK);
    assert_int_equal(judge(&cancels, 0, 1), CANCEL_ASK);
    assert_int_equal(judge(&cancels, 0, UINT64_C(2000000)), CANCEL_ASK);
    jj__cancels_done(&cancels);
}

static void what_an_index_has_cleared_is_not_asked_about_again(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    struct cancel_question question = {.id = "a", .generation = 1, .until = UINT64_MAX};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 1));
    assert_true(jj__cancels_add(&cancels, "b", 0, 0, 1));
    question.cleared = cancels.added;
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_NONE);
    assert_true(jj__cancels_add(&cancels, "a", 0, 1, 2));
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_ASK);
    question.cleared = cancels.added;
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_NONE);
    /* But one that has overtaken the message always counts. */
    assert_true(jj__cancels_add(&cancels, "a", 0, 2, 3));
    question.cleared = cancels.added;
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_DROP);
    jj__cancels_done(&cancels);
}

static void one_that_came_behind_the_claim_means_nothing(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    struct cancel_question question = {.id = "a", .first = true};

    assert_true(jj__cancels_add(&cancels, "a", 0, 0, 1));
    question.until = 0;
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_NONE);
    question.until = 1;
    assert_int_equal(jj__cancels_judge(&cancels, &question), CANCEL_DROP);
    jj__cancels_done(&cancels);
}

/* In any order, a verdict to drop counts more than one to ask, and that more than none. */
static void of_several_all_that_matter_count(void **state)
{
    (void)state;
    static const uint64_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct cancels cancels = {0};
        const struct cancel_question first = {
            .id = "a", .redrives = 1, .generation = 1, .first = true, .until = UINT64_MAX};
        for (size_t j = 0; j < 3; j++) {
            bool old = orders[i][j] == 2;
            assert_true(jj__cancels_add(&cancels, "a", old ? 0 : 1, orders[i][j], (int64_t)j));
        }
        assert_int_equal(judge(&cancels, 1, 0), CANCEL_DROP);
        assert_int_equal(jj__cancels_judge(&cancels, &first), CANCEL_DROP);
        assert_int_equal(judge(&cancels, 1, 1), CANCEL_ASK);
        assert_int_equal(judge(&cancels, 1, 2), CANCEL_ASK);
        assert_int_equal(judge(&cancels, 0, 2), CANCEL_DROP); /* by those of the later redrive */
        assert_int_equal(judge(&cancels, 2, 0), CANCEL_NONE);
        jj__cancels_done(&cancels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_cancelled_at_first),
        cmocka_unit_test(a_cancellation_of_what_was_run_is_refused_for_sure),
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(a_cancellation_counts_for_its_redrive_and_those_before),
        cmocka_unit_test(the_longest_id_is_kept_whole),
        cmocka_unit_test(those_before_a_time_are_forgotten),
        cmocka_unit_test(one_that_was_told_twice_is_remembered_from_the_second_time_on),
        cmocka_unit_test(many_are_found_and_forgotten_one_by_one),
        cmocka_unit_test(when_done_it_is_empty_and_can_be_used_again),
        cmocka_unit_test(one_of_a_later_redrive_or_generation_has_overtaken_the_message),
        cmocka_unit_test(one_of_an_earlier_redrive_means_nothing),
        cmocka_unit_test(one_aimed_at_a_message_drops_its_first_delivery),
        cmocka_unit_test(one_aimed_at_an_earlier_message_is_to_be_asked_about),
        cmocka_unit_test(what_an_index_has_cleared_is_not_asked_about_again),
        cmocka_unit_test(one_that_came_behind_the_claim_means_nothing),
        cmocka_unit_test(of_several_all_that_matter_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void nothing_is_cancelled_at_first(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_false(jj__cancels_has(&cancels, "a", 0));
    jj__cancels_forget(&cancels, INT64_MAX);
    assert_int_equal(cancels.count, 0);
    jj__cancels_done(&cancels);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 1));
    assert_true(jj__cancels_has(&cancels, "a", 0));
    assert_false(jj__cancels_has(&cancels, "b", 0));
    assert_false(jj__cancels_has(&cancels, "", 0));
    assert_false(jj__cancels_has(&cancels, "aa", 0));
    jj__cancels_done(&cancels);
}

static void a_cancellation_counts_for_its_redrive_and_those_before(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 2, 1));
    assert_true(jj__cancels_has(&cancels, "a", 1));
    assert_true(jj__cancels_has(&cancels, "a", 2));
    assert_false(jj__cancels_has(&cancels, "a", 3));
    assert_true(jj__cancels_add(&cancels, "a", 3, 2));
    assert_true(jj__cancels_has(&cancels, "a", 3));
    jj__cancels_done(&cancels);
}

static void the_longest_id_is_kept_whole(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    char id[JJ_NAME_SIZE] = {0};

    memset(id, 'x', JJ_NAME_MAX);
    assert_true(jj__cancels_add(&cancels, id, 0, 1));
    assert_true(jj__cancels_has(&cancels, id, 0));
    id[JJ_NAME_MAX - 1] = 'y';
    assert_false(jj__cancels_has(&cancels, id, 0));
    jj__cancels_done(&cancels);
}

static void those_before_a_time_are_forgotten(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 10));
    assert_true(jj__cancels_add(&cancels, "b", 0, 20));
    assert_true(jj__cancels_add(&cancels, "c", 0, 30));
    jj__cancels_forget(&cancels, 10);
    assert_int_equal(cancels.count, 3);
    jj__cancels_forget(&cancels, 20);
    assert_false(jj__cancels_has(&cancels, "a", 0));
    assert_true(jj__cancels_has(&cancels, "b", 0));
    assert_true(jj__cancels_has(&cancels, "c", 0));
    jj__cancels_forget(&cancels, 31);
    assert_int_equal(cancels.count, 0);
    assert_false(jj__cancels_has(&cancels, "c", 0));
    assert_true(jj__cancels_add(&cancels, "d", 0, 40));
    assert_true(jj__cancels_has(&cancels, "d", 0));
    jj__cancels_done(&cancels);
}

static void one_that_was_told_twice_is_remembered_from_the_second_time_on(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, 10));
    assert_true(jj__cancels_add(&cancels, "a", 0, 20));
    jj__cancels_forget(&cancels, 15);
    assert_true(jj__cancels_has(&cancels, "a", 0));
    jj__cancels_forget(&cancels, 25);
    assert_false(jj__cancels_has(&cancels, "a", 0));
    jj__cancels_done(&cancels);
}

static void many_are_found_and_forgotten_one_by_one(void **state)
{
    (void)state;
    struct cancels cancels = {0};
    char id[24];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "job-%d", i);
        assert_true(jj__cancels_add(&cancels, id, (uint32_t)i % 3, i));
    }
    assert_int_equal(cancels.count, MANY);
    assert_true(cancels.bucket_count >= MANY);
    assert_int_equal(cancels.bucket_count & (cancels.bucket_count - 1), 0);
    for (int forgotten = 0; forgotten <= MANY; forgotten += 500) {
        jj__cancels_forget(&cancels, forgotten);
        for (int i = 0; i < MANY; i++) {
            snprintf(id, sizeof(id), "job-%d", i);
            assert_int_equal(jj__cancels_has(&cancels, id, (uint32_t)i % 3), i >= forgotten);
        }
    }
    assert_int_equal(cancels.count, 0);
    jj__cancels_done(&cancels);
}

static void when_done_it_is_empty_and_can_be_used_again(void **state)
{
    (void)state;
    struct cancels cancels = {0};

    assert_true(jj__cancels_add(&cancels, "a", 0, INT64_MAX - 1));
    jj__cancels_done(&cancels);
    assert_false(jj__cancels_has(&cancels, "a", 0));
    assert_true(jj__cancels_add(&cancels, "b", 0, 1));
    assert_true(jj__cancels_has(&cancels, "b", 0));
    jj__cancels_done(&cancels);
    jj__cancels_done(&cancels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_cancelled_at_first),
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(a_cancellation_counts_for_its_redrive_and_those_before),
        cmocka_unit_test(the_longest_id_is_kept_whole),
        cmocka_unit_test(those_before_a_time_are_forgotten),
        cmocka_unit_test(one_that_was_told_twice_is_remembered_from_the_second_time_on),
        cmocka_unit_test(many_are_found_and_forgotten_one_by_one),
        cmocka_unit_test(when_done_it_is_empty_and_can_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

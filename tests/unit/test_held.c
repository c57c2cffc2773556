/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "held.h"

#define MANY 10000

static void nothing_is_held_at_first(void **state)
{
    (void)state;
    struct held held = {0};
    struct held_entry stranger = {.seq = 1};

    assert_null(jj__held_find(&held, 0));
    assert_null(jj__held_find(&held, 1));
    jj__held_remove(&held, &stranger);
    assert_int_equal(held.count, 0);
    jj__held_done(&held);
}

static void what_is_held_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct held held = {0};
    struct held_entry entry = {.seq = 7, .holder = &held};

    jj__held_add(&held, &entry);
    assert_ptr_equal(jj__held_find(&held, 7), &entry);
    assert_null(jj__held_find(&held, 8));
    jj__held_remove(&held, &entry);
    assert_null(jj__held_find(&held, 7));
    jj__held_remove(&held, &entry);
    assert_int_equal(held.count, 0);
    jj__held_done(&held);
}

static void of_two_with_one_sequence_the_newer_is_found(void **state)
{
    (void)state;
    struct held held = {0};
    struct held_entry *entries = calloc(MANY, sizeof(*entries));
    struct held_entry old = {.seq = 7}, new = {.seq = 7};

    assert_non_null(entries);
    jj__held_add(&held, &old);
    jj__held_add(&held, &new);
    for (size_t i = 0; i < MANY; i++) { /* it grows meanwhile */
        entries[i].seq = 100 + i;
        jj__held_add(&held, &entries[i]);
    }
    assert_ptr_equal(jj__held_find(&held, 7), &new);
    jj__held_remove(&held, &new);
    assert_ptr_equal(jj__held_find(&held, 7), &old);
    jj__held_done(&held);
    assert_false(old.listed);
    free(entries);
}

static void many_are_found_whatever_the_steps_between_them(void **state)
{
    (void)state;
    static const uint64_t steps[] = {1, 2, 10, 64, 1024, UINT64_C(1) << 20, UINT64_C(1) << 40};
    struct held_entry *entries = calloc(MANY, sizeof(*entries));

    assert_non_null(entries);
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        struct held held = {0};
        for (size_t i = 0; i < MANY; i++) {
            entries[i] = (struct held_entry){.seq = (i + 1) * steps[step]};
            jj__held_add(&held, &entries[i]);
        }
        assert_int_equal(held.count, MANY);
        assert_true(held.bucket_count >= MANY);
        for (size_t i = 0; i < MANY; i += 2)
            jj__held_remove(&held, &entries[i]);
        for (size_t i = 0; i < MANY; i++)
            assert_ptr_equal(jj__held_find(&held, entries[i].seq), i % 2 == 0 ? NULL : &entries[i]);
        jj__held_done(&held);
    }
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_at_first),
        cmocka_unit_test(what_is_held_is_found_until_it_is_removed),
        cmocka_unit_test(of_two_with_one_sequence_the_newer_is_found),
        cmocka_unit_test(many_are_found_whatever_the_steps_between_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

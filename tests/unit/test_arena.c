/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"

static void pieces_do_not_overlap_and_fit_any_type(void **state)
{
    (void)state;
    struct arena arena = {.max = 10000000};
    unsigned char *pieces[3000];

    for (size_t i = 0; i < 3000; i++) {
        pieces[i] = jj__arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), i);
    }
    for (size_t i = 0; i < 3000; i++)
        for (size_t k = 0; k < i; k++)
            if (pieces[i][k] != i % 251)
                fail_msg("byte %zu of piece %zu was overwritten", k, i);
    jj__arena_done(&arena);
}

static void piece_may_be_larger_than_a_chunk(void **state)
{
    (void)state;
    struct arena arena = {.max = (size_t)1 << 20};
    char *large = jj__arena_alloc(&arena, 500000);

    assert_non_null(large);
    memset(large, 'x', 500000);
    assert_non_null(jj__arena_alloc(&arena, 1));
    jj__arena_done(&arena);
}

static void nothing_is_handed_out_beyond_the_maximum(void **state)
{
    (void)state;
    struct arena arena = {.max = 64};

    assert_non_null(jj__arena_alloc(&arena, 33)); /* rounded up to 48 */
    assert_null(jj__arena_alloc(&arena, 17));
    assert_true(arena.beyond_max);
    assert_non_null(jj__arena_alloc(&arena, 16));
    assert_null(jj__arena_alloc(&arena, 1));
    jj__arena_done(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct arena arena = {.max = SIZE_MAX};

    assert_null(jj__arena_alloc(&arena, SIZE_MAX));
    assert_true(arena.beyond_max);
    assert_null(jj__arena_array(&arena, SIZE_MAX / 2, 3));
    assert_null(arena.chunks);
    jj__arena_done(&arena);
}

static void array_is_zeroed_and_never_null_when_empty(void **state)
{
    (void)state;
    struct arena arena = {.max = 10000};
    static const char zeros[8 * 5] = {0};

    assert_memory_equal(jj__arena_array(&arena, 5, 8), zeros, sizeof(zeros));
    assert_non_null(jj__arena_array(&arena, 0, 8));
    assert_non_null(jj__arena_array(&arena, 8, 0));
    jj__arena_done(&arena);
}

static void text_is_copied_and_ends_with_nul(void **state)
{
    (void)state;
    struct arena arena = {.max = 10000};

    assert_string_equal(jj__arena_text(&arena, "abcdef", 3), "abc");
    assert_string_equal(jj__arena_text(&arena, NULL, 0), "");
    jj__arena_done(&arena);
}

static void chunks_are_all_that_must_be_kept(void **state)
{
    (void)state;
    struct arena arena = {.max = 1000000};

    for (int i = 0; i < 10; i++)
        assert_non_null(jj__arena_alloc(&arena, 50000));
    struct arena kept = {.chunks = arena.chunks};
    jj__arena_done(&kept);
    assert_null(kept.chunks);
    jj__arena_done(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap_and_fit_any_type),
        cmocka_unit_test(piece_may_be_larger_than_a_chunk),
        cmocka_unit_test(nothing_is_handed_out_beyond_the_maximum),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(array_is_zeroed_and_never_null_when_empty),
        cmocka_unit_test(text_is_copied_and_ends_with_nul),
        cmocka_unit_test(chunks_are_all_that_must_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "acked.h"

#define MINUTE_MS (INT64_C(60) * 1000)
#define RING_MAX  ((uint64_t)1 << 18)

static struct acked_message message(uint64_t seq)
{
    return (struct acked_message){.seq = seq, .stored_at_ms = 1000 + (int64_t)seq};
}

static void nothing_is_in_doubt_at_first(void **state)
{
    (void)state;
    struct acked acked = {0};

    assert_false(jj__acked_has(&acked, message(1), 0));
    jj__acked_doubt_noted(&acked, 0);
    assert_false(jj__acked_has(&acked, message(1), 0));
    assert_false(jj__acked_has(&acked, (struct acked_message){0}, 0));
    jj__acked_done(&acked);
}

static void what_was_noted_is_in_doubt_when_the_connection_is_lost(void **state)
{
    (void)state;
    struct acked acked = {0};

    jj__acked_note(&acked, message(1), 10);
    assert_false(jj__acked_has(&acked, message(1), 10));
    jj__acked_doubt_noted(&acked, 11);
    assert_true(jj__acked_has(&acked, message(1), 11));
    assert_false(jj__acked_has(&acked, message(2), 11));
    jj__acked_note(&acked, message(2), 12);
    assert_false(jj__acked_has(&acked, message(2), 12));
    jj__acked_doubt_noted(&acked, 13);
    assert_true(jj__acked_has(&acked, message(1), 13));
    assert_true(jj__acked_has(&acked, message(2), 13));
    jj__acked_done(&acked);
}

static void the_same_sequence_stored_at_another_time_is_another_message(void **state)
{
    (void)state;
    struct acked acked = {0};
    struct acked_message other = message(1);

    other.stored_at_ms++;
    jj__acked_doubt(&acked, message(1), 1);
    assert_false(jj__acked_has(&acked, other, 1));
    jj__acked_doubt(&acked, other, 1);
    assert_true(jj__acked_has(&acked, other, 1));
    assert_true(jj__acked_has(&acked, message(1), 1));
    jj__acked_doubt(&acked, other, 1);
    assert_int_equal(acked.table_count, 2);
    jj__acked_done(&acked);
}

static void doubts_end_ten_minutes_after_the_last_one(void **state)
{
    (void)state;
    struct acked acked = {0};

    jj__acked_doubt(&acked, message(1), 0);
    jj__acked_doubt(&acked, message(2), 5 * MINUTE_MS);
    assert_true(jj__acked_has(&acked, message(1), 15 * MINUTE_MS));
    assert_false(jj__acked_has(&acked, message(2), 15 * MINUTE_MS + 1));
    assert_null(acked.table);
    jj__acked_doubt(&acked, message(3), 16 * MINUTE_MS);
    jj__acked_doubt(&acked, message(4), 27 * MINUTE_MS);
    assert_false(jj__acked_has(&acked, message(3), 27 * MINUTE_MS));
    assert_true(jj__acked_has(&acked, message(4), 27 * MINUTE_MS));
    jj__acked_done(&acked);
}

/* Each millisecond one. */
static void note_slowly(struct acked *acked, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++)
        jj__acked_note(acked, message(i), (int64_t)i);
}

static void the_ring_keeps_the_last_seconds_and_no_more_than_it_must(void **state)
{
    (void)state;
    struct acked acked = {0};

    note_slowly(&acked, 100000);
    assert_int_equal(acked.ring_size, 8192); /* at least 5000 */
    jj__acked_doubt_noted(&acked, 100000);
    for (uint64_t i = 1; i <= 100000; i++)
        assert_int_equal(jj__acked_has(&acked, message(i), 100000), i > 100000 - 8192);
    jj__acked_done(&acked);
}

static void the_ring_has_a_limit(void **state)
{
    (void)state;
    struct acked acked = {0};

    for (uint64_t i = 1; i <= 2 * RING_MAX + 3; i++) /* all at once */
        jj__acked_note(&acked, message(i), 1);
    assert_int_equal(acked.ring_size, RING_MAX);
    jj__acked_doubt_noted(&acked, 1);
    assert_int_equal(acked.table_count, RING_MAX);
    assert_false(jj__acked_has(&acked, message(RING_MAX + 3), 1));
    assert_true(jj__acked_has(&acked, message(RING_MAX + 4), 1));
    assert_true(jj__acked_has(&acked, message(2 * RING_MAX + 3), 1));
    jj__acked_done(&acked);
}

static void doubts_have_a_limit_and_the_newest_stay(void **state)
{
    (void)state;
    struct acked acked = {0};

    for (uint64_t i = 1; i <= 5 * RING_MAX; i++)
        jj__acked_doubt(&acked, message(i), 1);
    assert_true(acked.table_count <= 4 * RING_MAX);
    assert_true(jj__acked_has(&acked, message(5 * RING_MAX), 1));
    jj__acked_done(&acked);
    assert_false(jj__acked_has(&acked, message(1), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_in_doubt_at_first),
        cmocka_unit_test(what_was_noted_is_in_doubt_when_the_connection_is_lost),
        cmocka_unit_test(the_same_sequence_stored_at_another_time_is_another_message),
        cmocka_unit_test(doubts_end_ten_minutes_after_the_last_one),
        cmocka_unit_test(the_ring_keeps_the_last_seconds_and_no_more_than_it_must),
        cmocka_unit_test(the_ring_has_a_limit),
        cmocka_unit_test(doubts_have_a_limit_and_the_newest_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

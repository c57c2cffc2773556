/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fold.h"

static void an_empty_row_knows_nothing(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    assert_false(row.known);
    assert_string_equal(row.record.id, "j");
    assert_string_equal(row.record.name, "");
    assert_int_equal(row.record.state, JJ_ANY_STATE);
    assert_int_equal(row.record.progress, JJ_NO_PROGRESS);
}

static void fill_marks(struct marks *marks)
{
    *marks = (struct marks){
        .events = {1, UINT32_MAX, 3, UINT64_MAX - 1, JJ_CANCELLED},
        .queue = {5, 6, 7, 0x0102030405060708, JJ_SCHEDULED},
        .queue_run_at_ms = -1,
        .events_run_at_ms = INT64_MAX,
        .said_max_attempts = 8,
        .content_max_attempts = 9,
        .content_from = FROM_SCHEDULE + 1,
        .jobs_seq = UINT64_MAX,
        .schedule_seq = 10,
        .lines = 11,
        .lines_dropped = 12,
        .custom = 13,
        .custom_dropped = 14,
        .claimed_seq = 15,
        .content_seq = 16,
    };
}

static void a_stored_row_comes_back_as_it_was(void **state)
{
    (void)state;
    struct row row, again;

    jj__row_init(&row, "j");
    memcpy(row.name, "n", 2);
    row.record.state = JJ_CANCELLED;
    row.record.completed_at_ms = 7;
    row.record.error = "e";
    row.record.data = "q";
    row.record.data_len = 1;
    row.changed = row.content_changed = true;
    fill_marks(&row.marks);
    jj__row_seal(&row);
    assert_true(row.record.marks_len <= JJ_MARKS_MAX);
    assert_true(jj__row_load(&again, &row.record));
    assert_true(again.known);
    assert_false(again.changed);
    assert_false(again.content_changed);
    assert_string_equal(again.record.id, "j");
    assert_ptr_not_equal(again.record.id, row.record.id);
    assert_string_equal(again.record.name, "n");
    assert_ptr_not_equal(again.record.name, row.record.name);
    assert_int_equal(again.record.state, JJ_CANCELLED);
    assert_int_equal(again.record.completed_at_ms, 7);
    assert_string_equal(again.record.error, "e");
    assert_memory_equal(again.record.data, "q", 1);
    assert_ptr_not_equal(again.record.marks, row.record.marks);
    assert_int_equal(again.record.marks_len, row.record.marks_len);
    assert_memory_equal(again.record.marks, row.record.marks, row.record.marks_len);
    assert_int_equal(again.marks.events.redrives, 1);
    assert_int_equal(again.marks.events.attempts, UINT32_MAX);
    assert_true(again.marks.events.generation == UINT64_MAX - 1);
    assert_int_equal(again.marks.events.state, JJ_CANCELLED);
    assert_int_equal(again.marks.queue.redrives, 5);
    assert_int_equal(again.marks.queue.snoozes, 7);
    assert_true(again.marks.queue_run_at_ms == -1);
    assert_true(again.marks.events_run_at_ms == INT64_MAX);
    assert_int_equal(again.marks.said_max_attempts, 8);
    assert_int_equal(again.marks.content_max_attempts, 9);
    assert_int_equal(again.marks.content_from, FROM_SCHEDULE + 1);
    assert_true(again.marks.jobs_seq == UINT64_MAX);
    assert_int_equal(again.marks.schedule_seq, 10);
    assert_int_equal(again.marks.lines, 11);
    assert_int_equal(again.marks.lines_dropped, 12);
    assert_int_equal(again.marks.custom, 13);
    assert_int_equal(again.marks.custom_dropped, 14);
    assert_int_equal(again.marks.claimed_seq, 15);
    assert_int_equal(again.marks.content_seq, 16);
}

/* Bytes that a file has, and files of earlier versions had: they must be read for ever. */
static void marks_have_a_fixed_form(void **state)
{
    (void)state;
    static const unsigned char form[] = {
        4,                                                          /* version */
        1,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, /* events */
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 6,          /* */
        5,    0,    0,    0,    6,    0,    0,    0,    7, 0, 0, 0, /* queue */
        8,    7,    6,    5,    4,    3,    2,    1,    2,          /* */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,             /* times */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,             /* */
        8,    0,    0,    0,    9,    0,    0,    0,    4,          /* attempts, content */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,             /* sequences */
        10,   0,    0,    0,    0,    0,    0,    0,                /* */
        11,   0,    0,    0,    12,   0,    0,    0,                /* lines */
        13,   0,    0,    0,    14,   0,    0,    0,                /* custom events */
        15,   0,    0,    0,    0,    0,    0,    0,                /* claimed sequence */
        16,   0,    0,    0,    0,    0,    0,    0};               /* content's sequence */
    struct row row, old;
    unsigned char earlier[sizeof(form) - 8];

    jj__row_init(&row, "j");
    fill_marks(&row.marks);
    jj__row_seal(&row);
    assert_int_equal(row.record.marks_len, sizeof(form));
    assert_memory_equal(row.record.marks, form, sizeof(form));

    memcpy(earlier, form, sizeof(earlier));
    jj_record record = {.id = "j", .name = "n", .marks = earlier, .marks_len = sizeof(earlier)};
    earlier[0] = 3;
    assert_true(jj__row_load(&old, &record));
    assert_int_equal(old.marks.claimed_seq, 15);
    assert_int_equal(old.marks.content_seq, 0);
    earlier[0] = 2;
    record.marks_len -= 8;
    assert_true(jj__row_load(&old, &record));
    assert_int_equal(old.marks.custom_dropped, 14);
    assert_int_equal(old.marks.claimed_seq, 0);
    earlier[0] = 1;
    record.marks_len -= 8;
    assert_true(jj__row_load(&old, &record));
    assert_int_equal(old.marks.lines_dropped, 12);
    assert_int_equal(old.marks.custom, 0);
    assert_int_equal(old.marks.custom_dropped, 0);
}

static void sources_of_content_once_had_other_numbers(void **state)
{
    (void)state;
    static const enum fold_source earlier[] = {FROM_JOBS, FROM_CLAIM, FROM_EVENT, FROM_SCHEDULE};
    struct row row, old;

    jj__row_init(&row, "j");
    jj__row_seal(&row);
    jj_record record = {
        .id = "j", .name = "n", .marks = row.packed_marks, .marks_len = row.record.marks_len - 8};
    row.packed_marks[0] = 3;
    for (unsigned char number = 0; number <= 4; number++) {
        row.packed_marks[67] = number;
        assert_true(jj__row_load(&old, &record));
        assert_int_equal(old.marks.content_from, number == 0 ? 0 : earlier[number - 1] + 1);
    }
}

static bool loads(const unsigned char *marks, size_t len)
{
    struct row row;
    unsigned char *copy = malloc(len > 0 ? len : 1); /* a reader that goes too far is seen */

    assert_non_null(copy);
    memcpy(copy, marks, len);
    const jj_record record = {.id = "j", .name = "n", .marks = copy, .marks_len = len};
    bool loaded = jj__row_load(&row, &record);
    assert_string_equal(row.record.id, loaded ? "j" : "");
    free(copy);
    return loaded;
}

static void marks_that_can_not_be_right_are_refused(void **state)
{
    (void)state;
    struct row row;
    unsigned char marks[JJ_MARKS_MAX + 1] = {0};

    jj__row_init(&row, "j");
    jj__row_seal(&row);
    size_t len = row.record.marks_len;
    memcpy(marks, row.record.marks, len);
    assert_true(loads(marks, len));
    for (size_t other = 0; other < sizeof(marks); other++)
        assert_int_equal(loads(marks, other), other == len);
    for (unsigned char version = 0; version <= 5; version++) { /* those before have fewer */
        marks[0] = version;
        for (unsigned char as = 1; as <= 4; as++)
            assert_int_equal(loads(marks, len - 8 * (size_t)(4 - as)), version == as);
    }
    marks[0] = 4;
    marks[21] = JJ_STATES;
    assert_false(loads(marks, len));
    marks[21] = JJ_CANCELLED;
    assert_true(loads(marks, len));
    marks[42] = JJ_RUNNING; /* no message in a queue is that */
    assert_false(loads(marks, len));
    marks[42] = JJ_PENDING;
    marks[67] = FROM_SCHEDULE + 2;
    assert_false(loads(marks, len));
}

static void names_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct row row, again;
    char name[JJ_NAME_MAX + 2];

    jj__row_init(&row, "j");
    jj__row_seal(&row);
    memset(name, 'a', sizeof(name));
    name[JJ_NAME_MAX + 1] = '\0';
    jj_record record = row.record;
    record.id = name;
    assert_false(jj__row_load(&again, &record));
    record.id = "j";
    record.name = name;
    assert_false(jj__row_load(&again, &record));
    name[JJ_NAME_MAX] = '\0';
    assert_true(jj__row_load(&again, &record));
    assert_string_equal(again.record.name, name);
}

/* Each of these alone is a reason to leave the message where it is. */
static void only_what_led_to_the_end_is_over(void **state)
{
    (void)state;
    struct row row;
    struct job job = {.name = "n", .redrives = 1};

    jj__row_init(&row, "j");
    memcpy(row.name, "n", 2);
    row.record.state = JJ_COMPLETED;
    row.record.redrives = 1;
    row.record.completed_at_ms = 1000;
    row.marks.claimed_seq = 15;
    jj__row_seal(&row);
    assert_true(jj__fold_is_over(&row.record, &job, 15, 999));
    assert_true(jj__fold_is_over(&row.record, &job, 1, 1));
    assert_false(jj__fold_is_over(&row.record, &job, 16, 999));
    assert_false(jj__fold_is_over(&row.record, &job, 15, 1000));
    job.redrives = 2;
    assert_false(jj__fold_is_over(&row.record, &job, 15, 999));
    job = (struct job){.name = "other"};
    assert_false(jj__fold_is_over(&row.record, &job, 15, 999));
    job = (struct job){.name = "n"};
    assert_true(jj__fold_is_over(&row.record, &job, 15, 999));
    row.record.state = JJ_RUNNING;
    assert_false(jj__fold_is_over(&row.record, &job, 15, 999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_row_knows_nothing),
        cmocka_unit_test(a_stored_row_comes_back_as_it_was),
        cmocka_unit_test(marks_have_a_fixed_form),
        cmocka_unit_test(sources_of_content_once_had_other_numbers),
        cmocka_unit_test(marks_that_can_not_be_right_are_refused),
        cmocka_unit_test(names_that_are_too_long_are_refused),
        cmocka_unit_test(only_what_led_to_the_end_is_over),
    };

    return cmocka_run_group_tests_name("fold_row", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "content.h"

#define MANY 100

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct buf pack(const jj_header *headers, size_t count)
{
    struct buf buf = {0};

    assert_true(jj__content_pack(&buf, headers, count));
    return buf;
}

/* The bytes are the text, which has no NUL but those between and behind names and values; the one
 * at its own end counts. */
#define assert_packed(buf, text)                                                                   \
    do {                                                                                           \
        assert_int_equal((buf).len, sizeof(text));                                                 \
        assert_memory_equal((buf).data, text, sizeof(text));                                       \
    } while (0)

static void headers_are_sorted_by_name(void **state)
{
    (void)state;
    const jj_header headers[] = {{"traceparent", "00-1"}, {"X-Tenant", "acme"}, {"A", ""}};
    struct buf packed = pack(headers, COUNT(headers));

    assert_packed(packed, "A\0\0X-Tenant\0acme\0traceparent\00000-1");
    jj__buf_done(&packed);
}

static void headers_of_one_name_keep_their_order(void **state)
{
    (void)state;
    const jj_header headers[] = {{"B", "2"}, {"A", "1"}, {"B", "1"}, {"B", "3"}};
    struct buf packed = pack(headers, COUNT(headers));

    assert_packed(packed, "A\0001\0B\0002\0B\0001\0B\0003");
    assert_string_equal(jj__content_find(packed.data, packed.len, "B"), "2");
    jj__buf_done(&packed);
}

static void what_a_row_has_as_fields_and_what_the_server_owns_is_left_out(void **state)
{
    (void)state;
    const jj_header headers[] = {{"Nats-Msg-Id", "a"},
                                 {"nats-scheduler", "jobs.schedule.a.b"},
                                 {"Job-Id", "a"},
                                 {"Job-Attempts", "1"},
                                 {"Job-Redrives", "1"},
                                 {"Job-Snoozes", "1"},
                                 {"Job-Run-At", "2026-01-01T00:00:00Z"},
                                 {"Job-Created-At", "2026-01-01T00:00:00Z"},
                                 {"Job-Max-Attempts", "5"},
                                 {"Job-Schedule-Id", "weekly"},
                                 {"job-id", "not ours"}};
    struct buf packed = pack(headers, COUNT(headers));

    assert_packed(packed, "Job-Max-Attempts\0005\0Job-Schedule-Id\0weekly\0job-id\0not ours");
    jj__buf_done(&packed);
}

static void what_can_not_be_sent_is_left_out(void **state)
{
    (void)state;
    const jj_header headers[] = {{"", "x"}, {"A B", "x"}, {"A", "x\ny"}, {"B", "x"}};
    struct buf packed = pack(headers, COUNT(headers));

    assert_packed(packed, "B\0x");
    jj__buf_done(&packed);
}

static void the_messages_of_a_job_give_the_same_bytes(void **state)
{
    (void)state;
    const jj_header schedule[] = {{"Nats-Schedule", "@at 2026-01-01T00:00:00Z"},
                                  {"Nats-Schedule-Target", "jobs.due.a"},
                                  {"Job-Id", "1"},
                                  {"Job-Run-At", "2026-01-01T00:00:00Z"},
                                  {"Job-Timeout", "30"},
                                  {"X", "y"}};
    const jj_header retry[] = {{"Nats-Msg-Id", "1:1:due"},
                               {"X", "y"},
                               {"Job-Attempts", "1"},
                               {"Job-Timeout", "30"},
                               {"Job-Id", "1"}};
    struct buf a = pack(schedule, COUNT(schedule)), b = pack(retry, COUNT(retry));

    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    jj__buf_done(&a);
    jj__buf_done(&b);
}

static void no_headers_are_no_bytes(void **state)
{
    (void)state;
    struct buf packed = pack(NULL, 0);
    struct arena arena = {.max = 1000};
    jj_header *headers;
    size_t count = 1;

    assert_int_equal(packed.len, 0);
    assert_true(jj__content_unpack(&arena, NULL, 0, &headers, &count));
    assert_int_equal(count, 0);
    assert_null(jj__content_find(NULL, 0, "A"));
    jj__arena_done(&arena);
}

static void many_headers_come_back_as_they_were(void **state)
{
    (void)state;
    char names[MANY][8], values[MANY][8];
    jj_header in[MANY], *out;
    size_t count;
    struct arena arena = {.max = 100000};

    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "H%03zu", (i * 37) % MANY);
        snprintf(values[i], sizeof(values[i]), "v%zu", (i * 37) % MANY);
        in[i] = (jj_header){names[i], values[i]};
    }
    struct buf packed = pack(in, MANY);
    assert_true(jj__content_unpack(&arena, packed.data, packed.len, &out, &count));
    assert_int_equal(count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        char name[24], value[24];
        snprintf(name, sizeof(name), "H%03zu", i);
        snprintf(value, sizeof(value), "v%zu", i);
        assert_string_equal(out[i].name, name);
        assert_string_equal(out[i].value, value);
        assert_string_equal(jj__content_find(packed.data, packed.len, name), value);
    }
    jj__arena_done(&arena);
    jj__buf_done(&packed);
}

static size_t count_of(const void *packed, size_t len)
{
    struct arena arena = {.max = 1000};
    jj_header *headers;
    size_t count;
    /* Where it ends is where the memory ends, so that a reader that goes too far is seen. */
    char *copy = malloc(len);

    assert_non_null(copy);
    memcpy(copy, packed, len);
    assert_true(jj__content_unpack(&arena, copy, len, &headers, &count));
    assert_null(jj__content_find(copy, len, "Z"));
    jj__arena_done(&arena);
    free(copy);
    return count;
}

static void bytes_of_another_form_end_the_list(void **state)
{
    (void)state;
    assert_int_equal(count_of("A\0001", 4), 1);
    assert_int_equal(count_of("A\0001", 3), 0);
    assert_int_equal(count_of("A\0001\0B", 5), 1);
    assert_int_equal(count_of("A\0001\0B", 6), 1);
    assert_int_equal(count_of("A\0001\0Z\0002", 7), 1);
    assert_int_equal(count_of("A\0001\0\0x", 7), 1);
    assert_int_equal(count_of("A", 1), 0);
    assert_int_equal(count_of("\0", 2), 0);
}

static void what_does_not_fit_is_a_failure(void **state)
{
    (void)state;
    const jj_header header = {"Name", "value"};
    struct buf small = {.max = 7};
    struct arena arena = {.max = 7};
    jj_header *headers;
    size_t count;

    assert_false(jj__content_pack(&small, &header, 1));
    assert_false(jj__content_unpack(&arena, "A\0001", 4, &headers, &count));
    jj__buf_done(&small);
    jj__arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_sorted_by_name),
        cmocka_unit_test(headers_of_one_name_keep_their_order),
        cmocka_unit_test(what_a_row_has_as_fields_and_what_the_server_owns_is_left_out),
        cmocka_unit_test(what_can_not_be_sent_is_left_out),
        cmocka_unit_test(the_messages_of_a_job_give_the_same_bytes),
        cmocka_unit_test(no_headers_are_no_bytes),
        cmocka_unit_test(many_headers_come_back_as_they_were),
        cmocka_unit_test(bytes_of_another_form_end_the_list),
        cmocka_unit_test(what_does_not_fit_is_a_failure),
    };

    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}

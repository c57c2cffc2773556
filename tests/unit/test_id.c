/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "id.h"
#include "subject.h"

#define THREADS        4
#define IDS_PER_THREAD 5000

/* Ids sort by when they were made, so each test takes a time of its own, later than the last. */
static const int64_t start_ms = INT64_C(1769903999123);

static void id_is_a_uuid_of_version_7(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char id[JJ__ID_SIZE];
        assert_int_equal(jj__id_new(start_ms + i, id, NULL), JJ_OK);
        assert_int_equal(strlen(id), 36);
        assert_true(jj__token_valid(id));
        assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
        for (int at = 0; at < 36; at++)
            assert_int_equal(id[at] == '-', at == 8 || at == 13 || at == 18 || at == 23);
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
    }
}

static void id_begins_with_its_time(void **state)
{
    (void)state;
    char id[JJ__ID_SIZE];
    char expected[JJ__ID_SIZE];
    const int64_t ms = start_ms + 5000;

    snprintf(expected, sizeof(expected), "%08llx-%04llx", (unsigned long long)(ms >> 16),
             (unsigned long long)(ms & 0xFFFF));
    assert_int_equal(jj__id_new(ms, id, NULL), JJ_OK);
    assert_memory_equal(id, expected, 13);
}

static void ids_of_one_millisecond_sort_as_they_were_made(void **state)
{
    (void)state;
    char before[JJ__ID_SIZE] = "";

    for (int i = 0; i < 20000; i++) {
        char id[JJ__ID_SIZE];
        assert_int_equal(jj__id_new(start_ms + 6000, id, NULL), JJ_OK);
        assert_true(strcmp(id, before) > 0);
        memcpy(before, id, sizeof(before));
    }
}

static void ids_sort_even_if_the_clock_goes_back(void **state)
{
    (void)state;
    char first[JJ__ID_SIZE];
    char second[JJ__ID_SIZE];
    char third[JJ__ID_SIZE];

    assert_int_equal(jj__id_new(start_ms + 7000, first, NULL), JJ_OK);
    assert_int_equal(jj__id_new(start_ms, second, NULL), JJ_OK);
    assert_int_equal(jj__id_new(-1, third, NULL), JJ_OK);
    assert_true(strcmp(second, first) > 0);
    assert_true(strcmp(third, second) > 0);
    assert_memory_equal(second, first, 13);
}

static void next_id_can_not_be_guessed_from_the_last(void **state)
{
    (void)state;
    char first[JJ__ID_SIZE];
    char second[JJ__ID_SIZE];
    int close = 0;

    for (int i = 0; i < 1000; i++) {
        assert_int_equal(jj__id_new(start_ms + 7000, first, NULL), JJ_OK);
        assert_int_equal(jj__id_new(start_ms + 7000, second, NULL), JJ_OK);
        unsigned long long step = strtoull(second + 24, NULL, 16) - strtoull(first + 24, NULL, 16);
        close += step < 65536;
    }
    assert_true(close < 10);
}

static char made[THREADS][IDS_PER_THREAD][JJ__ID_SIZE];

static void *make_ids(void *arg)
{
    char(*ids)[JJ__ID_SIZE] = arg;
    long failed = 0;

    for (int i = 0; i < IDS_PER_THREAD; i++)
        failed += jj__id_new(start_ms + 8000 + i / 100, ids[i], NULL) != JJ_OK;
    return failed == 0 ? NULL : arg;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void threads_never_make_the_same_id(void **state)
{
    (void)state;
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, made[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        for (int k = 1; k < IDS_PER_THREAD; k++)
            assert_true(strcmp(made[i][k], made[i][k - 1]) > 0);
    }

    char(*all)[JJ__ID_SIZE] = made[0];
    qsort(all, (size_t)THREADS * IDS_PER_THREAD, sizeof(all[0]), compare_ids);
    for (int i = 1; i < THREADS * IDS_PER_THREAD; i++)
        assert_string_not_equal(all[i], all[i - 1]);
}

/* Make an id in a child process. */
static void id_of_a_child(char id[JJ__ID_SIZE])
{
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char its[JJ__ID_SIZE] = "";
        bool ok = jj__id_new(start_ms + 9000, its, NULL) == JJ_OK &&
                  write(ends[1], its, sizeof(its)) == (ssize_t)sizeof(its);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(read(ends[0], id, JJ__ID_SIZE), JJ__ID_SIZE);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

static void child_does_not_repeat_its_parents_ids(void **state)
{
    (void)state;
    char first[JJ__ID_SIZE];
    char second[JJ__ID_SIZE];
    char mine[JJ__ID_SIZE];

    assert_int_equal(jj__id_new(start_ms + 9000, mine, NULL), JJ_OK);
    id_of_a_child(first);
    id_of_a_child(second);
    assert_int_equal(jj__id_new(start_ms + 9000, mine, NULL), JJ_OK);
    assert_string_not_equal(first, second);
    assert_string_not_equal(first, mine);
    assert_string_not_equal(second, mine);
    assert_memory_equal(first, mine, 13); /* of the same millisecond */
}

static atomic_bool enough;

static void *make_ids_until_it_is_enough(void *arg)
{
    char id[JJ__ID_SIZE];

    (void)arg;
    while (!atomic_load(&enough))
        if (jj__id_new(start_ms + 9000, id, NULL) != JJ_OK)
            return &enough;
    return NULL;
}

static void fork_may_happen_while_another_thread_makes_ids(void **state)
{
    (void)state;
    pthread_t thread;
    void *failed;

    atomic_store(&enough, false);
    assert_int_equal(pthread_create(&thread, NULL, make_ids_until_it_is_enough, NULL), 0);
    for (int i = 0; i < 50; i++) {
        char id[JJ__ID_SIZE];
        id_of_a_child(id);
    }
    atomic_store(&enough, true);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

static void random_text_is_made_of_letters_and_digits(void **state)
{
    (void)state;
    static char text[5001];
    char other[9];
    char again[9];

    assert_int_equal(jj__id_random(text, 5000, NULL), JJ_OK);
    assert_int_equal(strlen(text), 5000);
    assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz234567"), 5000);
    for (const char *c = "abcdefghijklmnopqrstuvwxyz234567"; *c != '\0'; c++)
        assert_non_null(strchr(text, *c));
    assert_int_equal(jj__id_random(other, 8, NULL), JJ_OK);
    assert_int_equal(jj__id_random(again, 8, NULL), JJ_OK);
    assert_string_not_equal(other, again);
    assert_int_equal(jj__id_random(other, 0, NULL), JJ_OK);
    assert_string_equal(other, "");
}

/* Last, for no later time can follow. */
static void time_beyond_48_bits_is_the_last_that_can_be_written(void **state)
{
    (void)state;
    char id[JJ__ID_SIZE];

    assert_int_equal(jj__id_new(INT64_MAX, id, NULL), JJ_OK);
    assert_memory_equal(id, "ffffffff-ffff", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_is_a_uuid_of_version_7),
        cmocka_unit_test(id_begins_with_its_time),
        cmocka_unit_test(ids_of_one_millisecond_sort_as_they_were_made),
        cmocka_unit_test(ids_sort_even_if_the_clock_goes_back),
        cmocka_unit_test(next_id_can_not_be_guessed_from_the_last),
        cmocka_unit_test(threads_never_make_the_same_id),
        cmocka_unit_test(child_does_not_repeat_its_parents_ids),
        cmocka_unit_test(fork_may_happen_while_another_thread_makes_ids),
        cmocka_unit_test(random_text_is_made_of_letters_and_digits),
        cmocka_unit_test(time_beyond_48_bits_is_the_last_that_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

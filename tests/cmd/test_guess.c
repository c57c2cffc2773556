/* SPDX-License-Identifier: Apache-2.0 */

/* Which word was meant. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guess.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned distance(const char *one, const char *other)
{
    return guess_distance(one, strlen(one), other, strlen(other));
}

static void the_distance_of_words_counts_slips(void **state)
{
    static const struct {
        const char *one;
        const char *other;
        unsigned distance;
    } cases[] = {
        {"", "", 0},           {"list", "list", 0},  {"list", "lsit", 1},
        {"list", "lst", 1},    {"list", "liszt", 1}, {"list", "last", 1},
        {"", "abc", 3},        {"get", "stats", 4},  {"enqueue", "enqeue", 1},
        {"retry", "reytr", 2}, {"abcd", "badc", 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(distance(cases[i].one, cases[i].other), cases[i].distance);
        assert_int_equal(distance(cases[i].other, cases[i].one), cases[i].distance);
    }
    assert_true(distance("a", "a word that is much longer than any of our commands") > 20);
}

static const char *meant_by(const char *typed, size_t len)
{
    static const char *const words[] = {"at", "get", "list", "logs", "stats", "retry", "status"};
    struct guess guess = {.typed = typed, .len = len};

    for (size_t i = 0; i < COUNT(words); i++)
        guess_offer(&guess, words[i]);
    return guess.best == NULL ? "" : guess.best;
}

static void the_nearest_word_was_meant(void **state)
{
    static const struct {
        const char *typed;
        const char *meant;
    } cases[] = {
        {"lists", "list"},
        {"lgos", "logs"},
        {"re", "retry"},
        {"stat", "stats"},
        {"statuss", "status"},
        {"gte", "get"},
        {"x", ""},
        {"xy", ""},
        {"", ""},
        {"cancel", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(meant_by(cases[i].typed, strlen(cases[i].typed)), cases[i].meant);
    assert_string_equal(meant_by("lits=5", 4), "list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_distance_of_words_counts_slips),
        cmocka_unit_test(the_nearest_word_was_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

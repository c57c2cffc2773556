/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lines.h"

/* "[line]" of each, with a star in front of one that was cut. */
static void note(void *ctx, char *line, size_t len, bool cut)
{
    char *text = ctx;
    size_t at = strlen(text);

    assert_int_equal(line[len], '\0');
    snprintf(text + at, 256 - at, "%s[%.*s]", cut ? "*" : "", (int)len, line);
}

/* Feed parts, ended by NULL, to lines of up to 8 bytes. */
static void expect(const char *const parts[], const char *expected)
{
    struct lines lines = {.buf = {.max = 9}};
    char text[256] = "";

    for (; *parts != NULL; parts++)
        jj__lines_add(&lines, *parts, strlen(*parts), note, text);
    jj__lines_end(&lines, note, text);
    assert_string_equal(text, expected);
    jj__lines_done(&lines);
}

#define EXPECT(expected, ...) expect((const char *const[]){__VA_ARGS__, NULL}, expected)

static void a_stream_is_cut_at_its_line_ends(void **state)
{
    (void)state;
    EXPECT("[one][two]", "one\ntwo\n");
    EXPECT("[one][two]", "o", "ne", "\n", "tw", "o");
    EXPECT("[][][x]", "\n", "\nx\n");
    EXPECT("[dos][end]", "dos\r", "\nend\r\n");
    EXPECT("", "");
}

static void a_line_that_is_too_long_is_cut_and_the_next_one_is_not(void **state)
{
    (void)state;
    EXPECT("[12345678]", "12345678\n");
    EXPECT("*[12345678][next]", "123456789\nnext\n");
    EXPECT("*[12345678][next]", "1234", "56789", "abc", "\nnext\n");
    EXPECT("*[12345678]", "1234567890");
    EXPECT("*[12345678][]", "1234567890\n\n");
}

static void a_line_may_hold_any_byte(void **state)
{
    (void)state;
    struct lines lines = {.buf = {.max = 9}};
    char text[256] = "";

    jj__lines_add(&lines, "a\0b\xFF\n", 5, note, text);
    assert_string_equal(text, "[a]"); /* four bytes, and printf stops at the second */
    jj__lines_done(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_cut_at_its_line_ends),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_the_next_one_is_not),
        cmocka_unit_test(a_line_may_hold_any_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

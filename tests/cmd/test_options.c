/* SPDX-License-Identifier: Apache-2.0 */

/* Options of the command line, read by tables. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

#define WORDS_MAX 80

static struct {
    bool follow;
    bool quick;
    const char *id;
    struct option_texts headers;
    uint32_t limit;
    int64_t in_ms;
    int64_t bytes;
    int64_t at_ms;
    unsigned status;
    bool json;
} said;

static const char *const words[] = {"", "pending", "failed", NULL};

static const struct cmd_option own[] = {
    {"follow", 'f', NULL, "", OPTION_FLAG, .to = &said.follow},
    {"quick", 'q', NULL, "", OPTION_FLAG, .to = &said.quick},
    {"id", '\0', "I", "", OPTION_TEXT, .to = &said.id},
    {"header", 'H', "K:V", "", OPTION_TEXTS, .to = &said.headers},
    {"limit", 'n', "N", "", OPTION_NUMBER, .to = &said.limit, .min = 1, .max = 1000},
    {"in", '\0', "D", "", OPTION_DURATION, .to = &said.in_ms, .min = 1000, .max = 60000},
    {"bytes", '\0', "S", "", OPTION_SIZE, .to = &said.bytes, .min = 1},
    {"at", '\0', "T", "", OPTION_TIME, .to = &said.at_ms},
    {"status", '\0', "S", "", OPTION_WORD, .to = &said.status, .words = words},
    {0},
};

static const struct cmd_option global[] = {
    {"json", '\0', NULL, "", OPTION_FLAG, .to = &said.json},
    {0},
};

static const struct cmd_option *const tables[2] = {own, global};

static char *argv[WORDS_MAX];
static int argc;
static jj_error err;

/* Read a line of words with a space between them. */
static jj_status read_line(const char *line, bool to_operand)
{
    static char copy[1024];
    char *at = copy;

    assert_true(strlen(line) < sizeof(copy));
    memcpy(copy, line, strlen(line) + 1);
    memset(&said, 0, sizeof(said));
    memset(&err, 0, sizeof(err));
    argc = 0;
    for (;;) {
        argv[argc++] = at;
        at = strchr(at, ' ');
        if (at == NULL)
            break;
        *at++ = '\0';
    }
    argv[argc] = NULL;
    return options_read(tables, to_operand, &argc, argv, &err);
}

static void expect_operands(const char *first, const char *second)
{
    assert_int_equal(argc, 1 + (first != NULL) + (second != NULL));
    assert_string_equal(argv[0], "command");
    if (first != NULL)
        assert_string_equal(argv[1], first);
    if (second != NULL)
        assert_string_equal(argv[2], second);
    assert_null(argv[argc]);
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_line("command --follow --id x --limit 12 --in 15s --bytes 64KiB "
                               "--at 1970-01-01T00:00:01Z --status failed --json",
                               false),
                     JJ_OK);
    expect_operands(NULL, NULL);
    assert_true(said.follow);
    assert_false(said.quick);
    assert_string_equal(said.id, "x");
    assert_int_equal(said.limit, 12);
    assert_int_equal(said.in_ms, 15000);
    assert_int_equal(said.bytes, 65536);
    assert_int_equal(said.at_ms, 1000);
    assert_int_equal(said.status, 2);
    assert_true(said.json);
}

static void a_value_may_stand_behind_an_equals_sign_or_a_letter(void **state)
{
    (void)state;
    assert_int_equal(read_line("command --id=a=b --limit=5", false), JJ_OK);
    assert_string_equal(said.id, "a=b");
    assert_int_equal(said.limit, 5);
    assert_int_equal(read_line("command --id=", false), JJ_OK);
    assert_string_equal(said.id, "");
    assert_int_equal(read_line("command -n7", false), JJ_OK);
    assert_int_equal(said.limit, 7);
    assert_int_equal(read_line("command -fqn 8", false), JJ_OK);
    assert_int_equal(said.limit, 8);
    assert_true(said.follow && said.quick);
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(read_line("command one -f two --id x", false), JJ_OK);
    expect_operands("one", "two");
    assert_true(said.follow);
    assert_string_equal(said.id, "x");
}

static void a_dash_alone_is_an_operand(void **state)
{
    (void)state;
    assert_int_equal(read_line("command one - -f", false), JJ_OK);
    expect_operands("one", "-");
    assert_true(said.follow);
}

static void after_two_dashes_come_operands_only(void **state)
{
    (void)state;
    assert_int_equal(read_line("command -f -- -q --id", false), JJ_OK);
    expect_operands("-q", "--id");
    assert_true(said.follow);
    assert_false(said.quick);
}

static void a_value_may_look_like_an_option(void **state)
{
    (void)state;
    assert_int_equal(read_line("command --id --json", false), JJ_OK);
    assert_string_equal(said.id, "--json");
    assert_false(said.json);
}

static void reading_can_stop_at_the_first_operand(void **state)
{
    (void)state;
    assert_int_equal(read_line("command --json one --nonsense", true), JJ_OK);
    expect_operands("one", "--nonsense");
    assert_true(said.json);
}

static void texts_are_collected(void **state)
{
    char line[1024] = "command";

    (void)state;
    assert_int_equal(read_line("command -H a:1 --header=b:2", false), JJ_OK);
    assert_int_equal(said.headers.count, 2);
    assert_string_equal(said.headers.texts[0], "a:1");
    assert_string_equal(said.headers.texts[1], "b:2");
    for (int i = 0; i <= OPTION_TEXTS_MAX; i++)
        memcpy(line + strlen(line), " -Hx", sizeof(" -Hx"));
    assert_int_equal(read_line(line, false), JJ_ERR_INVALID);
    assert_string_equal(err.text, "--header: said more than 64 times");
}

static void an_error_says_what_is_allowed(void **state)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"command --limit 0", "--limit: '0' is not a number from 1 to 1000"},
        {"command --limit 1001", "--limit: '1001' is not a number from 1 to 1000"},
        {"command --limit -1", "--limit: '-1' is not a number from 1 to 1000"},
        {"command --limit 1x", "--limit: '1x' is not a number from 1 to 1000"},
        {"command --limit=", "--limit: '' is not a number from 1 to 1000"},
        {"command --limit 99999999999999999999",
         "--limit: '99999999999999999999' is not a number from 1 to 1000"},
        {"command --in 5", "--in: '5' is not what it takes: 500ms, 15s, 5m, 2h, 7d or 1h30m"},
        {"command --in 5ms", "--in: 5ms is not 1s to 1m"},
        {"command --in 61s", "--in: 61s is not 1s to 1m"},
        {"command --bytes 0", "--bytes: 0 is not 1 bytes or more"},
        {"command --bytes 1KB", "--bytes: '1KB' is not what it takes: bytes as 65536, or 64KiB, "
                                "8MiB, 8GiB or 1TiB"},
        {"command --at tomorrow", "--at: 'tomorrow' is not what it takes: a time as "
                                  "2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"},
        {"command --status done", "--status: 'done' is not what it takes: pending, failed"},
        {"command --status=", "--status: '' is not what it takes: pending, failed"},
        {"command --id", "--id: needs a value: --id I"},
        {"command -n", "--limit: needs a value: --limit N"},
        {"command --follow=yes", "--follow takes no value"},
        {"command --folow", "unknown option '--folow': did you mean --follow?"},
        {"command --stat=x", "unknown option '--stat': did you mean --status?"},
        {"command --nonsense", "unknown option '--nonsense'"},
        {"command -fx", "unknown option '-x': what begins with - and is none comes after --"},
        {"command -5", "unknown option '-5': what begins with - and is none comes after --"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_line(cases[i].line, false), JJ_ERR_INVALID);
        assert_string_equal(err.text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(a_value_may_stand_behind_an_equals_sign_or_a_letter),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(a_dash_alone_is_an_operand),
        cmocka_unit_test(after_two_dashes_come_operands_only),
        cmocka_unit_test(a_value_may_look_like_an_option),
        cmocka_unit_test(reading_can_stop_at_the_first_operand),
        cmocka_unit_test(texts_are_collected),
        cmocka_unit_test(an_error_says_what_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

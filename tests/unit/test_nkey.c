/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "nkey.h"
#include "temp.h"

/* The pair of the documentation of NATS. */
#define SEED   "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

static char path[TEMP_PATH_SIZE + 16];

static int make_folder(void **state)
{
    static char dir[TEMP_PATH_SIZE];

    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/user.nk", dir);
    *state = dir;
    return 0;
}

static int remove_folder(void **state)
{
    temp_dir_remove(*state);
    return 0;
}

static jj_status read_text(const char *text, char public[JJ__NKEY_SIZE], jj_error *err)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return jj__nkey_public(path, public, err);
}

static void a_seed_has_its_public_key(void **state)
{
    static const char *const texts[] = {
        SEED, SEED "\n", "\r\n  " SEED "\r\n", SEED "\n" PUBLIC "\n",
        "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n"};
    jj_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char public[JJ__NKEY_SIZE];
        if (read_text(texts[i], public, &err) != JJ_OK)
            fail_msg("%s", err.text);
        assert_string_equal(public, PUBLIC);
    }
}

static void what_is_no_seed_is_refused_and_not_shown(void **state)
{
    static const char *const texts[] = {
        "",
        PUBLIC,
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VX",  /* the checksum */
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3V",   /* too short */
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VYA", /* too long */
        "suacssl3uahudxkfsnvuzrf5uhpmwz6bfdtj7m6usdxiednppqyyycu3vy",
        "PUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
    };
    char public[JJ__NKEY_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        jj_error err = {0};
        assert_int_equal(read_text(texts[i], public, &err), JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, "a line SU..."));
        assert_null(strstr(err.text, "SSL3"));
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    char public[JJ__NKEY_SIZE];
    jj_error err = {0};

    (void)state;
    assert_int_equal(jj__nkey_public("/nowhere/user.nk", public, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "/nowhere/user.nk"));
    assert_int_equal(jj__nkey_public("/", public, &err), JJ_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_has_its_public_key),
        cmocka_unit_test(what_is_no_seed_is_refused_and_not_shown),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

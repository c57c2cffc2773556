/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"
#include "creds.h"
#include "temp.h"

/* The pair of the documentation of NATS, and a JWT in form. */
#define SEED   "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
#define JWT    "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiJVIn0.c2ln_-"

static char path[TEMP_PATH_SIZE + 16];

static int make_folder(void **state)
{
    static char dir[TEMP_PATH_SIZE];

    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/user.creds", dir);
    *state = dir;
    return 0;
}

static int remove_folder(void **state)
{
    temp_dir_remove(*state);
    return 0;
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_jwt_and_a_seed_are_found(void **state)
{
    static const char *const texts[] = {
        JWT "\n" SEED,
        "\r\n  " JWT "  \r\n" SEED "\r\n",
        SEED "\n" JWT "\n",
        "-----BEGIN NATS USER JWT-----\n" JWT "\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n\n"
        "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n",
    };
    jj_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct creds creds;
        write_text(texts[i]);
        if (jj__creds_read(path, &creds, &err) != JJ_OK)
            fail_msg("%s", err.text);
        assert_string_equal(creds.jwt, JWT);
        assert_string_equal(creds.seed, SEED);
    }
}

static void what_is_no_jwt_is_refused_and_not_shown(void **state)
{
    static const char *const texts[] = {
        SEED,                       /* alone */
        "eyJ0eXAi\n" SEED,          /* one part */
        "eyJ0eXAi.eyJz\n" SEED,     /* two */
        JWT ".c2ln\n" SEED,         /* four */
        JWT "=\n" SEED,             /* padded */
        "jwt:" JWT "\n" SEED,       /* with something before it */
        "a.b.c\n" SEED,             /* not JSON */
        "eyJ0eXAi.ey/z.c2ln\n" SEED /* not base64url */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct creds creds;
        jj_error err = {0};
        write_text(texts[i]);
        assert_int_equal(jj__creds_read(path, &creds, &err), JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, "a line eyJ..."));
        assert_null(strstr(err.text, "SSL3"));
        assert_null(strstr(err.text, "0eXAi"));
    }
}

/* It is not cut: what is behind may be the seed. */
static void a_file_that_is_too_long_is_refused(void **state)
{
    static char text[JJ__SECRET_SIZE];
    struct creds creds;
    jj_error err = {0};

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    write_text(text);
    assert_int_equal(jj__creds_read(path, &creds, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "user.creds: is longer than 16382 bytes"));
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct creds creds;
    jj_error err = {0};

    (void)state;
    assert_int_equal(jj__creds_read("/nowhere/user.creds", &creds, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "/nowhere/user.creds: No such file"));
}

static void write_claims(const char *claims)
{
    char text[512] = "eyJ0eXAi.";
    size_t len = strlen(text);

    len += jj__base64_write(text + len, claims, strlen(claims));
    while (text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    snprintf(text + len, sizeof(text) - len, ".c2ln\n%s\n", SEED);
    write_text(text);
}

#define UNKNOWN "the server does not know the account, or no longer takes this user"

static void what_the_server_does_not_tell_is_guessed(void **state)
{
    static const struct {
        const char *claims;
        const char *doubt;
    } cases[] = {
        {"{\"sub\":\"" PUBLIC "\"}", UNKNOWN},
        {"{\"sub\":\"" PUBLIC "\",\"name\":\"\xc3\xbf\xc3\xbe?>?>\"}", UNKNOWN},
        {"{\"sub\":\"" PUBLIC "\",\"exp\":1000}", UNKNOWN},
        {"{\"sub\":\"" PUBLIC "\",\"exp\":9223372036854775807}", UNKNOWN},
        {"{\"sub\":\"" PUBLIC "\",\"exp\":999}", "the JWT expired at 1970-01-01T00:16:39.000Z"},
        {"{\"sub\":\"UA\",\"exp\":999}", "the seed is of another user than the JWT"},
        {"{}", "the JWT can't be read"},
        {"[]", "the JWT can't be read"},
        {"{\"sub\":1}", "the JWT can't be read"},
        {"{\"sub\":", "the JWT can't be read"},
        {"", "the JWT can't be read"},
    };
    char expected[sizeof(path) + 128], doubt[sizeof(path) + 128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_claims(cases[i].claims);
        snprintf(expected, sizeof(expected), "%s (%s)", cases[i].doubt, path);
        jj__creds_doubt(path, 999999, doubt, sizeof(doubt));
        assert_string_equal(doubt, expected);
    }
}

static void a_doubt_is_cut_to_its_room(void **state)
{
    char doubt[12];

    (void)state;
    write_claims("{}");
    jj__creds_doubt(path, 0, doubt, sizeof(doubt));
    assert_string_equal(doubt, "the JWT can");
    jj__creds_doubt("/nowhere/user.creds", 0, doubt, sizeof(doubt));
    assert_string_equal(doubt, "/nowhere/us");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jwt_and_a_seed_are_found),
        cmocka_unit_test(what_is_no_jwt_is_refused_and_not_shown),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(what_the_server_does_not_tell_is_guessed),
        cmocka_unit_test(a_doubt_is_cut_to_its_room),
    };

    return cmocka_run_group_tests_name("creds", tests, make_folder, remove_folder);
}

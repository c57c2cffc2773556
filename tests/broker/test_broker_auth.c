/* SPDX-License-Identifier: Apache-2.0 */

/* Users who prove that they have a secret, without telling it; and files that hold one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "world.h"

/* A pair of the documentation of NATS, and somebody else. */
#define SEED    "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC  "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
#define ANOTHER "UA5IL4XPEXZNLV7WJO3DBG3RK3VWFSOO2KCYPDBBKT2IBB6LTWUNECGZ"

static void write_file(const struct world *world, const char *name, const char *text, mode_t mode,
                       char path[TEMP_PATH_SIZE + 16])
{
    snprintf(path, TEMP_PATH_SIZE + 16, "%s/%s", world->server.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void serve(struct world *world, const char *public)
{
    char config[256];

    snprintf(config, sizeof(config), "authorization { users: [ { nkey: %s } ] }", public);
    server_start(&world->server, &(struct server_options){.config = config});
}

static jj_status open_with(struct world *world, jj_options options, jj_error *err)
{
    const struct log log = world_log(world);

    return jj__broker_open(&options, &log, &world->broker, err);
}

static jj_status open_as(struct world *world, const char *nkey, jj_error *err)
{
    jj_options options = world_options(world->server.url);

    options.nkey = nkey;
    return open_with(world, options, err);
}

static void the_user_of_an_nkey_gets_in(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_error err = {0};

    serve(world, PUBLIC);
    write_file(world, "user.nk", SEED "\n", 0600, path);
    if (open_as(world, path, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    server_restart(&world->server);
    assert_true(world_wait_connected(world, true));
    assert_false(log_book_has(&world->book, JJ_LOG_DEBUG, SEED));
}

static void a_seed_in_a_frame_does_as_well(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_error err = {0};

    serve(world, PUBLIC);
    write_file(world, "user.nk",
               "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n", 0600,
               path);
    if (open_as(world, path, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

/* One signature in 256 begins with a byte that the client library takes for the end. */
static void an_nkey_opens_whatever_its_signature_begins_with(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_error err = {0};

    serve(world, PUBLIC);
    write_file(world, "user.nk", SEED "\n", 0600, path);
    for (int i = 0; i < 1000; i++) {
        if (open_as(world, path, &err) != JJ_OK)
            fail_msg("at the %dth time: %s", i + 1, err.text);
        world_disconnect(world);
    }
}

static void another_nkey_is_refused_at_once(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_error err = {0};

    serve(world, ANOTHER);
    write_file(world, "user.nk", SEED, 0600, path);
    assert_int_equal(open_as(world, path, &err), JJ_ERR_NOT_PERMITTED);
    assert_non_null(strstr(err.text, "uthorization"));
    assert_null(strstr(err.text, SEED));
    assert_int_equal(open_as(world, NULL, &err), JJ_ERR_NOT_PERMITTED);
}

static void a_file_without_a_seed_is_an_invalid_option(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_error err = {0};

    serve(world, PUBLIC);
    write_file(world, "user.nk", PUBLIC "\n", 0600, path);
    assert_int_equal(open_as(world, path, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(open_as(world, "/nowhere/user.nk", &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "/nowhere/user.nk: No such file"));
}

static void a_secret_that_all_users_can_read_is_warned_of(void **state)
{
    struct world *world = *state;
    char path[TEMP_PATH_SIZE + 16], warning[TEMP_PATH_SIZE + 80];
    jj_error err = {0};

    serve(world, PUBLIC);
    write_file(world, "user.nk", SEED, 0640, path);
    if (open_as(world, path, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    world_disconnect(world);
    assert_int_equal(chmod(path, 0644), 0);
    if (open_as(world, path, &err) != JJ_OK)
        fail_msg("%s", err.text);
    snprintf(warning, sizeof(warning), "%s holds a secret and is open to all users", path);
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, warning));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_user_of_an_nkey_gets_in),
        STORY(a_seed_in_a_frame_does_as_well),
        STORY(an_nkey_opens_whatever_its_signature_begins_with),
        STORY(another_nkey_is_refused_at_once),
        STORY(a_file_without_a_seed_is_an_invalid_option),
        STORY(a_secret_that_all_users_can_read_is_warned_of),
    };

    return cmocka_run_group_tests_name("broker_auth", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of plugins. PLUGINS is the folder of those in tests/plugins; "linked" is "good", linked
 * to the shared library. This program carries the static one and exports it, as jetjobs does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crew.h"

static void expect_refusal(struct crew *crew, const char *path, const char *text)
{
    jj_error err;

    if (crew->client == NULL)
        crew_open(crew, NULL);
    assert_int_not_equal(jj_load_plugin(crew->client, path, &err), JJ_OK);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' does not say: %s", err.text, text);
}

static void load(struct crew *crew, const char *path)
{
    jj_error err;

    crew_open(crew, NULL);
    if (jj_load_plugin(crew->client, path, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void expect_echo(struct crew *crew)
{
    struct listener *progress = nats_client_listen(crew->stranger, "job.echo.progress", NULL);
    struct listener *completed = nats_client_listen(crew->stranger, "job.echo.completed", NULL);

    crew_start(crew);
    crew_enqueue(crew, "echo", "[1,2]");
    assert_true(listener_wait(completed, 1));
    assert_string_equal(event_member(listener_get(completed, 0), "result"), "[1,2]");
    assert_true(listener_wait(progress, 1));
    assert_string_equal(event_member(listener_get(progress, 0), "message"), "half");
    listener_close(progress);
    listener_close(completed);
}

static void a_plugin_registers_handlers(void **state)
{
    load(*state, PLUGINS "/good.so");
    expect_echo(*state);
}

static void a_plugin_that_is_linked_to_the_library_uses_the_one_that_is_there(void **state)
{
    load(*state, PLUGINS "/linked.so");
    expect_echo(*state);
}

static void a_plugin_may_serve_several_clients(void **state)
{
    struct crew *crew = *state;

    load(crew, PLUGINS "/good.so");
    crew_close(crew);
    load(crew, PLUGINS "/good.so");
    expect_refusal(crew, PLUGINS "/good.so", "handler 'echo' is registered already");
    expect_echo(crew);
}

static void what_can_not_be_loaded_is_told(void **state)
{
    expect_refusal(*state, NULL, "path of a plugin is missing");
    expect_refusal(*state, "", "path of a plugin is missing");
    expect_refusal(*state, "/nowhere/x.so",
                   "plugin /nowhere/x.so can't be loaded: cannot open shared object file: No such "
                   "file or directory");
    expect_refusal(*state, "x.so", "plugin ./x.so can't be loaded: cannot open");
    expect_refusal(*state, PLUGINS "/../CTestTestfile.cmake", "invalid ELF header");
    expect_refusal(*state, PLUGINS "/unresolved.so", "undefined symbol: jj_not_yet_invented");
    expect_refusal(*state, PLUGINS "/empty.so", "empty.so has no function jetjobs_plugin()");
}

static void a_plugin_of_another_version_is_refused(void **state)
{
    expect_refusal(*state, PLUGINS "/old.so",
                   "old.so has plugin version 2: allowed is 1, so build it anew");
    expect_refusal(*state, PLUGINS "/newer.so",
                   "newer.so was built with jetjobs 99.0.0: this is the older " JJ_VERSION);
}

static void what_keeps_a_plugin_from_starting_is_passed_on(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_load_plugin(crew->client, PLUGINS "/refusing.so", &err), JJ_ERR_STATE);
    assert_int_equal(err.status, JJ_ERR_STATE);
    expect_refusal(crew, PLUGINS "/refusing.so", "refusing.so: no licence");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_plugin_registers_handlers),
        STORY(a_plugin_that_is_linked_to_the_library_uses_the_one_that_is_there),
        STORY(a_plugin_may_serve_several_clients),
        STORY(what_can_not_be_loaded_is_told),
        STORY(a_plugin_of_another_version_is_refused),
        STORY(what_keeps_a_plugin_from_starting_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

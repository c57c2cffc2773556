/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin in a program that has the static library but does not export it. PLUGINS is the folder
 * of those in tests/plugins. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crew.h"

static void a_plugin_finds_no_library(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_load_plugin(crew->client, PLUGINS "/good.so", &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "undefined symbol: jj_"));
}

static void a_plugin_that_brings_its_own_is_refused(void **state)
{
    struct crew *crew = *state;
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_load_plugin(crew->client, PLUGINS "/linked.so", &err), JJ_ERR_INVALID);
    assert_non_null(
        strstr(err.text, "linked.so uses another copy of libjetjobs than this program"));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_plugin_finds_no_library),
        STORY(a_plugin_that_brings_its_own_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

static void library_and_header_have_one_version(void **state)
{
    (void)state;
    assert_string_equal(jj_version(), JJ_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_and_header_have_one_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

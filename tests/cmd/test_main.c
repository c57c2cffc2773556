/* SPDX-License-Identifier: Apache-2.0 */

/* The program as such, before any subcommand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

#include "process.h"

static void it_says_its_version(void **state)
{
    const char *const argv[] = {JETJOBS_PROGRAM, "--version", NULL};
    struct process *process;

    (void)state;
    assert_int_equal(process_run(argv, &process), 0);
    assert_string_equal(process_output(process), "jetjobs " JJ_VERSION "\n");
    assert_string_equal(process_errors(process), "");
    process_free(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_its_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

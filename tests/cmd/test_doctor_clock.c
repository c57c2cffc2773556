/* SPDX-License-Identifier: Apache-2.0 */

/* The doctor on a machine whose clock is wrong: that of this program alone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clinic.h"
#include "clock.h"
#include "doctor.h"

/* The linker puts one in place of the other for all of our code. */
int64_t __real_jj__clock_wall_ms(void);
int64_t __wrap_jj__clock_wall_ms(void);

static atomic_int_least64_t shift_ms;

int64_t __wrap_jj__clock_wall_ms(void)
{
    return __real_jj__clock_wall_ms() + atomic_load(&shift_ms);
}

static void note_clock(void *ctx, const struct finding *finding)
{
    if (strcmp(finding->about, "clock") == 0)
        snprintf(ctx, 256, "%s: %s", jj__severity_text(finding->severity), finding->what);
}

/* What it says of the clock, in a static buffer. */
static const char *doctor_with(struct clinic *clinic, int64_t ms)
{
    static char said[256];
    const jj_options options = {.url = clinic->url, .no_provision = true};
    jj_client *client = NULL;
    jj_error err;

    said[0] = '\0';
    atomic_store(&shift_ms, ms);
    if (jj_open(&options, &client, &err) != JJ_OK ||
        jj__doctor_run(client, NULL, note_clock, said, &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj_close(client);
    atomic_store(&shift_ms, 0);
    return said;
}

static void a_clock_that_differs_is_named(void **state)
{
    long long ms = 0;

    assert_string_equal(doctor_with(*state, 0), "");
    const char *said = doctor_with(*state, 60000);
    assert_int_equal(sscanf(said, "warning: this machine's clock is %lld ms ahead of", &ms), 1);
    assert_in_range(ms, 59000, 60000 + WAIT_MS);
    assert_non_null(strstr(said, "ms ahead of the server's: jobs for later come early or late by"));
    said = doctor_with(*state, -3600000);
    assert_int_equal(sscanf(said, "warning: this machine's clock is %lld ms behind", &ms), 1);
    assert_in_range(ms, 3600000 - WAIT_MS, 3601000);
    assert_non_null(strstr(said, "ms behind the server's"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clock_that_differs_is_named, clinic_begin_healthy,
                                        clinic_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

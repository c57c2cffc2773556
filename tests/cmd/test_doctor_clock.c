/* SPDX-License-Identifier: Apache-2.0 */

/* The doctor on a machine whose clock is wrong: that of this program alone. So hours can pass. */

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

struct wanted {
    const char *about;
    char said[256];
};

static void note_wanted(void *ctx, const struct finding *finding)
{
    struct wanted *wanted = ctx;

    if (strcmp(finding->about, wanted->about) == 0)
        snprintf(wanted->said, sizeof(wanted->said), "%s: %s", jj__severity_text(finding->severity),
                 finding->what);
}

/* What it says about something where the clock is so far ahead, in a static buffer. */
static const char *doctor_with(struct clinic *clinic, int64_t ms, const char *about)
{
    static struct wanted wanted;
    const jj_options options = {.url = clinic->url, .no_provision = true};
    jj_client *client = NULL;
    jj_error err;

    wanted = (struct wanted){.about = about};
    atomic_store(&shift_ms, ms);
    if (jj_open(&options, &client, &err) != JJ_OK ||
        jj__doctor_run(client, &(struct doctor_monitor){0}, note_wanted, &wanted, &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj_close(client);
    atomic_store(&shift_ms, 0);
    return wanted.said;
}

static void a_clock_that_differs_is_named(void **state)
{
    long long ms = 0;

    assert_string_equal(doctor_with(*state, 0, "clock"), "");
    const char *said = doctor_with(*state, 60000, "clock");
    assert_int_equal(sscanf(said, "warning: this machine's clock is %lld ms ahead of", &ms), 1);
    assert_in_range(ms, 59000, 60000 + WAIT_MS);
    assert_non_null(strstr(said, "ms ahead of the server's: jobs for later come early or late by"));
    said = doctor_with(*state, -3600000, "clock");
    assert_int_equal(sscanf(said, "warning: this machine's clock is %lld ms behind", &ms), 1);
    assert_in_range(ms, 3600000 - WAIT_MS, 3601000);
    assert_non_null(strstr(said, "ms behind the server's"));
}

static void a_job_that_waits_for_hours(void **state)
{
    struct clinic *clinic = *state;
    long long minutes = 0;

    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    assert_string_equal(doctor_with(clinic, 50 * 60000, "jobs"), "");
    const char *said = doctor_with(clinic, 180 * 60000, "jobs");
    assert_int_equal(
        sscanf(said, "warning: the oldest one waits or runs for %lld minutes", &minutes), 1);
    assert_in_range(minutes, 180, 185);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clock_that_differs_is_named, clinic_begin_healthy,
                                        clinic_end),
        cmocka_unit_test_setup_teardown(a_job_that_waits_for_hours, clinic_begin_healthy,
                                        clinic_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

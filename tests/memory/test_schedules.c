/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs for later. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clock.h"
#include "scene.h"
#include "shortage.h"
#include "wait.h"

/* ---- due jobs ---- */

#define DUE_JOBS     20
#define DUE_APART_MS 400

static bool all_due_ran(void *ctx)
{
    (void)ctx;
    return scene_later_runs() >= DUE_JOBS;
}

static bool is_past(void *ctx)
{
    return jj__clock_wall_ms() >= *(int64_t *)ctx;
}

/* They come half a second before their time. What there is no memory for comes again, after the 15
 * s of its consumer. */
static void no_due_job_is_lost_without_memory(void **state)
{
    (void)state;
    int64_t first_ms = jj__clock_wall_ms() + 2000;
    jj_error err;

    for (int i = 0; i < DUE_JOBS; i++)
        must(jj_schedule(scene.client, &(jj_spec){.name = "later"}, first_ms + i * DUE_APART_MS,
                         NULL, &err),
             &err);
    for (int i = 0; i < DUE_JOBS; i++) {
        int64_t begin_ms = first_ms - 600 + i * DUE_APART_MS;
        int64_t end_ms = begin_ms + DUE_APART_MS;
        wait_until(is_past, &begin_ms, WAIT_MS);
        shortage_begin(i / 2, SHORT_ONCE);
        wait_until(is_past, &end_ms, WAIT_MS);
        shortage_end();
    }
    assert_true(wait_until(all_due_ran, NULL, 2 * WAIT_MS));
}

/* ---- the tests ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_due_job_is_lost_without_memory),
    };

    return cmocka_run_group_tests_name("memory.schedules", tests, scene_begin, scene_end);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs for later, and recurring schedules. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

/* ---- recurring schedules ---- */

#define KEPT "kept"

static jj_cron cron_of(const char *id, const char *spec)
{
    static const jj_header header = {"X-Own", "yes"};

    return (jj_cron){
        .id = id,
        .spec = spec,
        .time_zone = "Europe/Berlin",
        .job = {
            .name = "idle", .data = "{}", .data_len = 2, .headers = &header, .header_count = 1}};
}

static jj_status add_cron(jj_client *client, const char *id, const char *spec,
                          jj_cron_change *change_out, jj_error *err)
{
    const jj_cron cron = cron_of(id, spec);

    return jj_cron_add(client, &cron, change_out, err);
}

/* Without memory nothing was done; without an answer that is not known. */
static jj_status cron_add(jj_client *client, jj_error *err)
{
    static int last;
    char id[JJ_NAME_SIZE];
    jj_cron_change change = JJ_CRON_UNCHANGED;

    snprintf(id, sizeof(id), "new-%d", ++last);
    jj_status s = add_cron(client, id, "@daily", &change, err);
    bool had_begun = shortage_pause();
    jj_status removed = jj_cron_remove(client, id, NULL);
    if (s == JJ_OK || s == JJ_ERR_NO_MEMORY)
        assert_int_equal(removed, s == JJ_OK ? JJ_OK : JJ_ERR_NOT_FOUND);
    if (s == JJ_OK)
        assert_int_equal(change, JJ_CRON_ADDED);
    shortage_resume(had_begun);
    return s;
}

/* It is not touched: else its interval would begin anew. */
static jj_status cron_add_again(jj_client *client, jj_error *err)
{
    jj_cron_change change = JJ_CRON_UNCHANGED;
    bool had_begun = shortage_pause();

    must(add_cron(client, KEPT, "@hourly", NULL, err), err);
    shortage_resume(had_begun);
    jj_status s = add_cron(client, KEPT, "@hourly", &change, err);
    assert_int_equal(change, JJ_CRON_UNCHANGED);
    return s;
}

static jj_status cron_replace(jj_client *client, jj_error *err)
{
    jj_cron_change change = JJ_CRON_REPLACED;
    bool had_begun = shortage_pause();

    must(add_cron(client, KEPT, "@hourly", NULL, err), err);
    shortage_resume(had_begun);
    jj_status s = add_cron(client, KEPT, "@weekly", &change, err);
    assert_int_equal(change, JJ_CRON_REPLACED);
    return s;
}

static jj_status cron_remove(jj_client *client, jj_error *err)
{
    bool had_begun = shortage_pause();

    must(add_cron(client, "going", "@hourly", NULL, err), err);
    shortage_resume(had_begun);
    jj_status s = jj_cron_remove(client, "going", err);
    had_begun = shortage_pause();
    jj_status again = jj_cron_remove(client, "going", NULL);
    if (s == JJ_OK || s == JJ_ERR_NO_MEMORY)
        assert_int_equal(again, s == JJ_OK ? JJ_ERR_NOT_FOUND : JJ_OK);
    shortage_resume(had_begun);
    return s;
}

static jj_status cron_list(jj_client *client, jj_error *err)
{
    jj_crons *crons = NULL;
    jj_status s = jj_cron_list(client, "idle", &crons, err);

    if (s == JJ_OK) {
        assert_int_equal(jj_crons_count(crons), 2);
        assert_string_equal(jj_crons_get(crons, 0)->cron.id, "another");
        assert_string_equal(jj_crons_get(crons, 1)->cron.id, KEPT);
        assert_int_equal(jj_crons_get(crons, 1)->cron.job.header_count, 1);
    }
    jj_crons_free(crons);
    return s;
}

static void recurring_schedules_without_memory(void **state)
{
    jj_error err;

    (void)state;
    try_call("cron_add", cron_add, scene.remote);
    try_call("cron_add, again", cron_add_again, scene.remote);
    try_call("cron_add, another one", cron_replace, scene.remote);
    try_call("cron_remove", cron_remove, scene.remote);
    must(add_cron(scene.remote, "another", "@daily", NULL, &err), &err);
    try_call("cron_list", cron_list, scene.remote);
}

/* ---- the tests ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recurring_schedules_without_memory),
        cmocka_unit_test(no_due_job_is_lost_without_memory),
    };

    return cmocka_run_group_tests_name("memory.schedules", tests, scene_begin, scene_end);
}

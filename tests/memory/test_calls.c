/* SPDX-License-Identifier: Apache-2.0 */

/* The calls that hand in jobs, and those that ask about them. */

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

static jj_status enqueue(jj_client *client, jj_error *err)
{
    const jj_header header = {"X-Own", "yes"};

    return jj_enqueue(
        client,
        &(jj_spec){
            .name = "done", .data = "{}", .data_len = 2, .headers = &header, .header_count = 1},
        NULL, err);
}

static jj_status enqueue_many(jj_client *client, jj_error *err)
{
    const jj_spec specs[3] = {{.name = "done"}, {.name = "done"}, {.name = "done"}};

    return jj_enqueue_many(client, specs, 3, NULL, NULL, err);
}

static jj_status schedule(jj_client *client, jj_error *err)
{
    return jj_schedule(client, &(jj_spec){.name = "done"}, jj__clock_wall_ms() + 600000, NULL, err);
}

static jj_status get(jj_client *client, jj_error *err)
{
    jj_job *job = NULL;
    jj_status s = jj_get(client, scene.failed_id, &job, err);

    jj_job_free(job);
    return s;
}

static jj_status get_by_name(jj_client *client, jj_error *err)
{
    jj_page *page = NULL;
    jj_status s = jj_get_by_name(client, &(jj_query){.name = "failed"}, &page, err);

    jj_page_free(page);
    return s;
}

static jj_status wait(jj_client *client, jj_error *err)
{
    jj_job *job = NULL;
    jj_status s = jj_wait(client, scene.failed_id, 2000, &job, err);

    jj_job_free(job);
    return s;
}

static jj_status logs(jj_client *client, jj_error *err)
{
    jj_lines *lines = NULL;
    jj_status s = jj_logs(client, scene.failed_id, 0, &lines, err);

    jj_lines_free(lines);
    return s;
}

static jj_status history(jj_client *client, jj_error *err)
{
    jj_lines *lines = NULL;
    jj_status s = jj_history(client, scene.failed_id, 0, &lines, err);

    jj_lines_free(lines);
    return s;
}

static jj_status stats(jj_client *client, jj_error *err)
{
    jj_stats *found = NULL;
    jj_status s = jj_stats_get(client, &found, err);

    jj_stats_free(found);
    return s;
}

/* ---- what an index reads ---- */

#define READ_PLACES 40

static bool is_known(void *ctx)
{
    jj_job *job = NULL;
    jj_error err;
    jj_status s = jj_get(scene.client, ctx, &job, &err);

    jj_job_free(job);
    return s == JJ_OK;
}

/* Nobody works them, and they are stored before memory runs out: only the readers and the writer
 * find none. */
static void the_index_reads_all_without_memory(void **state)
{
    char id[JJ_NAME_SIZE];
    jj_receipt receipt;
    jj_error err;

    (void)state;
    shortage_spare(true);
    for (int n = 0; n < READ_PLACES; n++) {
        snprintf(id, sizeof(id), "read-%d", n);
        must(jj_enqueue(scene.remote, &(jj_spec){.name = "idle", .id = id}, &receipt, &err), &err);
        shortage_begin(n, SHORT_ONCE);
        assert_true(wait_until(is_known, id, WAIT_MS));
        shortage_end();
    }
    for (int n = 0; n < READ_PLACES; n++) {
        snprintf(id, sizeof(id), "read-%d", n);
        assert_true(is_known(id));
    }
    shortage_spare(false);
}

/* ---- the tests ---- */

CALL_TEST(enqueue)
CALL_TEST(enqueue_many)
CALL_TEST(schedule)
CALL_TEST(get)
CALL_TEST(get_by_name)
CALL_TEST(wait)
CALL_TEST(logs)
CALL_TEST(history)
CALL_TEST(stats)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enqueue_without_memory),
        cmocka_unit_test(enqueue_many_without_memory),
        cmocka_unit_test(schedule_without_memory),
        cmocka_unit_test(get_without_memory),
        cmocka_unit_test(get_by_name_without_memory),
        cmocka_unit_test(wait_without_memory),
        cmocka_unit_test(logs_without_memory),
        cmocka_unit_test(history_without_memory),
        cmocka_unit_test(stats_without_memory),
        cmocka_unit_test(the_index_reads_all_without_memory),
    };

    return cmocka_run_group_tests_name("memory.calls", tests, scene_begin, scene_end);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The calls that change what becomes of a job. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "scene.h"
#include "shortage.h"

static void expect_state(jj_client *client, const char *id, jj_state state)
{
    jj_error err;
    jj_job *job = NULL;

    must(jj_get(client, id, &job, &err), &err);
    assert_int_equal(jj_job_state(job), state);
    jj_job_free(job);
}

/* Of a job that nobody works, another each time. It is cancelled in the end: by the call, by
 * another one if its outcome is not known, or by one that was repeated within the call. */
static jj_status cancel(jj_client *client, jj_error *err)
{
    bool had_begun = shortage_pause();
    jj_receipt receipt;

    must(jj_enqueue(client, &(jj_spec){.name = "idle"}, &receipt, err), err);
    shortage_resume(had_begun);
    jj_status s = jj_cancel(client, receipt.id, err);
    had_begun = shortage_pause();
    for (jj_status again = s; again != JJ_OK && again != JJ_ERR_STATE;)
        again = jj_cancel(client, receipt.id, NULL);
    expect_state(client, receipt.id, JJ_CANCELLED);
    shortage_resume(had_begun);
    return s == JJ_ERR_STATE ? JJ_OK : s;
}

static jj_status redrive(jj_client *client, jj_error *err)
{
    jj_status s = jj_redrive(client, scene.failed_id, err);

    return s == JJ_ERR_STATE ? JJ_OK : s; /* it was revived, and has not failed again yet */
}

/* ---- the tests ---- */

CALL_TEST(cancel)
CALL_TEST(redrive)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_without_memory),
        cmocka_unit_test(redrive_without_memory),
    };

    return cmocka_run_group_tests_name("memory.changes", tests, scene_begin, scene_end);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "shortage.h"
#include "wait.h"

#define ALLOCATIONS_MAX 2000 /* of one call: more is an endless loop */

struct scene scene;

static atomic_int later_runs;

static jj_verdict be_done(jj_attempt *attempt, void *user)
{
    (void)user;
    return jj_done(attempt, "1", 1);
}

static jj_verdict be_later(jj_attempt *attempt, void *user)
{
    (void)user;
    atomic_fetch_add(&later_runs, 1);
    return jj_done(attempt, NULL, 0);
}

int scene_later_runs(void)
{
    return atomic_load(&later_runs);
}

static jj_verdict be_failed(jj_attempt *attempt, void *user)
{
    (void)user;
    jj_log(attempt, JJ_LOG_INFO, "{\"is\":\"so\"}", "it fails");
    jj_emit(attempt, "failing", NULL);
    return jj_fail(attempt, "as it should");
}

jj_options scene_options(const char *index_path)
{
    return (jj_options){.url = scene.server.url,
                        .timeout_ms = 1500, /* which a call without memory may use up */
                        .ack_wait_ms = 1000,
                        .poll_interval_ms = 200,
                        .index_path = index_path};
}

void must(jj_status s, const jj_error *err)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err->text);
}

int scene_begin(void **state)
{
    jj_error err;
    jj_receipt receipt;
    jj_job *job = NULL;

    (void)state;
    server_start(&scene.server, NULL);
    temp_dir_make(scene.dir);
    snprintf(scene.path, sizeof(scene.path), "%s/index.db", scene.dir);
    const jj_options own = scene_options(scene.path), none = scene_options(NULL);
    must(jj_open(&own, &scene.client, &err), &err);
    must(jj_serve(scene.client, &err), &err);
    must(jj_open(&none, &scene.remote, &err), &err);
    must(jj_register(scene.client, "done", be_done, NULL, NULL, &err), &err);
    must(jj_register(scene.client, "failed", be_failed, NULL, NULL, &err), &err);
    must(jj_register(scene.client, "later", be_later, NULL, NULL, &err), &err);
    must(jj_start(scene.client, &err), &err);
    must(jj_enqueue(scene.client, &(jj_spec){.name = "failed", .data = "1", .data_len = 1},
                    &receipt, &err),
         &err);
    memcpy(scene.failed_id, receipt.id, sizeof(receipt.id));
    must(jj_wait(scene.client, receipt.id, WAIT_MS, &job, &err), &err);
    jj_job_free(job);
    return 0;
}

int scene_end(void **state)
{
    (void)state;
    jj_close(scene.remote);
    jj_close(scene.client);
    server_done(&scene.server);
    temp_dir_remove(scene.dir);
    return 0;
}

void expect_alive(void)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_status s;
    jj_error err;
    jj_receipt receipt;
    jj_job *job = NULL;

    must(jj_enqueue(scene.client, &(jj_spec){.name = "done"}, &receipt, &err), &err);
    do
        s = jj_wait(scene.client, receipt.id, WAIT_MS, &job, &err);
    while (s == JJ_ERR_TIMEOUT && jj__clock_mono_ms() < until_ms);
    must(s, &err);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    jj_job_free(job);
}

/* ---- calls ---- */

static bool is_fair(jj_status s)
{
    return s == JJ_OK || s == JJ_ERR_NO_MEMORY || s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE;
}

static void try_each(const char *what, scene_call make, jj_client *client, enum shortage_kind kind)
{
    const char *lasts = kind == SHORT_FOR_GOOD ? ", for good" : "";
    int statuses[JJ_ERR_INTERNAL + 1] = {0};
    bool some = true;
    int n = 0;

    for (; some; n++) {
        jj_error err = {.text = ""};
        shortage_begin(n, kind);
        jj_status s = make(client, &err);
        some = shortage_end();
        statuses[s]++;
        if (!is_fair(s))
            fail_msg("%s, allocation %d%s: %s: %s", what, n, lasts, jj_status_text(s), err.text);
        if (s != JJ_OK && err.text[0] == '\0')
            fail_msg("%s, allocation %d: %s without a word", what, n, jj_status_text(s));
        if (s == JJ_ERR_NO_MEMORY && strstr(err.text, "nobody") != NULL)
            fail_msg("%s, allocation %d: '%s' is not the reason", what, n, err.text);
        assert_true(n < ALLOCATIONS_MAX);
        if (n % 8 == 0)
            expect_alive();
    }
    expect_alive();
    print_message("%s: %d allocations%s; %d times no memory, %d times all the same, %d times "
                  "unavailable or unknown\n",
                  what, n - 1, lasts, statuses[JJ_ERR_NO_MEMORY], statuses[JJ_OK],
                  statuses[JJ_ERR_TIMEOUT] + statuses[JJ_ERR_UNAVAILABLE]);
}

void try_call(const char *what, scene_call make, jj_client *client)
{
    try_each(what, make, client, SHORT_ONCE);
    try_each(what, make, client, SHORT_FOR_GOOD);
}

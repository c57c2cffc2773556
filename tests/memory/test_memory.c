/* SPDX-License-Identifier: Apache-2.0 */

/* Each public call while memory runs out: at the first allocation of ours, then at the second, and
 * so on until the call does not come that far; once, and from there on for as long as the call
 * lasts. It says so, or says that its outcome is not known where another thread had no memory, or
 * succeeds all the same; and the same client works afterwards. What leaks is found by the address
 * sanitizer. Allocations of libnats, jansson and SQLite do not fail: they are not ours. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

#include "clock.h"
#include "server.h"
#include "temp.h"
#include "wait.h"

#define CALLS_MAX 2000 /* allocations of one call: more is an endless loop */

/* ---- memory that runs out ---- */

static atomic_bool armed;
static atomic_int left; /* allocations until it fails */
static atomic_bool for_good;
static atomic_int failed;
static _Thread_local bool spared; /* nothing fails on this thread */

static bool runs_out(void)
{
    if (spared || !atomic_load(&armed))
        return false;
    int now = atomic_fetch_sub(&left, 1);
    if (now > 0 || (now < 0 && !atomic_load(&for_good)))
        return false;
    atomic_fetch_add(&failed, 1);
    return true;
}

static void arm(int after, bool good)
{
    atomic_store(&left, after);
    atomic_store(&for_good, good);
    atomic_store(&failed, 0);
    atomic_store(&armed, true);
}

/* True if an allocation has failed meanwhile. */
static bool disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&failed) > 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return runs_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return runs_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return runs_out() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return runs_out() ? NULL : __real_strdup(text);
}

/* ---- the scene ---- */

static struct scene {
    struct server server;
    char dir[TEMP_PATH_SIZE];
    char path[TEMP_PATH_SIZE + 16];
    jj_client *client; /* with an index, and a worker of "done" and "failed" */
    jj_client *remote; /* without */
    char failed_id[JJ_NAME_SIZE];
} scene;

static atomic_int due_runs;

static jj_verdict be_done(jj_attempt *attempt, void *user)
{
    (void)user;
    return jj_done(attempt, "1", 1);
}

static jj_verdict be_due(jj_attempt *attempt, void *user)
{
    (void)user;
    atomic_fetch_add(&due_runs, 1);
    return jj_done(attempt, NULL, 0);
}

static jj_verdict be_failed(jj_attempt *attempt, void *user)
{
    (void)user;
    return jj_fail(attempt, "as it should");
}

static jj_options options_of(const char *index_path)
{
    return (jj_options){.url = scene.server.url,
                        .timeout_ms = 1500, /* which a call without memory may use up */
                        .ack_wait_ms = 1000,
                        .poll_interval_ms = 200,
                        .index_path = index_path};
}

static void must(jj_status s, const jj_error *err)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err->text);
}

static int begin(void **state)
{
    jj_error err;
    jj_receipt receipt;
    jj_job *job = NULL;

    (void)state;
    server_start(&scene.server, NULL);
    temp_dir_make(scene.dir);
    snprintf(scene.path, sizeof(scene.path), "%s/index.db", scene.dir);
    const jj_options own = options_of(scene.path), none = options_of(NULL);
    must(jj_open(&own, &scene.client, &err), &err);
    must(jj_serve(scene.client, &err), &err);
    must(jj_open(&none, &scene.remote, &err), &err);
    must(jj_register(scene.client, "done", be_done, NULL, NULL, &err), &err);
    must(jj_register(scene.client, "failed", be_failed, NULL, NULL, &err), &err);
    must(jj_register(scene.client, "later", be_due, NULL, NULL, &err), &err);
    must(jj_start(scene.client, &err), &err);
    must(jj_enqueue(scene.client, &(jj_spec){.name = "failed", .data = "1", .data_len = 1},
                    &receipt, &err),
         &err);
    memcpy(scene.failed_id, receipt.id, sizeof(receipt.id));
    must(jj_wait(scene.client, receipt.id, WAIT_MS, &job, &err), &err);
    jj_job_free(job);
    return 0;
}

static int end(void **state)
{
    (void)state;
    jj_close(scene.remote);
    jj_close(scene.client);
    server_done(&scene.server);
    temp_dir_remove(scene.dir);
    return 0;
}

/* A job goes all its way, if not within the client's timeout. */
static void expect_alive(void)
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

static void expect_state(jj_client *client, const char *id, jj_state state)
{
    jj_error err;
    jj_job *job = NULL;

    must(jj_get(client, id, &job, &err), &err);
    assert_int_equal(jj_job_state(job), state);
    jj_job_free(job);
}

/* ---- calls ---- */

typedef jj_status (*call)(jj_client *client, jj_error *err);

static bool is_fair(jj_status s)
{
    return s == JJ_OK || s == JJ_ERR_NO_MEMORY || s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE;
}

static void try_all(const char *what, call make, jj_client *client, bool good)
{
    int statuses[JJ_ERR_INTERNAL + 1] = {0};
    bool some = true;
    int n = 0;

    for (; some; n++) {
        jj_error err = {.text = ""};
        arm(n, good);
        jj_status s = make(client, &err);
        some = disarm();
        statuses[s]++;
        if (!is_fair(s))
            fail_msg("%s, allocation %d%s: %s: %s", what, n, good ? " and on" : "",
                     jj_status_text(s), err.text);
        if (s != JJ_OK && err.text[0] == '\0')
            fail_msg("%s, allocation %d: %s without a word", what, n, jj_status_text(s));
        assert_true(n < CALLS_MAX);
        if (n % 8 == 0)
            expect_alive();
    }
    expect_alive();
    print_message("%s: %d allocations%s; %d times no memory, %d times all the same, %d times "
                  "unavailable or unknown\n",
                  what, n - 1, good ? ", for good" : "", statuses[JJ_ERR_NO_MEMORY],
                  statuses[JJ_OK], statuses[JJ_ERR_TIMEOUT] + statuses[JJ_ERR_UNAVAILABLE]);
}

static void try_both(const char *what, call make, jj_client *client)
{
    try_all(what, make, client, false);
    try_all(what, make, client, true);
}

static jj_status open_and_close(jj_client *client, jj_error *err)
{
    const jj_options options = options_of(NULL);
    jj_client *other = NULL;

    (void)client;
    jj_status s = jj_open(&options, &other, err);
    if (s == JJ_OK)
        jj_close(other);
    return s;
}

static jj_status open_with_index(jj_client *client, jj_error *err)
{
    char path[TEMP_PATH_SIZE + 32];
    jj_client *other = NULL;

    (void)client;
    snprintf(path, sizeof(path), "%s/other.db", scene.dir);
    const jj_options options = options_of(path);
    jj_status s = jj_open(&options, &other, err);
    if (s == JJ_OK)
        jj_close(other);
    return s;
}

static jj_status work_and_stop(jj_client *client, jj_error *err)
{
    const jj_options options = options_of(NULL);
    jj_client *other = NULL;
    bool was_armed = atomic_exchange(&armed, false);

    (void)client;
    must(jj_open(&options, &other, err), err);
    atomic_store(&armed, was_armed);
    jj_status s = jj_register(other, "other", be_done, NULL, NULL, err);
    if (s == JJ_OK)
        s = jj_start(other, err);
    if (s == JJ_OK)
        s = jj_stop(other, err);
    atomic_store(&armed, false);
    jj_close(other);
    return s;
}

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

/* Of a job that nobody works, another each time. It is cancelled in the end: by the call, by
 * another one if its outcome is not known, or by one that was repeated within the call. */
static jj_status cancel(jj_client *client, jj_error *err)
{
    bool was_armed = atomic_exchange(&armed, false);
    jj_receipt receipt;

    must(jj_enqueue(client, &(jj_spec){.name = "idle"}, &receipt, err), err);
    atomic_store(&armed, was_armed);
    jj_status s = jj_cancel(client, receipt.id, err);
    was_armed = atomic_exchange(&armed, false);
    for (jj_status again = s; again != JJ_OK && again != JJ_ERR_STATE;)
        again = jj_cancel(client, receipt.id, NULL);
    expect_state(client, receipt.id, JJ_CANCELLED);
    atomic_store(&armed, was_armed);
    return s == JJ_ERR_STATE ? JJ_OK : s;
}

static jj_status redrive(jj_client *client, jj_error *err)
{
    jj_status s = jj_redrive(client, scene.failed_id, err);

    return s == JJ_ERR_STATE ? JJ_OK : s; /* it was revived, and has not failed again yet */
}

static jj_status logs(jj_client *client, jj_error *err)
{
    jj_lines *lines = NULL;
    jj_status s = jj_logs(client, scene.failed_id, 0, &lines, err);

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

/* ---- due jobs ---- */

#define DUE_JOBS     20
#define DUE_APART_MS 400

static bool all_due_ran(void *ctx)
{
    (void)ctx;
    return atomic_load(&due_runs) >= DUE_JOBS;
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
        arm(i / 2, false);
        wait_until(is_past, &end_ms, WAIT_MS);
        disarm();
    }
    assert_true(wait_until(all_due_ran, NULL, 2 * WAIT_MS));
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
    spared = true;
    for (int n = 0; n < READ_PLACES; n++) {
        snprintf(id, sizeof(id), "read-%d", n);
        must(jj_enqueue(scene.remote, &(jj_spec){.name = "idle", .id = id}, &receipt, &err), &err);
        arm(n, false);
        assert_true(wait_until(is_known, id, WAIT_MS));
        disarm();
    }
    for (int n = 0; n < READ_PLACES; n++) {
        snprintf(id, sizeof(id), "read-%d", n);
        assert_true(is_known(id));
    }
    spared = false;
}

/* ---- the tests ---- */

#define CALL_TEST(name)                                                                            \
    static void name##_without_memory(void **state)                                                \
    {                                                                                              \
        (void)state;                                                                               \
        try_both(#name, name, scene.client);                                                       \
        try_both(#name ", remote", name, scene.remote);                                            \
    }

CALL_TEST(enqueue)
CALL_TEST(enqueue_many)
CALL_TEST(schedule)
CALL_TEST(get)
CALL_TEST(get_by_name)
CALL_TEST(wait)
CALL_TEST(cancel)
CALL_TEST(redrive)
CALL_TEST(logs)
CALL_TEST(stats)

static void opening_without_memory(void **state)
{
    (void)state;
    try_both("open", open_and_close, NULL);
    try_both("open with an index", open_with_index, NULL);
}

static void starting_and_stopping_without_memory(void **state)
{
    (void)state;
    try_both("start and stop", work_and_stop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enqueue_without_memory),
        cmocka_unit_test(enqueue_many_without_memory),
        cmocka_unit_test(schedule_without_memory),
        cmocka_unit_test(get_without_memory),
        cmocka_unit_test(get_by_name_without_memory),
        cmocka_unit_test(wait_without_memory),
        cmocka_unit_test(cancel_without_memory),
        cmocka_unit_test(redrive_without_memory),
        cmocka_unit_test(the_index_reads_all_without_memory),
        cmocka_unit_test(logs_without_memory),
        cmocka_unit_test(stats_without_memory),
        cmocka_unit_test(no_due_job_is_lost_without_memory),
        cmocka_unit_test(opening_without_memory),
        cmocka_unit_test(starting_and_stopping_without_memory),
    };

    return cmocka_run_group_tests_name("memory", tests, begin, end);
}

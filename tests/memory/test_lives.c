/* SPDX-License-Identifier: Apache-2.0 */

/* What begins and ends: clients, workers, handlers, services, listeners. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "nats_client.h"
#include "scene.h"
#include "shortage.h"
#include "wait.h"

static jj_verdict be_other(jj_attempt *attempt, void *user)
{
    (void)user;
    return jj_done(attempt, NULL, 0);
}

/* ---- clients and workers ---- */

static jj_status open_and_close(jj_client *client, jj_error *err)
{
    const jj_options options = scene_options(NULL);
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
    const jj_options options = scene_options(path);
    jj_status s = jj_open(&options, &other, err);
    if (s == JJ_OK)
        jj_close(other);
    return s;
}

static jj_status work_and_stop(jj_client *client, jj_error *err)
{
    const jj_options options = scene_options(NULL);
    jj_client *other = NULL;
    bool had_begun = shortage_pause();

    (void)client;
    must(jj_open(&options, &other, err), err);
    shortage_resume(had_begun);
    jj_status s = jj_register(other, "other", be_other, NULL, NULL, err);
    if (s == JJ_OK)
        s = jj_start(other, err);
    if (s == JJ_OK)
        s = jj_stop(other, err);
    shortage_pause();
    jj_close(other);
    return s;
}

static void opening_without_memory(void **state)
{
    (void)state;
    try_call("open", open_and_close, NULL);
    try_call("open with an index", open_with_index, NULL);
}

static void starting_and_stopping_without_memory(void **state)
{
    (void)state;
    try_call("start and stop", work_and_stop, NULL);
}

/* ---- services ---- */

/* What could not begin to answer can be told to once more. */
static jj_status serve(jj_client *client, jj_error *err)
{
    jj_options options = scene_options(NULL);
    jj_client *other = NULL;
    bool had_begun = shortage_pause();

    (void)client;
    options.adapter = &jj_adapter_memory;
    must(jj_open(&options, &other, err), err);
    shortage_resume(had_begun);
    jj_status s = jj_serve(other, err);
    had_begun = shortage_pause();
    if (s != JJ_OK)
        must(jj_serve(other, NULL), err);
    jj_close(other);
    shortage_resume(had_begun);
    return s;
}

static void serving_without_memory(void **state)
{
    (void)state;
    try_call("serve", serve, NULL);
}

/* ---- handlers ---- */

static char name[JJ_NAME_SIZE]; /* of the handler that is registered */

static void choose_name(void)
{
    static int last;

    snprintf(name, sizeof(name), "handler-%d", ++last);
}

/* The name is taken, or as free as it was. */
static jj_status expect_registered(jj_client *client, jj_status s)
{
    bool had_begun = shortage_pause();
    jj_status again = jj_register(client, name, be_other, NULL, NULL, NULL);

    assert_int_equal(again, s == JJ_OK ? JJ_ERR_EXISTS : JJ_OK);
    shortage_resume(had_begun);
    return s;
}

static jj_status register_function(jj_client *client, jj_error *err)
{
    choose_name();
    return expect_registered(client, jj_register(client, name, be_other, NULL, NULL, err));
}

static jj_status register_exec(jj_client *client, jj_error *err)
{
    const jj_exec_options exec = {.argv = (const char *const[]){"sh", "-c", "true", NULL},
                                  .dir = "/",
                                  .env = (const char *const[]){"MODE=a", "HOME", NULL},
                                  .user = getuid() == 0 ? "root" : NULL,
                                  .cpu_seconds = 10};

    choose_name();
    return expect_registered(client, jj_register_exec(client, name, &exec, NULL, err));
}

static jj_status register_request(jj_client *client, jj_error *err)
{
    choose_name();
    return expect_registered(client, jj_register_request(client, name, "svc.other", NULL, err));
}

/* One that there is not: what a plugin registers is as above. */
static jj_status load_plugin(jj_client *client, jj_error *err)
{
    jj_status s = jj_load_plugin(client, "./no-such-plugin.so", err);

    return s == JJ_ERR_INVALID ? JJ_OK : s;
}

static void registering_without_memory(void **state)
{
    (void)state;
    try_call("register", register_function, scene.remote);
    try_call("register a program", register_exec, scene.remote);
    try_call("register a service", register_request, scene.remote);
    try_call("load a plugin", load_plugin, scene.remote);
}

/* ---- listeners ---- */

static atomic_int heard;
static _Atomic uint64_t missed;

static bool hear(const jj_live *live, void *user)
{
    (void)user;
    atomic_fetch_add(&missed, live->missed);
    atomic_fetch_add(&heard, 1);
    return true;
}

static jj_status listen_and_close(jj_client *client, jj_error *err)
{
    jj_listener *listener = NULL;
    jj_status s = jj_listen(client, "job.other.completed", hear, NULL, &listener, err);

    jj_listener_close(listener);
    return s;
}

static void listening_without_memory(void **state)
{
    (void)state;
    try_call("listen", listen_and_close, scene.remote);
}

static bool all_are_accounted_for(void *ctx)
{
    return (uint64_t)atomic_load(&heard) + atomic_load(&missed) == *(uint64_t *)ctx;
}

static bool some_failed(void *ctx)
{
    (void)ctx;
    return shortage_failures() > 0;
}

static void what_a_listener_has_no_memory_for_is_counted(void **state)
{
    struct nats_client *stranger = nats_client_open(scene.server.url);
    const struct note note = {.subject = "job.other.completed", .data = "{}"};
    jj_listener *listener = NULL;
    uint64_t told = 0;
    jj_error err;

    (void)state;
    shortage_spare(true);
    atomic_store(&heard, 0);
    atomic_store(&missed, 0);
    must(jj_listen(scene.remote, "job.other.completed", hear, NULL, &listener, &err), &err);
    for (int round = 0; round < 4; round++) {
        shortage_begin(round, round % 2 == 0 ? SHORT_ONCE : SHORT_FOR_GOOD);
        for (int i = 0; i < 10; i++, told++)
            nats_client_publish(stranger, &note);
        assert_true(wait_until(some_failed, NULL, WAIT_MS));
        shortage_end();
        nats_client_publish(stranger, &note); /* it says how many were missed before it */
        told++;
        assert_true(wait_until(all_are_accounted_for, &told, WAIT_MS));
    }
    assert_true(atomic_load(&missed) > 0);
    assert_int_equal(jj_listener_missed(listener), atomic_load(&missed));
    jj_listener_close(listener);
    nats_client_close(stranger);
    shortage_spare(false);
}

/* ---- the tests ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_without_memory),
        cmocka_unit_test(starting_and_stopping_without_memory),
        cmocka_unit_test(serving_without_memory),
        cmocka_unit_test(registering_without_memory),
        cmocka_unit_test(listening_without_memory),
        cmocka_unit_test(what_a_listener_has_no_memory_for_is_counted),
    };

    return cmocka_run_group_tests_name("memory.lives", tests, scene_begin, scene_end);
}

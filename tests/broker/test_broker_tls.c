/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certificates.h"
#include "clock.h"
#include "world.h"

#define REFUSAL_MS 2000 /* one attempt at most */

/* The files of both sides, in a folder of their own. */
struct files {
    char dir[TEMP_PATH_SIZE];
    char authority[TEMP_PATH_SIZE + 16];
    char another[TEMP_PATH_SIZE + 16];
    char expired[TEMP_PATH_SIZE + 16];
    char of_another[TEMP_PATH_SIZE + 16];
    char server_cert[TEMP_PATH_SIZE + 16];
    char server_key[TEMP_PATH_SIZE + 16];
    char client_cert[TEMP_PATH_SIZE + 16];
    char client_key[TEMP_PATH_SIZE + 16];
};

static struct files files;

static void write_file(char path[TEMP_PATH_SIZE + 16], const char *name, const char *text)
{
    snprintf(path, TEMP_PATH_SIZE + 16, "%s/%s", files.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_files(void **state)
{
    (void)state;
    temp_dir_make(files.dir);
    write_file(files.authority, "ca.pem", CERTIFICATE_AUTHORITY);
    write_file(files.another, "other.pem", ANOTHER_AUTHORITY);
    write_file(files.expired, "expired.pem", EXPIRED_CERTIFICATE);
    write_file(files.of_another, "elsewhere.pem", CERTIFICATE_OF_ANOTHER);
    write_file(files.server_cert, "server.pem", CERTIFICATE_OF_SERVER);
    write_file(files.server_key, "server.key", KEY_OF_SERVER);
    write_file(files.client_cert, "client.pem", CERTIFICATE_OF_CLIENT);
    write_file(files.client_key, "client.key", KEY_OF_CLIENT);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    temp_dir_remove(files.dir);
    return 0;
}

/* A server that talks TLS only; verify: and wants certificates. The stranger stays outside. */
static void serve(struct world *world, bool verify)
{
    char config[4 * TEMP_PATH_SIZE];

    snprintf(config, sizeof(config),
             "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: %s }",
             files.server_cert, files.server_key, files.authority, verify ? "true" : "false");
    server_start(&world->server, &(struct server_options){.config = config});
}

static jj_status open_with(struct world *world, jj_options options, jj_error *err)
{
    const struct log log = world_log(world);

    return jj__broker_open(&options, &log, &world->broker, err);
}

static jj_options options_of(const struct world *world)
{
    jj_options options = world_options(world->server.url);

    options.tls_ca = files.authority;
    return options;
}

static void a_server_that_the_authority_knows_is_trusted(void **state)
{
    struct world *world = *state;
    jj_error err;

    serve(world, false);
    if (open_with(world, options_of(world), &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj__broker_flush(world->broker, WAIT_MS);
    assert_true(jj__broker_connected(world->broker));
}

/* It is, in one line that holds each of these; a slow machine may need more than one call. */
static void assert_refused(struct world *world, jj_options options, const char *why,
                           const char *reason)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_error err = {0};

    options.connect_timeout_ms = REFUSAL_MS;
    do
        assert_int_equal(open_with(world, options, &err), JJ_ERR_UNAVAILABLE);
    while (strstr(err.text, reason) == NULL && jj__clock_mono_ms() < until_ms);
    if (strstr(err.text, why) == NULL || strstr(err.text, reason) == NULL)
        fail_msg("\"%s\" and \"%s\" should be in: %s", why, reason, err.text);
    assert_null(strchr(err.text, '\n'));
}

static void a_server_that_another_authority_knows_is_not_trusted(void **state)
{
    struct world *world = *state;

    serve(world, false);
    jj_options options = options_of(world);
    options.tls_ca = files.another;
    assert_refused(world, options, world->server.url, "unable to get local issuer certificate");
}

/* The same key, and the other authority. */
static void serve_another(struct world *world, const char *certificate)
{
    char config[4 * TEMP_PATH_SIZE];

    snprintf(config, sizeof(config), "tls { cert_file: \"%s\", key_file: \"%s\" }", certificate,
             files.server_key);
    server_start(&world->server, &(struct server_options){.config = config});
}

static void a_certificate_that_is_over_is_not_trusted(void **state)
{
    struct world *world = *state;

    serve_another(world, files.expired);
    jj_options options = options_of(world);
    options.tls_ca = files.another;
    assert_refused(world, options, world->server.url, "certificate has expired");
}

static void a_certificate_for_another_host_is_not_trusted(void **state)
{
    struct world *world = *state;

    serve_another(world, files.of_another);
    jj_options options = options_of(world);
    options.tls_ca = files.another;
    assert_refused(world, options, world->server.url, "mismatch");
}

static void without_an_authority_the_server_is_not_trusted(void **state)
{
    struct world *world = *state;

    serve(world, false);
    jj_options options = options_of(world);
    options.tls_ca = NULL;
    assert_refused(world, options, world->server.url, "unable to get local issuer certificate");
}

static void a_server_without_tls_is_not_trusted(void **state)
{
    struct world *world = *state;

    server_start(&world->server, NULL);
    assert_refused(world, options_of(world), world->server.url, "Secure Connection not available");
}

static void a_server_that_wants_a_certificate_gets_it(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    serve(world, true);
    jj_options options = options_of(world);
    assert_refused(world, options, world->server.url, "it may want a certificate of us");
    options.connect_timeout_ms = WAIT_MS;
    options.tls_cert = files.client_cert;
    options.tls_key = files.client_key;
    if (open_with(world, options, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void files_that_are_not_there_are_named(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    serve(world, false);
    jj_options options = options_of(world);
    options.tls_ca = "/nowhere/ca.pem";
    assert_int_equal(open_with(world, options, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "/nowhere/ca.pem"));
    options.tls_ca = files.authority;
    options.tls_cert = "/nowhere/cert.pem";
    options.tls_key = files.client_key;
    assert_int_equal(open_with(world, options, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "/nowhere/cert.pem"));
    options.tls_cert = NULL;
    options.tls_key = NULL;
    options.credentials = "/nowhere/user.creds";
    options.connect_timeout_ms = 500;
    assert_int_not_equal(open_with(world, options, &err), JJ_OK);
    assert_non_null(strstr(err.text, "/nowhere/user.creds"));
}

/* ---- traffic ---- */

struct traffic {
    struct world *world;
    struct port *port;
    const char *data;
    size_t len;
    size_t count;
};

static void hear(void *ctx, struct broker_msg *msg)
{
    struct traffic *traffic = ctx;

    bag_put(&traffic->world->bag, jj__msg_len(msg));
    jj__msg_free(msg);
}

static void open_port(void *ctx)
{
    struct traffic *traffic = ctx;
    const struct port_options options = {.subject = "news", .take = hear, .ctx = traffic};

    if (jj__broker_port_open(traffic->world->broker, &options, &traffic->port, NULL) != JJ_OK)
        traffic->port = NULL;
}

static void close_port(void *ctx)
{
    struct traffic *traffic = ctx;

    jj__broker_port_close(traffic->port);
}

static void send_all(void *ctx)
{
    struct traffic *traffic = ctx;
    const struct outgoing message = {.subject = "news", .data = traffic->data, .len = traffic->len};

    for (size_t i = 0; i < traffic->count; i++)
        if (!jj__broker_send(traffic->world->broker, &message))
            bag_put(&traffic->world->bag, UINT64_MAX);
}

static void do_nothing(void *ctx)
{
    (void)ctx;
}

/* More than the socket takes: the rest waits for room, while nothing comes in. */
static void a_large_burst_does_not_stop_the_thread(void **state)
{
    struct world *world = *state;
    static char data[200000];
    struct traffic traffic = {.world = world, .data = data, .len = sizeof(data), .count = 200};
    jj_error err;

    serve(world, false);
    if (open_with(world, options_of(world), &err) != JJ_OK)
        fail_msg("%s", err.text);
    for (int round = 0; round < 3; round++) {
        int64_t start_ms = jj__clock_mono_ms();
        jj__broker_call(world->broker, send_all, &traffic); /* nobody listens, nothing comes back */
        jj__broker_call(world->broker, do_nothing, NULL);
        jj__broker_flush(world->broker, WAIT_MS);
        assert_true(jj__clock_mono_ms() - start_ms < 20000);
    }
    jj__broker_call(world->broker, open_port, &traffic);
    assert_non_null(traffic.port);
    jj__broker_call(world->broker, send_all, &traffic);
    assert_true(bag_wait(&world->bag, 200));
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(bag_get(&world->bag, i), sizeof(data));
    jj__broker_call(world->broker, close_port, &traffic);
}

static void it_connects_again_with_tls(void **state)
{
    struct world *world = *state;
    static char data[20];
    struct traffic traffic = {.world = world, .data = data, .len = sizeof(data), .count = 100};
    jj_error err;

    serve(world, false);
    if (open_with(world, options_of(world), &err) != JJ_OK)
        fail_msg("%s", err.text);
    jj__broker_call(world->broker, open_port, &traffic);
    assert_non_null(traffic.port);
    for (size_t round = 1; round < 4; round++) {
        server_kill(&world->server);
        assert_true(world_wait_connected(world, false));
        server_restart(&world->server);
        assert_true(world_wait_connected(world, true));
        jj__broker_call(world->broker, send_all, &traffic);
        assert_true(bag_wait(&world->bag, round * 100));
    }
    jj__broker_call(world->broker, close_port, &traffic);
}

static void a_server_that_reads_no_more_is_given_up(void **state)
{
    struct world *world = *state;
    static char data[200000];
    struct traffic traffic = {.world = world, .data = data, .len = sizeof(data), .count = 100};
    jj_error err;

    serve(world, false);
    if (open_with(world, options_of(world), &err) != JJ_OK)
        fail_msg("%s", err.text);
    server_freeze(&world->server);
    jj__broker_call(world->broker, send_all, &traffic);
    int64_t start_ms = jj__clock_mono_ms();
    world_disconnect(world);
    assert_true(jj__clock_mono_ms() - start_ms < 60000);
    server_thaw(&world->server);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)
    const struct CMUnitTest tests[] = {
        STORY(a_server_that_the_authority_knows_is_trusted),
        STORY(a_server_that_another_authority_knows_is_not_trusted),
        STORY(a_certificate_that_is_over_is_not_trusted),
        STORY(a_certificate_for_another_host_is_not_trusted),
        STORY(without_an_authority_the_server_is_not_trusted),
        STORY(a_server_without_tls_is_not_trusted),
        STORY(a_server_that_wants_a_certificate_gets_it),
        STORY(files_that_are_not_there_are_named),
        STORY(a_large_burst_does_not_stop_the_thread),
        STORY(it_connects_again_with_tls),
        STORY(a_server_that_reads_no_more_is_given_up),
    };

    return cmocka_run_group_tests_name("broker_tls", tests, make_files, remove_files);
}

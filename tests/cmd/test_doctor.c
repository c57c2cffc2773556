/* SPDX-License-Identifier: Apache-2.0 */

/* jetjobs doctor: a broker is brought into each state that is wrong, and the line that names it is
 * there. Here it is the server, its streams and their room; jobs are in test_doctor_jobs.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "clinic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct server_options without_jetstream = {.no_jetstream = true};
static const struct server_options small = {.config =
                                                "accounts { A { jetstream: { max_file: 64MB }\n"
                                                "users: [ { user: a, password: x } ] } }\n"
                                                "no_auth_user: a"};

/* ---- nothing is wrong ---- */

static void a_healthy_broker_is_fine(void **state)
{
    const char *output = clinic_doctor(*state, 0);

    assert_non_null(strstr(output, "nothing is wrong\n"));
    assert_null(strstr(output, "warning: "));
    assert_null(strstr(output, "error: "));
    assert_non_null(strstr(output, "note: permissions: this user may purge any stream"));
    assert_non_null(strstr(output, "note: server: whether messages are on disk"));
}

static void json_has_a_line_for_each_finding(void **state)
{
    struct clinic *clinic = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->server.url};
    const char *output = cli_output(&cli, CLI_ARGS("--json", "doctor"), 0);
    json_t *finding = json_loads(output, JSON_DISABLE_EOF_CHECK, NULL);

    assert_non_null(finding);
    assert_string_equal(json_string_value(json_object_get(finding, "severity")), "note");
    assert_non_null(json_object_get(finding, "about"));
    assert_non_null(json_object_get(finding, "what"));
    assert_non_null(json_object_get(finding, "todo"));
    json_decref(finding);
}

/* ---- what is missing ---- */

static void jetstream_is_off(void **state)
{
    clinic_expect(*state,
                  "error: server: JetStream does not answer: jobs can't be stored\n    switch it");
}

/* The same server with another version in it, of the same length. */
static int begin_old(void **state)
{
    static char program[TEMP_PATH_SIZE];
    static const struct server_options old = {.program = program};
    const char *const argv[] = {"sh",
                                "-c",
                                "version=$(\"$1\" --version | sed 's/.* v//')\n"
                                "old=$(echo \"$version\" | sed 's/^2[.][0-9][0-9][.]/2.13./')\n"
                                "known=$(echo \"$version\" | sed 's/[.]/[.]/g')\n"
                                "LC_ALL=C sed \"s/$known/$old/g\" \"$1\" >\"$2\"\n"
                                "chmod 700 \"$2\"\n",
                                "sh",
                                getenv("JETJOBS_NATS_SERVER"),
                                program,
                                NULL};

    temp_dir_make(program);
    snprintf(program + strlen(program), sizeof(program) - strlen(program), "/nats-server");
    assert_int_equal(process_run(argv, NULL), 0);
    *state = (void *)&old;
    return clinic_begin_empty(state);
}

static int end_old(void **state)
{
    char dir[TEMP_PATH_SIZE];
    const struct clinic *clinic = *state;

    memcpy(dir, clinic->server.program, sizeof(dir));
    *strrchr(dir, '/') = '\0';
    clinic_end(state);
    temp_dir_remove(dir);
    return 0;
}

/* Before there are streams, and afterwards. */
static void an_old_server(void **state)
{
    clinic_expect(*state, "error: server: nats-server 2.13.");
    clinic_make(*state, "STREAM.CREATE.JOBS",
                "{\"name\":\"JOBS\",\"subjects\":[\"jobs.enqueue.*\"],\"storage\":\"memory\"}");
    clinic_expect(*state, " is too old: jetjobs needs 2.14.4 or later\n    upgrade it\n");
}

/* A cluster where one server of three is left: what its API says then. */
static void most_servers_are_gone(void **state)
{
    struct clinic *clinic = *state;
    static const char *const answers[][2] = {
        {"$JS.API.INFO", "{\"error\":{\"code\":503,\"err_code\":10008}}"},
        {"$JS.API.STREAM.INFO.JOBS",
         "{\"config\":{},\"state\":{\"messages\":1,\"subjects\":{\"jobs.enqueue.mail\":1}}}"},
        {"$JS.API.CONSUMER.LIST.JOBS", "{\"total\":0,\"consumers\":[],\"missing\":[\"mail\"]}"},
    };
    struct listener *listeners[COUNT(answers)];

    for (size_t i = 0; i < COUNT(answers); i++)
        listeners[i] = nats_client_listen(clinic->stranger, answers[i][0], answers[i][1]);
    const char *output = clinic_doctor(clinic, 1);
    assert_non_null(strstr(output, "error: server: JetStream has no leader: most servers of the "));
    assert_null(strstr(output, "no worker has ever had that name"));
    for (size_t i = 0; i < COUNT(answers); i++)
        listener_close(listeners[i]);
}

static void streams_are_not_there(void **state)
{
    clinic_expect(*state, "error: stream JOBS: it is not there\n    jetjobs provision\n");
    clinic_expect(*state, "error: stream JOBS_EVENTS: it is not there");
}

static void nobody_answers_or_moves(void **state)
{
    clinic_provision(*state);
    clinic_expect(*state, "warning: index: no index service answers");
    clinic_expect(*state, "warning: due jobs: nobody has ever moved them");
}

/* ---- streams that are otherwise ---- */

static const struct {
    const char *stream;
    const char *settings;
    const char *line;
} changes[] = {
    {"JOBS", "{\"discard\":\"old\"}",
     "error: stream JOBS: discard is \"old\", jetjobs needs \"new\"\n    jetjobs provision"},
    {"JOBS", "{\"allow_direct\":false}",
     "error: stream JOBS: allow_direct is false, jetjobs needs true"},
    {"JOBS", "{\"max_age\":600000000000}",
     "error: stream JOBS: max_age is 600000000000: jobs beyond that are dropped in silence"},
    {"JOBS", "{\"duplicate_window\":1000000000}",
     "error: stream JOBS: duplicate_window is 1000000000, jetjobs needs 600000000000"},
    {"JOBS", "{\"max_msg_size\":1000}", "error: stream JOBS: max_msg_size is set: larger jobs"},
    {"JOBS", "{\"no_ack\":true}", "error: stream JOBS: no_ack is set"},
    {"JOBS_SCHEDULE", "{\"max_bytes\":1000000}",
     "error: stream JOBS_SCHEDULE: max_bytes is 1000000: jobs beyond that are dropped"},
    {"JOBS_SCHEDULE", "{\"subjects\":[\"jobs.due.*\"]}",
     "error: stream JOBS_SCHEDULE: subjects is"},
    {"JOBS_EVENTS", "{\"allow_direct\":false}", "error: stream JOBS_EVENTS: allow_direct is false"},
};

static void each_setting_that_is_otherwise_is_named(void **state)
{
    struct clinic *clinic = *state;
    char what[64];

    for (size_t i = 0; i < COUNT(changes); i++) {
        json_t *before = nats_client_stream_config(clinic->stranger, changes[i].stream);
        json_t *after = json_deep_copy(before);
        json_t *settings = json_loads(changes[i].settings, 0, NULL);
        assert_int_equal(json_object_update(after, settings), 0);
        json_decref(settings);
        snprintf(what, sizeof(what), "STREAM.UPDATE.%s", changes[i].stream);
        json_decref(nats_client_api(clinic->stranger, what, after));
        clinic_expect(clinic, changes[i].line);
        json_decref(nats_client_api(clinic->stranger, what, before));
    }
    clinic_doctor(clinic, 0);
}

static void what_cannot_be_changed_is_said_to_be_so(void **state)
{
    clinic_make(*state, "STREAM.CREATE.JOBS",
                "{\"name\":\"JOBS\",\"subjects\":[\"jobs.enqueue.*\"],\"retention\":\"limits\","
                "\"storage\":\"memory\"}");
    clinic_expect(*state,
                  "error: stream JOBS: retention is \"limits\", jetjobs needs \"workqueue\"\n"
                  "    use another account");
    clinic_expect(*state, "error: stream JOBS: storage is \"memory\", jetjobs needs \"file\"");
}

static void a_stream_that_forgets_what_it_acknowledged(void **state)
{
    clinic_make(*state, "STREAM.CREATE.JOBS",
                "{\"name\":\"JOBS\",\"subjects\":[\"jobs.enqueue.*\"],\"retention\":\"workqueue\","
                "\"storage\":\"file\",\"persist_mode\":\"async\",\"allow_rollup_hdrs\":true}");
    clinic_expect(*state, "error: stream JOBS: persist_mode is set");
    clinic_expect(*state, "error: stream JOBS: allow_rollup_hdrs is true, jetjobs needs false");
    clinic_expect(*state, "error: stream JOBS: deny_purge is ");
}

/* ---- room ---- */

static void store_bytes(struct clinic *clinic, size_t count, size_t len)
{
    char *data = malloc(len);

    assert_non_null(data);
    memset(data, 'x', len);
    for (size_t i = 0; i < count; i++)
        nats_client_store(clinic->stranger,
                          &(struct note){.subject = "jobs.enqueue.big", .data = data, .len = len});
    free(data);
}

static void a_queue_that_is_nearly_full(void **state)
{
    struct clinic *clinic = *state;
    json_t *config = nats_client_stream_config(clinic->stranger, "JOBS");

    json_object_set_new(config, "max_bytes", json_integer(100000));
    json_decref(nats_client_api(clinic->stranger, "STREAM.UPDATE.JOBS", config));
    store_bytes(clinic, 9, 10000);
    clinic_expect(clinic, "warning: stream JOBS: 9");
    clinic_expect(clinic, "of 100000 bytes are in use: when it is full, jobs are refused\n"
                          "    start more workers");
}

static void an_account_that_is_nearly_full(void **state)
{
    store_bytes(*state, 60, 1000000);
    clinic_expect(*state, "warning: account: ");
}

/* ---- the server's own settings ---- */

static const char *doctor_of(struct clinic *clinic, const char *monitor, int status)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->url};

    return cli_output(&cli, CLI_ARGS("doctor", "--monitor", monitor), status);
}

/* Start it again with monitoring, whose url this is in a static buffer, and have it kept. */
static const char *restart_with_monitor(struct clinic *clinic, const char *jetstream)
{
    static char monitor[64];
    const struct server *server = &clinic->server;
    char config[TEMP_PATH_SIZE + 256];

    snprintf(config, sizeof(config),
             "http: \"127.0.0.1:%d\"\njetstream { store_dir: \"%s/store\", %s }",
             server->spare_port, server->dir, jetstream);
    jj_close(clinic->keeper);
    server_restart_with(&clinic->server,
                        &(struct server_options){.no_jetstream = true, .config = config});
    nats_client_settle(clinic->stranger);
    clinic_open_keeper(clinic, &jj_adapter_memory);
    snprintf(monitor, sizeof(monitor), "http://127.0.0.1:%d/", server->spare_port);
    return monitor;
}

static void a_server_that_does_not_sync(void **state)
{
    struct clinic *clinic = *state;
    const char *output = doctor_of(clinic, restart_with_monitor(clinic, ""), 1);

    assert_non_null(strstr(output, "warning: server: messages are acknowledged before they are on "
                                   "disk, and synced every 120 s: a power cut may take "
                                   "acknowledged jobs\n    set sync_interval: always in its"));
    output = doctor_of(clinic, restart_with_monitor(clinic, "sync_interval: always"), 0);
    assert_null(strstr(output, ": server: "));
}

static void a_server_that_is_nearly_full(void **state)
{
    struct clinic *clinic = *state;
    const char *monitor =
        restart_with_monitor(clinic, "sync_interval: always, max_file_store: 4MB");

    store_bytes(clinic, 4, 900000);
    assert_non_null(strstr(doctor_of(clinic, monitor, 1),
                           " of 4194304 bytes of storage are in use: "
                           "when it is full, jobs are refused"));
}

static void a_monitor_that_is_none(void **state)
{
    static const struct {
        const char *url;
        int status;
        const char *said;
    } monitors[] = {
        {"127.0.0.1:8222", 2, "--monitor '127.0.0.1:8222': allowed is http://HOST[:PORT]"},
        {"https://127.0.0.1", 2, "allowed is http"},
        {"http://", 2, "allowed is http"},
        {"http://:8222", 2, "allowed is http"},
        {"http://a:1x", 2, "allowed is http"},
        {"http://[::1", 2, "allowed is http"},
        {"http://a b", 2, "allowed is http"},
        {"http://127.0.0.1:1", 4, "127.0.0.1:1: Connection refused"},
        {"http://[::1]:1/base/", 4, "::1:1: "},
    };
    struct clinic *clinic = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->url};
    char own[64];

    for (size_t i = 0; i < COUNT(monitors); i++) {
        const char *errors =
            cli_errors(&cli, CLI_ARGS("doctor", "--monitor", monitors[i].url), monitors[i].status);
        if (strstr(errors, monitors[i].said) == NULL)
            fail_msg("\"%s\" is not in: %s", monitors[i].said, errors);
    }
    snprintf(own, sizeof(own), "http://127.0.0.1:%d", clinic->server.port);
    assert_non_null(strstr(cli_errors(&cli, CLI_ARGS("doctor", "--monitor", own), 1),
                           "is not the monitoring of a nats-server"));
}

/* ---- rights ---- */

static const struct server_options guarded = {
    .config = "no_auth_user: boss\n"
              "authorization { users: [ { user: boss, password: x }, { user: guest, password: x,\n"
              "    permissions: { publish: [ \"$JS.API.INFO\", \"$JS.API.STREAM.INFO.JOBS\" ],\n"
              "    subscribe: [ \"_INBOX.>\" ] } } ] }"};

static void a_user_who_may_do_too_much(void **state)
{
    struct clinic *clinic = *state;
    const char *output = clinic_doctor(clinic, 0);

    assert_non_null(strstr(output, "note: permissions: this user may purge any stream of its "
                                   "account\n    give workers and producers users as in"));
    server_url_of(&clinic->server, "guest:x", clinic->url);
    output = clinic_doctor(clinic, 0);
    assert_null(strstr(output, "permissions"));
    assert_null(strstr(output, "stream JOBS:"));
    assert_non_null(strstr(output, "note: stream JOBS_EVENTS: this user may not look at it\n"
                                   "    ask with another user\n"));
}

/* ---- the index ---- */

static atomic_bool is_stuck;

static jj_status begin_or_fail(void *storage, jj_error *err)
{
    (void)err;
    return atomic_load(&is_stuck) ? JJ_ERR_STORAGE : jj_adapter_memory.begin(storage, err);
}

struct lag {
    struct clinic *clinic;
    uint64_t jobs;
};

static bool lags(void *ctx)
{
    const struct lag *lag = ctx;
    jj_stats *stats = NULL;

    if (jj_stats_get(lag->clinic->keeper, &stats, NULL) != JJ_OK)
        return false;
    bool so_much = jj_stats_lag_jobs(stats) >= lag->jobs;
    jj_stats_free(stats);
    return so_much;
}

/* Enqueue so many, of which the index sees all but those in its writer's hands. */
static void fall_behind(struct clinic *clinic, int jobs, uint64_t lag)
{
    for (int i = 0; i < jobs; i++)
        nats_client_send(clinic->stranger,
                         &(struct note){.subject = "jobs.enqueue.mail", .data = "1"});
    assert_true(wait_until(lags, &(struct lag){clinic, lag}, WAIT_MS));
}

/* Its storage fails, so that it stands still. */
static void an_index_that_is_behind(void **state)
{
    static jj_adapter adapter; /* until the teardown */
    struct clinic *clinic = *state;

    adapter = jj_adapter_memory;
    adapter.begin = begin_or_fail;
    clinic_open_keeper(clinic, &adapter);
    clinic_doctor(clinic, 0);
    atomic_store(&is_stuck, true);
    fall_behind(clinic, 5000, 3000); /* it reads no further */
    fall_behind(clinic, 8000, 11000);
    clinic_expect(clinic, "warning: index: it has yet to read 1");
    clinic_expect(clinic, " messages of JOBS and 0 of JOBS_EVENTS: answers are late\n"
                          "    wait, if it was started just now; else see its log\n");
    atomic_store(&is_stuck, false);
}

#define TEST(test, begin) cmocka_unit_test_setup_teardown(test, clinic_begin_##begin, clinic_end)
#define TEST_ON(server, test, begin)                                                               \
    {                                                                                              \
#test, test, clinic_begin_##begin, clinic_end, (void *)&(server)                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_healthy_broker_is_fine, healthy),
        TEST(json_has_a_line_for_each_finding, healthy),
        TEST_ON(without_jetstream, jetstream_is_off, empty),
        TEST_ON(without_jetstream, most_servers_are_gone, empty),
        cmocka_unit_test_setup_teardown(an_old_server, begin_old, end_old),
        TEST(streams_are_not_there, empty),
        TEST(nobody_answers_or_moves, empty),
        TEST(each_setting_that_is_otherwise_is_named, healthy),
        TEST(what_cannot_be_changed_is_said_to_be_so, empty),
        TEST(a_stream_that_forgets_what_it_acknowledged, empty),
        TEST(a_queue_that_is_nearly_full, healthy),
        TEST_ON(small, an_account_that_is_nearly_full, healthy),
        TEST(a_server_that_does_not_sync, empty),
        TEST(a_server_that_is_nearly_full, empty),
        TEST(a_monitor_that_is_none, empty),
        TEST_ON(guarded, a_user_who_may_do_too_much, healthy),
        TEST(an_index_that_is_behind, empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

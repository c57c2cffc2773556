/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker_provision.h"
#include "clock.h"
#include "world.h"

#define DAY_MS INT64_C(86400000)

static jj_status provision_with(struct world *world, const struct stream_settings *settings,
                                jj_error *err)
{
    const struct log log = world_log(world);

    return jj__provision_streams(world->broker, &log, settings, world_deadline(), err);
}

static void provision(struct world *world)
{
    jj_error err;

    if (provision_with(world, &(struct stream_settings){0}, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

/* ---- what the server has ---- */

static int64_t number(struct world *world, const char *stream, const char *key)
{
    json_t *config = nats_client_stream_config(world->stranger, stream);
    int64_t value = json_integer_value(json_object_get(config, key));

    json_decref(config);
    return value;
}

static bool flag(struct world *world, const char *stream, const char *key)
{
    json_t *config = nats_client_stream_config(world->stranger, stream);
    bool value = json_is_true(json_object_get(config, key));

    json_decref(config);
    return value;
}

static void assert_text(struct world *world, const char *stream, const char *key, const char *text)
{
    json_t *config = nats_client_stream_config(world->stranger, stream);

    assert_string_equal(json_string_value(json_object_get(config, key)), text);
    json_decref(config);
}

static bool has_subject(struct world *world, const char *stream, const char *subject)
{
    json_t *config = nats_client_stream_config(world->stranger, stream);
    size_t i;
    json_t *entry;
    bool found = false;

    json_array_foreach(json_object_get(config, "subjects"), i, entry)
    {
        found |= strcmp(json_string_value(entry), subject) == 0;
    }
    json_decref(config);
    return found;
}

static int64_t consumer_setting(struct world *world, const char *stream, const char *consumer,
                                const char *key)
{
    char what[128];

    snprintf(what, sizeof(what), "CONSUMER.INFO.%s.%s", stream, consumer);
    json_t *info = nats_client_api(world->stranger, what, NULL);
    int64_t value = json_integer_value(json_object_get(json_object_get(info, "config"), key));
    json_decref(info);
    return value;
}

/* Requests that change something. */
static struct listener *watch_changes(struct world *world, const char *verb)
{
    char subject[64];

    snprintf(subject, sizeof(subject), "$JS.API.%s.>", verb);
    return nats_client_listen(world->stranger, subject, NULL);
}

/* ---- streams ---- */

static void streams_are_made(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    provision(world);
    assert_text(world, "JOBS", "retention", "workqueue");
    assert_text(world, "JOBS", "discard", "new");
    assert_text(world, "JOBS", "storage", "file");
    assert_true(flag(world, "JOBS", "allow_atomic"));
    assert_true(flag(world, "JOBS", "allow_direct"));
    assert_true(flag(world, "JOBS", "deny_purge"));
    assert_int_equal(number(world, "JOBS", "duplicate_window"), INT64_C(600000000000));
    assert_int_equal(number(world, "JOBS", "max_bytes"), -1);
    assert_true(has_subject(world, "JOBS", "jobs.enqueue.*"));
    assert_text(world, "JOBS_SCHEDULE", "retention", "workqueue");
    assert_true(flag(world, "JOBS_SCHEDULE", "allow_msg_schedules"));
    assert_true(has_subject(world, "JOBS_SCHEDULE", "jobs.schedule.*.*"));
    assert_true(has_subject(world, "JOBS_SCHEDULE", "jobs.due.*"));
    assert_text(world, "JOBS_EVENTS", "retention", "limits");
    assert_true(flag(world, "JOBS_EVENTS", "deny_delete"));
    assert_int_equal(number(world, "JOBS_EVENTS", "max_age"), 7 * DAY_MS * 1000000);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_bytes"), INT64_C(8) << 30);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
}

static void a_second_time_changes_nothing(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    provision(world);
    struct listener *creations = watch_changes(world, "STREAM.CREATE");
    struct listener *updates = watch_changes(world, "STREAM.UPDATE");
    provision(world);
    provision(world);
    nats_client_publish(world->stranger, &(struct note){.subject = "x"});
    assert_int_equal(listener_count(creations), 0);
    assert_int_equal(listener_count(updates), 0);
    listener_close(creations);
    listener_close(updates);
}

static void settings_are_those_of_the_options(void **state)
{
    struct world *world = *state;
    const struct stream_settings settings = {.replicas = 1,
                                             .history_ms = 3 * DAY_MS,
                                             .history_bytes = INT64_C(5) << 30,
                                             .jobs_bytes = INT64_C(1) << 30};

    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &settings, NULL), JJ_OK);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_age"), 3 * DAY_MS * 1000000);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_bytes"), INT64_C(5) << 30);
    assert_int_equal(number(world, "JOBS", "max_bytes"), INT64_C(1) << 30);
    assert_int_equal(number(world, "JOBS_SCHEDULE", "max_bytes"), -1);
}

static void later_settings_change_what_is_there(void **state)
{
    struct world *world = *state;
    const struct stream_settings settings = {.history_ms = DAY_MS, .jobs_bytes = 1000000};

    world_connect(world, NULL);
    provision(world);
    assert_int_equal(provision_with(world, &settings, NULL), JJ_OK);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_age"), DAY_MS * 1000000);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_bytes"), INT64_C(8) << 30);
    assert_int_equal(number(world, "JOBS", "max_bytes"), 1000000);
}

static void what_jetjobs_needs_is_added(void **state)
{
    struct world *world = *state;

    world_stream(world, "JOBS", "other.jobs",
                 "{\"retention\": \"workqueue\", \"duplicate_window\": 1000000000}");
    world_stream(world, "JOBS_SCHEDULE", "other.schedule", "{\"retention\": \"workqueue\"}");
    world_stream(world, "JOBS_EVENTS", "other.events", NULL);
    nats_client_store_text(world->stranger, "other.jobs", "kept");
    world_connect(world, NULL);
    provision(world);
    assert_true(has_subject(world, "JOBS", "jobs.enqueue.*"));
    assert_true(has_subject(world, "JOBS", "other.jobs"));
    assert_true(flag(world, "JOBS", "allow_atomic"));
    assert_true(flag(world, "JOBS", "allow_direct"));
    assert_true(flag(world, "JOBS", "deny_purge"));
    assert_text(world, "JOBS", "discard", "new");
    assert_int_equal(number(world, "JOBS", "duplicate_window"), INT64_C(600000000000));
    assert_true(flag(world, "JOBS_SCHEDULE", "allow_msg_schedules"));
    assert_true(has_subject(world, "JOBS_SCHEDULE", "jobs.due.*"));
    assert_true(has_subject(world, "JOBS_EVENTS", "jobs.claims.*"));
    assert_int_equal(nats_client_stream_messages(world->stranger, "JOBS"), 1);

    struct listener *updates = watch_changes(world, "STREAM.UPDATE");
    provision(world);
    nats_client_publish(world->stranger, &(struct note){.subject = "x"});
    assert_int_equal(listener_count(updates), 0); /* the server took it all */
    listener_close(updates);
}

static void what_is_the_operators_is_left_alone(void **state)
{
    struct world *world = *state;

    world_stream(
        world, "JOBS_EVENTS", "jobs.events.*.*",
        "{\"max_age\": 86400000000000, \"max_bytes\": 123456789, \"description\": \"ours\","
        " \"duplicate_window\": 3600000000000, \"max_msgs\": 5000}");
    world_stream(world, "JOBS", "jobs.enqueue.*",
                 "{\"retention\": \"workqueue\", \"max_bytes\": 123456789, \"discard\": \"new\","
                 " \"duplicate_window\": 3600000000000, \"metadata\": {\"team\": \"a\"}}");
    world_connect(world, NULL);
    provision(world);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_age"), DAY_MS * 1000000);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_bytes"), 123456789);
    assert_int_equal(number(world, "JOBS_EVENTS", "max_msgs"), 5000);
    assert_int_equal(number(world, "JOBS_EVENTS", "duplicate_window"), INT64_C(3600000000000));
    assert_text(world, "JOBS_EVENTS", "description", "ours");
    assert_true(flag(world, "JOBS_EVENTS", "deny_delete"));
    assert_int_equal(number(world, "JOBS", "max_bytes"), 123456789);
    assert_int_equal(number(world, "JOBS", "duplicate_window"), INT64_C(3600000000000));
    json_t *config = nats_client_stream_config(world->stranger, "JOBS");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(config, "metadata"), "team")), "a");
    json_decref(config);
}

static void limits_that_drop_jobs_are_taken_away(void **state)
{
    struct world *world = *state;

    world_stream(world, "JOBS", "jobs.enqueue.*",
                 "{\"retention\": \"workqueue\", \"max_age\": 86400000000000}");
    world_stream(world, "JOBS_SCHEDULE", "jobs.due.*",
                 "{\"retention\": \"workqueue\", \"max_age\": 86400000000000, \"max_msgs\": 100,"
                 " \"max_bytes\": 1000000}");
    world_connect(world, NULL);
    provision(world);
    assert_int_equal(number(world, "JOBS", "max_age"), 0);
    assert_int_equal(number(world, "JOBS_SCHEDULE", "max_age"), 0);
    assert_int_equal(number(world, "JOBS_SCHEDULE", "max_msgs"), -1);
    assert_int_equal(number(world, "JOBS_SCHEDULE", "max_bytes"), -1);
}

static void another_retention_is_refused_and_named(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    world_stream(world, "JOBS", "jobs.enqueue.*", NULL);
    nats_client_store_text(world->stranger, "jobs.enqueue.a", "kept");
    world_connect(world, NULL);
    struct listener *updates = watch_changes(world, "STREAM.UPDATE");
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_STATE);
    assert_non_null(strstr(err.text, "stream JOBS "));
    assert_non_null(strstr(err.text, "retention"));
    assert_non_null(strstr(err.text, "\"limits\""));
    assert_non_null(strstr(err.text, "\"workqueue\""));
    nats_client_publish(world->stranger, &(struct note){.subject = "x"});
    assert_int_equal(listener_count(updates), 0);
    assert_int_equal(nats_client_stream_messages(world->stranger, "JOBS"), 1);
    listener_close(updates);
}

static void a_stream_in_memory_is_refused(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    world_stream(world, "JOBS_EVENTS", "jobs.claims.*", "{\"storage\": \"memory\"}");
    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_STATE);
    assert_non_null(strstr(err.text, "JOBS_EVENTS"));
    assert_non_null(strstr(err.text, "storage"));
    assert_non_null(strstr(err.text, "\"memory\""));
}

static void subjects_that_another_stream_has_are_refused(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    world_stream(world, "OTHER", "jobs.>", NULL);
    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_STATE);
    assert_non_null(strstr(err.text, "JOBS"));
    assert_non_null(strstr(err.text, "overlap"));
}

static void more_replicas_than_servers_are_refused(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &(struct stream_settings){.replicas = 3}, &err),
                     JJ_ERR_STATE);
    assert_non_null(strstr(err.text, "JOBS"));
    assert_non_null(strstr(err.text, "replicas"));
}

/* ---- a small disk ---- */

static void expect_no_room(struct world *world, const struct stream_settings *settings,
                           const char *const said[2])
{
    jj_error err = {0};

    assert_int_equal(provision_with(world, settings, &err), JJ_ERR_STATE);
    for (int i = 0; i < 2; i++)
        if (strstr(err.text, said[i]) == NULL)
            fail_msg("\"%s\" is not in: %s", said[i], err.text);
}

/* The settings that reserve room are named, and less room is enough. */
static void expect_settings_named(struct world *world)
{
    static const char *const history[] = {
        "stream JOBS_EVENTS: ", "it reserves 8589934592 bytes: make index.history_bytes (in C: "
                                "jj_options.history_bytes) smaller, or give JetStream more room"};
    static const char *const jobs[] = {
        "stream JOBS: ",
        "it reserves 5368709120 bytes: make streams.max_bytes (in C: jj_options.jobs_bytes)"};
    const struct stream_settings large = {.history_bytes = INT64_C(8) << 30};
    const struct stream_settings small = {.history_bytes = 1 << 20, .jobs_bytes = 1 << 20};
    const struct stream_settings large_jobs = {.jobs_bytes = INT64_C(5) << 30};

    expect_no_room(world, &(struct stream_settings){0}, history);
    assert_int_equal(provision_with(world, &small, NULL), JJ_OK);
    expect_no_room(world, &large, history);
    expect_no_room(world, &large_jobs, jobs);
}

static void a_small_disk_is_told_and_what_takes_its_room(void **state)
{
    struct world *world = *state;
    char config[TEMP_PATH_SIZE + 64];

    snprintf(config, sizeof(config), "jetstream { store_dir: \"%s/store\", max_file_store: 1GB }",
             world->server.dir);
    server_restart_with(&world->server,
                        &(struct server_options){.no_jetstream = true, .config = config});
    nats_client_settle(world->stranger);
    world_connect(world, NULL);
    expect_settings_named(world);
}

static void a_small_account_is_told_and_what_takes_its_room(void **state)
{
    static const char *const users[] = {"a:x", "b:x"};
    struct world *world = *state;

    world_serve(
        world,
        "accounts {\n"
        "A { jetstream: { max_file: 64MB }, users: [{ user: a, password: x }] }\n"
        "B { jetstream: { disk_max_stream_bytes: 64MB }, users: [{ user: b, password: x }] }"
        "}",
        "a:x");
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        world_connect(world, users[i]);
        expect_settings_named(world);
        world_disconnect(world);
    }
}

static void a_server_without_jetstream_is_named_as_such(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    server_start(&world->server, &(struct server_options){.no_jetstream = true});
    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "JetStream"));
}

static void an_account_without_jetstream_is_named_as_such(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    world_serve(world, "accounts { A { users: [{ user: a, password: x }] } }", "a:x");
    world_connect(world, "a:x");
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "JetStream"));
}

/* A server that is too old is played by the stranger, on a server without JetStream. */
static void old_server(void **state, const char *version)
{
    struct world *world = *state;
    jj_error err = {0};
    char info[512];

    server_start(&world->server, &(struct server_options){.no_jetstream = true});
    world->stranger = nats_client_open(world->server.url);
    snprintf(
        info, sizeof(info),
        "{\"config\": {\"name\": \"JOBS\", \"subjects\": [\"jobs.enqueue.*\"],"
        "\"retention\": \"workqueue\", \"storage\": \"file\", \"discard\": \"new\","
        "\"max_bytes\": -1, \"max_msgs\": -1, \"deny_purge\": true, \"allow_direct\": true,"
        "\"allow_atomic\": true, \"num_replicas\": 1, \"duplicate_window\": 600000000000%s%s%s}}",
        version == NULL ? "" : ", \"metadata\": {\"_nats.ver\": \"", version == NULL ? "" : version,
        version == NULL ? "" : "\"}");
    struct listener *api = nats_client_listen(world->stranger, "$JS.API.>", info);
    world_connect(world, NULL);
    assert_int_equal(provision_with(world, &(struct stream_settings){0}, &err), JJ_ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "2.14.4"));
    assert_non_null(strstr(err.text, version == NULL ? "older than" : version));
    listener_close(api);
}

static void an_old_server_is_refused(void **state)
{
    old_server(state, "2.14.3");
}

static void a_very_old_server_is_refused(void **state)
{
    old_server(state, NULL);
}

static void nonsense_from_the_api_is_a_protocol_error(void **state)
{
    struct world *world = *state;
    static const char *const answers[] = {"", "nonsense", "[]", "7", "{\"error\": 7}", "{}"};

    server_start(&world->server, &(struct server_options){.no_jetstream = true});
    world->stranger = nats_client_open(world->server.url);
    world_connect(world, NULL);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        jj_error err = {0};
        struct listener *api = nats_client_listen(world->stranger, "$JS.API.>", answers[i]);
        jj_status s = provision_with(world, &(struct stream_settings){0}, &err);
        assert_true(s == JJ_ERR_PROTOCOL || s == JJ_ERR_STATE);
        assert_int_not_equal(err.text[0], '\0');
        listener_close(api);
    }
}

static void a_cluster_that_has_no_leader_yet_is_waited_for(void **state)
{
    struct world *world = *state;
    jj_error err = {0};
    const struct log log = world_log(world);

    server_start(&world->server, &(struct server_options){.no_jetstream = true});
    world->stranger = nats_client_open(world->server.url);
    world_connect(world, NULL);
    struct listener *api = nats_client_listen(
        world->stranger, "$JS.API.>",
        "{\"error\": {\"code\": 503, \"err_code\": 10008, \"description\": \"JetStream system "
        "temporarily unavailable\"}}");
    const struct stream_settings settings = {0};
    jj_status s =
        jj__provision_streams(world->broker, &log, &settings, jj__clock_mono_ms() + 2000, &err);
    assert_true(s == JJ_ERR_UNAVAILABLE || s == JJ_ERR_TIMEOUT);
    assert_true(listener_count(api) > 1);
    listener_close(api);
}

/* ---- permissions ---- */

#define USERS                                                                                      \
    "accounts { A { jetstream: enabled, users: ["                                                  \
    "{ user: boss, password: x },"                                                                 \
    "{ user: producer, password: x, permissions: {"                                                \
    "    publish: { allow: [\"jobs.enqueue.*\"] }, subscribe: { allow: [\"_INBOX.>\"] } } },"      \
    "{ user: looker, password: x, permissions: {"                                                  \
    "    publish: { allow: [\"$JS.API.STREAM.INFO.*\", \"$JS.API.CONSUMER.INFO.*.*\"] } } }"       \
    "] } }"

static void who_may_not_look_after_streams_leaves_it(void **state)
{
    struct world *world = *state;
    static const char *const users[] = {"producer:x", "looker:x"};

    world_serve(world, USERS, "boss:x");
    for (size_t i = 0; i < 2; i++) {
        world_connect(world, users[i]);
        int64_t start_ms = jj__clock_mono_ms();
        provision(world);
        assert_true(jj__clock_mono_ms() - start_ms < 20000);
        world_disconnect(world);
    }
    assert_int_equal(log_book_count(&world->book, JJ_LOG_INFO), 0);
    json_t *names = nats_client_api(world->stranger, "STREAM.NAMES", NULL);
    assert_int_equal(json_integer_value(json_object_get(names, "total")), 0);
    json_decref(names);
}

static void who_may_not_look_after_consumers_leaves_it(void **state)
{
    struct world *world = *state;
    const struct consumer_settings settings = {.name = "mail"};
    struct consumer_facts facts = {0};
    jj_error err;

    world_serve(world, USERS, "boss:x");
    world_connect(world, "boss:x");
    provision(world);
    world_disconnect(world);
    log_book_count(&world->book, JJ_LOG_WARN);
    static const char *const users[] = {"producer:x", "looker:x"};
    for (size_t i = 0; i < 2; i++) {
        world_connect(world, users[i]);
        assert_int_equal(
            jj__provision_consumer(world->broker, &settings, true, world_deadline(), &facts, &err),
            JJ_OK);
        assert_null(facts.create_body);
        assert_int_equal(facts.ack_wait_ms, 15000);
        assert_int_equal(facts.max_ack_pending, 10000);
        free(facts.create_subject);
        world_disconnect(world);
    }
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    assert_int_equal(nats_client_consumer_number(world->stranger, "JOBS", "mail", "num_pending"),
                     -1);
}

/* ---- several at once ---- */

struct provisioner {
    struct world *world;
    struct broker *broker;
    pthread_t thread;
    jj_status status;
    jj_error err;
};

static void *provision_on_thread(void *arg)
{
    struct provisioner *provisioner = arg;
    const struct log log = world_log(provisioner->world);
    const struct stream_settings settings = {0};

    provisioner->status = jj__provision_streams(provisioner->broker, &log, &settings,
                                                world_deadline(), &provisioner->err);
    return NULL;
}

static void several_at_once_agree(void **state)
{
    struct world *world = *state;
    struct provisioner all[4];

    for (size_t i = 0; i < 4; i++) {
        world_connect(world, NULL);
        all[i] = (struct provisioner){.world = world, .broker = world->broker};
        world->broker = NULL;
    }
    for (size_t i = 0; i < 4; i++)
        pthread_create(&all[i].thread, NULL, provision_on_thread, &all[i]);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(all[i].thread, NULL);
        jj__broker_close(all[i].broker);
    }
    for (size_t i = 0; i < 4; i++)
        if (all[i].status != JJ_OK)
            fail_msg("%s", all[i].err.text);
    assert_true(flag(world, "JOBS", "allow_atomic"));
}

/* ---- consumers ---- */

static void provision_mail(struct world *world, const struct consumer_settings *settings,
                           struct consumer_facts *facts)
{
    jj_error err;

    *facts = (struct consumer_facts){0};
    if (jj__provision_consumer(world->broker, settings, true, world_deadline(), facts, &err) !=
        JJ_OK)
        fail_msg("%s", err.text);
}

static void free_facts(struct consumer_facts *facts)
{
    free(facts->create_subject);
    free(facts->create_body);
}

static void a_consumer_of_a_name_is_made(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;

    world_connect(world, NULL);
    provision(world);
    provision_mail(world, &(struct consumer_settings){.name = "mail"}, &facts);
    assert_int_equal(facts.ack_wait_ms, 15000);
    assert_int_equal(facts.max_ack_pending, 10000);
    assert_string_equal(facts.create_subject,
                        "$JS.API.CONSUMER.CREATE.JOBS.mail.jobs.enqueue.mail");
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(15000000000));
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "max_deliver"), -1);
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "max_waiting"), 8192);
    free_facts(&facts);
}

static void the_consumer_of_due_jobs_is_made(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;

    world_connect(world, NULL);
    provision(world);
    provision_mail(world, &(struct consumer_settings){.name = NULL}, &facts);
    assert_string_equal(facts.create_subject,
                        "$JS.API.CONSUMER.CREATE.JOBS_SCHEDULE.due.jobs.due.*");
    assert_int_equal(facts.max_ack_pending, 50000);
    assert_int_equal(consumer_setting(world, "JOBS_SCHEDULE", "due", "max_ack_pending"), 50000);
    free_facts(&facts);
}

static void the_longest_name_fits(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;
    char name[JJ_NAME_SIZE];

    memset(name, 'n', JJ_NAME_MAX);
    name[JJ_NAME_MAX] = '\0';
    world_connect(world, NULL);
    provision(world);
    provision_mail(world, &(struct consumer_settings){.name = name}, &facts);
    assert_int_equal(nats_client_consumer_number(world->stranger, "JOBS", name, "num_pending"), 0);
    free_facts(&facts);
}

static void settings_of_a_consumer_are_those_of_the_options(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;
    const struct consumer_settings settings = {
        .name = "mail", .ack_wait_ms = 2000, .fleet_concurrency = 3};

    world_connect(world, NULL);
    provision(world);
    for (int round = 0; round < 2; round++) { /* made, then changed */
        provision_mail(world, &settings, &facts);
        assert_int_equal(facts.ack_wait_ms, 2000);
        assert_int_equal(facts.max_ack_pending, 3);
        assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(2000000000));
        assert_int_equal(consumer_setting(world, "JOBS", "mail", "max_ack_pending"), 3);
        free_facts(&facts);
        if (round > 0)
            break;
        json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.JOBS.mail", NULL));
        provision_mail(world, &(struct consumer_settings){.name = "mail"}, &facts);
        free_facts(&facts);
    }
}

static void make_mail(struct world *world, const char *filter, const char *more)
{
    json_t *config = json_loads(more, 0, NULL);

    assert_non_null(config);
    json_object_set_new(config, "durable_name", json_string("mail"));
    json_object_set_new(config, "filter_subject", json_string(filter));
    if (json_object_get(config, "ack_policy") == NULL)
        json_object_set_new(config, "ack_policy", json_string("explicit"));
    json_decref(nats_client_api(world->stranger, "CONSUMER.DURABLE.CREATE.JOBS.mail",
                                json_pack("{s:s, s:o}", "stream_name", "JOBS", "config", config)));
}

static void an_operators_ack_wait_is_adopted(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;

    world_connect(world, NULL);
    provision(world);
    make_mail(world, "jobs.enqueue.mail",
              "{\"ack_wait\": 33000000000, \"max_ack_pending\": 77, \"description\": \"ours\"}");
    provision_mail(world, &(struct consumer_settings){.name = "mail"}, &facts);
    assert_int_equal(facts.ack_wait_ms, 33000);
    assert_int_equal(facts.max_ack_pending, 77);
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(33000000000));
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "max_ack_pending"), 77);
    free_facts(&facts);
}

static void what_would_lose_jobs_is_changed(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;

    world_connect(world, NULL);
    provision(world);
    make_mail(world, "jobs.enqueue.mail", "{\"max_deliver\": 5, \"backoff\": [1000000000]}");
    provision_mail(world, &(struct consumer_settings){.name = "mail", .ack_wait_ms = 5000}, &facts);
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "max_deliver"), -1);
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(5000000000));
    assert_int_equal(facts.ack_wait_ms, 5000);
    free_facts(&facts);
}

static void a_consumer_that_does_something_else_is_refused(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts = {0};
    const struct consumer_settings settings = {.name = "mail"};
    jj_error err = {0};

    world_connect(world, NULL);
    provision(world);
    make_mail(world, "jobs.enqueue.post", "{}");
    assert_int_equal(
        jj__provision_consumer(world->broker, &settings, true, world_deadline(), &facts, &err),
        JJ_ERR_STATE);
    assert_non_null(strstr(err.text, "mail"));
    assert_non_null(strstr(err.text, "filter_subject"));
    assert_null(facts.create_subject);
    assert_int_equal(
        nats_client_consumer_number(world->stranger, "JOBS", "mail", "num_ack_pending"), 0);
}

static void without_its_stream_a_consumer_is_an_error(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts = {0};
    const struct consumer_settings settings = {.name = "mail"};
    jj_error err = {0};

    world_connect(world, NULL);
    assert_int_not_equal(
        jj__provision_consumer(world->broker, &settings, true, world_deadline(), &facts, &err),
        JJ_OK);
    assert_non_null(strstr(err.text, "JOBS"));
}

static void who_must_not_provision_asks_nothing(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts = {0};
    const struct consumer_settings settings = {
        .name = "mail", .ack_wait_ms = 7000, .fleet_concurrency = 9};
    jj_error err;

    world_connect(world, NULL);
    struct listener *api = nats_client_listen(world->stranger, "$JS.API.>", NULL);
    assert_int_equal(
        jj__provision_consumer(world->broker, &settings, false, world_deadline(), &facts, &err),
        JJ_OK);
    assert_int_equal(facts.ack_wait_ms, 7000);
    assert_int_equal(facts.max_ack_pending, 9);
    assert_null(facts.create_body);
    nats_client_publish(world->stranger, &(struct note){.subject = "x"});
    assert_int_equal(listener_count(api), 0);
    listener_close(api);
    free_facts(&facts);
}

static void the_facts_make_the_consumer_again(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;
    const struct consumer_settings settings = {.name = "mail", .ack_wait_ms = 4000};

    world_connect(world, NULL);
    provision(world);
    provision_mail(world, &settings, &facts);
    json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.JOBS.mail", NULL));
    const char *what = facts.create_subject + strlen("$JS.API.");
    json_decref(nats_client_api(world->stranger, what, json_loads(facts.create_body, 0, NULL)));
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(4000000000));
    /* Once more does no harm. */
    json_decref(nats_client_api(world->stranger, what, json_loads(facts.create_body, 0, NULL)));
    free_facts(&facts);
}

static void the_facts_do_not_undo_an_operators_change(void **state)
{
    struct world *world = *state;
    struct consumer_facts facts;

    world_connect(world, NULL);
    provision(world);
    provision_mail(world, &(struct consumer_settings){.name = "mail"}, &facts);
    json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.JOBS.mail", NULL));
    make_mail(world, "jobs.enqueue.mail", "{\"ack_wait\": 33000000000, \"max_waiting\": 8192}");
    const char *what = facts.create_subject + strlen("$JS.API.");
    assert_int_not_equal(
        nats_client_api_error(world->stranger, what, json_loads(facts.create_body, 0, NULL)), 0);
    assert_int_equal(consumer_setting(world, "JOBS", "mail", "ack_wait"), INT64_C(33000000000));
    free_facts(&facts);
}

int main(void)
{
#define STORY(name)            cmocka_unit_test_setup_teardown(name, world_begin, world_end)
#define OWN_SERVER_STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)
    const struct CMUnitTest tests[] = {
        STORY(streams_are_made),
        STORY(a_second_time_changes_nothing),
        STORY(settings_are_those_of_the_options),
        STORY(later_settings_change_what_is_there),
        STORY(what_jetjobs_needs_is_added),
        STORY(what_is_the_operators_is_left_alone),
        STORY(limits_that_drop_jobs_are_taken_away),
        STORY(another_retention_is_refused_and_named),
        STORY(a_stream_in_memory_is_refused),
        STORY(subjects_that_another_stream_has_are_refused),
        STORY(more_replicas_than_servers_are_refused),
        STORY(a_small_disk_is_told_and_what_takes_its_room),
        OWN_SERVER_STORY(a_small_account_is_told_and_what_takes_its_room),
        OWN_SERVER_STORY(a_server_without_jetstream_is_named_as_such),
        OWN_SERVER_STORY(an_account_without_jetstream_is_named_as_such),
        OWN_SERVER_STORY(an_old_server_is_refused),
        OWN_SERVER_STORY(a_very_old_server_is_refused),
        OWN_SERVER_STORY(nonsense_from_the_api_is_a_protocol_error),
        OWN_SERVER_STORY(a_cluster_that_has_no_leader_yet_is_waited_for),
        OWN_SERVER_STORY(who_may_not_look_after_streams_leaves_it),
        OWN_SERVER_STORY(who_may_not_look_after_consumers_leaves_it),
        STORY(several_at_once_agree),
        STORY(a_consumer_of_a_name_is_made),
        STORY(the_consumer_of_due_jobs_is_made),
        STORY(the_longest_name_fits),
        STORY(settings_of_a_consumer_are_those_of_the_options),
        STORY(an_operators_ack_wait_is_adopted),
        STORY(what_would_lose_jobs_is_changed),
        STORY(a_consumer_that_does_something_else_is_refused),
        STORY(without_its_stream_a_consumer_is_an_error),
        STORY(who_must_not_provision_asks_nothing),
        STORY(the_facts_make_the_consumer_again),
        STORY(the_facts_do_not_undo_an_operators_change),
    };

    return cmocka_run_group_tests_name("broker_provision", tests, NULL, NULL);
}

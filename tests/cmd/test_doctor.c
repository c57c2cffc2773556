/* SPDX-License-Identifier: Apache-2.0 */

/* jetjobs doctor: a broker is brought into each state that is wrong, and the line that names it is
 * there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

#include "cli.h"
#include "doctor.h"
#include "nats_client.h"
#include "server.h"
#include "wait.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct clinic {
    struct server server;
    struct nats_client *stranger;
    jj_client *keeper; /* an index service, which moves, too; NULL: none */
};

static int begin_with(void **state, const struct server_options *options)
{
    struct clinic *clinic = calloc(1, sizeof(*clinic));

    assert_non_null(clinic);
    server_start(&clinic->server, options);
    clinic->stranger = nats_client_open(clinic->server.url);
    *state = clinic;
    return 0;
}

static int begin_empty(void **state)
{
    return begin_with(state, NULL);
}

static int begin_without_jetstream(void **state)
{
    return begin_with(state, &(struct server_options){.no_jetstream = true});
}

static void open_keeper(struct clinic *clinic)
{
    const jj_options options = {.url = clinic->server.url,
                                .adapter = &jj_adapter_memory,
                                .timeout_ms = WAIT_MS,
                                .history_bytes = 1 << 20};
    jj_error err;

    if (jj_open(&options, &clinic->keeper, &err) != JJ_OK ||
        jj_serve(clinic->keeper, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static int begin_healthy(void **state)
{
    begin_with(state, NULL);
    open_keeper(*state);
    return 0;
}

static int begin_small(void **state)
{
    begin_with(state,
               &(struct server_options){.config = "accounts { A { jetstream: { max_file: 64MB }\n"
                                                  "users: [ { user: a, password: x } ] } }\n"
                                                  "no_auth_user: a"});
    open_keeper(*state);
    return 0;
}

static int end(void **state)
{
    struct clinic *clinic = *state;

    jj_close(clinic->keeper);
    nats_client_close(clinic->stranger);
    server_done(&clinic->server);
    free(clinic);
    return 0;
}

static const char *doctor(struct clinic *clinic, int status)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->server.url};

    return cli_output(&cli, CLI_ARGS("doctor"), status);
}

static void expect(struct clinic *clinic, const char *line)
{
    const char *output = doctor(clinic, 1);

    if (strstr(output, line) == NULL)
        fail_msg("\"%s\" is not in:\n%s", line, output);
}

static void make(struct clinic *clinic, const char *what, const char *config)
{
    json_t *request = json_loads(config, 0, NULL);

    assert_non_null(request);
    json_decref(nats_client_api(clinic->stranger, what, request));
}

static void provision(struct clinic *clinic)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->server.url};

    assert_int_equal(cli_run(&cli, CLI_ARGS("provision"), NULL), 0);
}

/* ---- nothing is wrong ---- */

static void a_healthy_broker_is_fine(void **state)
{
    const char *output = doctor(*state, 0);

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
    expect(*state, "error: server: JetStream does not answer: jobs can't be stored\n    switch it");
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
    const char *output = doctor(clinic, 1);
    assert_non_null(strstr(output, "error: server: JetStream has no leader: most servers of the "));
    assert_null(strstr(output, "no worker has ever had that name"));
    for (size_t i = 0; i < COUNT(answers); i++)
        listener_close(listeners[i]);
}

static void streams_are_not_there(void **state)
{
    expect(*state, "error: stream JOBS: it is not there\n    jetjobs provision\n");
    expect(*state, "error: stream JOBS_EVENTS: it is not there");
}

static void nobody_answers_or_moves(void **state)
{
    provision(*state);
    expect(*state, "warning: index: no index service answers");
    expect(*state, "warning: due jobs: nobody has ever moved them");
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
        expect(clinic, changes[i].line);
        json_decref(nats_client_api(clinic->stranger, what, before));
    }
    doctor(clinic, 0);
}

static void what_cannot_be_changed_is_said_to_be_so(void **state)
{
    make(*state, "STREAM.CREATE.JOBS",
         "{\"name\":\"JOBS\",\"subjects\":[\"jobs.enqueue.*\"],\"retention\":\"limits\","
         "\"storage\":\"memory\"}");
    expect(*state, "error: stream JOBS: retention is \"limits\", jetjobs needs \"workqueue\"\n"
                   "    use another account");
    expect(*state, "error: stream JOBS: storage is \"memory\", jetjobs needs \"file\"");
}

static void a_stream_that_forgets_what_it_acknowledged(void **state)
{
    make(*state, "STREAM.CREATE.JOBS",
         "{\"name\":\"JOBS\",\"subjects\":[\"jobs.enqueue.*\"],\"retention\":\"workqueue\","
         "\"storage\":\"file\",\"persist_mode\":\"async\",\"allow_rollup_hdrs\":true}");
    expect(*state, "error: stream JOBS: persist_mode is set");
    expect(*state, "error: stream JOBS: allow_rollup_hdrs is true, jetjobs needs false");
    expect(*state, "error: stream JOBS: deny_purge is ");
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
    expect(clinic, "warning: stream JOBS: 9");
    expect(clinic, "of 100000 bytes are in use: when it is full, jobs are refused\n"
                   "    start more workers");
}

static void an_account_that_is_nearly_full(void **state)
{
    store_bytes(*state, 60, 1000000);
    expect(*state, "warning: account: ");
}

/* ---- jobs that wait ---- */

#define CONSUMER(name, more)                                                                       \
    "{\"stream_name\":\"JOBS\",\"config\":{\"durable_name\":\"" name                               \
    "\",\"filter_subject\":\"jobs.enqueue.mail\",\"ack_policy\":\"explicit\"" more "}}"

static void nobody_has_ever_run_such_jobs(void **state)
{
    struct clinic *clinic = *state;

    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "2");
    expect(clinic, "error: jobs mail: 2 wait, and no worker has ever had that name\n"
                   "    start a worker with a handler of that name\n");
}

static void nobody_runs_such_jobs_now(void **state)
{
    struct clinic *clinic = *state;

    make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    doctor(clinic, 0);
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    expect(clinic, "error: jobs mail: 1 wait, and nobody asks for them");
}

static void all_slots_of_the_fleet_are_in_use(void **state)
{
    struct clinic *clinic = *state;

    make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ",\"max_ack_pending\":1"));
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "2");
    heard_free(nats_client_request(
        clinic->stranger, &(struct note){.subject = "$JS.API.CONSUMER.MSG.NEXT.JOBS.mail"}));
    assert_true(nats_client_wait_consumer(clinic->stranger, "JOBS", "mail", "num_ack_pending", 1));
    expect(clinic, "warning: jobs mail: 1 are in workers' hands, which is all that is allowed, and "
                   "1 wait\n    raise fleet_concurrency, or wait\n");
}

static void consumers_that_are_otherwise(void **state)
{
    static const struct {
        const char *request;
        const char *line;
    } consumers[] = {
        {CONSUMER("mail", ",\"max_deliver\":3"), "error: jobs mail: max_deliver is 3: a job whose"},
        {CONSUMER("mail", ",\"backoff\":[1000000000],\"max_deliver\":2"),
         "error: jobs mail: backoff is set"},
        {CONSUMER("mail", ",\"pause_until\":\"2999-01-01T00:00:00Z\""),
         "warning: jobs mail: it is paused"},
        {CONSUMER("post", ""), "error: jobs post: a consumer of JOBS has this name, and does not"},
    };
    struct clinic *clinic = *state;

    for (size_t i = 0; i < COUNT(consumers); i++) {
        bool post = strstr(consumers[i].request, "post") != NULL;
        make(clinic,
             post ? "CONSUMER.DURABLE.CREATE.JOBS.post" : "CONSUMER.DURABLE.CREATE.JOBS.mail",
             consumers[i].request);
        expect(clinic, consumers[i].line);
        json_decref(nats_client_api(
            clinic->stranger, post ? "CONSUMER.DELETE.JOBS.post" : "CONSUMER.DELETE.JOBS.mail",
            NULL));
    }
}

/* ---- messages that their consumer has passed ---- */

static jj_verdict run_once(jj_attempt *attempt, void *user)
{
    (void)user;
    return strcmp(jj_attempt_id(attempt), "later") == 0
               ? jj_retry_in(attempt, INT64_C(3600) * 1000, "not now")
               : jj_done(attempt, NULL, 0);
}

static void start_worker(struct clinic *clinic)
{
    jj_error err;

    if (jj_register(clinic->keeper, "mail", run_once, NULL, NULL, &err) != JJ_OK ||
        jj_start(clinic->keeper, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void enqueue(struct clinic *clinic, const char *id)
{
    jj_error err;

    if (jj_enqueue(clinic->keeper, &(jj_spec){.name = "mail", .id = id}, NULL, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void wait_for_end(struct clinic *clinic, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_wait(clinic->keeper, id, WAIT_MS, &job, &err) != JJ_OK)
        fail_msg("%s: %s", id, err.text);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    jj_job_free(job);
}

/* A job of that id, behind which the consumer stands then. */
static void pass_message(struct clinic *clinic, const char *id)
{
    const jj_header header = {"Job-Id", id};
    uint64_t seq = nats_client_store(
        clinic->stranger,
        &(struct note){
            .subject = "jobs.enqueue.mail", .headers = &header, .header_count = 1, .data = "1"});
    json_t *request = json_pack("{s:I}", "seq", (json_int_t)(seq + 1));

    json_decref(nats_client_api(clinic->stranger, "CONSUMER.RESET.JOBS.mail", request));
}

/* What a broker leaves that died between the acknowledgement and the deletion. */
static void a_message_that_is_done(void **state)
{
    struct clinic *clinic = *state;
    jj_error err;

    start_worker(clinic);
    enqueue(clinic, "later");
    enqueue(clinic, "now");
    wait_for_end(clinic, "now");
    assert_true(nats_client_wait_messages(clinic->stranger, "JOBS_SCHEDULE", 1));
    assert_true(nats_client_wait_messages(clinic->stranger, "JOBS", 0));
    assert_int_equal(jj_stop(clinic->keeper, &err), JJ_OK);
    doctor(clinic, 0);
    pass_message(clinic, "now");
    pass_message(clinic, "later");
    expect(clinic,
           "warning: jobs mail: message 3 of job now (completed) is still there, though that is "
           "done and nobody gets it any more: a broker died before it had deleted it\n"
           "    nats stream rmm JOBS 3\n");
    expect(clinic, "warning: jobs mail: message 4 of job later (scheduled) is still there");
    for (int seq = 3; seq <= 4; seq++)
        json_decref(nats_client_api(clinic->stranger, "STREAM.MSG.DELETE.JOBS",
                                    json_pack("{s:i}", "seq", seq)));
    doctor(clinic, 0);
}

static void a_job_that_was_passed(void **state)
{
    struct clinic *clinic = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->server.url};

    make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    pass_message(clinic, "b");
    expect(clinic,
           "error: jobs mail: job b is pending, and nobody gets its message 1 any more: the "
           "consumer was moved past it\n"
           "    jetjobs cancel b, then jetjobs retry b: that enqueues it anew\n");
    cli_output(&cli, CLI_ARGS("cancel", "b"), 0);
    cli_output(&cli, CLI_ARGS("retry", "b"), 0);
    start_worker(clinic);
    wait_for_end(clinic, "b");
    assert_true(nats_client_wait_messages(clinic->stranger, "JOBS", 0));
    doctor(clinic, 0);
}

static void a_passed_message_that_no_index_knows(void **state)
{
    struct clinic *clinic = *state;

    provision(clinic);
    make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    pass_message(clinic, "c");
    expect(clinic,
           "warning: jobs mail: nobody gets message 1 of job c any more, and no index tells "
           "whether that is over\n    run jetjobs serve, and ask again\n");
}

/* ---- schedules ---- */

static void a_schedule_is_overdue_after_half_a_minute(void **state)
{
    (void)state;
    const int64_t now_ms = INT64_C(1795472356000); /* 2026-11-23T22:19:16Z */

    assert_int_equal(jj__doctor_overdue("@at 2026-11-23T22:19:00Z", now_ms), 0);
    assert_int_equal(jj__doctor_overdue("@at 2026-11-23T22:18:00Z", now_ms), 76000);
    assert_int_equal(jj__doctor_overdue("@at 2026-11-24T22:18:00Z", now_ms), 0);
    assert_int_equal(jj__doctor_overdue("@daily", now_ms), 0);
    assert_int_equal(jj__doctor_overdue("@at soon", now_ms), 0);
    assert_int_equal(jj__doctor_overdue(NULL, now_ms), 0);
}

#define TEST(test, begin) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_healthy_broker_is_fine, begin_healthy),
        TEST(json_has_a_line_for_each_finding, begin_healthy),
        TEST(jetstream_is_off, begin_without_jetstream),
        TEST(most_servers_are_gone, begin_without_jetstream),
        TEST(streams_are_not_there, begin_empty),
        TEST(nobody_answers_or_moves, begin_empty),
        TEST(each_setting_that_is_otherwise_is_named, begin_healthy),
        TEST(what_cannot_be_changed_is_said_to_be_so, begin_empty),
        TEST(a_stream_that_forgets_what_it_acknowledged, begin_empty),
        TEST(a_queue_that_is_nearly_full, begin_healthy),
        TEST(an_account_that_is_nearly_full, begin_small),
        TEST(nobody_has_ever_run_such_jobs, begin_healthy),
        TEST(nobody_runs_such_jobs_now, begin_healthy),
        TEST(all_slots_of_the_fleet_are_in_use, begin_healthy),
        TEST(consumers_that_are_otherwise, begin_healthy),
        TEST(a_message_that_is_done, begin_healthy),
        TEST(a_job_that_was_passed, begin_healthy),
        TEST(a_passed_message_that_no_index_knows, begin_empty),
        cmocka_unit_test(a_schedule_is_overdue_after_half_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

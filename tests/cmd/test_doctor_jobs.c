/* SPDX-License-Identifier: Apache-2.0 */

/* jetjobs doctor: jobs, consumers and schedules that are stuck. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "clinic.h"
#include "doctor.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- jobs that wait ---- */

#define CONSUMER(name, more)                                                                       \
    "{\"stream_name\":\"JOBS\",\"config\":{\"durable_name\":\"" name                               \
    "\",\"filter_subject\":\"jobs.enqueue.mail\",\"ack_policy\":\"explicit\"" more "}}"

static void nobody_has_ever_run_such_jobs(void **state)
{
    struct clinic *clinic = *state;

    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "2");
    clinic_expect(clinic, "error: jobs mail: 2 wait, and no worker has ever had that name\n"
                          "    start a worker with a handler of that name\n");
}

static void nobody_runs_such_jobs_now(void **state)
{
    struct clinic *clinic = *state;

    clinic_make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    clinic_doctor(clinic, 0);
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    clinic_expect(clinic, "error: jobs mail: 1 wait, and nobody asks for them");
}

static void all_slots_of_the_fleet_are_in_use(void **state)
{
    struct clinic *clinic = *state;

    clinic_make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail",
                CONSUMER("mail", ",\"max_ack_pending\":1"));
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "1");
    nats_client_store_text(clinic->stranger, "jobs.enqueue.mail", "2");
    heard_free(nats_client_request(
        clinic->stranger, &(struct note){.subject = "$JS.API.CONSUMER.MSG.NEXT.JOBS.mail"}));
    assert_true(nats_client_wait_consumer(clinic->stranger, "JOBS", "mail", "num_ack_pending", 1));
    clinic_expect(clinic,
                  "warning: jobs mail: 1 are in workers' hands, which is all that is allowed, and "
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
        clinic_make(clinic,
                    post ? "CONSUMER.DURABLE.CREATE.JOBS.post"
                         : "CONSUMER.DURABLE.CREATE.JOBS.mail",
                    consumers[i].request);
        clinic_expect(clinic, consumers[i].line);
        json_decref(nats_client_api(
            clinic->stranger, post ? "CONSUMER.DELETE.JOBS.post" : "CONSUMER.DELETE.JOBS.mail",
            NULL));
    }
}

/* A list of them has 256 at most. */
static void each_of_many_consumers_is_seen(void **state)
{
    struct clinic *clinic = *state;
    char what[64];

    for (int i = 0; i < 300; i++) {
        json_t *config = json_pack("{s:s, s:i}", "ack_policy", "explicit", "max_deliver", 3);
        snprintf(what, sizeof(what), "n%d", i);
        json_object_set_new(config, "durable_name", json_string(what));
        snprintf(what, sizeof(what), "jobs.enqueue.n%d", i);
        json_object_set_new(config, "filter_subject", json_string(what));
        snprintf(what, sizeof(what), "CONSUMER.DURABLE.CREATE.JOBS.n%d", i);
        json_decref(
            nats_client_api(clinic->stranger, what,
                            json_pack("{s:s, s:o}", "stream_name", "JOBS", "config", config)));
    }
    const char *output = clinic_doctor(clinic, 1);
    for (int i = 0; i < 300; i++) {
        snprintf(what, sizeof(what), "error: jobs n%d: max_deliver is 3", i);
        if (strstr(output, what) == NULL)
            fail_msg("%s: is not said", what);
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
    clinic_doctor(clinic, 0);
    pass_message(clinic, "now");
    pass_message(clinic, "later");
    clinic_expect(
        clinic,
        "warning: jobs mail: message 3 of job now (completed) is still there, though that is "
        "done and nobody gets it any more: a broker died before it had deleted it\n"
        "    jetjobs serve deletes it in time; else nats stream rmm JOBS 3\n");
    clinic_expect(clinic, "warning: jobs mail: message 4 of job later (scheduled) is still there");
    for (int seq = 3; seq <= 4; seq++)
        json_decref(nats_client_api(clinic->stranger, "STREAM.MSG.DELETE.JOBS",
                                    json_pack("{s:i}", "seq", seq)));
    clinic_doctor(clinic, 0);
}

static void a_job_that_was_passed(void **state)
{
    struct clinic *clinic = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->server.url};

    clinic_make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    pass_message(clinic, "b");
    clinic_expect(clinic,
                  "error: jobs mail: job b is pending, and nobody gets its message 1 any more: the "
                  "consumer was moved past it\n"
                  "    jetjobs cancel b, then jetjobs retry b: that enqueues it anew\n");
    cli_output(&cli, CLI_ARGS("cancel", "b"), 0);
    cli_output(&cli, CLI_ARGS("retry", "b"), 0);
    start_worker(clinic);
    wait_for_end(clinic, "b");
    assert_true(nats_client_wait_messages(clinic->stranger, "JOBS", 0));
    clinic_doctor(clinic, 0);
}

static void a_passed_message_that_no_index_knows(void **state)
{
    struct clinic *clinic = *state;

    clinic_provision(clinic);
    clinic_make(clinic, "CONSUMER.DURABLE.CREATE.JOBS.mail", CONSUMER("mail", ""));
    pass_message(clinic, "c");
    clinic_expect(clinic,
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

/* Room for one schedule more, and not for what it makes. */
static const struct server_options small = {.config =
                                                "accounts { A { jetstream: { max_file: 4MB }\n"
                                                "users: [ { user: a, password: x } ] } }\n"
                                                "no_auth_user: a"};
#define SCHEDULE_BYTES 1000

static uint64_t fill_account(struct clinic *clinic)
{
    static const char zeros[900000];
    uint64_t seq = 0;

    for (;;) {
        json_t *info = nats_client_api(clinic->stranger, "INFO", NULL);
        json_int_t room =
            json_integer_value(json_object_get(json_object_get(info, "limits"), "max_storage")) -
            json_integer_value(json_object_get(info, "storage"));
        json_decref(info);
        if (room < 2 * SCHEDULE_BYTES)
            return seq;
        room -= SCHEDULE_BYTES * 3 / 2;
        struct note note = {.subject = "jobs.enqueue.big", .data = zeros, .len = sizeof(zeros)};
        if (room < (json_int_t)note.len)
            note.len = (size_t)room;
        seq = nats_client_store(clinic->stranger, &note);
    }
}

/* Its time is over, and it wants that many bytes. */
static void store_old_schedule(struct clinic *clinic, const char *subject, size_t len)
{
    static const char zeros[SCHEDULE_BYTES];
    static const jj_header headers[] = {{"Nats-Schedule", "@at 2026-01-01T00:00:00Z"},
                                        {"Nats-Schedule-Target", "jobs.due.mail"}};

    nats_client_store(clinic->stranger, &(struct note){.subject = subject,
                                                       .headers = headers,
                                                       .header_count = COUNT(headers),
                                                       .data = zeros,
                                                       .len = len});
}

/* Its log says so. */
static bool was_refused(void *ctx)
{
    const struct clinic *clinic = ctx;
    char path[TEMP_PATH_SIZE + 8], line[512];
    bool refused = false;

    snprintf(path, sizeof(path), "%s/log", clinic->server.dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        refused |= strstr(line, "resource limits exceeded") != NULL;
    assert_int_equal(fclose(file), 0);
    return refused;
}

static bool has_fired(void *ctx)
{
    struct clinic *clinic = ctx;
    json_t *info = nats_client_api(clinic->stranger, "STREAM.INFO.JOBS_SCHEDULE",
                                   json_pack("{s:s}", "subjects_filter", "jobs.due.mail"));
    const json_t *subjects = json_object_get(json_object_get(info, "state"), "subjects");
    bool fired = json_object_get(subjects, "jobs.due.mail") != NULL;

    json_decref(info);
    return fired;
}

/* There is room again, and what comes then fires. */
static void a_schedule_that_the_server_had_to_refuse(void **state)
{
    struct clinic *clinic = *state;
    const jj_options options = {.url = clinic->url, .history_bytes = 1 << 20};
    json_t *request;
    jj_error err;

    if (jj_open(&options, &clinic->keeper, &err) != JJ_OK)
        fail_msg("%s", err.text);
    uint64_t seq = fill_account(clinic);
    store_old_schedule(clinic, "jobs.schedule.mail.refused", SCHEDULE_BYTES);
    assert_true(wait_until(was_refused, clinic, WAIT_MS));
    request = json_pack("{s:I}", "seq", (json_int_t)seq);
    json_decref(nats_client_api(clinic->stranger, "STREAM.MSG.DELETE.JOBS", request));
    store_old_schedule(clinic, "jobs.schedule.mail.fires", 1);
    assert_true(wait_until(has_fired, clinic, WAIT_MS));
    clinic_expect(clinic, "error: schedules: 1 should have fired more than 30 s ago and have not, "
                          "refused among them: the server had to refuse that\n"
                          "    see that there is room on the server's disk; jetjobs serve then");
}

#define TEST(test, begin) cmocka_unit_test_setup_teardown(test, clinic_begin_##begin, clinic_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_has_ever_run_such_jobs, healthy),
        TEST(nobody_runs_such_jobs_now, healthy),
        TEST(all_slots_of_the_fleet_are_in_use, healthy),
        TEST(consumers_that_are_otherwise, healthy),
        TEST(each_of_many_consumers_is_seen, healthy),
        TEST(a_message_that_is_done, healthy),
        TEST(a_job_that_was_passed, healthy),
        TEST(a_passed_message_that_no_index_knows, empty),
        {"a_schedule_that_the_server_had_to_refuse", a_schedule_that_the_server_had_to_refuse,
         clinic_begin_empty, clinic_end, (void *)&small},
        cmocka_unit_test(a_schedule_is_overdue_after_half_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The judge tells good producers and handlers from bad ones, and names the clause. CONFORMANCE is
 * the program. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "crew.h"
#include "process.h"

/* Start it with up to eight arguments; free the process. */
static struct process *judge(struct crew *crew, const char *const args[])
{
    const char *argv[12] = {CONFORMANCE, "--url", crew->server.url};

    for (size_t i = 0; args[i] != NULL; i++)
        argv[i + 3] = args[i];
    return process_start(argv, NULL);
}

/* ---- producers ---- */

/* A message, and the clause that it breaks; "": none. */
struct sample {
    const char *broken; /* "advice" with a clause: it is only advised against */
    struct note note;
};

/* Judge one message, sent as it is. */
static void expect_judgement(struct crew *crew, const struct sample *sample)
{
    const char *const args[] = {"producer", "mail", NULL};
    char line[64];
    struct process *process = judge(crew, args);

    assert_true(process_wait_errors(process, "listening"));
    nats_client_publish(crew->stranger, &sample->note);
    bool advice = strncmp(sample->broken, "advice", 6) == 0;
    bool broken = sample->broken[0] != '\0' && !advice;
    int status = process_wait(process, 0);
    snprintf(line, sizeof(line), broken ? "BROKEN  %s: " : "%s",
             advice ? sample->broken : sample->broken);
    if (status != (broken ? 1 : 0) || strstr(process_output(process), line) == NULL ||
        (!broken && strstr(process_output(process), "BROKEN") != NULL))
        fail_msg("'%s' gave %d: %s", sample->broken, status, process_output(process));
    process_free(process);
}

#define HEADERS(...)                                                                               \
    .headers = (const jj_header[]){__VA_ARGS__},                                                   \
    .header_count = sizeof((const jj_header[]){__VA_ARGS__}) / sizeof(jj_header)
#define ENQUEUE      .subject = "jobs.enqueue.mail", .reply = "_INBOX.x", .data = "{}"
#define SCHEDULE(id) .subject = "jobs.schedule.mail." id, .reply = "_INBOX.x", .data = "{}"
#define TARGET                                                                                     \
    {                                                                                              \
        "Nats-Schedule-Target", "jobs.due.mail"                                                    \
    }

static const struct sample enqueued[] = {
    {"advice  id: there is none", {ENQUEUE}},
    {"",
     {ENQUEUE, HEADERS({"Job-Id", "a-1"}, {"Nats-Msg-Id", "a-1"}, {"Job-Max-Attempts", "5"},
                       {"Job-Timeout", "30000"}, {"Job-Created-At", "2026-11-23T22:19:16.244Z"},
                       {"Content-Type", "application/json"}, {"X-Tenant", "acme"})}},
    {"", {ENQUEUE, HEADERS({"Nats-Msg-Id", "key:k1"}, {"Job-Key", "k1"}, {"Job-Id", "a-1"})}},
    {"subject", {.subject = "jobs.enqueue.mail.now", .reply = "_INBOX.x", .data = "{}"}},
    {"acknowledged", {.subject = "jobs.enqueue.mail", .data = "{}"}},
    {"readable", {ENQUEUE, HEADERS({"Job-Max-Attempts", "many"})}},
    {"readable", {ENQUEUE, HEADERS({"Job-Run-At", "tomorrow"})}},
    {"exact-names", {ENQUEUE, HEADERS({"job-id", "a-1"})}},
    {"known-names", {ENQUEUE, HEADERS({"Job-Priority", "9"})}},
    {"server-names", {ENQUEUE, HEADERS({"Nats-TTL", "10s"})}},
    {"advice  worker-names: 'Job-Attempts'", {ENQUEUE, HEADERS({"Job-Attempts", "2"})}},
    {"id-not-name", {ENQUEUE, HEADERS({"Job-Id", "mail"})}},
    {"message-id", {ENQUEUE, HEADERS({"Job-Id", "a-1"}, {"Nats-Msg-Id", "b-1"})}},
    {"message-id", {ENQUEUE, HEADERS({"Job-Key", "k1"}, {"Nats-Msg-Id", "k1"})}},
    {"key", {ENQUEUE, HEADERS({"Job-Key", "with space"})}},
    {"content-type",
     {.subject = "jobs.enqueue.mail",
      .reply = "_INBOX.x",
      .data = "to: ada",
      HEADERS({"Content-Type", "application/json"})}},
};

static const struct sample scheduled[] = {
    {"",
     {SCHEDULE("a-1"), HEADERS({"Job-Id", "a-1"}, {"Nats-Msg-Id", "a-1"}, TARGET,
                               {"Nats-Schedule", "@at 2026-11-23T23:19:17.215Z"},
                               {"Job-Run-At", "2026-11-23T23:19:17.715Z"},
                               {"Job-Created-At", "2026-11-23T22:19:17.715Z"})}},
    {"",
     {SCHEDULE("weekly"),
      HEADERS({"Job-Schedule-Id", "weekly"}, TARGET, {"Nats-Schedule", "0 0 6 * * 1"},
              {"Nats-Schedule-Time-Zone", "Europe/Berlin"})}},
    {"schedule", {SCHEDULE("a-1"), HEADERS({"Job-Id", "a-1"}, TARGET)}},
    {"schedule",
     {SCHEDULE("a-1"), HEADERS({"Job-Id", "a-1"}, TARGET, {"Nats-Schedule", "0 6 * * 1"})}},
    {"schedule-target",
     {SCHEDULE("a-1"), HEADERS({"Job-Id", "a-1"}, {"Nats-Schedule-Target", "jobs.enqueue.mail"},
                               {"Nats-Schedule", "@at 2026-11-23T23:19:17.215Z"})}},
    {"schedule-id",
     {SCHEDULE("a-1"),
      HEADERS({"Job-Id", "a-2"}, TARGET, {"Nats-Schedule", "@at 2026-11-23T23:19:17.215Z"})}},
    {"schedule-id",
     {SCHEDULE("weekly"), HEADERS({"Job-Schedule-Id", "weekly"}, {"Job-Id", "weekly"}, TARGET,
                                  {"Nats-Schedule", "@daily"})}},
    {"schedule-time",
     {SCHEDULE("a-1"), HEADERS({"Job-Id", "a-1"}, TARGET, {"Job-Run-At", "2026-11-23T23:19:00Z"},
                               {"Nats-Schedule", "@at 2026-11-23T23:19:17.215Z"})}},
    {"advice  schedule-early: it is 0 ms",
     {SCHEDULE("a-1"),
      HEADERS({"Job-Id", "a-1"}, TARGET, {"Nats-Schedule", "@at 2026-11-23T23:19:17.215Z"})}},
    {"schedule-zone",
     {SCHEDULE("often"),
      HEADERS({"Job-Schedule-Id", "often"}, TARGET, {"Nats-Schedule", "@every 5m"},
              {"Nats-Schedule-Time-Zone", "Europe/Berlin"})}},
};

static void jobs_are_judged(void **state)
{
    for (size_t i = 0; i < sizeof(enqueued) / sizeof(enqueued[0]); i++)
        expect_judgement(*state, &enqueued[i]);
}

static void schedules_are_judged(void **state)
{
    for (size_t i = 0; i < sizeof(scheduled) / sizeof(scheduled[0]); i++)
        expect_judgement(*state, &scheduled[i]);
}

/* What the library publishes is the yardstick. */
static void the_library_conforms(void **state)
{
    struct crew *crew = *state;
    const char *const args[] = {"producer", "mail", "--count", "4", NULL};
    const jj_header header = {"X-Tenant", "acme"};
    jj_spec specs[2] = {
        {.name = "mail",
         .data = "{}",
         .data_len = 2,
         .content_type = "application/json",
         .headers = &header,
         .header_count = 1,
         .max_attempts = 2,
         .timeout_ms = 1000,
         .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {.name = "mail", .unique_key = "k1"},
    };

    crew_open(crew, NULL);
    struct process *process = judge(crew, args);
    assert_true(process_wait_errors(process, "listening"));
    assert_int_equal(jj_enqueue(crew->client, &specs[0], NULL, NULL), JJ_OK);
    assert_int_equal(jj_schedule(crew->client, &specs[0], nats_Now() + 60000, NULL, NULL), JJ_OK);
    assert_int_equal(jj_enqueue_many(crew->client, specs, 2, NULL, NULL, NULL), JJ_OK);
    if (process_wait(process, 0) != 0 ||
        strstr(process_output(process), ": 0 broken, 0 advised otherwise") == NULL)
        fail_msg("%s", process_output(process));
    process_free(process);
}

/* ---- handlers ---- */

/* How a handler answers; each is a callback of nats.c. */
static void answer(natsConnection *nc, natsMsg *msg, const char *code, const char *text)
{
    natsMsg *reply = NULL;

    assert_int_equal(natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, "{}", 2), NATS_OK);
    if (code != NULL)
        natsMsgHeader_Set(reply, "Nats-Service-Error-Code", code);
    if (text != NULL)
        natsMsgHeader_Set(reply, "Nats-Service-Error", text);
    natsConnection_PublishMsg(nc, reply);
    natsMsg_Destroy(reply);
}

static void good(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)sub, (void)user;
    if (natsMsg_GetDataLength(msg) == 0)
        answer(nc, msg, "400", "there is no data");
    else
        answer(nc, msg, NULL, NULL);
    natsMsg_Destroy(msg);
}

static void gives_up(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)sub, (void)user;
    answer(nc, msg, "500", "not today");
    natsMsg_Destroy(msg);
}

static void ignores_empty_data(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)sub, (void)user;
    if (natsMsg_GetDataLength(msg) > 0)
        answer(nc, msg, NULL, NULL);
    natsMsg_Destroy(msg);
}

static void has_odd_codes(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)sub, (void)user;
    answer(nc, msg, "failed", "no");
    natsMsg_Destroy(msg);
}

static void says_error_without_code(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
                                    void *user)
{
    (void)sub, (void)user;
    answer(nc, msg, NULL, "no");
    natsMsg_Destroy(msg);
}

static void answers_twice(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)sub, (void)user;
    answer(nc, msg, NULL, NULL);
    answer(nc, msg, NULL, NULL);
    natsMsg_Destroy(msg);
}

static void handlers_are_judged(void **state)
{
    static const struct {
        natsMsgHandler handler;
        const char *broken; /* NULL: nothing */
        const char *timeout;
    } samples[] = {
        {good, NULL, "60"},
        {gives_up, "done", "60"},
        {ignores_empty_data, "answered: no data", "1"},
        {has_odd_codes, "error-code: the code is 'failed'", "60"},
        {says_error_without_code, "error-code: the code is ''", "60"},
        {answers_twice, "answered-once: a plain job: 2 answers", "60"},
        {NULL, "answered: a plain job: no answer", "1"},
    };
    struct crew *crew = *state;
    natsConnection *nc = NULL;

    assert_int_equal(natsConnection_ConnectTo(&nc, crew->server.url), NATS_OK);
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        natsSubscription *sub = NULL;
        char line[80] = "0 broken, 0 advised";
        if (samples[i].handler != NULL)
            assert_int_equal(
                natsConnection_Subscribe(&sub, nc, "svc.mail", samples[i].handler, NULL), NATS_OK);
        assert_int_equal(natsConnection_Flush(nc), NATS_OK);
        if (samples[i].broken != NULL)
            snprintf(line, sizeof(line), "BROKEN  %s", samples[i].broken);
        const char *const args[] = {"handler",   "svc.mail",         "--data", "{}",
                                    "--timeout", samples[i].timeout, NULL};
        struct process *process = judge(crew, args);
        int status = process_wait(process, 3 * WAIT_MS);
        if (status != (samples[i].broken != NULL) || strstr(process_output(process), line) == NULL)
            fail_msg("'%s' gave %d: %s", line, status, process_output(process));
        process_free(process);
        natsSubscription_Destroy(sub);
    }
    natsConnection_Destroy(nc);
}

static void wrong_calls_are_refused(void **state)
{
    const char *const odd[] = {"consumer", "mail", NULL}, *const none[] = {"producer", NULL};
    struct process *process = judge(*state, odd);

    assert_int_equal(process_wait(process, 0), 2);
    assert_non_null(strstr(process_errors(process), "usage: "));
    process_free(process);
    process = judge(*state, none);
    assert_int_equal(process_wait(process, 0), 2);
    process_free(process);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(jobs_are_judged),     STORY(schedules_are_judged),    STORY(the_library_conforms),
        STORY(handlers_are_judged), STORY(wrong_calls_are_refused),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of handlers that are services: the stranger is the service. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

#define SUBJECT "svc.email"

/* What the stories listen to. */
struct ears {
    struct listener *completed, *failed, *retrying;
};

static struct ears open_ears(struct crew *crew)
{
    return (struct ears){
        .completed = nats_client_listen(crew->stranger, "job.x.completed", NULL),
        .failed = nats_client_listen(crew->stranger, "job.x.failed", NULL),
        .retrying = nats_client_listen(crew->stranger, "job.x.retrying", NULL),
    };
}

static void close_ears(struct ears *ears)
{
    listener_close(ears->completed);
    listener_close(ears->failed);
    listener_close(ears->retrying);
}

static void begin_with(struct crew *crew, const jj_options *client_options,
                       const jj_handler_options *options)
{
    jj_error err;

    crew_open(crew, client_options);
    if (jj_register_request(crew->client, "x", SUBJECT, options, &err) != JJ_OK)
        fail_msg("jj_register_request: %s", err.text);
    crew_start(crew);
}

static void begin(struct crew *crew)
{
    begin_with(crew, NULL, NULL);
}

/* The service gets a job and answers with up to two headers. */
static void answer(struct crew *crew, const struct heard *request, const char *code,
                   const char *text, const char *body)
{
    jj_header headers[2];
    size_t count = 0;

    if (code != NULL)
        headers[count++] = (jj_header){"Nats-Service-Error-Code", code};
    if (text != NULL)
        headers[count++] = (jj_header){"Nats-Service-Error", text};
    const struct note note = {
        .subject = request->reply, .headers = headers, .header_count = count, .data = body};
    nats_client_publish(crew->stranger, &note);
}

static const struct heard *hear(struct listener *service, size_t at)
{
    assert_true(listener_wait(service, at + 1));
    return listener_get(service, at);
}

static void expect_error(struct listener *listener, size_t at, const char *error)
{
    if (!listener_wait(listener, at + 1))
        fail_msg("no error %zu, which should be: %s", at, error);
    assert_string_equal(event_member(listener_get(listener, at), "error"), error);
}

/* ---- the request ---- */

static void an_answer_completes_the_job(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, "{\"sent\": true}");

    begin(crew);
    crew_enqueue(crew, "x", "{\"to\":\"bob\"}");
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "result"), "{\"sent\":true}");
    assert_string_equal(hear(service, 0)->data, "{\"to\":\"bob\"}");
    assert_int_equal(listener_count(service), 1);
    listener_close(service);
    close_ears(&ears);
}

static void an_empty_answer_is_no_result(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, "");

    begin(crew);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_null(strstr(listener_get(ears.completed, 0)->data, "\"result"));
    assert_int_equal(hear(service, 0)->len, 0);
    listener_close(service);
    close_ears(&ears);
}

static void the_headers_say_which_attempt_of_which_job_it_is(void **state)
{
    struct crew *crew = *state;
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);
    const jj_header own = {"X-Tenant", "acme"};
    const jj_spec spec = {.name = "x",
                          .id = "mail-1",
                          .data = "{}",
                          .data_len = 2,
                          .content_type = "application/json",
                          .unique_key = "k",
                          .max_attempts = 5,
                          .timeout_ms = 20000,
                          .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                          .headers = &own,
                          .header_count = 1};

    begin(crew);
    crew_enqueue_spec(crew, &spec);
    const struct heard *first = hear(service, 0);
    assert_string_equal(heard_header(first, "Job-Id"), "mail-1");
    assert_string_equal(heard_header(first, "Job-Name"), "x");
    assert_string_equal(heard_header(first, "Job-Attempt"), "1");
    assert_string_equal(heard_header(first, "Job-Max-Attempts"), "5");
    assert_string_equal(heard_header(first, "Job-Timeout"), "20000");
    assert_string_equal(heard_header(first, "Content-Type"), "application/json");
    assert_string_equal(heard_header(first, "traceparent"), spec.traceparent);
    assert_string_equal(heard_header(first, "X-Tenant"), "acme");
    assert_string_equal(heard_header(first, "Job-Key"), "k");
    assert_int_equal(strlen(heard_header(first, "Job-Created-At")), 24);
    assert_null(heard_header(first, "Nats-Msg-Id"));
    answer(crew, first, "500", "again", NULL);
    const struct heard *second = hear(service, 1);
    assert_string_equal(heard_header(second, "Job-Attempt"), "2");
    assert_string_equal(heard_header(second, "Job-Attempts"), "1");
    assert_string_equal(heard_header(second, "X-Tenant"), "acme");
    answer(crew, second, NULL, NULL, NULL);
    assert_true(crew_wait_over(crew));
    listener_close(service);
}

static void a_job_that_says_little_gets_all_that_is_known(void **state)
{
    struct crew *crew = *state;
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, "1");

    begin_with(crew, &(jj_options){.max_attempts = 7}, NULL);
    nats_client_store_text(crew->stranger, "jobs.enqueue.x", "hello");
    const struct heard *request = hear(service, 0);
    assert_string_equal(heard_header(request, "Job-Id"), "1");
    assert_string_equal(heard_header(request, "Job-Max-Attempts"), "7");
    assert_string_equal(heard_header(request, "Job-Timeout"), "60000");
    assert_non_null(heard_header(request, "Job-Created-At"));
    assert_string_equal(heard_header(request, "Content-Type"), "application/octet-stream");
    nats_client_store_text(crew->stranger, "jobs.enqueue.x", "{}");
    assert_string_equal(heard_header(hear(service, 1), "Content-Type"), "application/json");
    assert_true(crew_wait_over(crew));
    listener_close(service);
}

static void a_producer_can_not_forge_what_the_worker_says(void **state)
{
    struct crew *crew = *state;
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, "1");
    const jj_header headers[] = {
        {"Job-Name", "admin"}, {"job-id", "other"}, {"JOB-ATTEMPT", "9"}, {"X-Mine", "yes"}};
    const struct note note = {
        .subject = "jobs.enqueue.x", .headers = headers, .header_count = 4, .data = "1"};

    begin(crew);
    nats_client_store(crew->stranger, &note);
    const struct heard *request = hear(service, 0);
    assert_string_equal(heard_header(request, "Job-Name"), "x");
    assert_string_equal(heard_header(request, "Job-Attempt"), "1");
    assert_string_equal(heard_header(request, "X-Mine"), "yes");
    for (size_t i = 0; i < request->header_count; i++) {
        assert_string_not_equal(request->headers[i].value, "admin");
        assert_string_not_equal(request->headers[i].value, "other");
        assert_string_not_equal(request->headers[i].value, "9");
    }
    assert_true(crew_wait_over(crew));
    listener_close(service);
}

static void a_subject_that_is_none_is_refused(void **state)
{
    struct crew *crew = *state;
    char long_subject[257];
    const char *const bad[] = {NULL,
                               "",
                               "a b",
                               "a.*",
                               "a.>",
                               "*",
                               ">",
                               ".a",
                               "a.",
                               "a..b",
                               "a\r\nPUB x 1\r\n",
                               "a\t",
                               "a\x7f",
                               "a\xff",
                               "x*y",
                               memset(long_subject, 's', 256)};
    jj_error err;

    long_subject[256] = '\0';
    crew_open(crew, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(jj_register_request(crew->client, "x", bad[i], NULL, &err),
                         JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, "subject of a request"));
    }
    assert_int_equal(jj_register_request(crew->client, "a.b", SUBJECT, NULL, &err), JJ_ERR_INVALID);
    long_subject[255] = '\0';
    assert_int_equal(jj_register_request(crew->client, "x", long_subject, NULL, &err), JJ_OK);
    assert_int_equal(jj_register_request(crew->client, "x", SUBJECT, NULL, &err), JJ_ERR_EXISTS);
}

/* ---- failing ---- */

static void a_code_of_400_fails_the_job_for_good(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);

    begin(crew);
    crew_enqueue(crew, "x", NULL);
    answer(crew, hear(service, 0), "400", "no such user", "ignored");
    expect_error(ears.failed, 0, "no such user");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    crew_enqueue(crew, "x", NULL);
    answer(crew, hear(service, 1), "499", NULL, NULL);
    expect_error(ears.failed, 1, "error 499 of svc.email");
    listener_close(service);
    close_ears(&ears);
}

static void other_codes_are_failed_attempts(void **state)
{
    static const struct {
        const char *code;
        const char *text;
        const char *error;
    } answers[] = {
        {"503", "smtp: 451 try again later", "smtp: 451 try again later"},
        {"599", NULL, "error 599 of svc.email"},
        {NULL, "who knows", "who knows"},
        {"200", "fine",
         "answer of svc.email: Nats-Service-Error-Code is '200': allowed is 400 to 599"},
        {"4000", NULL,
         "answer of svc.email: Nats-Service-Error-Code is '4000': allowed is 400 to 599"},
        {"500", "bad \xFF byte", "bad ? byte"},
    };
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);
    const size_t count = sizeof(answers) / sizeof(answers[0]);

    begin_with(crew, &(jj_options){.backoff_initial_ms = 20, .backoff_max_ms = 50},
               &(jj_handler_options){.max_attempts = 100});
    crew_enqueue(crew, "x", NULL);
    for (size_t i = 0; i < count; i++) {
        answer(crew, hear(service, i), answers[i].code, answers[i].text, NULL);
        expect_error(ears.retrying, i, answers[i].error);
    }
    answer(crew, hear(service, count), NULL, NULL, "1");
    assert_true(listener_wait(ears.completed, 1));
    listener_close(service);
    close_ears(&ears);
}

/* nats.c 3.4.1 takes the header behind an empty one for its value, or can't read any. */
static void an_error_that_can_not_be_read_is_no_success(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);

    begin(crew);
    crew_enqueue(crew, "x", NULL);
    answer(crew, hear(service, 0), "599", "", NULL);
    assert_true(listener_wait(ears.retrying, 1));
    answer(crew, hear(service, 1), NULL, NULL, NULL);
    assert_true(listener_wait(ears.completed, 1));
    listener_close(service);
    close_ears(&ears);
}

static void nobody_who_listens_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew, NULL, &(jj_handler_options){.max_attempts = 2});
    int64_t began_ms = jj__clock_mono_ms();
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.retrying, 0, "nobody answers to svc.email");
    expect_error(ears.failed, 0, "nobody answers to svc.email");
    assert_true(jj__clock_mono_ms() - began_ms < WAIT_MS); /* told at once, not after 60 s */
    close_ears(&ears);
}

static void no_answer_in_time_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);

    begin_with(crew, NULL, &(jj_handler_options){.timeout_ms = 300});
    crew_enqueue(crew, "x", NULL);
    const struct heard *first = hear(service, 0);
    expect_error(ears.retrying, 0, "timeout after 300 ms");
    answer(crew, first, NULL, NULL, "\"late\""); /* goes nowhere */
    answer(crew, hear(service, 1), NULL, NULL, "\"in time\"");
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "result"), "in time");
    listener_close(service);
    close_ears(&ears);
}

static void of_several_answers_the_first_counts(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *one = nats_client_listen(crew->stranger, SUBJECT, "\"same\"");
    struct listener *two = nats_client_listen(crew->stranger, SUBJECT, "\"same\"");

    begin(crew);
    for (int i = 0; i < 20; i++)
        crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 20));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(ears.completed), 20);
    listener_close(one);
    listener_close(two);
    close_ears(&ears);
}

/* ---- what is too large ---- */

static void an_answer_that_is_too_large_fails_that_job_alone(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);
    const size_t len = 1024 * 1024;
    char *body = calloc(1, len + 1);

    assert_non_null(body);
    memset(body, 'a', len);
    begin(crew);
    crew_enqueue(crew, "x", NULL);
    answer(crew, hear(service, 0), NULL, NULL, body);
    assert_true(listener_wait(ears.failed, 1));
    assert_non_null(strstr(event_member(listener_get(ears.failed, 0), "error"),
                           "result of 1048576 bytes does not fit into a message"));
    crew_enqueue(crew, "x", NULL);
    answer(crew, hear(service, 1), NULL, NULL, "1");
    assert_true(listener_wait(ears.completed, 1));
    free(body);
    listener_close(service);
    close_ears(&ears);
}

static void an_answer_with_hostile_headers_is_an_answer(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);
    enum { MANY = 800 };
    jj_header headers[MANY];

    for (size_t i = 0; i < MANY; i++)
        headers[i] = (jj_header){i % 2 == 0 ? "X-\xFF\x01" : "Status", "503 \xFE {\"\\"};
    begin(crew);
    crew_enqueue(crew, "x", NULL);
    const struct note note = {.subject = hear(service, 0)->reply,
                              .headers = headers,
                              .header_count = MANY,
                              .data = "[true]"};
    nats_client_publish(crew->stranger, &note);
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "result"), "[true]");
    listener_close(service);
    close_ears(&ears);
}

static void a_job_that_fits_into_no_request_fails(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, "1");
    const size_t len = 1024 * 1024; /* the limit: a foreign producer may use all of it */
    char *data = calloc(1, len);

    assert_non_null(data);
    begin(crew);
    const struct note note = {.subject = "jobs.enqueue.x", .data = data, .len = len};
    nats_client_store(crew->stranger, &note);
    assert_true(listener_wait(ears.failed, 1));
    assert_non_null(
        strstr(event_member(listener_get(ears.failed, 0), "error"), "the broker takes 1048576"));
    assert_int_equal(listener_count(service), 0);
    free(data);
    listener_close(service);
    close_ears(&ears);
}

/* ---- faults ---- */

static void an_answer_may_come_after_the_broker_was_restarted(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);

    begin(crew);
    crew_enqueue(crew, "x", NULL);
    const struct heard *request = hear(service, 0);
    server_stop(&crew->server);
    server_restart(&crew->server);
    nats_client_settle(crew->stranger);
    /* Our worker has to be back, too: until then an answer reaches nobody. */
    for (int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
         listener_count(ears.completed) == 0 && jj__clock_mono_ms() < until_ms; wait_a_moment())
        answer(crew, request, NULL, NULL, "\"after\"");
    assert_true(listener_wait(ears.completed, 1));
    assert_string_equal(event_member(listener_get(ears.completed, 0), "result"), "after");
    assert_int_equal(listener_count(service), 1);
    assert_true(crew_wait_over(crew));
    listener_close(service);
    close_ears(&ears);
}

static void a_stop_gives_the_job_back_when_its_grace_is_over(void **state)
{
    struct crew *crew = *state;
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);
    jj_error err;

    begin_with(crew, &(jj_options){.shutdown_grace_ms = 200}, NULL);
    crew_enqueue(crew, "x", NULL);
    hear(service, 0);
    assert_int_equal(jj_stop(crew->client, &err), JJ_ERR_TIMEOUT);
    crew_close(crew); /* waits for the handler, which ends */
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
    begin(crew);
    const struct heard *again = hear(service, 1);
    assert_string_equal(heard_header(again, "Job-Attempt"), "1");
    answer(crew, again, NULL, NULL, NULL);
    assert_true(crew_wait_over(crew));
    listener_close(service);
}

/* ---- many at once ---- */

static void many_wait_at_once(void **state)
{
    enum { MANY = 500 };
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *service = nats_client_listen(crew->stranger, SUBJECT, NULL);

    begin_with(crew, &(jj_options){.concurrency = MANY}, NULL);
    for (int i = 0; i < MANY; i++)
        crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(service, MANY)); /* none is answered, so all wait */
    for (size_t i = 0; i < MANY; i++) {
        const struct note note = {.subject = listener_get(service, i)->reply, .data = "1"};
        nats_client_send(crew->stranger, &note);
    }
    assert_true(listener_wait(ears.completed, MANY));
    assert_true(crew_wait_over(crew));
    assert_int_equal(listener_count(service), MANY);
    listener_close(service);
    close_ears(&ears);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_answer_completes_the_job),
        STORY(an_empty_answer_is_no_result),
        STORY(the_headers_say_which_attempt_of_which_job_it_is),
        STORY(a_job_that_says_little_gets_all_that_is_known),
        STORY(a_producer_can_not_forge_what_the_worker_says),
        STORY(a_subject_that_is_none_is_refused),
        STORY(a_code_of_400_fails_the_job_for_good),
        STORY(other_codes_are_failed_attempts),
        STORY(an_error_that_can_not_be_read_is_no_success),
        STORY(nobody_who_listens_is_a_failed_attempt),
        STORY(no_answer_in_time_is_a_failed_attempt),
        STORY(of_several_answers_the_first_counts),
        STORY(an_answer_that_is_too_large_fails_that_job_alone),
        STORY(an_answer_with_hostile_headers_is_an_answer),
        STORY(a_job_that_fits_into_no_request_fails),
        STORY(an_answer_may_come_after_the_broker_was_restarted),
        STORY(a_stop_gives_the_job_back_when_its_grace_is_over),
        STORY(many_wait_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

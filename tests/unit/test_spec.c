/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "spec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MAX_PAYLOAD ((size_t)1024 * 1024)

static void assert_spec(const jj_spec *spec, jj_status status, const char *text)
{
    jj_error err = {0};

    assert_int_equal(jj__spec_check(spec, MAX_PAYLOAD, &err), status);
    if (status == JJ_OK)
        return;
    assert_int_equal(err.status, status);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void spec_needs_a_name_only(void **state)
{
    (void)state;
    assert_spec(&(jj_spec){.name = "mail"}, JJ_OK, "");
    assert_spec(&(jj_spec){0}, JJ_ERR_INVALID, "job name is missing");
}

static void spec_with_everything_is_accepted(void **state)
{
    (void)state;
    const jj_header headers[] = {
        {"X-Colour", "red"}, {"Jobs", "none of ours"}, {"Nats", "nor that"}};

    assert_spec(
        &(jj_spec){
            .name = "mail",
            .data = "{}",
            .data_len = 2,
            .content_type = "text/plain; charset=utf-8",
            .id = "17",
            .unique_key = "user:17/welcome!",
            .max_attempts = 1000,
            .timeout_ms = JJ__TIME_MAX_MS,
            .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            .headers = headers,
            .header_count = COUNT(headers),
        },
        JJ_OK, "");
}

static void names_and_ids_must_be_tokens(void **state)
{
    (void)state;
    assert_spec(&(jj_spec){.name = "a.b"}, JJ_ERR_INVALID, "job name 'a.b'");
    assert_spec(&(jj_spec){.name = "a\r\nPUB x 1"}, JJ_ERR_INVALID, "job name 'a??PUB x 1'");
    assert_spec(&(jj_spec){.name = "a", .id = ""}, JJ_ERR_INVALID, "job id is empty");
    assert_spec(&(jj_spec){.name = "a", .id = ">"}, JJ_ERR_INVALID, "job id '>'");
}

static void unique_key_is_1_to_256_printable_characters(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a b", " ", "a\n", "\xC3\xBC", "a\x7F", "\xFF"};
    char longest[258];

    memset(longest, '~', sizeof(longest));
    longest[256] = '\0';
    assert_spec(&(jj_spec){.name = "a", .unique_key = longest}, JJ_OK, "");
    longest[256] = '~';
    longest[257] = '\0';
    assert_spec(&(jj_spec){.name = "a", .unique_key = longest}, JJ_ERR_INVALID, "unique_key");
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_spec(&(jj_spec){.name = "a", .unique_key = wrong[i]}, JJ_ERR_INVALID, "unique_key");
}

static void numbers_of_a_spec_have_ranges(void **state)
{
    (void)state;
    assert_spec(&(jj_spec){.name = "a", .max_attempts = 1001}, JJ_ERR_INVALID,
                "max_attempts is 1001: allowed is 0 to 1000");
    assert_spec(&(jj_spec){.name = "a", .max_attempts = UINT32_MAX}, JJ_ERR_INVALID,
                "max_attempts");
    assert_spec(&(jj_spec){.name = "a", .timeout_ms = -1}, JJ_ERR_INVALID, "timeout_ms is -1");
    assert_spec(&(jj_spec){.name = "a", .timeout_ms = INT64_MAX}, JJ_ERR_INVALID, "timeout_ms");
}

static void texts_of_a_spec_stay_in_their_line(void **state)
{
    (void)state;
    char longest[258];

    memset(longest, 'x', sizeof(longest));
    longest[256] = '\0';
    assert_spec(&(jj_spec){.name = "a", .content_type = longest}, JJ_OK, "");
    longest[256] = 'x';
    longest[257] = '\0';
    assert_spec(&(jj_spec){.name = "a", .content_type = longest}, JJ_ERR_INVALID, "content_type");
    assert_spec(&(jj_spec){.name = "a", .content_type = "a\r\nb"}, JJ_ERR_INVALID, "content_type");
    assert_spec(&(jj_spec){.name = "a", .traceparent = "a\n"}, JJ_ERR_INVALID, "traceparent");
}

static void reserved_headers_are_refused_in_any_case(void **state)
{
    (void)state;
    static const char *const names[] = {"Nats-Rollup", "nats-msg-id", "NATS-TTL",
                                        "Nats-",       "Job-Id",      "job-attempts"};

    for (size_t i = 0; i < COUNT(names); i++) {
        const jj_header header = {names[i], "all"};
        assert_spec(&(jj_spec){.name = "a", .headers = &header, .header_count = 1}, JJ_ERR_INVALID,
                    "is reserved");
    }
}

static void headers_that_break_out_of_their_line_are_refused(void **state)
{
    (void)state;
    static const jj_header wrong[] = {
        {NULL, "x"}, {"", "x"},       {"a b", "x"}, {"a:", "x"}, {"a\r\nb", "x"},
        {"a", NULL}, {"a", "x\r\ny"}, {"a", "\n"},  {"a", ""},   {"a", " \t"},
    };

    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_spec(&(jj_spec){.name = "a", .headers = &wrong[i], .header_count = 1},
                    JJ_ERR_INVALID, "header");
    assert_spec(&(jj_spec){.name = "a", .header_count = 3}, JJ_ERR_INVALID, "headers are missing");
}

/* A status without data is what servers send. */
static void a_status_needs_data(void **state)
{
    static const jj_header header = {"status", "503"};
    const jj_spec spec = {.name = "a", .headers = &header, .header_count = 1};
    jj_spec with_data = spec;

    (void)state;
    with_data.data = "1";
    with_data.data_len = 1;
    assert_spec(&spec, JJ_ERR_INVALID, "header Status is not allowed without data");
    assert_spec(&with_data, JJ_OK, "");
}

static void headers_may_take_half_of_the_overhead(void **state)
{
    (void)state;
    char value[2048 - 4 - 1 + 1];
    const jj_header headers[] = {{"a", value}, {"b", "c"}};

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_spec(&(jj_spec){.name = "a", .headers = headers, .header_count = 1}, JJ_OK, "");
    assert_spec(&(jj_spec){.name = "a", .headers = headers, .header_count = 2}, JJ_ERR_TOO_LARGE,
                "headers take more than 2048 bytes");
}

static void data_must_leave_room_for_the_rest(void **state)
{
    (void)state;
    static const char data[MAX_PAYLOAD] = {0};
    jj_spec spec = {.name = "a", .data = data, .data_len = MAX_PAYLOAD - JJ__SPEC_OVERHEAD};

    assert_spec(&spec, JJ_OK, "");
    spec.data_len++;
    assert_spec(&spec, JJ_ERR_TOO_LARGE, "data has 1044481 bytes: the broker takes 1044480");
    spec.data_len = 1;
    assert_int_equal(jj__spec_check(&spec, 100, NULL), JJ_ERR_TOO_LARGE);
    spec.data_len = 0;
    assert_int_equal(jj__spec_check(&spec, 100, NULL), JJ_OK);
    assert_spec(&(jj_spec){.name = "a", .data_len = 5}, JJ_ERR_INVALID, "data is missing");
}

static void assert_options(const jj_options *options, const char *text)
{
    jj_options resolved = {.concurrency = 4711};
    jj_error err = {0};

    assert_int_equal(jj__options_resolve(options, &resolved, &err), JJ_ERR_INVALID);
    assert_int_equal(resolved.concurrency, 4711);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void options_that_say_nothing_become_the_defaults(void **state)
{
    (void)state;
    jj_options resolved;

    assert_int_equal(jj__options_resolve(NULL, &resolved, NULL), JJ_OK);
    assert_string_equal(resolved.url, "nats://127.0.0.1:4222");
    assert_null(resolved.credentials);
    assert_null(resolved.worker);
    assert_int_equal(resolved.timeout_ms, 5000);
    assert_int_equal(resolved.connect_timeout_ms, 5000);
    assert_false(resolved.no_provision);
    assert_int_equal(resolved.replicas, 1);
    assert_int_equal(resolved.history_ms, INT64_C(604800000));
    assert_int_equal(resolved.history_bytes, INT64_C(8589934592));
    assert_int_equal(resolved.jobs_bytes, 0);
    assert_int_equal(resolved.concurrency, 5);
    assert_int_equal(resolved.poll_interval_ms, 1000);
    assert_int_equal(resolved.max_attempts, 3);
    assert_int_equal(resolved.ack_wait_ms, 15000);
    assert_int_equal(resolved.shutdown_grace_ms, 30000);
    assert_int_equal(resolved.max_lost, 3);
    assert_int_equal(resolved.backoff_initial_ms, 1000);
    assert_int_equal(resolved.backoff_max_ms, 300000);
}

static void options_that_are_said_stay(void **state)
{
    (void)state;
    const jj_options options = {
        .url = "nats://a,nats://b",
        .inbox_prefix = "_INBOX_me",
        .timeout_ms = 1,
        .connect_timeout_ms = -1,
        .no_provision = true,
        .replicas = 5,
        .jobs_bytes = INT64_MAX,
        .worker = "w-1",
        .concurrency = 10000,
        .max_attempts = 1000,
        .ack_wait_ms = 1000,
        .max_lost = 1000,
        .backoff_initial_ms = 7,
        .backoff_max_ms = 7,
    };
    jj_options resolved;

    assert_int_equal(jj__options_resolve(&options, &resolved, NULL), JJ_OK);
    assert_string_equal(resolved.url, "nats://a,nats://b");
    assert_string_equal(resolved.inbox_prefix, "_INBOX_me");
    assert_int_equal(resolved.timeout_ms, 1);
    assert_int_equal(resolved.connect_timeout_ms, -1);
    assert_true(resolved.no_provision);
    assert_int_equal(resolved.replicas, 5);
    assert_true(resolved.jobs_bytes == INT64_MAX);
    assert_string_equal(resolved.worker, "w-1");
    assert_int_equal(resolved.concurrency, 10000);
    assert_int_equal(resolved.max_attempts, 1000);
    assert_int_equal(resolved.ack_wait_ms, 1000);
    assert_int_equal(resolved.max_lost, 1000);
    assert_int_equal(resolved.backoff_max_ms, 7);
}

static void connecting_takes_as_long_as_a_call_unless_said(void **state)
{
    (void)state;
    jj_options resolved;

    assert_int_equal(jj__options_resolve(&(jj_options){.timeout_ms = 77}, &resolved, NULL), JJ_OK);
    assert_int_equal(resolved.connect_timeout_ms, 77);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    assert_options(&(jj_options){.concurrency = 10001}, "concurrency is 10001: allowed is 1 to");
    assert_options(&(jj_options){.max_attempts = 1001}, "max_attempts");
    assert_options(&(jj_options){.max_lost = 1001}, "max_lost");
    assert_options(&(jj_options){.replicas = 6}, "replicas");
    assert_options(&(jj_options){.ack_wait_ms = 999}, "ack_wait_ms is 999: allowed is 1000 to");
    assert_options(&(jj_options){.timeout_ms = -1}, "timeout_ms");
    assert_options(&(jj_options){.connect_timeout_ms = -2}, "connect_timeout_ms");
    assert_options(&(jj_options){.poll_interval_ms = -1}, "poll_interval_ms");
    assert_options(&(jj_options){.shutdown_grace_ms = -1}, "shutdown_grace_ms");
    assert_options(&(jj_options){.history_ms = INT64_MAX}, "history_ms");
    assert_options(&(jj_options){.history_bytes = -1}, "history_bytes");
    assert_options(&(jj_options){.jobs_bytes = -1}, "jobs_bytes");
    assert_options(&(jj_options){.backoff_initial_ms = -1}, "backoff_initial_ms");
    assert_options(&(jj_options){.backoff_initial_ms = 300001},
                   "backoff_max_ms is 300000: allowed is backoff_initial_ms (300001) or more");
    assert_options(&(jj_options){.worker = "a.b"}, "worker 'a.b'");
}

static const jj_options client = {
    .concurrency = 8,
    .max_attempts = 4,
    .backoff_initial_ms = 10,
    .backoff_max_ms = 100,
};

static void assert_handler_options(const jj_handler_options *options, const char *text)
{
    jj_handler_options resolved = {.concurrency = 4711};
    jj_error err = {0};

    assert_int_equal(jj__handler_options_resolve(options, &client, &resolved, &err),
                     JJ_ERR_INVALID);
    assert_int_equal(resolved.concurrency, 4711);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void handler_takes_after_its_client(void **state)
{
    (void)state;
    jj_handler_options resolved;

    assert_int_equal(jj__handler_options_resolve(NULL, &client, &resolved, NULL), JJ_OK);
    assert_int_equal(resolved.concurrency, 8);
    assert_int_equal(resolved.fleet_concurrency, 0);
    assert_int_equal(resolved.max_attempts, 4);
    assert_int_equal(resolved.timeout_ms, 0);
    assert_int_equal(resolved.backoff_initial_ms, 10);
    assert_int_equal(resolved.backoff_max_ms, 100);
}

static void handler_may_differ_from_its_client(void **state)
{
    (void)state;
    const jj_handler_options options = {
        .concurrency = 1,
        .fleet_concurrency = UINT32_MAX,
        .max_attempts = 1000,
        .timeout_ms = JJ__TIME_MAX_MS,
        .backoff_initial_ms = 1,
        .backoff_max_ms = 2,
    };
    jj_handler_options resolved;

    assert_int_equal(jj__handler_options_resolve(&options, &client, &resolved, NULL), JJ_OK);
    assert_int_equal(resolved.concurrency, 1);
    assert_int_equal(resolved.fleet_concurrency, UINT32_MAX);
    assert_int_equal(resolved.max_attempts, 1000);
    assert_int_equal(resolved.timeout_ms, JJ__TIME_MAX_MS);
    assert_int_equal(resolved.backoff_initial_ms, 1);
    assert_int_equal(resolved.backoff_max_ms, 2);
}

static void wrong_handler_options_are_named(void **state)
{
    (void)state;
    assert_handler_options(&(jj_handler_options){.concurrency = 9},
                           "concurrency is 9: allowed is 1 to 8");
    assert_handler_options(&(jj_handler_options){.max_attempts = 1001}, "max_attempts");
    assert_handler_options(&(jj_handler_options){.timeout_ms = -1}, "timeout_ms");
    assert_handler_options(&(jj_handler_options){.backoff_initial_ms = -1}, "backoff_initial_ms");
    assert_handler_options(&(jj_handler_options){.backoff_max_ms = 9}, "backoff_max_ms is 9");
}

static void what_becomes_part_of_subjects_is_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",  "a.", ".a",          "a..b",
                                      "a b", "a*", ">",  "a\r\nPUB x 0"};
    jj_options resolved;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const jj_options prefix = {.inbox_prefix = bad[i]};
        assert_int_equal(jj__options_resolve(&prefix, &resolved, NULL), JJ_ERR_INVALID);
        const jj_options name = {.only_name = bad[i]};
        assert_int_equal(jj__options_resolve(&name, &resolved, NULL), JJ_ERR_INVALID);
    }
    const jj_options good = {.inbox_prefix = "_INBOX_me.too", .only_name = "mail"};
    assert_int_equal(jj__options_resolve(&good, &resolved, NULL), JJ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_becomes_part_of_subjects_is_checked),
        cmocka_unit_test(spec_needs_a_name_only),
        cmocka_unit_test(spec_with_everything_is_accepted),
        cmocka_unit_test(names_and_ids_must_be_tokens),
        cmocka_unit_test(unique_key_is_1_to_256_printable_characters),
        cmocka_unit_test(numbers_of_a_spec_have_ranges),
        cmocka_unit_test(texts_of_a_spec_stay_in_their_line),
        cmocka_unit_test(reserved_headers_are_refused_in_any_case),
        cmocka_unit_test(headers_that_break_out_of_their_line_are_refused),
        cmocka_unit_test(a_status_needs_data),
        cmocka_unit_test(headers_may_take_half_of_the_overhead),
        cmocka_unit_test(data_must_leave_room_for_the_rest),
        cmocka_unit_test(options_that_say_nothing_become_the_defaults),
        cmocka_unit_test(options_that_are_said_stay),
        cmocka_unit_test(connecting_takes_as_long_as_a_call_unless_said),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(handler_takes_after_its_client),
        cmocka_unit_test(handler_may_differ_from_its_client),
        cmocka_unit_test(wrong_handler_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

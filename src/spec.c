/* SPDX-License-Identifier: Apache-2.0 */
/* The border: what callers pass in is checked here, once, before anything is sent or started. Every
 * error names the field and says what is allowed, so that the call can be fixed without a manual.
 * What the names are on the border is written in tables; the code below them only walks. */

#include "spec.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jetjobs/adapter.h>

#include "job.h"
#include "subject.h"

#define KEY_MAX           256
#define TEXT_MAX          256
#define MAX_ATTEMPTS_MAX  1000
#define CONCURRENCY_MAX   10000
#define DAY_MS            INT64_C(86400000)
#define GIB               (INT64_C(1) << 30)
#define HEADERS_MAX_BYTES ((size_t)JJ__SPEC_OVERHEAD / 2)

/* A header's colon, space and line end. */
#define HEADER_EXTRA_BYTES ((size_t)4)

static jj_status check_range(const char *field, int64_t value, int64_t min, int64_t max,
                             jj_error *err)
{
    if (value >= min && value <= max)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_INVALID, "%s is %lld: allowed is %lld to %lld", field,
                    (long long)value, (long long)min, (long long)max);
}

/* ---- what to enqueue ---- */

static jj_status check_key(const char *key, jj_error *err)
{
    size_t len = 0;

    while (key[len] > ' ' && key[len] < 0x7F && len < KEY_MAX)
        len++;
    if (len == 0 || key[len] != '\0')
        return jj__fail(err, JJ_ERR_INVALID,
                        "unique_key '%.80s' is not 1 to %d printable ASCII characters", key,
                        KEY_MAX);
    return JJ_OK;
}

/* Of an empty value, nats.c 3.4.1 takes the header behind it for the value: it must not be sent. */
static bool can_be_value(const char *text)
{
    return jj__header_value_valid(text) && text[strspn(text, " \t")] != '\0';
}

/* Of a field that becomes the value of a header. */
static jj_status check_text(const char *field, const char *text, jj_error *err)
{
    if (!can_be_value(text) || strnlen(text, TEXT_MAX + 1) > TEXT_MAX)
        return jj__fail(err, JJ_ERR_INVALID,
                        "%s '%.80s' is empty, has a line end or more than %d bytes", field, text,
                        TEXT_MAX);
    return JJ_OK;
}

static bool reserved(const char *header_name)
{
    return strncasecmp(header_name, "Nats-", 5) == 0 || strncasecmp(header_name, "Job-", 4) == 0;
}

static jj_status check_header(const jj_header *header, jj_error *err)
{
    if (!jj__header_name_valid(header->name))
        return jj__fail(err, JJ_ERR_INVALID,
                        "header name '%.64s' is empty or has a space, colon or control character",
                        header->name != NULL ? header->name : "");
    if (reserved(header->name))
        return jj__fail(err, JJ_ERR_INVALID, "header '%.64s' is reserved, as all Nats- and Job-",
                        header->name);
    if (!can_be_value(header->value))
        return jj__fail(err, JJ_ERR_INVALID, "value of header '%.64s' is empty or has a line end",
                        header->name);
    return JJ_OK;
}

static jj_status check_headers(const jj_header *headers, size_t count, jj_error *err)
{
    size_t bytes = 0;

    if (headers == NULL && count != 0)
        return jj__fail(err, JJ_ERR_INVALID, "headers are missing, header_count is %zu", count);
    for (size_t i = 0; i < count; i++) {
        jj_status s = check_header(&headers[i], err);
        if (s != JJ_OK)
            return s;
        bytes += strlen(headers[i].name) + strlen(headers[i].value) + HEADER_EXTRA_BYTES;
        if (bytes > HEADERS_MAX_BYTES)
            return jj__fail(err, JJ_ERR_TOO_LARGE, "headers take more than %zu bytes",
                            HEADERS_MAX_BYTES);
    }
    return JJ_OK;
}

static jj_status check_data(const jj_spec *spec, size_t max_payload, jj_error *err)
{
    size_t max = max_payload > JJ__SPEC_OVERHEAD ? max_payload - JJ__SPEC_OVERHEAD : 0;

    if (spec->data == NULL && spec->data_len != 0)
        return jj__fail(err, JJ_ERR_INVALID, "data is missing, data_len is %zu", spec->data_len);
    if (spec->data_len > max)
        return jj__fail(err, JJ_ERR_TOO_LARGE, "data has %zu bytes: the broker takes %zu",
                        spec->data_len, max);
    return JJ_OK;
}

jj_status jj__spec_check(const jj_spec *spec, size_t max_payload, jj_error *err)
{
    jj_status s = jj__token_check("job name", spec->name, err);

    if (s == JJ_OK && spec->id != NULL)
        s = jj__token_check("job id", spec->id, err);
    if (s == JJ_OK && spec->unique_key != NULL)
        s = check_key(spec->unique_key, err);
    if (s == JJ_OK)
        s = check_range("max_attempts", spec->max_attempts, 0, MAX_ATTEMPTS_MAX, err);
    if (s == JJ_OK)
        s = check_range("timeout_ms", spec->timeout_ms, 0, JJ__TIME_MAX_MS, err);
    if (s == JJ_OK && spec->content_type != NULL)
        s = check_text("content_type", spec->content_type, err);
    if (s == JJ_OK && spec->traceparent != NULL)
        s = check_text("traceparent", spec->traceparent, err);
    if (s == JJ_OK)
        s = check_headers(spec->headers, spec->header_count, err);
    if (s == JJ_OK && jj__headers_mislead(spec->headers, spec->header_count, spec->data_len))
        s = jj__fail(err, JJ_ERR_INVALID, "header Status is not allowed without data");
    if (s == JJ_OK)
        s = check_data(spec, max_payload, err);
    return s;
}

size_t jj__spec_headers(const jj_spec *spec, struct spec_texts *texts, jj_header *headers)
{
    size_t count = 0;

    if (spec->max_attempts > 0) {
        snprintf(texts->max_attempts, sizeof(texts->max_attempts), "%u",
                 (unsigned)spec->max_attempts);
        headers[count++] = (jj_header){JJ__HEADER_MAX_ATTEMPTS, texts->max_attempts};
    }
    if (spec->timeout_ms > 0) {
        snprintf(texts->timeout, sizeof(texts->timeout), "%lld", (long long)spec->timeout_ms);
        headers[count++] = (jj_header){JJ__HEADER_TIMEOUT, texts->timeout};
    }
    if (spec->content_type != NULL)
        headers[count++] = (jj_header){JJ__HEADER_CONTENT_TYPE, spec->content_type};
    if (spec->traceparent != NULL)
        headers[count++] = (jj_header){JJ__HEADER_TRACEPARENT, spec->traceparent};
    for (size_t i = 0; i < spec->header_count; i++)
        headers[count++] = spec->headers[i];
    return count;
}

/* ---- how to connect and work ---- */

/* A number among the options; min and max hold once a zero has become fallback. */
struct number {
    const char *name;
    size_t offset;
    size_t size; /* of int64_t or uint32_t */
    int64_t fallback;
    int64_t min;
    int64_t max;
};

#define NUMBER(type, field, fallback, min, max)                                                    \
    {                                                                                              \
#field, offsetof(type, field), sizeof(((type *)0)->field), fallback, min, max              \
    }

static const struct number option_numbers[] = {
    NUMBER(jj_options, timeout_ms, 5000, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, connect_timeout_ms, 0, -1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, replicas, 1, 1, 5),
    NUMBER(jj_options, history_ms, 7 * DAY_MS, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, history_bytes, 8 * GIB, 1, INT64_MAX),
    NUMBER(jj_options, jobs_bytes, 0, 0, INT64_MAX),
    NUMBER(jj_options, concurrency, 5, 1, CONCURRENCY_MAX),
    NUMBER(jj_options, poll_interval_ms, 1000, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, max_attempts, 3, 1, MAX_ATTEMPTS_MAX),
    NUMBER(jj_options, ack_wait_ms, 15000, 1000, JJ__TIME_MAX_MS),
    NUMBER(jj_options, shutdown_grace_ms, 30000, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, max_lost, 3, 1, 1000),
    NUMBER(jj_options, backoff_initial_ms, 1000, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_options, backoff_max_ms, 300000, 1, JJ__TIME_MAX_MS),
};

static const struct number handler_numbers[] = {
    NUMBER(jj_handler_options, fleet_concurrency, 0, 0, UINT32_MAX),
    NUMBER(jj_handler_options, max_attempts, 0, 1, MAX_ATTEMPTS_MAX),
    NUMBER(jj_handler_options, timeout_ms, 0, 0, JJ__TIME_MAX_MS),
    NUMBER(jj_handler_options, backoff_initial_ms, 0, 1, JJ__TIME_MAX_MS),
    NUMBER(jj_handler_options, backoff_max_ms, 0, 1, JJ__TIME_MAX_MS),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int64_t number_get(const struct number *number, const void *object)
{
    const char *at = (const char *)object + number->offset;
    int64_t wide;
    uint32_t narrow;

    if (number->size == sizeof(wide)) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
}

static void number_set(const struct number *number, void *object, int64_t value)
{
    char *at = (char *)object + number->offset;
    uint32_t narrow = (uint32_t)value;

    if (number->size == sizeof(value))
        memcpy(at, &value, sizeof(value));
    else
        memcpy(at, &narrow, sizeof(narrow));
}

static jj_status resolve_numbers(const struct number *numbers, size_t count, void *object,
                                 jj_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct number *number = &numbers[i];
        if (number_get(number, object) == 0)
            number_set(number, object, number->fallback);
        jj_status s =
            check_range(number->name, number_get(number, object), number->min, number->max, err);
        if (s != JJ_OK)
            return s;
    }
    return JJ_OK;
}

static jj_status check_backoff(int64_t initial_ms, int64_t max_ms, jj_error *err)
{
    if (max_ms >= initial_ms)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_INVALID,
                    "backoff_max_ms is %lld: allowed is backoff_initial_ms (%lld) or more",
                    (long long)max_ms, (long long)initial_ms);
}

/* It becomes the beginning of subjects, and part of the names of consumers. */
static jj_status check_inbox_prefix(const char *prefix, jj_error *err)
{
    const char *at = prefix;
    size_t len;

    do {
        len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
        at += len;
    } while (len > 0 && *at++ == '.');
    if (len > 0 && at[-1] == '\0')
        return JJ_OK;
    return jj__fail(err, JJ_ERR_INVALID,
                    "inbox_prefix is '%.64s': allowed are A-Z a-z 0-9 _ - with dots between",
                    prefix);
}

static bool is_whole(const jj_adapter *adapter)
{
    return adapter->name != NULL && adapter->open != NULL && adapter->close != NULL &&
           adapter->set_aside != NULL && adapter->begin != NULL && adapter->commit != NULL &&
           adapter->rollback != NULL && adapter->offsets != NULL && adapter->create != NULL &&
           adapter->get != NULL && adapter->update != NULL && adapter->remove != NULL &&
           adapter->get_pending != NULL && adapter->get_scheduled_ready != NULL &&
           adapter->get_by_name != NULL && adapter->get_finished != NULL &&
           adapter->add_line != NULL && adapter->get_lines != NULL && adapter->get_counts != NULL;
}

static jj_status resolve_adapter(jj_options *options, jj_error *err)
{
    if (options->adapter == NULL && options->index_path != NULL)
        options->adapter = &jj_adapter_sqlite;
    if (options->adapter == NULL)
        return JJ_OK;
    if (options->adapter->version != JJ_ADAPTER_VERSION)
        return jj__fail(err, JJ_ERR_INVALID, "adapter has version %u: allowed is %d",
                        options->adapter->version, JJ_ADAPTER_VERSION);
    if (!is_whole(options->adapter))
        return jj__fail(err, JJ_ERR_INVALID, "adapter lacks its name or one of its functions");
    bool has_path = options->index_path != NULL && options->index_path[0] != '\0';
    if (options->adapter == &jj_adapter_sqlite && !has_path)
        return jj__fail(err, JJ_ERR_INVALID, "index_path is missing: jj_adapter_sqlite needs it");
    return JJ_OK;
}

jj_status jj__options_resolve(const jj_options *options, jj_options *resolved_out, jj_error *err)
{
    jj_options resolved = {0};

    if (options != NULL)
        resolved = *options;
    if (resolved.url == NULL)
        resolved.url = "nats://127.0.0.1:4222";

    jj_status s = resolve_numbers(option_numbers, COUNT(option_numbers), &resolved, err);
    if (s == JJ_OK)
        s = check_backoff(resolved.backoff_initial_ms, resolved.backoff_max_ms, err);
    if (s == JJ_OK && resolved.worker != NULL)
        s = jj__token_check("worker", resolved.worker, err);
    if (s == JJ_OK && resolved.only_name != NULL)
        s = jj__token_check("only_name", resolved.only_name, err);
    if (s == JJ_OK && resolved.credentials != NULL && resolved.nkey != NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "credentials and nkey: name one of them");
    if (s == JJ_OK && (resolved.tls_cert == NULL) != (resolved.tls_key == NULL))
        s = jj__fail(err, JJ_ERR_INVALID, "tls_cert and tls_key go together: name both, or none");
    if (s == JJ_OK && resolved.inbox_prefix != NULL)
        s = check_inbox_prefix(resolved.inbox_prefix, err);
    if (s == JJ_OK)
        s = resolve_adapter(&resolved, err);
    if (s != JJ_OK)
        return s;
    if (resolved.connect_timeout_ms == 0)
        resolved.connect_timeout_ms = resolved.timeout_ms;
    *resolved_out = resolved;
    return JJ_OK;
}

jj_status jj__handler_options_resolve(const jj_handler_options *options, const jj_options *client,
                                      jj_handler_options *resolved_out, jj_error *err)
{
    jj_handler_options resolved = {0};

    if (options != NULL)
        resolved = *options;
    if (resolved.concurrency == 0)
        resolved.concurrency = client->concurrency;
    if (resolved.max_attempts == 0)
        resolved.max_attempts = client->max_attempts;
    if (resolved.backoff_initial_ms == 0)
        resolved.backoff_initial_ms = client->backoff_initial_ms;
    if (resolved.backoff_max_ms == 0)
        resolved.backoff_max_ms = client->backoff_max_ms;

    jj_status s = check_range("concurrency", resolved.concurrency, 1, client->concurrency, err);
    if (s == JJ_OK)
        s = resolve_numbers(handler_numbers, COUNT(handler_numbers), &resolved, err);
    if (s == JJ_OK)
        s = check_backoff(resolved.backoff_initial_ms, resolved.backoff_max_ms, err);
    if (s != JJ_OK)
        return s;
    *resolved_out = resolved;
    return JJ_OK;
}

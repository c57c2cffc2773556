/* SPDX-License-Identifier: Apache-2.0 */

/* The handler that is a service somewhere else: the job goes out as a request, and its answer is
 * the verdict.
 *
 * The slot thread waits, and nothing else: the broker thread sends, and hands over what comes. The
 * question outlives a lost connection, since the service may be at work and answer later; asking
 * again would have it done twice. What ends the wait is the attempt's own end. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jetjobs/handlers.h>

#include "client.h"
#include "clock.h"
#include "job.h"
#include "json_write.h"
#include "rfc3339.h"
#include "subject.h"
#include "thread.h"

#define DEFAULT_TIMEOUT_MS 60000
#define SLICE_MS           50
#define PUT_OFF_MS         1000
#define OWN_HEADERS        6
#define NUMBER_SIZE        24

/* ---- the request ---- */

struct packet {
    char attempt[NUMBER_SIZE];
    char max_attempts[NUMBER_SIZE];
    char timeout[NUMBER_SIZE];
    char created_at[JJ__RFC3339_SIZE];
    jj_header *headers;
    size_t count;
    size_t bytes; /* of all headers on the wire */
};

static void add(struct packet *packet, const char *name, const char *value)
{
    packet->headers[packet->count++] = (jj_header){name, value};
    packet->bytes += strlen(name) + strlen(value) + 4; /* colon, space, line end */
}

/* What the service believes must come from us: no header of the job may look like one of ours. */
static bool is_ours(const struct packet *packet, const char *name)
{
    for (size_t i = 0; i < OWN_HEADERS; i++)
        if (strcasecmp(packet->headers[i].name, name) == 0)
            return true;
    return false;
}

static void add_own(const jj_attempt *attempt, struct packet *packet)
{
    snprintf(packet->attempt, NUMBER_SIZE, "%u", (unsigned)attempt->number);
    snprintf(packet->max_attempts, NUMBER_SIZE, "%u", (unsigned)attempt->max_attempts);
    snprintf(packet->timeout, NUMBER_SIZE, "%lld", (long long)attempt->timeout_ms);
    jj__rfc3339_write(attempt->job.created_at_ms, packet->created_at);
    add(packet, JJ__HEADER_ID, attempt->job.id);
    add(packet, JJ__HEADER_NAME, attempt->job.name);
    add(packet, JJ__HEADER_ATTEMPT, packet->attempt);
    add(packet, JJ__HEADER_MAX_ATTEMPTS, packet->max_attempts);
    add(packet, JJ__HEADER_TIMEOUT, packet->timeout);
    add(packet, JJ__HEADER_CREATED_AT, packet->created_at);
}

/* What data is that does not say it. */
static const char *default_type(const struct job *job)
{
    return jj__json_valid(job->data, job->data_len) ? "application/json"
                                                    : "application/octet-stream";
}

/* False: no memory. */
static bool make_packet(const jj_attempt *attempt, struct packet *packet)
{
    const struct job *job = &attempt->job;

    *packet = (struct packet){.bytes = strlen("NATS/1.0\r\n\r\n")};
    packet->headers = malloc((job->header_count + OWN_HEADERS + 1) * sizeof(*packet->headers));
    if (packet->headers == NULL)
        return false;
    add_own(attempt, packet);
    for (size_t i = 0; i < job->header_count; i++) {
        const jj_header *header = &attempt->headers[i];
        if (strncasecmp(header->name, "Nats-", 5) != 0 && !is_ours(packet, header->name) &&
            jj__header_name_valid(header->name) && jj__header_value_valid(header->value))
            add(packet, header->name, header->value);
    }
    if (jj__header_find(packet->headers, packet->count, JJ__HEADER_CONTENT_TYPE) == NULL)
        add(packet, JJ__HEADER_CONTENT_TYPE, default_type(job));
    return true;
}

/* ---- asking ---- */

/* Shared by the slot that waits and the broker thread that answers. */
struct errand {
    struct broker *broker;
    const struct outgoing *message;
    jj_status sent; /* what became of the sending */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;          /* guarded by lock */
    jj_status status;       /* guarded by lock */
    struct broker_msg *msg; /* guarded by lock */
};

static void take_answer(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct errand *errand = ctx;

    pthread_mutex_lock(&errand->lock);
    errand->finished = true;
    errand->status = status;
    errand->msg = msg;
    pthread_cond_signal(&errand->changed);
    pthread_mutex_unlock(&errand->lock);
}

static void ask(void *ctx)
{
    struct errand *errand = ctx;
    const struct question question = {.message = *errand->message,
                                      .deadline_ms = INT64_MAX,
                                      .patient = true,
                                      .answer = take_answer,
                                      .ctx = errand};

    errand->sent = jj__broker_ask(errand->broker, &question, NULL);
}

static void unask(void *ctx)
{
    struct errand *errand = ctx;

    jj__broker_unask(errand->broker, errand);
}

/* Wait for the answer, a slice of time at most. */
static bool wait_a_slice(struct errand *errand, const jj_attempt *attempt)
{
    int64_t left_ms = jj_attempt_remaining_ms(attempt);
    struct timespec until;

    if (left_ms < 1 || left_ms > SLICE_MS)
        left_ms = left_ms < 1 ? 1 : SLICE_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += left_ms * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&errand->lock);
    if (!errand->finished)
        pthread_cond_timedwait(&errand->changed, &errand->lock, &until);
    bool finished = errand->finished;
    pthread_mutex_unlock(&errand->lock);
    return finished;
}

/* STATE: the attempt is to end, and there is no answer. */
static jj_status ask_and_wait(struct errand *errand, const jj_attempt *attempt)
{
    errand->sent = JJ_ERR_STATE;
    while (!jj_attempt_stopping(attempt)) {
        if (errand->sent == JJ_ERR_STATE) /* not connected */
            jj__broker_call(errand->broker, ask, errand);
        if (errand->sent != JJ_OK && errand->sent != JJ_ERR_STATE)
            return errand->sent;
        if (wait_a_slice(errand, attempt))
            return errand->status;
    }
    jj__broker_call(errand->broker, unask, errand);
    return errand->finished ? errand->status : JJ_ERR_STATE; /* nobody else has it any more */
}

static void open_errand(struct errand *errand)
{
    pthread_mutex_init(&errand->lock, NULL);
    jj__thread_condition(&errand->changed);
}

static void close_errand(struct errand *errand)
{
    if (errand->msg != NULL)
        jj__msg_free(errand->msg);
    pthread_cond_destroy(&errand->changed);
    pthread_mutex_destroy(&errand->lock);
}

/* ---- the answer ---- */

/* 400 to 599; 0: it is none of them. */
static int read_code(const char *text)
{
    if ((text[0] != '4' && text[0] != '5') || strspn(text, "0123456789") != 3 || text[3] != '\0')
        return 0;
    return (int)strtol(text, NULL, 10);
}

/* An error without a code that can be read is a failed attempt, whatever keeps it from being read:
 * that nothing is wrong is the one thing it does not say. */
static jj_verdict judge_error(jj_attempt *attempt, const char *subject, const char *code_text,
                              const char *text)
{
    int code = code_text == NULL ? 0 : read_code(code_text);
    char plain[320];

    if (code_text != NULL && code == 0)
        return jj_retry(attempt,
                        "answer of %s: " JJ__HEADER_ERROR_CODE " is '%.32s': allowed is 400 to 599",
                        subject, code_text);
    if (text == NULL || text[0] == '\0') {
        snprintf(plain, sizeof(plain), "error %d of %s", code, subject);
        text = plain;
    }
    return code >= 400 && code < 500 ? jj_fail(attempt, "%s", text) : jj_retry(attempt, "%s", text);
}

static jj_verdict judge_answer(jj_attempt *attempt, const char *subject, struct broker_msg *msg)
{
    jj_header *headers = NULL;
    size_t count = 0;

    if (jj__msg_headers(msg, &headers, &count, NULL) != JJ_OK)
        return jj_retry(attempt, "answer of %s: its headers can't be read", subject);
    const char *code = jj__header_find(headers, count, JJ__HEADER_ERROR_CODE);
    const char *text = jj__header_find(headers, count, JJ__HEADER_ERROR);
    jj_verdict verdict = code != NULL || text != NULL
                             ? judge_error(attempt, subject, code, text)
                             : jj_done(attempt, jj__msg_data(msg), jj__msg_len(msg));
    free(headers);
    return verdict;
}

/* Nothing was sent. */
static jj_verdict put_off(jj_attempt *attempt)
{
    jj__ignore(jj_log(attempt, JJ_LOG_WARN, NULL, "put off: no memory for a request"),
               "only a note");
    return jj_snooze(attempt, PUT_OFF_MS);
}

static jj_verdict judge(jj_attempt *attempt, const char *subject, struct errand *errand,
                        jj_status status)
{
    if (status == JJ_ERR_NO_MEMORY)
        return put_off(attempt);
    if (status == JJ_ERR_UNAVAILABLE)
        return jj_retry(attempt, "nobody answers to %s", subject);
    if (status == JJ_ERR_NOT_PERMITTED)
        return jj_retry(attempt, "not permitted: %s", subject);
    if (status == JJ_ERR_STATE)
        return jj_retry(attempt, "no answer from %s in time", subject);
    if (status != JJ_OK)
        return jj_retry(attempt, "not sent to %s: %s", subject, jj_status_text(status));
    return judge_answer(attempt, subject, errand->msg);
}

/* ---- running it ---- */

static jj_verdict run_packet(jj_attempt *attempt, const char *subject, const struct packet *packet)
{
    const struct outgoing message = {.subject = subject,
                                     .headers = packet->headers,
                                     .header_count = packet->count,
                                     .data = attempt->job.data,
                                     .len = attempt->job.data_len};
    struct errand errand = {.broker = attempt->worker->broker, .message = &message};

    if (packet->bytes + message.len > jj__broker_max_payload(errand.broker))
        return jj_fail(attempt, "a request of %zu bytes: the broker takes %zu",
                       packet->bytes + message.len, jj__broker_max_payload(errand.broker));
    open_errand(&errand);
    jj_status s = ask_and_wait(&errand, attempt);
    jj_verdict verdict = judge(attempt, subject, &errand, s);
    close_errand(&errand);
    return verdict;
}

static jj_verdict run(jj_attempt *attempt, void *user)
{
    struct packet packet;

    if (!make_packet(attempt, &packet))
        return put_off(attempt);
    jj_verdict verdict = run_packet(attempt, user, &packet);
    free(packet.headers);
    return verdict;
}

jj_status jj_register_request(jj_client *client, const char *name, const char *subject,
                              const jj_handler_options *options, jj_error *err)
{
    jj_handler_options with = {0};
    jj_status s = jj__subject_check("subject of a request", subject, err);
    if (s != JJ_OK)
        return s;
    char *copy = strdup(subject);
    const struct registration registration = {
        .name = name, .run = run, .options = &with, .user = copy, .free_user = free};

    if (copy == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "handler '%s'", name);
    if (options != NULL)
        with = *options;
    if (with.timeout_ms == 0)
        with.timeout_ms = DEFAULT_TIMEOUT_MS;
    s = jj__client_register(client, &registration, err);
    if (s != JJ_OK)
        free(copy);
    return s;
}

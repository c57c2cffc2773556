/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the index service: receiving them, letting them wait, sending the answers.
 *
 * All of that happens on the broker thread, which must not block. A request that is to see its
 * client's own writes is parked with the index until that has read far enough; then a small pool of
 * threads finds the answer, and the broker thread sends what has gathered. What is in hand is
 * bounded, in number and bytes, and beyond that a request is refused at once: the one who asked may
 * try another service, or later.
 *
 * A get that waits for the end of a job goes through the pool first: a job that is not known, or is
 * over, is answered at once, any other is parked a second time. */

#include "api.h"

#include <stdlib.h>
#include <string.h>

#include "api_inside.h"
#include "clock.h"
#include "job.h"
#include "subject.h"

#define IN_HAND_MAX    10000
#define WAITING_MAX    (IN_HAND_MAX / 2)
#define BYTES_MAX      ((size_t)64 * 1024 * 1024)
#define BODY_MAX       ((size_t)64 * 1024)
#define SEQS_WAIT_MS   2000
#define JOB_WAIT_MAX   60000
#define FLUSH_LIMIT_MS 1000

/* A subscription. */
struct listening {
    struct listening *next;
    struct api *api;
    struct port *port;
    enum verb verb;
    bool named;
};

/* ---- answering ---- */

static void release(struct inquiry *inquiry)
{
    struct api *api = inquiry->api;

    api->in_hand--;
    api->bytes -= jj__msg_len(inquiry->msg);
    if (inquiry->wait_until_ms > 0)
        api->waiting--;
    jj__msg_free(inquiry->msg);
    jj__buf_done(&inquiry->body);
    free(inquiry);
}

static void send_answer(struct inquiry *inquiry)
{
    const struct outgoing message = {.subject = jj__msg_reply(inquiry->msg),
                                     .headers = inquiry->headers,
                                     .header_count = inquiry->header_count,
                                     .data = inquiry->body.data,
                                     .len = inquiry->body.len};

    if (!jj__broker_send(inquiry->api->broker, &message))
        jj__log(&inquiry->api->log, JJ_LOG_DEBUG, "answer to %s not sent",
                jj__msg_subject(inquiry->msg));
    release(inquiry);
}

static void refuse(struct inquiry *inquiry, jj_status status, const char *text)
{
    jj__api_fail(inquiry, status, text);
    send_answer(inquiry);
}

/* ---- waiting for the index ---- */

static void read_far_enough(void *ctx, jj_status status, const char *text)
{
    struct inquiry *inquiry = ctx;

    if (inquiry->api->stopping)
        refuse(inquiry, JJ_ERR_UNAVAILABLE, "the index service is stopping");
    else if (status != JJ_OK)
        refuse(inquiry, status, text);
    else
        jj__pool_add(&inquiry->api->pool, inquiry);
}

/* Now the job is over, or the time is: the answer is the job as it is. */
static void job_is_over(void *ctx, jj_status status, const char *text)
{
    read_far_enough(ctx, status == JJ_ERR_TIMEOUT ? JJ_OK : status, text);
}

static void park_for_seqs(struct inquiry *inquiry)
{
    struct index_waiter *waiter = &inquiry->waiter;

    if (jj__index_has(inquiry->api->index, &waiter->seqs)) {
        jj__pool_add(&inquiry->api->pool, inquiry);
        return;
    }
    waiter->deadline_ms = jj__clock_mono_ms() + SEQS_WAIT_MS;
    waiter->ready = read_far_enough;
    waiter->ctx = inquiry;
    jj__index_when(inquiry->api->index, waiter);
}

/* The waiter's until_final was set by the pool. */
static void park_for_job(struct inquiry *inquiry)
{
    struct index_waiter waiter = {
        .deadline_ms = inquiry->wait_until_ms, .ready = job_is_over, .ctx = inquiry};

    memcpy(waiter.until_final, inquiry->waiter.until_final, sizeof(waiter.until_final));
    inquiry->waiter = waiter;
    inquiry->parks = false;
    inquiry->wait_until_ms = 1; /* the second time it is answered */
    jj__index_when(inquiry->api->index, &inquiry->waiter);
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct api *api = ctx;
    struct inquiry_queue done = jj__pool_take_done(&api->pool);
    struct inquiry *inquiry;

    (void)now_ms;
    while ((inquiry = jj__inquiry_pop(&done)) != NULL) {
        if (inquiry->parks)
            park_for_job(inquiry);
        else
            send_answer(inquiry);
    }
    return INT64_MAX;
}

/* ---- receiving ---- */

struct headers {
    jj_header *list;
    size_t count;
};

/* Decimal digits only. A header that is missing leaves it as it is. */
static jj_status read_number(const struct headers *headers, const char *header, uint64_t max,
                             uint64_t *number, jj_error *err)
{
    const char *text = jj__header_find(headers->list, headers->count, header);
    uint64_t value = 0;

    if (text == NULL)
        return JJ_OK;
    for (const char *at = text; at == text || *at != '\0'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (digit > 9 || value > (max - digit) / 10)
            return jj__fail(err, JJ_ERR_INVALID, "header %s is '%.40s': allowed is 0 to %llu",
                            header, text, (unsigned long long)max);
        value = value * 10 + digit;
    }
    *number = value;
    return JJ_OK;
}

static jj_status read_wait(struct inquiry *inquiry, const struct headers *headers, jj_error *err)
{
    uint64_t wait_ms = 0;
    jj_status s = read_number(headers, JJ__HEADER_WAIT, JOB_WAIT_MAX, &wait_ms, err);

    if (s != JJ_OK || wait_ms == 0 || inquiry->verb != VERB_GET)
        return s;
    if (inquiry->api->waiting >= WAITING_MAX)
        return jj__fail(err, JJ_ERR_UNAVAILABLE, "%d requests wait for jobs to be over",
                        WAITING_MAX);
    inquiry->wait_until_ms = jj__clock_mono_ms() + (int64_t)wait_ms;
    inquiry->api->waiting++;
    return JJ_OK;
}

static jj_status read_name(struct inquiry *inquiry, jj_error *err)
{
    const char *name = strrchr(jj__msg_subject(inquiry->msg), '.') + 1;
    jj_status s = jj__token_check("job name", name, err);

    if (s == JJ_OK)
        memcpy(inquiry->name, name, strlen(name) + 1);
    return s;
}

static jj_status read_own_headers(struct inquiry *inquiry, const struct headers *headers,
                                  jj_error *err)
{
    const char *type = jj__header_find(headers->list, headers->count, JJ__HEADER_CONTENT_TYPE);
    struct seqs *seqs = &inquiry->waiter.seqs;

    inquiry->protobuf = type != NULL && strcmp(type, JJ__TYPE_PROTOBUF) == 0;
    jj_status s = read_number(headers, JJ__HEADER_JOBS_SEQ, UINT64_MAX, &seqs->jobs, err);
    if (s == JJ_OK)
        s = read_number(headers, JJ__HEADER_SCHEDULE_SEQ, UINT64_MAX, &seqs->schedule, err);
    if (s == JJ_OK)
        s = read_number(headers, JJ__HEADER_EVENTS_SEQ, UINT64_MAX, &seqs->events, err);
    if (s == JJ_OK)
        s = read_wait(inquiry, headers, err);
    return s;
}

/* All at once, as only that tells whether they can be read: afterwards the client library shows
 * those before the one that can't. */
static jj_status read_headers(struct inquiry *inquiry, jj_error *err)
{
    struct headers headers = {0};
    jj_status s = jj__msg_headers(inquiry->msg, &headers.list, &headers.count, err);

    if (s == JJ_ERR_NO_MEMORY)
        return s;
    if (s != JJ_OK)
        return jj__fail(err, JJ_ERR_INVALID, "the headers can't be read");
    s = read_own_headers(inquiry, &headers, err);
    free(headers.list);
    return s;
}

static jj_status read_inquiry(struct inquiry *inquiry, bool named, jj_error *err)
{
    const struct api *api = inquiry->api;
    size_t len = jj__msg_len(inquiry->msg);
    jj_status s = read_headers(inquiry, err);

    if (s == JJ_OK && named)
        s = read_name(inquiry, err);
    if (s == JJ_OK && inquiry->verb != VERBS && len > BODY_MAX)
        s = jj__fail(err, JJ_ERR_INVALID, "the request has %zu bytes: allowed are %zu", len,
                     BODY_MAX);
    if (s == JJ_OK && (api->in_hand > IN_HAND_MAX || api->bytes > BYTES_MAX))
        s = jj__fail(err, JJ_ERR_UNAVAILABLE, "%zu requests of %zu bytes are in hand", api->in_hand,
                     api->bytes);
    return s;
}

/* We may publish where those who ask may not: they must not have us do it for them. "null" on
 * $JS.API.STREAM.PURGE.JOBS_SCHEDULE would wipe it. */
static bool may_be_answered(const char *reply)
{
    static const char *const ours[] = {"$", "jobs.", "job.", "log.job"};

    if (reply == NULL)
        return false;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strncmp(reply, ours[i], strlen(ours[i])) == 0)
            return false;
    return true;
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct listening *listening = ctx;
    struct api *api = listening->api;
    jj_error err;

    if (msg == NULL)
        return;
    struct inquiry *inquiry =
        may_be_answered(jj__msg_reply(msg)) ? calloc(1, sizeof(*inquiry)) : NULL;
    if (inquiry == NULL) {
        jj__msg_free(msg);
        return;
    }
    inquiry->api = api;
    inquiry->msg = msg;
    inquiry->verb = listening->verb;
    api->in_hand++;
    api->bytes += jj__msg_len(msg);
    jj_status s = read_inquiry(inquiry, listening->named, &err);
    if (s != JJ_OK)
        refuse(inquiry, s, err.text);
    else if (inquiry->verb == VERBS)
        jj__pool_add(&api->pool, inquiry);
    else
        park_for_seqs(inquiry);
}

/* ---- open and close ---- */

struct opening {
    struct api *api;
    jj_status status;
    jj_error *err;
};

static jj_status listen_to(struct api *api, enum verb verb, bool named, jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE];
    struct listening *listening = calloc(1, sizeof(*listening));
    if (listening == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "subscription");
    const struct port_options options = {
        .subject = subject, .queue = JJ__SERVICE_QUEUE, .take = take, .ctx = listening};

    jj__subject_request(subject, verb == VERBS ? "schedule" : jj__verb_text(verb), NULL);
    if (named)
        memcpy(subject + strlen(subject), ".*", sizeof(".*"));
    *listening =
        (struct listening){.next = api->listenings, .api = api, .verb = verb, .named = named};
    jj_status s = jj__broker_port_open(api->broker, &options, &listening->port, err);
    if (s != JJ_OK) {
        free(listening);
        return s;
    }
    api->listenings = listening;
    return JJ_OK;
}

static void close_ports(void *ctx)
{
    struct api *api = ctx;

    while (api->listenings != NULL) {
        struct listening *listening = api->listenings;
        api->listenings = listening->next;
        jj__broker_port_close(listening->port);
        free(listening);
    }
    api->stopping = true;
}

static void open_ports(void *ctx)
{
    struct opening *opening = ctx;
    struct api *api = opening->api;
    jj_status s = listen_to(api, VERBS, true, opening->err);

    for (int verb = 0; verb < VERBS; verb++) {
        if (s == JJ_OK)
            s = listen_to(api, (enum verb)verb, false, opening->err);
        if (s == JJ_OK)
            s = listen_to(api, (enum verb)verb, true, opening->err);
    }
    if (s == JJ_OK) {
        api->member = (struct broker_member){.turn = turn, .ctx = api};
        jj__broker_member_add(api->broker, &api->member);
    } else {
        close_ports(api);
    }
    opening->status = s;
}

jj_status jj__api_open(const struct api_setup *setup, struct api **api_out, jj_error *err)
{
    struct api *api = calloc(1, sizeof(*api));
    if (api == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "service");
    struct opening opening = {.api = api, .err = err};

    api->broker = setup->broker;
    api->index = setup->index;
    api->log = setup->log;
    jj_status s = jj__pool_open(&api->pool, api->broker, err);
    if (s == JJ_OK) {
        jj__broker_call(api->broker, open_ports, &opening);
        s = opening.status;
    }
    if (s != JJ_OK) {
        jj__pool_end(&api->pool); /* nothing is in it */
        jj__api_free(api);
        return s;
    }
    jj__broker_flush(api->broker, FLUSH_LIMIT_MS); /* from now on the server knows of us */
    *api_out = api;
    return JJ_OK;
}

static void drain_ports(void *ctx)
{
    struct api *api = ctx;

    for (struct listening *listening = api->listenings; listening != NULL;
         listening = listening->next)
        jj__broker_port_drain(listening->port);
}

struct ending {
    struct api *api;
    struct inquiry_queue rest; /* that nobody has worked on */
};

static void end(void *ctx)
{
    struct ending *ending = ctx;
    struct api *api = ending->api;
    struct inquiry_queue done = jj__pool_take_done(&api->pool);
    struct inquiry *inquiry;

    jj__broker_member_remove(api->broker, &api->member);
    while ((inquiry = jj__inquiry_pop(&done)) != NULL) {
        if (inquiry->parks)
            jj__inquiry_push(&ending->rest, inquiry);
        else
            send_answer(inquiry);
    }
    while ((inquiry = jj__inquiry_pop(&ending->rest)) != NULL)
        refuse(inquiry, JJ_ERR_UNAVAILABLE, "the index service is stopping");
}

void jj__api_stop(struct api *api)
{
    struct ending ending = {.api = api};

    if (api == NULL)
        return;
    jj__broker_call(api->broker, drain_ports, api);
    jj__broker_flush(api->broker, FLUSH_LIMIT_MS); /* then all that was on its way has come */
    jj__broker_call(api->broker, close_ports, api);
    ending.rest = jj__pool_end(&api->pool);
    jj__broker_call(api->broker, end, &ending);
}

void jj__api_free(struct api *api)
{
    if (api == NULL)
        return;
    jj__pool_free(&api->pool);
    free(api);
}

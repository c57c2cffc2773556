/* SPDX-License-Identifier: Apache-2.0 */

/* Following a stream with an ordered consumer: ephemeral, in the server's memory, pushed to a
 * subject of ours, never acknowledged.
 *
 * Such a consumer counts what it sends. A number out of line, a heartbeat that tells of a message
 * we never got, or silence, means something was lost on the way: the consumer is thrown away and a
 * new one starts behind the last message that was handed out. So order and completeness come from
 * the stream's sequence alone, and nothing is handed out twice. The same happens, a little later,
 * if there was no memory to take a message.
 *
 * That sequence can go back: when the broker's machine lost power before the end of the stream was
 * on its disk, or when the stream was deleted and made anew. We would wait behind its end, and miss
 * all until it gets there. So the stream is looked at first, each time. */

#include "broker_tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "rfc3339.h"

#define HEARTBEAT_MS    1000
#define SILENCE_MS      3500 /* three heartbeats missed */
#define ANSWER_LIMIT_MS 5000
#define RETRY_MS        500
#define INACTIVE_MS     60000 /* the server forgets an abandoned consumer then */

#define CREATED_SIZE 64

struct tail {
    struct broker_member member;
    struct broker *broker;
    struct log log;
    struct port *port; /* of the present consumer; NULL: none */
    char inbox[JJ__INBOX_SIZE];
    char consumer[JJ__INBOX_SIZE]; /* its name */
    char *stream;
    char *filters[JJ__TAIL_FILTERS_MAX];
    char stream_created[CREATED_SIZE]; /* when it was made; "": not known */
    uint64_t seq;                      /* last one handed out */
    int64_t start_at_ms;
    uint64_t consumer_seq; /* of the last message */
    int64_t heard_ms;
    int64_t not_before_ms;
    bool made;                        /* the consumer is on the server, or may be */
    bool asking;                      /* an answer is under way */
    bool closed;                      /* freed when it has come */
    bool complained;                  /* why it can't be followed is in the log */
    bool held;                        /* flow control is not to be answered */
    char stalled[JJ__INBOX_SIZE * 2]; /* where it would have been; "": nowhere */
    bool (*take)(void *ctx, struct broker_msg *msg, const struct delivery *delivery);
    void *ctx;
};

static void free_tail(struct tail *tail)
{
    free(tail->stream);
    for (size_t i = 0; i < JJ__TAIL_FILTERS_MAX; i++)
        free(tail->filters[i]);
    free(tail);
}

/* ---- one consumer after the other ---- */

static void drop_consumer(struct tail *tail)
{
    char subject[JJ__INBOX_SIZE + 128];

    if (tail->port == NULL)
        return;
    jj__broker_port_close(tail->port);
    tail->port = NULL;
    if (!tail->made)
        return;
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DELETE.%s.%s", tail->stream,
             tail->consumer);
    const struct outgoing message = {.subject = subject};
    if (!jj__broker_send(tail->broker, &message))
        return; /* the server forgets it by itself */
}

static void start_over(struct tail *tail, const char *why)
{
    if (tail->port != NULL)
        jj__log(&tail->log, JJ_LOG_DEBUG, "tail of %s begins again behind %llu: %s", tail->stream,
                (unsigned long long)tail->seq, why);
    drop_consumer(tail);
}

static json_t *consumer_config(const struct tail *tail)
{
    json_t *config = json_pack(
        "{s:s, s:s, s:s, s:i, s:b, s:I, s:b, s:i, s:I, s:s}", "name", tail->consumer,
        "deliver_subject", tail->inbox, "ack_policy", "none", "max_deliver", 1, "flow_control", 1,
        "idle_heartbeat", (json_int_t)(HEARTBEAT_MS * 1000000LL), "mem_storage", 1, "num_replicas",
        1, "inactive_threshold", (json_int_t)(INACTIVE_MS * 1000000LL), "replay_policy", "instant");
    json_t *filters = json_array();
    char start[JJ__RFC3339_SIZE];

    for (size_t i = 0; i < JJ__TAIL_FILTERS_MAX && tail->filters[i] != NULL; i++)
        json_array_append_new(filters, json_string(tail->filters[i]));
    if (json_array_size(filters) > 0)
        json_object_set(config, "filter_subjects", filters);
    json_decref(filters);
    if (tail->seq > 0) {
        json_object_set_new(config, "deliver_policy", json_string("by_start_sequence"));
        json_object_set_new(config, "opt_start_seq", json_integer((json_int_t)tail->seq + 1));
    } else if (tail->start_at_ms > 0) {
        jj__rfc3339_write(tail->start_at_ms, start);
        json_object_set_new(config, "deliver_policy", json_string("by_start_time"));
        json_object_set_new(config, "opt_start_time", json_string(start));
    } else {
        json_object_set_new(config, "deliver_policy", json_string("all"));
    }
    return config;
}

/* Ask the JetStream API; on failure answer is not called. */
static bool ask(struct tail *tail, const char *subject, const json_t *request, int64_t now_ms,
                void (*answer)(void *ctx, struct broker_msg *msg, jj_status status))
{
    char *body = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    const struct question question = {
        .message = {.subject = subject, .data = body, .len = body == NULL ? 0 : strlen(body)},
        .deadline_ms = now_ms + ANSWER_LIMIT_MS,
        .answer = answer,
        .ctx = tail};

    tail->asking =
        (request == NULL || body != NULL) && jj__broker_ask(tail->broker, &question, NULL) == JJ_OK;
    free(body);
    return tail->asking;
}

/* The answer as JSON, or NULL. */
static json_t *read_answer(struct broker_msg *msg)
{
    return msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
}

static void created(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct tail *tail = ctx;
    json_t *answer = read_answer(msg);
    const json_t *error = json_object_get(answer, "error");

    tail->asking = false;
    tail->heard_ms = jj__clock_mono_ms();
    if (tail->closed) {
        free_tail(tail);
    } else if (status != JJ_OK || answer == NULL || error != NULL) {
        const char *text = json_string_value(json_object_get(error, "description"));
        if (!tail->complained)
            jj__log(&tail->log, JJ_LOG_WARN, "can't follow %s: %s", tail->stream,
                    text != NULL ? text : jj_status_text(status));
        tail->complained = true;
        tail->made = status == JJ_ERR_TIMEOUT;
        drop_consumer(tail);
        tail->not_before_ms = tail->heard_ms + RETRY_MS;
    } else {
        tail->complained = false;
    }
    json_decref(answer);
    jj__msg_free(msg);
}

static void take(void *ctx, struct broker_msg *msg);

static void create_consumer(struct tail *tail, int64_t now_ms)
{
    char subject[JJ__INBOX_SIZE + 128];

    jj__broker_inbox(tail->broker, "t", tail->inbox);
    snprintf(tail->consumer, sizeof(tail->consumer), "tail-%s", strchr(tail->inbox, '.') + 1);
    for (char *c = tail->consumer; *c != '\0'; c++)
        if (*c == '.')
            *c = '-';
    tail->consumer_seq = 0;
    tail->stalled[0] = '\0';
    tail->heard_ms = now_ms;
    const struct port_options port = {.subject = tail->inbox, .take = take, .ctx = tail};
    if (jj__broker_port_open(tail->broker, &port, &tail->port, NULL) != JJ_OK)
        return;
    json_t *request =
        json_pack("{s:s, s:o}", "stream_name", tail->stream, "config", consumer_config(tail));
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.CREATE.%s.%s", tail->stream,
             tail->consumer);
    tail->made = request != NULL && ask(tail, subject, request, now_ms, created);
    if (!tail->made)
        drop_consumer(tail);
    json_decref(request);
}

/* Where to go on in the stream as it is now. */
static void look_at(struct tail *tail, const json_t *info)
{
    const char *made = json_string_value(json_object_get(info, "created"));
    const json_t *state = json_object_get(info, "state");
    uint64_t last_seq = (uint64_t)json_integer_value(json_object_get(state, "last_seq"));

    if (made == NULL || state == NULL)
        return; /* not there, or not permitted: creating the consumer will tell */
    bool anew = tail->stream_created[0] != '\0' && strcmp(tail->stream_created, made) != 0;
    snprintf(tail->stream_created, sizeof(tail->stream_created), "%s", made);
    if (!anew && last_seq >= tail->seq)
        return;
    jj__log(&tail->log, JJ_LOG_WARN, "stream %s %s: it was read up to %llu and ends at %llu now",
            tail->stream, anew ? "was made anew" : "has lost messages",
            (unsigned long long)tail->seq, (unsigned long long)last_seq);
    tail->seq = anew ? 0 : last_seq;
}

static void looked(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct tail *tail = ctx;
    json_t *info = read_answer(msg);

    (void)status;
    tail->asking = false;
    if (tail->closed) {
        free_tail(tail);
    } else if (jj__broker_connected(tail->broker)) {
        look_at(tail, info);
        create_consumer(tail, jj__clock_mono_ms());
    }
    json_decref(info);
    jj__msg_free(msg);
}

static void begin(struct tail *tail, int64_t now_ms)
{
    char subject[JJ__INBOX_SIZE + 128];

    tail->not_before_ms = now_ms + RETRY_MS;
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", tail->stream);
    if (!ask(tail, subject, NULL, now_ms, looked))
        create_consumer(tail, now_ms);
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct tail *tail = ctx;

    if (!jj__broker_connected(tail->broker) || tail->asking)
        return INT64_MAX;
    if (tail->port != NULL && now_ms >= tail->heard_ms + SILENCE_MS)
        start_over(tail, "silence");
    if (tail->port == NULL && now_ms >= tail->not_before_ms)
        begin(tail, now_ms);
    if (tail->asking)
        return INT64_MAX;
    return tail->port == NULL ? tail->not_before_ms : tail->heard_ms + SILENCE_MS;
}

static void connected(void *ctx, bool is_connected)
{
    struct tail *tail = ctx;

    if (!is_connected) {
        start_over(tail, "disconnected");
        tail->not_before_ms = 0;
    }
}

/* ---- what comes ---- */

static bool answer_control(struct tail *tail, const char *subject)
{
    const struct outgoing go_on = {.subject = subject};

    return jj__broker_send(tail->broker, &go_on);
}

/* Heartbeats and flow control: statuses 100. */
static void take_control(struct tail *tail, struct broker_msg *msg)
{
    const char *stalled = jj__msg_header(msg, "Nats-Consumer-Stalled");
    const char *last = jj__msg_header(msg, "Nats-Last-Consumer");
    const char *reply = jj__msg_reply(msg);
    const char *go_on = reply != NULL ? reply : stalled;

    if (go_on != NULL && tail->held && strlen(go_on) < sizeof(tail->stalled))
        memcpy(tail->stalled, go_on, strlen(go_on) + 1);
    else if (go_on != NULL && !answer_control(tail, go_on))
        return; /* the connection is gone, and so is this consumer */
    if (last != NULL && strtoull(last, NULL, 10) != tail->consumer_seq)
        start_over(tail, "a message is missing");
}

static void hand_out(struct tail *tail, struct broker_msg *msg, const struct delivery *delivery)
{
    uint64_t before = tail->seq;

    tail->seq = delivery->seq;
    if (tail->take(tail->ctx, msg, delivery))
        return;
    tail->seq = before;
    start_over(tail, "no memory");
    tail->not_before_ms = jj__clock_mono_ms() + RETRY_MS;
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct tail *tail = ctx;
    struct delivery delivery;

    if (msg == NULL)
        return;
    tail->heard_ms = jj__clock_mono_ms();
    const char *reply = jj__msg_reply(msg);
    if (reply == NULL || !jj__subject_read_ack(reply, &delivery)) {
        take_control(tail, msg);
        jj__msg_free(msg);
        return;
    }
    if (delivery.consumer_seq != tail->consumer_seq + 1) {
        start_over(tail, "a message is missing");
        jj__msg_free(msg);
        return;
    }
    tail->consumer_seq = delivery.consumer_seq;
    if (delivery.seq > tail->seq) {
        hand_out(tail, msg, &delivery);
        return;
    }
    jj__msg_free(msg);
}

/* ---- open and close ---- */

jj_status jj__tail_open(struct broker *broker, const struct log *log,
                        const struct tail_options *options, struct tail **tail_out, jj_error *err)
{
    struct tail *tail = calloc(1, sizeof(*tail));
    if (tail == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "tail");
    bool failed = false;

    tail->broker = broker;
    tail->log = *log;
    tail->seq = options->after_seq;
    tail->start_at_ms = options->start_at_ms;
    tail->take = options->take;
    tail->ctx = options->ctx;
    tail->member = (struct broker_member){.turn = turn, .connected = connected, .ctx = tail};
    tail->stream = strdup(options->stream);
    for (size_t i = 0; i < JJ__TAIL_FILTERS_MAX && options->filters[i] != NULL; i++) {
        tail->filters[i] = strdup(options->filters[i]);
        failed |= tail->filters[i] == NULL;
    }
    if (tail->stream == NULL || failed) {
        free_tail(tail);
        return jj__fail(err, JJ_ERR_NO_MEMORY, "tail");
    }
    jj__broker_member_add(broker, &tail->member);
    jj__broker_wake(broker);
    *tail_out = tail;
    return JJ_OK;
}

uint64_t jj__tail_seq(const struct tail *tail)
{
    return tail->seq;
}

void jj__tail_hold(struct tail *tail, bool hold)
{
    tail->held = hold;
    if (hold || tail->stalled[0] == '\0')
        return;
    if (answer_control(tail, tail->stalled))
        tail->stalled[0] = '\0';
}

void jj__tail_close(struct tail *tail)
{
    if (tail == NULL)
        return;
    jj__broker_member_remove(tail->broker, &tail->member);
    drop_consumer(tail);
    tail->closed = true;
    if (!tail->asking)
        free_tail(tail);
}

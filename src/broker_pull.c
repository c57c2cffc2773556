/* SPDX-License-Identifier: Apache-2.0 */

/* Pulling from a durable consumer.
 *
 * A pull is a request for up to n messages within 5 s. Messages don't say which pull they answer,
 * only the statuses that end one early do, with what was left of it; so the sum is kept, not each.
 * It can only be too high, if a status is lost: then nothing is heard, and silence resets it. */

#include "broker_pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "broker_nats.h"
#include "clock.h"

#define EXPIRES_MS     5000 /* a frozen worker swallows jobs no longer than this */
#define HEARTBEAT_MS   2000 /* at most half of it (server's rule) */
#define SILENCE_MS     6000 /* no message, status or heartbeat: the pulls are lost */
#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS   2000
#define WORTH_A_PULL   256 /* ask for that many without waiting for more to be missing */

struct puller {
    struct broker_member member;
    struct broker *broker;
    struct log log;
    struct port *port;
    char inbox[JJ__INBOX_SIZE];
    char *next_subject;
    char *create_subject;
    char *create_body;
    void (*take)(void *ctx, struct broker_msg *msg);
    void *ctx;
    uint64_t pulls;
    uint32_t want;
    uint32_t asked;        /* and not delivered yet */
    int64_t heard_ms;      /* last sign of the consumer */
    int64_t not_before_ms; /* after a failure */
    int64_t retry_ms;
    bool missing;    /* the consumer is to be created */
    bool creating;   /* the answer is under way */
    bool closed;     /* freed when it has come */
    bool complained; /* a refusal is in the log since the last message */
    bool denied;     /* this connection's user may not pull */
};

static void free_puller(struct puller *puller)
{
    free(puller->next_subject);
    free(puller->create_subject);
    free(puller->create_body);
    free(puller);
}

static void back_off(struct puller *puller, int64_t now_ms)
{
    puller->asked = 0;
    puller->retry_ms = puller->retry_ms == 0                 ? RETRY_FIRST_MS
                       : puller->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS
                                                             : puller->retry_ms * 2;
    puller->not_before_ms = now_ms + puller->retry_ms;
}

/* Once, until something comes again. */
static void complain(struct puller *puller, const char *what, const char *why)
{
    if (!puller->complained)
        jj__log(&puller->log, JJ_LOG_WARN, "%s: %s", what, why);
    puller->complained = true;
}

/* ---- a consumer that is not there ---- */

static void read_creation(struct puller *puller, struct broker_msg *msg)
{
    json_t *answer = json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "description"));

    if (answer != NULL && error == NULL)
        jj__log(&puller->log, JJ_LOG_WARN, "consumer was gone, created again: %s",
                puller->create_subject);
    else
        complain(puller, puller->create_subject, text == NULL ? "refused" : text);
    json_decref(answer);
}

static void created(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct puller *puller = ctx;

    puller->creating = false;
    if (puller->closed)
        free_puller(puller);
    else if (status == JJ_OK)
        read_creation(puller, msg);
    else
        complain(puller, puller->create_subject, jj_status_text(status));
    jj__msg_free(msg);
}

static void create_consumer(struct puller *puller, int64_t now_ms)
{
    const struct question question = {
        .message = {.subject = puller->create_subject,
                    .data = puller->create_body,
                    .len = puller->create_body == NULL ? 0 : strlen(puller->create_body)},
        .deadline_ms = now_ms + 2000,
        .answer = created,
        .ctx = puller};

    puller->missing = false;
    if (puller->create_body != NULL)
        puller->creating = jj__broker_ask(puller->broker, &question, NULL) == JJ_OK;
}

/* ---- asking ---- */

static void pull(struct puller *puller, uint32_t batch, int64_t now_ms)
{
    char body[128];
    char reply[JJ__INBOX_SIZE + 24];
    int len =
        snprintf(body, sizeof(body), "{\"batch\":%u,\"expires\":%lld,\"idle_heartbeat\":%lld}",
                 (unsigned)batch, EXPIRES_MS * 1000000LL, HEARTBEAT_MS * 1000000LL);
    snprintf(reply, sizeof(reply), "%s.%llu", puller->inbox, (unsigned long long)puller->pulls++);
    const struct outgoing message = {
        .subject = puller->next_subject, .reply = reply, .data = body, .len = (size_t)len};

    if (!jj__broker_send(puller->broker, &message))
        return;
    if (puller->asked == 0)
        puller->heard_ms = now_ms;
    puller->asked += batch;
}

static void pull_what_is_missing(struct puller *puller, int64_t now_ms)
{
    if (puller->asked >= puller->want || now_ms < puller->not_before_ms || puller->creating ||
        puller->denied)
        return;
    if (puller->missing) {
        create_consumer(puller, now_ms);
        if (puller->creating)
            return;
    }
    uint32_t gap = puller->want - puller->asked;
    if (gap >= puller->asked || gap >= WORTH_A_PULL)
        pull(puller, gap, now_ms);
}

void jj__pull_want(struct puller *puller, uint32_t want)
{
    if (want > puller->want)
        jj__broker_wake(puller->broker); /* this round's turn may be over */
    puller->want = want;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct puller *puller = ctx;

    if (!jj__broker_connected(puller->broker))
        return INT64_MAX;
    if (puller->asked > 0 && now_ms >= puller->heard_ms + SILENCE_MS)
        back_off(puller, now_ms);
    pull_what_is_missing(puller, now_ms);
    if (puller->asked > 0)
        return puller->heard_ms + SILENCE_MS;
    return puller->want > 0 && !puller->creating && !puller->denied ? puller->not_before_ms
                                                                    : INT64_MAX;
}

static void connected(void *ctx, bool is_connected)
{
    struct puller *puller = ctx;

    (void)is_connected;
    puller->asked = 0;
    puller->retry_ms = 0;
    puller->not_before_ms = 0;
    puller->denied = false;
}

/* Asking again would be denied again, until somebody changes that; then the server lets go of the
 * connection. */
static bool denied(void *ctx, const char *text)
{
    struct puller *puller = ctx;

    if (!jj__broker_denies(text, "Publish", puller->next_subject))
        return false;
    if (!puller->denied)
        jj__log(&puller->log, JJ_LOG_INFO, "%s: not permitted, not asked for",
                puller->next_subject);
    puller->denied = true;
    puller->asked = 0;
    return true;
}

/* ---- what comes ---- */

/* An end of all pulls that is nobody's fault. */
static bool is_usual(int code, const char *text)
{
    return code == 404 || code == 408 || strcmp(text, "Consumer Deleted") == 0 ||
           strcmp(text, "Leadership Change") == 0;
}

static void take_status(struct puller *puller, struct broker_msg *msg)
{
    int code = jj__msg_status(msg);
    const char *left = jj__msg_header(msg, "Nats-Pending-Messages");
    const char *text = jj__msg_header(msg, "Description");

    if (code == 100 || code == 0)
        return;
    if (left != NULL) {
        uint32_t count = (uint32_t)strtoul(left, NULL, 10);
        puller->asked -= count > puller->asked ? puller->asked : count;
        return;
    }
    if (text == NULL)
        text = "";
    puller->missing = strcmp(text, "Consumer Deleted") == 0;
    if (!is_usual(code, text))
        complain(puller, puller->next_subject, text);
    back_off(puller, jj__clock_mono_ms());
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct puller *puller = ctx;

    puller->heard_ms = jj__clock_mono_ms();
    if (msg == NULL) { /* nobody answers to pulls: no such consumer, or no JetStream */
        puller->missing = true;
        back_off(puller, puller->heard_ms);
        return;
    }
    if (strncmp(jj__msg_subject(msg), puller->inbox, strlen(puller->inbox)) == 0) {
        take_status(puller, msg);
        jj__msg_free(msg);
        return;
    }
    puller->retry_ms = 0;
    puller->complained = false;
    if (puller->asked > 0)
        puller->asked--;
    puller->take(puller->ctx, msg);
}

/* ---- open and close ---- */

jj_status jj__pull_open(struct broker *broker, const struct log *log,
                        const struct puller_options *options, struct puller **puller_out,
                        jj_error *err)
{
    struct puller *puller = calloc(1, sizeof(*puller));
    if (puller == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "puller");
    char subject[JJ__INBOX_SIZE + 128];

    puller->broker = broker;
    puller->log = *log;
    puller->take = options->take;
    puller->ctx = options->ctx;
    puller->member = (struct broker_member){
        .turn = turn, .connected = connected, .denied = denied, .ctx = puller};
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s.%s", options->stream,
             options->consumer);
    puller->next_subject = strdup(subject);
    puller->create_subject = strdup(options->create_subject);
    puller->create_body = options->create_body == NULL ? NULL : strdup(options->create_body);
    if (puller->next_subject == NULL || puller->create_subject == NULL ||
        (options->create_body != NULL && puller->create_body == NULL)) {
        free_puller(puller);
        return jj__fail(err, JJ_ERR_NO_MEMORY, "puller");
    }
    jj__broker_inbox(broker, "p", puller->inbox);
    snprintf(subject, sizeof(subject), "%s.*", puller->inbox);
    const struct port_options port = {.subject = subject, .take = take, .ctx = puller};
    jj_status s = jj__broker_port_open(broker, &port, &puller->port, err);
    if (s != JJ_OK) {
        free_puller(puller);
        return s;
    }
    jj__broker_member_add(broker, &puller->member);
    *puller_out = puller;
    return JJ_OK;
}

void jj__pull_drain(struct puller *puller)
{
    puller->want = 0;
    jj__broker_port_drain(puller->port);
}

void jj__pull_close(struct puller *puller)
{
    if (puller == NULL)
        return;
    jj__broker_member_remove(puller->broker, &puller->member);
    jj__broker_port_close(puller->port);
    puller->closed = true;
    if (!puller->creating)
        free_puller(puller);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Publications: messages to a stream that wait for its acknowledgement.
 *
 * Each has a number, which is the end of its reply subject. It stays in the list until done() has
 * been called: by the acknowledgement, by an error that sending again can't mend, or by its
 * deadline. Sending again is knowing, never blind: the message carries a Nats-Msg-Id, so the stream
 * stores it once; a batch has none and is never sent again from here. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "broker.h"
#include "broker_nats.h"
#include "clock.h"

#define SILENCE_MS     2000 /* after which a publication is sent again */
#define BUSY_WAIT_MS   50   /* after the server said that its queue is full */
#define NOBODY_WAIT_MS 250  /* after it said that no stream listens */
#define CHECK_EVERY_MS 50
#define FIRST_SLOTS    1024
#define REFUSAL_SIZE   160

#define ERR_INGEST_QUEUE_FULL  10167
#define ERR_MESSAGE_TOO_LARGE  10054
#define ERR_HEADERS_TOO_LARGE  10097
#define ERR_STREAM_FULL        10077 /* or could not store it for another reason */
#define ERR_RESOURCES_EXCEEDED 10023
#define ERR_ACCOUNT_FULL       10002

struct sent {
    struct sent *next, *prev; /* in the outbox, then in the publisher's list */
    struct sent *chain;       /* in its slot */
    uint64_t number;
    int64_t deadline_ms;
    int64_t again_ms; /* when to send it again */
    bool once;
    bool held;     /* its last message is not to be sent yet */
    bool answered; /* its last sending was */
    unsigned sendings;
    unsigned refusals;          /* of these; as many: it is not stored */
    char refusal[REFUSAL_SIZE]; /* why the last one was refused */
    void (*done)(void *ctx, const struct publish_result *result);
    void *ctx;
    size_t begun; /* messages of a batch that have been sent before it was held */
    size_t count;
    natsMsg *msgs[];
};

static const char *subject_of(const struct sent *sent)
{
    return natsMsg_GetSubject(sent->msgs[sent->count - 1]);
}

static void free_sent(struct sent *sent)
{
    if (sent == NULL)
        return;
    for (size_t i = 0; i < sent->count; i++)
        jj__trash_put(sent->msgs[i]);
    free(sent);
}

/* ---- the list of those that wait ---- */

static struct sent **slot_of(struct publisher *publisher, uint64_t number)
{
    return &publisher->slots[number & (publisher->slot_count - 1)];
}

static void put_in_slot(struct publisher *publisher, struct sent *sent)
{
    struct sent **slot = slot_of(publisher, sent->number);

    sent->chain = *slot;
    *slot = sent;
}

static struct sent *find_waiting(struct publisher *publisher, uint64_t number)
{
    struct sent *sent = *slot_of(publisher, number);

    while (sent != NULL && sent->number != number)
        sent = sent->chain;
    return sent;
}

/* Twice as many slots. Without memory for them the chains get longer, that is all. */
static void grow_slots(struct publisher *publisher)
{
    size_t count = publisher->slot_count * 2;
    struct sent **slots = calloc(count, sizeof(struct sent *));

    if (slots == NULL)
        return;
    free(publisher->slots);
    publisher->slots = slots;
    publisher->slot_count = count;
    for (struct sent *sent = publisher->first; sent != NULL; sent = sent->next)
        put_in_slot(publisher, sent);
}

static void add_waiting(struct publisher *publisher, struct sent *sent)
{
    if (publisher->waiting == publisher->slot_count)
        grow_slots(publisher);
    put_in_slot(publisher, sent);
    sent->next = NULL;
    sent->prev = publisher->last;
    if (publisher->last == NULL)
        publisher->first = sent;
    else
        publisher->last->next = sent;
    publisher->last = sent;
    publisher->waiting++;
}

static void remove_waiting(struct publisher *publisher, struct sent *sent)
{
    struct sent **link = slot_of(publisher, sent->number);

    while (*link != sent)
        link = &(*link)->chain;
    *link = sent->chain;
    if (sent->prev == NULL)
        publisher->first = sent->next;
    else
        sent->prev->next = sent->next;
    if (sent->next == NULL)
        publisher->last = sent->prev;
    else
        sent->next->prev = sent->prev;
    publisher->waiting--;
}

static void finish(struct broker *broker, struct sent *sent, const struct publish_result *result)
{
    remove_waiting(&broker->publisher, sent);
    sent->done(sent->ctx, result);
    free_sent(sent);
}

static void finish_failed(struct broker *broker, struct sent *sent, jj_status status,
                          const char *why)
{
    struct publish_result result = {.status = status};

    jj__ignore(jj__fail(&result.err, status, "publish to %s: %s", subject_of(sent), why),
               "the status is in the result");
    finish(broker, sent, &result);
}

/* A part of a batch was sent and the rest can't follow: another connection, or no memory. */
static void finish_broken(struct broker *broker, struct sent *sent)
{
    struct publish_result result = {.status = JJ_ERR_UNAVAILABLE,
                                    .err_code = JJ__ERR_BATCH_INCOMPLETE};

    jj__ignore(jj__fail(&result.err, result.status,
                        "publish to %s: connection lost before all of it was sent",
                        subject_of(sent)),
               "the status is in the result");
    finish(broker, sent, &result);
}

/* ---- sending ---- */

/* Of a batch that is held all but the last message, and that one when it is let go. */
static natsStatus send_messages(struct broker *broker, struct sent *sent)
{
    size_t end = sent->held ? sent->count - 1 : sent->count;
    natsStatus s = broker->nc == NULL ? NATS_CONNECTION_DISCONNECTED : NATS_OK;

    while (s == NATS_OK && sent->begun < end) {
        s = natsConnection_PublishMsg(broker->nc, sent->msgs[sent->begun]);
        sent->begun += s == NATS_OK;
    }
    if (sent->begun == sent->count)
        sent->begun = 0; /* the next sending is a whole one */
    return s;
}

static void send_now(struct broker *broker, struct sent *sent, int64_t now_ms)
{
    natsStatus s = send_messages(broker, sent);

    if (s == NATS_OK && sent->held)
        return;
    if (s == NATS_MAX_PAYLOAD) {
        finish_failed(broker, sent, JJ_ERR_TOO_LARGE, "larger than the server's max_payload");
        return;
    }
    if (s != NATS_OK) {
        sent->again_ms = now_ms + SILENCE_MS;
        snprintf(sent->refusal, sizeof(sent->refusal), "not connected%s%.*s",
                 broker->connect_text[0] == '\0' ? "" : ": ", REFUSAL_SIZE - 20,
                 broker->connect_text);
        return;
    }
    sent->sendings++;
    sent->answered = false;
    broker->publisher.unanswered++;
    sent->again_ms = now_ms + SILENCE_MS;
}

static void begin(struct broker *broker, struct sent *sent)
{
    struct publisher *publisher = &broker->publisher;
    int64_t now_ms = jj__clock_mono_ms();

    add_waiting(publisher, sent);
    if (publisher->waiting == 1)
        publisher->check_ms = now_ms + CHECK_EVERY_MS;
    send_now(broker, sent, now_ms);
}

void jj__publisher_take_outbox(struct broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    struct sent *sent = broker->outbox;
    broker->outbox = NULL;
    broker->outbox_end = &broker->outbox;
    pthread_mutex_unlock(&broker->lock);

    while (sent != NULL) {
        struct sent *following = sent->next;
        begin(broker, sent);
        sent = following;
    }
}

void jj__publisher_let_go(struct broker *broker, uint64_t number, int64_t deadline_ms)
{
    jj__publisher_take_outbox(broker);
    struct sent *sent = find_waiting(&broker->publisher, number);

    if (sent == NULL)
        return;
    sent->held = false;
    sent->deadline_ms = deadline_ms;
    send_now(broker, sent, jj__clock_mono_ms());
}

void jj__publisher_drop(struct broker *broker, uint64_t number)
{
    jj__publisher_take_outbox(broker);
    struct sent *sent = find_waiting(&broker->publisher, number);

    if (sent != NULL)
        finish_failed(broker, sent, JJ_ERR_UNAVAILABLE, "dropped");
}

/* What was sent on the old connection has an unknown fate: send it again, or say so. */
void jj__publisher_reconnected(struct broker *broker)
{
    int64_t now_ms = jj__clock_mono_ms();
    struct sent *following;

    broker->publisher.unanswered = 0;
    broker->publisher.nobody = false;
    for (struct sent *sent = broker->publisher.first; sent != NULL; sent = following) {
        following = sent->next;
        if (sent->begun > 0)
            finish_broken(broker, sent);
        else if (sent->once && sent->sendings > 0)
            finish_failed(broker, sent, JJ_ERR_TIMEOUT, "connection lost before the answer");
        else
            send_now(broker, sent, now_ms);
    }
}

/* Give it up: unless each of its sendings was refused, nobody knows what became of it. */
static void give_up(struct broker *broker, struct sent *sent, const char *why)
{
    bool not_stored = sent->refusals == sent->sendings;

    finish_failed(broker, sent, not_stored ? JJ_ERR_UNAVAILABLE : JJ_ERR_TIMEOUT, why);
}

static void overdue(struct broker *broker, struct sent *sent)
{
    char why[sizeof(sent->refusal)];

    memcpy(why, sent->refusal, sizeof(why));
    give_up(broker, sent, why[0] == '\0' ? "no acknowledgement in time" : why);
}

int64_t jj__publisher_turn(struct broker *broker, int64_t now_ms)
{
    struct publisher *publisher = &broker->publisher;
    struct sent *following;

    if (publisher->waiting == 0)
        return INT64_MAX;
    if (now_ms < publisher->check_ms)
        return publisher->check_ms;
    for (struct sent *sent = publisher->first; sent != NULL; sent = following) {
        following = sent->next;
        if (now_ms >= sent->deadline_ms)
            overdue(broker, sent);
        else if (now_ms >= sent->again_ms && !sent->once)
            send_now(broker, sent, now_ms);
    }
    publisher->check_ms = now_ms + CHECK_EVERY_MS;
    return publisher->waiting == 0 ? INT64_MAX : publisher->check_ms;
}

/* ---- answers ---- */

/* An answer: what it says, and after which time the publication is to be sent again. */
struct answer {
    struct publish_result result;
    int64_t again_ms; /* 0: never, the result stands */
    char refusal[REFUSAL_SIZE];
};

static bool is_busy(int err_code)
{
    return err_code == ERR_INGEST_QUEUE_FULL;
}

/* No leader at the moment. A full stream answers 503, too, but that is not for us to wait out. */
static bool is_away(int code, int err_code)
{
    return code == 503 && err_code != ERR_STREAM_FULL && err_code != ERR_RESOURCES_EXCEEDED;
}

static jj_status status_of(int code, int err_code)
{
    if (err_code == ERR_MESSAGE_TOO_LARGE || err_code == ERR_HEADERS_TOO_LARGE)
        return JJ_ERR_TOO_LARGE;
    return code == 400 && err_code != ERR_ACCOUNT_FULL ? JJ_ERR_INVALID : JJ_ERR_UNAVAILABLE;
}

static void read_error(json_t *error, struct answer *answer, const char *subject)
{
    struct publish_result *result = &answer->result;
    int code = (int)json_integer_value(json_object_get(error, "code"));
    int err_code = (int)json_integer_value(json_object_get(error, "err_code"));
    const char *text = json_string_value(json_object_get(error, "description"));

    result->err_code = err_code;
    snprintf(answer->refusal, sizeof(answer->refusal), "%.120s (%d)",
             text == NULL ? "refused" : text, err_code);
    result->status = jj__fail(&result->err, status_of(code, err_code), "publish to %s: %s", subject,
                              answer->refusal);
    if (is_busy(err_code))
        answer->again_ms = BUSY_WAIT_MS;
    else if (is_away(code, err_code))
        answer->again_ms = NOBODY_WAIT_MS;
}

static struct answer read_answer(struct broker_msg *msg, const char *subject)
{
    struct answer answer = {.result = {.status = JJ_OK}};
    struct publish_result *result = &answer.result;
    json_t *ack = json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    json_t *error = json_object_get(ack, "error");
    json_t *seq = json_object_get(ack, "seq");

    if (error != NULL) {
        read_error(error, &answer, subject);
    } else if (!json_is_integer(seq)) {
        result->status = jj__fail(&result->err, JJ_ERR_PROTOCOL,
                                  "publish to %s: the answer is no acknowledgement", subject);
    } else {
        result->seq = (uint64_t)json_integer_value(seq);
        result->duplicate = json_is_true(json_object_get(ack, "duplicate"));
    }
    json_decref(ack);
    return answer;
}

/* Its last sending was refused: send it again later. */
static void again_after(struct sent *sent, int64_t wait_ms, const char *why)
{
    sent->again_ms = jj__clock_mono_ms() + wait_ms;
    snprintf(sent->refusal, sizeof(sent->refusal), "%.*s", REFUSAL_SIZE - 1, why);
    sent->refusals++;
    sent->answered = true;
}

/* Some sending found nobody; which one, the library has thrown away. But when each has got its
 * answer, it is those that still wait: of them, all but what was refused otherwise. */
static void nobody_listens(struct broker *broker)
{
    struct sent *following;

    broker->publisher.nobody = false;
    for (struct sent *sent = broker->publisher.first; sent != NULL; sent = following) {
        following = sent->next;
        if (sent->answered || sent->sendings == 0)
            continue;
        again_after(sent, NOBODY_WAIT_MS, "no stream takes it");
        if (sent->once)
            give_up(broker, sent, "no stream takes it");
    }
}

static void take_ack(struct broker *broker, struct sent *sent, struct broker_msg *msg)
{
    struct answer answer = read_answer(msg, subject_of(sent));

    if (answer.again_ms > 0 && !sent->once)
        again_after(sent, answer.again_ms, answer.refusal);
    else
        finish(broker, sent, &answer.result);
}

static void take_answer(void *ctx, struct broker_msg *msg)
{
    struct broker *broker = ctx;
    struct publisher *publisher = &broker->publisher;

    if (publisher->unanswered > 0)
        publisher->unanswered--;
    if (msg == NULL) {
        publisher->nobody = true;
    } else {
        const char *number = strrchr(jj__msg_subject(msg), '.') + 1;
        struct sent *sent = find_waiting(publisher, strtoull(number, NULL, 10));
        if (sent != NULL)
            take_ack(broker, sent, msg);
        jj__msg_free(msg);
    }
    if (publisher->nobody && publisher->unanswered == 0)
        nobody_listens(broker);
}

/* The text is: Permissions Violation for <what> to "<subject>" */
bool jj__broker_denies(const char *text, const char *what, const char *subject)
{
    static const char between[] = " to \"";
    const char *found = strstr(text, what);
    size_t len = strlen(subject);

    if (found == NULL || strncmp(found + strlen(what), between, sizeof(between) - 1) != 0)
        return false;
    found += strlen(what) + sizeof(between) - 1;
    return strncmp(found, subject, len) == 0 && found[len] == '"';
}

static bool denies_any(const char *text, const struct sent *sent)
{
    for (size_t i = 0; i < sent->count; i++)
        if (jj__broker_denies(text, "Publish", natsMsg_GetSubject(sent->msgs[i])))
            return true;
    return false;
}

bool jj__publisher_denied(struct broker *broker, const char *text)
{
    struct sent *following;
    bool told = false;

    for (struct sent *sent = broker->publisher.first; sent != NULL; sent = following) {
        following = sent->next;
        if (!denies_any(text, sent))
            continue;
        if (!sent->answered && sent->sendings > 0 && broker->publisher.unanswered > 0)
            broker->publisher.unanswered--; /* that was the answer */
        finish_failed(broker, sent, JJ_ERR_NOT_PERMITTED, "not permitted");
        told = true;
    }
    return told;
}

/* ---- open, publish, close ---- */

jj_status jj__publisher_open(struct broker *broker, jj_error *err)
{
    struct publisher *publisher = &broker->publisher;
    char subject[JJ__INBOX_SIZE + 2];

    publisher->slots = calloc(FIRST_SLOTS, sizeof(*publisher->slots));
    if (publisher->slots == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "publisher");
    publisher->slot_count = FIRST_SLOTS;
    jj__broker_inbox(broker, "a", publisher->inbox);
    snprintf(subject, sizeof(subject), "%s.*", publisher->inbox);
    const struct port_options options = {.subject = subject, .take = take_answer, .ctx = broker};
    return jj__broker_port_open(broker, &options, &publisher->port, err);
}

static jj_status make_sent(struct broker *broker, const struct publication *publication,
                           struct sent **sent_out, jj_error *err)
{
    size_t bytes = sizeof(struct sent) + publication->count * sizeof(natsMsg *);
    struct sent *sent = calloc(1, bytes);
    if (sent == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "publication");
    char reply[JJ__INBOX_SIZE + 24];
    jj_status s = JJ_OK;

    sent->number = atomic_fetch_add(&broker->publisher.next_number, 1);
    sent->deadline_ms = publication->deadline_ms;
    sent->once = publication->once;
    sent->held = publication->hold;
    sent->done = publication->done;
    sent->ctx = publication->ctx;
    snprintf(reply, sizeof(reply), "%s.%llu", broker->publisher.inbox,
             (unsigned long long)sent->number);
    for (size_t i = 0; s == JJ_OK && i < publication->count; i++) {
        bool last = i + 1 == publication->count;
        s = jj__broker_make(&publication->messages[i], last ? reply : NULL, &sent->msgs[i], err);
        sent->count = s == JJ_OK ? i + 1 : i;
    }
    if (s != JJ_OK) {
        free_sent(sent);
        return s;
    }
    *sent_out = sent;
    return JJ_OK;
}

jj_status jj__publisher_publish(struct broker *broker, const struct publication *publication,
                                uint64_t *number_out, jj_error *err)
{
    struct sent *sent = NULL;
    jj_status s = make_sent(broker, publication, &sent, err);

    if (s != JJ_OK)
        return s;
    *number_out = sent->number;
    if (jj__broker_on_thread(broker)) {
        begin(broker, sent);
        return JJ_OK;
    }
    pthread_mutex_lock(&broker->lock);
    *broker->outbox_end = sent;
    broker->outbox_end = &sent->next;
    pthread_mutex_unlock(&broker->lock);
    jj__broker_wake(broker);
    return JJ_OK;
}

jj_status jj__broker_publish(struct broker *broker, const struct publication *publication,
                             jj_error *err)
{
    uint64_t number;

    return jj__publisher_publish(broker, publication, &number, err);
}

void jj__publisher_close(struct broker *broker)
{
    jj__publisher_take_outbox(broker);
    while (broker->publisher.first != NULL)
        give_up(broker, broker->publisher.first, "the client is closing");
    jj__broker_port_close(broker->publisher.port);
    broker->publisher.port = NULL;
}

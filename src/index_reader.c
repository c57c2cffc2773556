/* SPDX-License-Identifier: Apache-2.0 */

/* Reading JOBS and JOBS_SCHEDULE without consuming them.
 *
 * What wakes a reader is a plain subscription to what producers publish. It carries whole jobs, so
 * it is there only while the queue is quiet: the first message ends it, and it comes back when a
 * pass has found nothing more. A busy queue is read in passes with a pause in between, which costs
 * little and makes batches.
 *
 * A message reaches plain subscribers before the stream has stored it, and one that is published
 * while the subscription is being made may reach neither it nor the pass before: so a pass waits a
 * moment after a wake, and one more follows when the subscription is there. What is still missed
 * waits for the poll interval, or for somebody who asks.
 *
 * A job without data but with a header "Status: 503" is what the client library takes for the
 * server's word that nobody answers, and throws away. So where nobody answers, the next message is
 * looked at in another way, and passed over if it is one of these: no client of that library can
 * read it, and no worker will get it. */

#include "index_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base64.h"
#include "clock.h"
#include "direct.h"

#define BATCH_MESSAGES  1000
#define BATCH_BYTES     (4 * 1024 * 1024)
#define ANSWER_LIMIT_MS 5000
#define RETRY_MS        500
#define WAKE_WAIT_MS    3  /* for the stream to store what woke us */
#define PAUSE_MS        20 /* between passes over a busy queue */

struct reader {
    struct broker_member member;
    struct broker *broker;
    struct log log;
    struct reader_options options;
    struct port *answers; /* of the batch that is under way; NULL: none */
    struct port *wake;    /* NULL: the queue is busy */
    char inbox[JJ__INBOX_SIZE];
    uint64_t seq;
    uint64_t pending;
    uint64_t begun, ended; /* passes */
    bool in_pass;
    bool found; /* the pass that is under way has found something */
    bool held;
    bool counting;    /* what is under way is to say how many wait, and is not handed on */
    int64_t count_ms; /* when that is to be asked again */
    bool complained;
    int64_t next_ms; /* when the next pass is to begin; INT64_MAX: not wanted */
    int64_t poll_ms; /* when it begins although nobody wants it */
    int64_t answer_by_ms;
};

static void want(struct reader *reader, int64_t at_ms)
{
    if (at_ms < reader->next_ms)
        reader->next_ms = at_ms;
}

static void drop_batch(struct reader *reader)
{
    jj__broker_port_close(reader->answers);
    reader->answers = NULL;
    reader->counting = false;
}

/* The batch came to nothing: its pass goes on later. */
static void try_again(struct reader *reader, const char *why)
{
    drop_batch(reader);
    if (!reader->complained)
        jj__log(&reader->log, JJ_LOG_WARN, "can't read %s: %s", reader->options.stream, why);
    reader->complained = true;
    reader->answer_by_ms = jj__clock_mono_ms() + RETRY_MS;
}

/* ---- what wakes it ---- */

static void woken(void *ctx, struct broker_msg *msg)
{
    struct reader *reader = ctx;

    if (msg != NULL)
        jj__msg_free(msg);
    jj__broker_port_close(reader->wake);
    reader->wake = NULL;
    want(reader, jj__clock_mono_ms() + WAKE_WAIT_MS);
}

static void arm(struct reader *reader)
{
    const struct port_options options = {
        .subject = reader->options.wake_subject, .take = woken, .ctx = reader};

    jj_status s = jj__broker_port_open(reader->broker, &options, &reader->wake, NULL);

    want(reader, jj__clock_mono_ms() + (s == JJ_OK ? WAKE_WAIT_MS : RETRY_MS));
}

/* ---- passes ---- */

static void end_pass(struct reader *reader)
{
    drop_batch(reader);
    reader->in_pass = false;
    reader->ended = reader->begun;
    reader->pending = 0;
    reader->complained = false;
    if (reader->found)
        want(reader, jj__clock_mono_ms() + PAUSE_MS);
    else if (reader->wake == NULL)
        arm(reader);
}

static void take_message(struct reader *reader, struct broker_msg *msg)
{
    uint64_t seq = jj__direct_number(msg, "Nats-Sequence");

    if (seq == 0) { /* there was no memory to read the header */
        jj__msg_free(msg);
        try_again(reader, "a message can't be read");
        return;
    }
    reader->pending = jj__direct_number(msg, "Nats-Num-Pending");
    if (reader->counting) {
        reader->pending++;
        jj__msg_free(msg);
        return;
    }
    if (seq <= reader->seq) {
        jj__msg_free(msg);
        return;
    }
    uint64_t before = reader->seq;
    reader->seq = seq;
    reader->found = true;
    if (reader->options.take(reader->options.ctx, msg, seq))
        return;
    reader->seq = before;
    try_again(reader, "no memory");
}

/* Does the library read these headers, of a message without data, as "nobody answers"? */
static bool says_nobody(const char *headers)
{
    static const char status[] = "\r\nStatus:";
    const char *found = strstr(headers, status);

    if (strncmp(headers, "NATS/1.0 503", 12) == 0)
        return true;
    if (found == NULL)
        return false;
    found += sizeof(status) - 1;
    return strncmp(found + strspn(found, " \t"), "503", 3) == 0;
}

/* The sequence of a message that can't be had by direct get; 0: it is not one of these. */
static uint64_t unreadable_seq(const json_t *message)
{
    const json_t *packed = json_object_get(message, "hdrs");
    size_t len = json_string_length(packed);
    uint64_t seq = 0;

    if (len == 0 || json_string_length(json_object_get(message, "data")) > 0)
        return 0;
    const char *text = json_string_value(packed);
    while (len > 0 && text[len - 1] == '=')
        len--;
    char *headers = malloc(len + 1);
    if (headers == NULL)
        return 0; /* later */
    if (jj__base64_read(text, len, headers, &len)) {
        headers[len] = '\0';
        if (says_nobody(headers))
            seq = (uint64_t)json_integer_value(json_object_get(message, "seq"));
    }
    free(headers);
    return seq;
}

static void looked_at_next(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct reader *reader = ctx;
    json_t *answer = msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    uint64_t seq = unreadable_seq(json_object_get(answer, "message"));

    (void)status;
    json_decref(answer);
    jj__msg_free(msg);
    if (seq <= reader->seq) {
        try_again(reader, "no server has that stream now");
        return;
    }
    jj__log(&reader->log, JJ_LOG_WARN,
            "message %llu of %s is passed over, and no worker can get it: it has no data, and its "
            "header Status says 503. Delete it",
            (unsigned long long)seq, reader->options.stream);
    reader->seq = seq;
    reader->answer_by_ms = 0; /* the pass goes on behind it */
}

/* Nobody answers, or the next message says so. */
static void look_at_next(struct reader *reader)
{
    char subject[96];
    char body[80];
    int64_t now_ms = jj__clock_mono_ms();

    drop_batch(reader);
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.GET.%s", reader->options.stream);
    int len = snprintf(body, sizeof(body), "{\"seq\":%llu,\"next_by_subj\":\">\"}",
                       (unsigned long long)reader->seq + 1);
    const struct question question = {
        .message = {.subject = subject, .data = body, .len = (size_t)len},
        .deadline_ms = now_ms + ANSWER_LIMIT_MS,
        .answer = looked_at_next,
        .ctx = reader};
    reader->answer_by_ms = now_ms + 2 * ANSWER_LIMIT_MS; /* looked_at_next() says when to go on */
    if (jj__broker_ask(reader->broker, &question, NULL) != JJ_OK)
        try_again(reader, "no server has that stream now");
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct reader *reader = ctx;

    if (msg == NULL && reader->counting) {
        drop_batch(reader);
        return;
    }
    if (msg == NULL) {
        look_at_next(reader);
        return;
    }
    int status = jj__msg_status(msg);
    if (status == 0) {
        take_message(reader, msg);
        return;
    }
    uint64_t pending = jj__direct_number(msg, "Nats-Num-Pending");
    jj__msg_free(msg);
    if (reader->counting) {
        drop_batch(reader);
        reader->pending = status == 404 ? 0 : reader->pending;
        reader->answer_by_ms = 0;
    } else if (status == 404 || (status == 204 && pending == 0)) {
        end_pass(reader);
    } else if (status == 204) {
        drop_batch(reader); /* the next one */
        reader->pending = pending;
        reader->answer_by_ms = 0;
    } else {
        try_again(reader, "the server refuses a direct get");
    }
}

static void ask_batch(struct reader *reader, bool counting, int64_t now_ms)
{
    const struct port_options options = {.subject = reader->inbox, .take = take, .ctx = reader};
    const struct direct direct = {.stream = reader->options.stream,
                                  .filter = ">",
                                  .from_seq = reader->seq + 1,
                                  .max_messages = counting ? 1 : BATCH_MESSAGES,
                                  .max_bytes = BATCH_BYTES};

    jj__broker_inbox(reader->broker, "r", reader->inbox);
    if (jj__broker_port_open(reader->broker, &options, &reader->answers, NULL) != JJ_OK) {
        reader->answer_by_ms = now_ms + RETRY_MS;
        return;
    }
    reader->counting = counting;
    reader->answer_by_ms = now_ms + ANSWER_LIMIT_MS;
    if (!jj__direct_ask(reader->broker, &direct, reader->inbox))
        drop_batch(reader);
}

static void begin_pass(struct reader *reader, int64_t now_ms)
{
    reader->begun++;
    reader->in_pass = true;
    reader->found = false;
    reader->next_ms = INT64_MAX;
    reader->poll_ms = now_ms + reader->options.poll_interval_ms;
    reader->answer_by_ms = 0;
}

/* While it must not read on: so that it is known how far behind it is. */
static int64_t count(struct reader *reader, int64_t now_ms)
{
    if (reader->answers != NULL && now_ms < reader->answer_by_ms)
        return reader->answer_by_ms;
    drop_batch(reader);
    if (now_ms >= reader->count_ms) {
        reader->count_ms = now_ms + reader->options.poll_interval_ms;
        ask_batch(reader, true, now_ms);
    }
    return reader->count_ms;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct reader *reader = ctx;

    if (!jj__broker_connected(reader->broker))
        return INT64_MAX;
    if (reader->held)
        return count(reader, now_ms);
    if (!reader->in_pass && (now_ms >= reader->next_ms || now_ms >= reader->poll_ms))
        begin_pass(reader, now_ms);
    if (!reader->in_pass)
        return reader->next_ms < reader->poll_ms ? reader->next_ms : reader->poll_ms;
    if (reader->answers != NULL && now_ms >= reader->answer_by_ms)
        try_again(reader, "no answer");
    if (reader->answers == NULL && now_ms >= reader->answer_by_ms)
        ask_batch(reader, false, now_ms);
    return reader->answer_by_ms;
}

static void connected(void *ctx, bool is_connected)
{
    struct reader *reader = ctx;

    drop_batch(reader);
    reader->answer_by_ms = 0;
    if (is_connected)
        want(reader, 0);
}

uint64_t jj__reader_pass(struct reader *reader)
{
    want(reader, 0);
    jj__broker_wake(reader->broker);
    return reader->begun + 1;
}

uint64_t jj__reader_ended(const struct reader *reader)
{
    return reader->ended;
}

uint64_t jj__reader_seq(const struct reader *reader)
{
    return reader->seq;
}

uint64_t jj__reader_pending(const struct reader *reader)
{
    return reader->pending;
}

void jj__reader_hold(struct reader *reader, bool hold)
{
    reader->held = hold;
    if (!hold && reader->counting) {
        drop_batch(reader);
        reader->answer_by_ms = 0;
    }
}

/* ---- open and close ---- */

jj_status jj__reader_open(struct broker *broker, const struct log *log,
                          const struct reader_options *options, struct reader **reader_out,
                          jj_error *err)
{
    struct reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "reader of %s", options->stream);
    *reader = (struct reader){.broker = broker,
                              .log = *log,
                              .options = *options,
                              .seq = options->after_seq,
                              .next_ms = 0};
    reader->member = (struct broker_member){.turn = turn, .connected = connected, .ctx = reader};
    jj__broker_member_add(broker, &reader->member);
    jj__broker_wake(broker);
    *reader_out = reader;
    return JJ_OK;
}

void jj__reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    jj__broker_member_remove(reader->broker, &reader->member);
    jj__broker_unask(reader->broker, reader);
    jj__broker_port_close(reader->answers);
    jj__broker_port_close(reader->wake);
    free(reader);
}

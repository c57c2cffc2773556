/* SPDX-License-Identifier: Apache-2.0 */

/* Questions to an index service, as requests in protobuf.
 *
 * After an outage of the broker the service may come back a moment later than we do, and one that
 * is stopping says so: so that nobody answers is believed only when it has been so for a while. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_ask.h"
#include "clock.h"
#include "codec_request.h"
#include "subject.h"

#define HEADERS_MAX  5
#define NOBODY_MS    2000 /* so long without a service, and there is none */
#define ASK_AGAIN_MS 50

struct letter {
    struct outgoing message;
    jj_header headers[HEADERS_MAX];
    char subject[JJ__SUBJECT_SIZE];
    char numbers[HEADERS_MAX][24];
    struct buf body;
};

static void add_number(struct letter *letter, const char *header, uint64_t number)
{
    char *text = letter->numbers[letter->message.header_count];

    if (number == 0)
        return;
    snprintf(text, sizeof(letter->numbers[0]), "%llu", (unsigned long long)number);
    letter->headers[letter->message.header_count++] = (jj_header){header, text};
}

/* Free letter->body. */
static jj_status write_letter(jj_client *client, const struct remote_question *question,
                              struct letter *letter, jj_error *err)
{
    const struct seqs seen = jj__client_seen(client);

    *letter = (struct letter){0};
    jj_status s = jj__pb_write_request(&letter->body, question->request, err);
    if (s != JJ_OK)
        return s;
    jj__subject_request(letter->subject, jj__verb_text(question->request->verb),
                        client->options.only_name);
    letter->headers[0] = (jj_header){JJ__HEADER_CONTENT_TYPE, JJ__TYPE_PROTOBUF};
    letter->message.header_count = 1;
    add_number(letter, JJ__HEADER_JOBS_SEQ, seen.jobs);
    add_number(letter, JJ__HEADER_SCHEDULE_SEQ, seen.schedule);
    add_number(letter, JJ__HEADER_EVENTS_SEQ, seen.events);
    add_number(letter, JJ__HEADER_WAIT, (uint64_t)question->wait_ms);
    letter->message.subject = letter->subject;
    letter->message.headers = letter->headers;
    letter->message.data = letter->body.data;
    letter->message.len = letter->body.len;
    return JJ_OK;
}

static jj_status status_of(const char *code)
{
    static const struct {
        const char *code;
        jj_status status;
    } statuses[] = {{"400", JJ_ERR_INVALID}, {"503", JJ_ERR_UNAVAILABLE}, {"504", JJ_ERR_TIMEOUT}};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (strcmp(code, statuses[i].code) == 0)
            return statuses[i].status;
    return JJ_ERR_INTERNAL;
}

static uint64_t number_of(struct broker_msg *msg, const char *header)
{
    const char *text = jj__msg_header(msg, header);

    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

jj_status jj__ask_refused(struct broker_msg *msg, jj_error *err)
{
    const char *code = jj__msg_header(msg, JJ__HEADER_ERROR_CODE);
    const char *text = jj__msg_header(msg, JJ__HEADER_ERROR);

    if (code == NULL)
        return JJ_OK;
    return jj__fail(err, status_of(code), "%.200s", text == NULL ? "no reason given" : text);
}

/* What it wrote is to be seen by our next question, whoever answers that. */
static jj_status read_answer(jj_client *client, struct broker_msg *msg, struct answer *answer,
                             jj_error *err)
{
    const struct seqs written = {.jobs = number_of(msg, JJ__HEADER_JOBS_SEQ),
                                 .events = number_of(msg, JJ__HEADER_EVENTS_SEQ)};

    jj_status s = jj__ask_refused(msg, err);
    if (s != JJ_OK)
        return s;
    jj__client_saw(client, &written);
    return jj__pb_read_answer(jj__msg_data(msg), jj__msg_len(msg), answer, err);
}

static jj_status ask_once(jj_client *client, const struct letter *letter, int64_t deadline_ms,
                          struct answer *answer, jj_error *err)
{
    struct broker_msg *msg = NULL;
    jj_status s = jj__broker_request(client->broker, &letter->message, deadline_ms, &msg, err);

    if (s == JJ_ERR_UNAVAILABLE && jj__broker_connected(client->broker))
        return jj__fail(err, s,
                        "no index service answers to %s: run one (jetjobs serve), or name "
                        "an index_path",
                        letter->subject);
    if (s != JJ_OK)
        return s;
    s = read_answer(client, msg, answer, err);
    jj__msg_free(msg);
    return s;
}

jj_status jj__ask_remote(jj_client *client, const struct remote_question *question,
                         struct answer *answer, jj_error *err)
{
    struct letter letter;
    int64_t give_up_ms = jj__clock_mono_ms() + NOBODY_MS;
    jj_status s = write_letter(client, question, &letter, err);

    if (give_up_ms > question->deadline_ms)
        give_up_ms = question->deadline_ms;
    if (s == JJ_OK)
        s = ask_once(client, &letter, question->deadline_ms, answer, err);
    while (s == JJ_ERR_UNAVAILABLE && jj__clock_mono_ms() + ASK_AGAIN_MS < give_up_ms) {
        poll(NULL, 0, ASK_AGAIN_MS);
        s = ask_once(client, &letter, question->deadline_ms, answer, err);
    }
    jj__buf_done(&letter.body);
    return s;
}

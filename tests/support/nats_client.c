/* SPDX-License-Identifier: Apache-2.0 */

/* A plain client of NATS, with the library's own threads. */

#include "nats_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "clock.h"
#include "wait.h"

#define ANSWER_MS 10000

struct nats_client {
    natsConnection *nc;
};

static void check(natsStatus s, const char *what)
{
    if (s != NATS_OK)
        fail_msg("%s: %s", what, natsStatus_GetText(s));
}

/* Memory for what a test keeps. On the library's threads, too, where no test can be failed. */
static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

struct nats_client *nats_client_open(const char *url)
{
    struct nats_client *client = must(calloc(1, sizeof(*client)));
    natsOptions *options = NULL;

    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, url), url);
    check(natsOptions_SetMaxReconnect(options, -1), "options");
    check(natsOptions_SetReconnectWait(options, 20), "options");
    check(natsOptions_SetReconnectJitter(options, 0, 0), "options");
    natsStatus s = natsConnection_Connect(&client->nc, options);
    natsOptions_Destroy(options);
    check(s, url);
    return client;
}

void nats_client_close(struct nats_client *client)
{
    if (client == NULL)
        return;
    natsConnection_Destroy(client->nc);
    free(client);
}

/* Wait until the server has read all that was sent. Right after it was killed the library still
 * writes to the dead connection, and a question that was lost there would never be answered. */
void nats_client_settle(struct nats_client *client)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (natsConnection_FlushTimeout(client->nc, ANSWER_MS) != NATS_OK) {
        if (jj__clock_mono_ms() >= until_ms)
            fail_msg("the server does not answer");
        wait_a_moment();
    }
}

/* ---- sending and asking ---- */

static natsMsg *make_msg(const struct note *note)
{
    natsMsg *msg = NULL;
    const char *data = note->data;
    size_t len = note->len == 0 && data != NULL ? strlen(data) : note->len;

    check(natsMsg_Create(&msg, note->subject, note->reply, data, (int)len), note->subject);
    for (size_t i = 0; i < note->header_count; i++)
        check(natsMsgHeader_Add(msg, note->headers[i].name, note->headers[i].value), "header");
    return msg;
}

void nats_client_send(struct nats_client *client, const struct note *note)
{
    natsMsg *msg = make_msg(note);

    check(natsConnection_PublishMsg(client->nc, msg), note->subject);
    natsMsg_Destroy(msg);
}

void nats_client_publish(struct nats_client *client, const struct note *note)
{
    nats_client_send(client, note);
    nats_client_settle(client);
}

json_t *nats_client_ask(struct nats_client *client, const struct note *note)
{
    natsMsg *msg = make_msg(note);
    natsMsg *answer = NULL;

    nats_client_settle(client);
    natsStatus s = natsConnection_RequestMsg(&answer, client->nc, msg, ANSWER_MS);

    natsMsg_Destroy(msg);
    if (s != NATS_OK)
        return NULL;
    json_t *json =
        json_loadb(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), 0, NULL);
    natsMsg_Destroy(answer);
    return json;
}

static int error_code(const json_t *answer)
{
    return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "err_code"));
}

/* The answer, which must be one and must not tell of an error. */
static json_t *checked(json_t *answer, const char *what)
{
    const json_t *error = json_object_get(answer, "error");

    if (answer == NULL)
        fail_msg("%s: no answer", what);
    if (error != NULL)
        fail_msg("%s: %s", what, json_string_value(json_object_get(error, "description")));
    return answer;
}

uint64_t nats_client_store(struct nats_client *client, const struct note *note)
{
    json_t *ack = checked(nats_client_ask(client, note), note->subject);
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(ack, "seq"));

    json_decref(ack);
    return seq;
}

uint64_t nats_client_store_text(struct nats_client *client, const char *subject, const char *text)
{
    return nats_client_store(client, &(struct note){.subject = subject, .data = text});
}

static json_t *call_api(struct nats_client *client, const char *what, json_t *request)
{
    char subject[512];
    char *text = request == NULL ? NULL : must(json_dumps(request, JSON_COMPACT));

    json_decref(request);
    snprintf(subject, sizeof(subject), "$JS.API.%s", what);
    json_t *answer = nats_client_ask(client, &(struct note){.subject = subject, .data = text});
    free(text);
    return answer;
}

json_t *nats_client_api(struct nats_client *client, const char *what, json_t *request)
{
    return checked(call_api(client, what, request), what);
}

int nats_client_api_error(struct nats_client *client, const char *what, json_t *request)
{
    json_t *answer = call_api(client, what, request);
    int code = error_code(answer);

    if (answer == NULL)
        fail_msg("%s: no answer", what);
    json_decref(answer);
    return code;
}

/* ---- streams and consumers ---- */

static json_t *stream_info(struct nats_client *client, const char *stream)
{
    char what[128];

    snprintf(what, sizeof(what), "STREAM.INFO.%s", stream);
    return nats_client_api(client, what, NULL);
}

uint64_t nats_client_stream_messages(struct nats_client *client, const char *stream)
{
    json_t *info = stream_info(client, stream);
    const json_t *state = json_object_get(info, "state");
    uint64_t count = (uint64_t)json_integer_value(json_object_get(state, "messages"));

    json_decref(info);
    return count;
}

json_t *nats_client_stream_config(struct nats_client *client, const char *stream)
{
    json_t *info = stream_info(client, stream);
    json_t *config = json_incref(json_object_get(info, "config"));

    json_decref(info);
    return config;
}

int64_t nats_client_consumer_number(struct nats_client *client, const char *stream,
                                    const char *consumer, const char *key)
{
    char what[256];

    snprintf(what, sizeof(what), "CONSUMER.INFO.%s.%s", stream, consumer);
    json_t *info = call_api(client, what, NULL);
    const json_t *number = json_object_get(info, key);
    int64_t result = json_is_integer(number) ? (int64_t)json_integer_value(number) : -1;
    json_decref(info);
    return result;
}

bool nats_client_wait_consumer(struct nats_client *client, const char *stream, const char *consumer,
                               const char *key, int64_t number)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (nats_client_consumer_number(client, stream, consumer, key) != number) {
        if (jj__clock_mono_ms() >= until_ms)
            return false;
        wait_a_moment();
    }
    return true;
}

bool nats_client_wait_messages(struct nats_client *client, const char *stream, uint64_t count)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (nats_client_stream_messages(client, stream) != count) {
        if (jj__clock_mono_ms() >= until_ms)
            return false;
        wait_a_moment();
    }
    return true;
}

/* ---- what was heard ---- */

static void add_header(struct heard *heard, const char *name, const char *value)
{
    size_t bytes = (heard->header_count + 1) * sizeof(*heard->headers);

    heard->headers = must(realloc(heard->headers, bytes));
    heard->headers[heard->header_count++] =
        (jj_header){.name = must(strdup(name)), .value = must(strdup(value))};
}

static void copy_headers(struct heard *heard, natsMsg *msg)
{
    const char **names = NULL;
    int name_count = 0;

    if (natsMsgHeader_Keys(msg, &names, &name_count) != NATS_OK)
        return;
    for (int i = 0; i < name_count; i++) {
        const char **values = NULL;
        int value_count = 0;
        if (natsMsgHeader_Values(msg, names[i], &values, &value_count) != NATS_OK)
            continue;
        for (int j = 0; j < value_count; j++)
            add_header(heard, names[i], values[j]);
        free((void *)values);
    }
    free((void *)names);
}

static struct heard *copy_of(natsMsg *msg)
{
    struct heard *heard = must(calloc(1, sizeof(*heard)));
    const char *reply = natsMsg_GetReply(msg);

    heard->at_ms = jj__clock_mono_ms();
    heard->subject = must(strdup(natsMsg_GetSubject(msg)));
    heard->reply = reply == NULL ? NULL : must(strdup(reply));
    heard->len = (size_t)natsMsg_GetDataLength(msg);
    heard->data = must(calloc(1, heard->len + 1));
    if (heard->len > 0)
        memcpy(heard->data, natsMsg_GetData(msg), heard->len);
    copy_headers(heard, msg);
    return heard;
}

void heard_free(struct heard *heard)
{
    if (heard == NULL)
        return;
    for (size_t i = 0; i < heard->header_count; i++) {
        free((char *)heard->headers[i].name);
        free((char *)heard->headers[i].value);
    }
    free(heard->headers);
    free(heard->subject);
    free(heard->reply);
    free(heard->data);
    free(heard);
}

const char *heard_header(const struct heard *heard, const char *name)
{
    for (size_t i = 0; i < heard->header_count; i++)
        if (strcmp(heard->headers[i].name, name) == 0)
            return heard->headers[i].value;
    return NULL;
}

struct heard *nats_client_request(struct nats_client *client, const struct note *note)
{
    natsMsg *msg = make_msg(note);
    natsMsg *answer = NULL;

    nats_client_settle(client);
    natsStatus s = natsConnection_RequestMsg(&answer, client->nc, msg, WAIT_MS);
    natsMsg_Destroy(msg);
    if (s == NATS_NO_RESPONDERS)
        return NULL;
    check(s, note->subject);
    struct heard *heard = copy_of(answer);
    natsMsg_Destroy(answer);
    return heard;
}

struct heard *nats_client_get(struct nats_client *client, const char *stream, uint64_t seq)
{
    jsCtx *js = NULL;
    natsMsg *msg = NULL;

    check(natsConnection_JetStream(&js, client->nc, NULL), "JetStream");
    natsStatus s = js_GetMsg(&msg, js, stream, seq, NULL, NULL);
    jsCtx_Destroy(js);
    if (s == NATS_NOT_FOUND)
        return NULL;
    check(s, stream);
    struct heard *heard = copy_of(msg);
    natsMsg_Destroy(msg);
    return heard;
}

/* ---- listening ---- */

struct listener {
    natsConnection *nc;
    natsSubscription *sub;
    char *answer; /* NULL: none */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct heard **heard; /* guarded by lock */
    size_t count;         /* guarded by lock */
    size_t room;          /* guarded by lock */
    bool over;            /* guarded by lock: the library will not call again */
};

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *ctx)
{
    struct listener *listener = ctx;
    struct heard *heard = copy_of(msg);

    (void)sub;
    natsMsg_Destroy(msg);
    pthread_mutex_lock(&listener->lock);
    if (listener->count == listener->room) {
        listener->room = listener->room == 0 ? 64 : listener->room * 2;
        listener->heard = must(realloc(listener->heard, listener->room * sizeof(*listener->heard)));
    }
    listener->heard[listener->count++] = heard;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
    if (listener->answer != NULL && heard->reply != NULL) /* who gets it finds the message noted */
        natsConnection_PublishString(nc, heard->reply, listener->answer);
}

static void on_over(void *ctx)
{
    struct listener *listener = ctx;

    pthread_mutex_lock(&listener->lock);
    listener->over = true;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

struct listener *nats_client_listen(struct nats_client *client, const char *subject,
                                    const char *answer)
{
    struct listener *listener = must(calloc(1, sizeof(*listener)));
    pthread_condattr_t attr;

    listener->nc = client->nc;
    listener->answer = answer == NULL ? NULL : must(strdup(answer));
    pthread_mutex_init(&listener->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&listener->changed, &attr);
    pthread_condattr_destroy(&attr);
    check(natsConnection_Subscribe(&listener->sub, client->nc, subject, on_message, listener),
          subject);
    check(natsSubscription_SetPendingLimits(listener->sub, -1, -1), subject);
    check(natsSubscription_SetOnCompleteCB(listener->sub, on_over, listener), subject);
    nats_client_settle(client);
    return listener;
}

size_t listener_count(struct listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    size_t count = listener->count;
    pthread_mutex_unlock(&listener->lock);
    return count;
}

bool listener_wait(struct listener *listener, size_t count)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&listener->lock);
    int failed = 0;
    while (listener->count < count && failed == 0)
        failed = pthread_cond_timedwait(&listener->changed, &listener->lock, &until);
    bool enough = listener->count >= count;
    pthread_mutex_unlock(&listener->lock);
    return enough;
}

const struct heard *listener_get(struct listener *listener, size_t index)
{
    const struct heard *heard = NULL;

    pthread_mutex_lock(&listener->lock);
    if (index < listener->count)
        heard = listener->heard[index];
    pthread_mutex_unlock(&listener->lock);
    if (heard == NULL)
        fail_msg("there is no message %zu", index);
    return heard;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    natsSubscription_Unsubscribe(listener->sub);
    pthread_mutex_lock(&listener->lock);
    while (!listener->over)
        pthread_cond_wait(&listener->changed, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
    natsSubscription_Destroy(listener->sub);
    for (size_t i = 0; i < listener->count; i++)
        heard_free(listener->heard[i]);
    free(listener->heard);
    free(listener->answer);
    pthread_cond_destroy(&listener->changed);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
}

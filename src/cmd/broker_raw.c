/* SPDX-License-Identifier: Apache-2.0 */

/* Plain JetStream, measured beside us.
 *
 * Fairness is the only hard part: the messages carry the two headers that ours have, and lie in a
 * stream with our settings, so that the server does the same for each. Nothing here is slower than
 * nats.c makes it. */

#include "broker_raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <nats/nats.h>

#include "broker_signer.h"
#include "clock.h"
#include "definitions.h"
#include "id.h"
#include "status.h"

#define FETCH       500
#define BATCH       1000
#define WINDOW      4096 /* publications without acknowledgement */
#define ANSWER_MS   20000
#define COUNTING_MS 60000
#define CONSUMER    "raw"
#define SERVERS_MAX 32

struct raw {
    natsConnection *nc;
    jsCtx *js;
    natsSubscription *sub; /* NULL: nothing was taken yet */
    struct signer signer;
    char stream[JJ_NAME_SIZE];
    char subject[JJ_NAME_SIZE + 16];
};

static jj_status check(natsStatus s, const char *what, jj_error *err)
{
    if (s == NATS_OK)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_UNAVAILABLE, "plain NATS: %s: %s", what, natsStatus_GetText(s));
}

/* ---- open and close ---- */

static natsStatus set_servers(natsOptions *options, const char *url)
{
    char *list = strdup(url);
    const char *servers[SERVERS_MAX];
    int count = 0;
    char *save = NULL;

    if (list == NULL)
        return NATS_NO_MEMORY;
    for (char *one = strtok_r(list, ", ", &save); one != NULL && count < SERVERS_MAX;
         one = strtok_r(NULL, ", ", &save))
        servers[count++] = one;
    natsStatus s = count == 0 ? NATS_INVALID_ARG : natsOptions_SetServers(options, servers, count);
    free(list);
    return s;
}

static natsStatus set_user(struct signer *signer, natsOptions *nats, const jj_options *options)
{
    char public[JJ__NKEY_SIZE];

    if (options->credentials != NULL)
        return jj__signer_set(nats, signer, options->credentials);
    if (options->nkey == NULL)
        return NATS_OK;
    if (jj__nkey_public(options->nkey, public, NULL) != JJ_OK)
        return NATS_INVALID_ARG;
    return natsOptions_SetNKeyFromSeed(nats, public, options->nkey);
}

static natsStatus connect_to(struct raw *raw, const jj_options *options)
{
    natsOptions *nats = NULL;
    natsStatus s = natsOptions_Create(&nats);

    if (s == NATS_OK)
        s = set_servers(nats, options->url == NULL ? "nats://127.0.0.1:4222" : options->url);
    if (s == NATS_OK)
        s = set_user(&raw->signer, nats, options);
    if (s == NATS_OK && options->inbox_prefix != NULL)
        s = natsOptions_SetCustomInboxPrefix(nats, options->inbox_prefix);
    if (s == NATS_OK && options->tls_ca != NULL)
        s = natsOptions_LoadCATrustedCertificates(nats, options->tls_ca);
    if (s == NATS_OK && options->tls_cert != NULL)
        s = natsOptions_LoadCertificatesChain(nats, options->tls_cert, options->tls_key);
    if (s == NATS_OK && (options->tls_ca != NULL || options->tls_cert != NULL))
        s = natsOptions_SetSecure(nats, true);
    if (s == NATS_OK)
        s = NATS_CONNECTION_AUTH_FAILED;
    for (int i = 0; i < JJ__SIGNED_TRIES && s == NATS_CONNECTION_AUTH_FAILED; i++)
        s = natsConnection_Connect(&raw->nc, nats);
    natsOptions_Destroy(nats);
    return s;
}

/* The definition of JOBS under another name. */
static char *definition(const struct raw *raw)
{
    json_t *config = json_loads(jj__definition_stream_jobs, 0, NULL);

    json_object_set_new(config, "name", json_string(raw->stream));
    json_object_set_new(config, "description",
                        json_string("jetjobs: a benchmark's, to be removed"));
    json_object_set_new(config, "subjects", json_pack("[s]", raw->subject));
    json_object_set_new(config, "deny_purge", json_false());
    char *text = json_dumps(config, JSON_COMPACT);
    json_decref(config);
    return text;
}

static jj_status make_stream(struct raw *raw, jj_error *err)
{
    char subject[JJ_NAME_SIZE + 32];
    char *body = definition(raw);
    natsMsg *answer = NULL;

    if (body == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "stream");
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.CREATE.%s", raw->stream);
    natsStatus s = natsConnection_RequestString(&answer, raw->nc, subject, body, ANSWER_MS);
    free(body);
    if (s != NATS_OK)
        return check(s, subject, err);
    json_t *json =
        json_loadb(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), 0, NULL);
    const char *why =
        json_string_value(json_object_get(json_object_get(json, "error"), "description"));
    jj_status status =
        why == NULL ? JJ_OK : jj__fail(err, JJ_ERR_UNAVAILABLE, "stream %s: %s", raw->stream, why);
    json_decref(json);
    natsMsg_Destroy(answer);
    return status;
}

jj_status raw_open(const jj_options *options, const char *stream, struct raw **raw_out,
                   jj_error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    if (raw == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "plain NATS");
    jsOptions js;
    char random[9];

    jj_status s = jj__id_random(random, sizeof(random) - 1, err);
    if (s == JJ_OK) {
        snprintf(raw->stream, sizeof(raw->stream), "%.50s_%s", stream, random);
        snprintf(raw->subject, sizeof(raw->subject), "jobs-raw.%s", random);
        s = check(connect_to(raw, options), "connect", err);
    }
    if (s == JJ_OK)
        s = check(jsOptions_Init(&js), "options", err);
    if (s == JJ_OK) {
        js.Wait = ANSWER_MS;
        js.PublishAsync.MaxPending = WINDOW;
        js.PublishAsync.StallWait = ANSWER_MS;
        s = check(natsConnection_JetStream(&raw->js, raw->nc, &js), "JetStream", err);
    }
    if (s == JJ_OK)
        s = make_stream(raw, err);
    if (s != JJ_OK) {
        raw->stream[0] = '\0';
        raw_close(raw);
        return s;
    }
    *raw_out = raw;
    return JJ_OK;
}

void raw_close(struct raw *raw)
{
    if (raw == NULL)
        return;
    natsSubscription_Destroy(raw->sub);
    if (raw->js != NULL && raw->stream[0] != '\0')
        jj__ignore(js_DeleteStream(raw->js, raw->stream, NULL, NULL), "it is empty at least");
    jsCtx_Destroy(raw->js);
    natsConnection_Destroy(raw->nc);
    free(raw);
}

static int64_t unacknowledged(struct raw *raw, const char *stream, const char *consumer)
{
    jsConsumerInfo *info = NULL;
    int64_t count = 0;

    if (js_GetConsumerInfo(&info, raw->js, stream, consumer, NULL, NULL) == NATS_OK)
        count = info->NumAckPending;
    jsConsumerInfo_Destroy(info);
    return count;
}

/* The server counts acknowledgements some time after it has read them: only then are the messages
 * gone. */
static void wait_until_counted(struct raw *raw, const char *stream, const char *consumer)
{
    int64_t until_ms = jj__clock_mono_ms() + COUNTING_MS;

    while (unacknowledged(raw, stream, consumer) > 0 && jj__clock_mono_ms() < until_ms)
        ;
}

void raw_remove_consumer(struct raw *raw, const char *stream, const char *consumer)
{
    wait_until_counted(raw, stream, consumer); /* what is not is forgotten with it */
    jj__ignore(js_DeleteConsumer(raw->js, stream, consumer, NULL, NULL), "it may not be there");
}

/* ---- publish ---- */

/* A message as jj_enqueue() makes them. */
static natsStatus make_message(const struct raw *raw, const char *payload, size_t payload_len,
                               natsMsg **msg_out)
{
    char id[JJ__ID_SIZE];
    natsMsg *msg = NULL;

    if (jj__id_new(jj__clock_wall_ms(), id, NULL) != JJ_OK)
        return NATS_ERR;
    natsStatus s = natsMsg_Create(&msg, raw->subject, NULL, payload, (int)payload_len);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(msg, "Nats-Msg-Id", id);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(msg, "Job-Id", id);
    if (s != NATS_OK) {
        natsMsg_Destroy(msg);
        return s;
    }
    *msg_out = msg;
    return NATS_OK;
}

static natsStatus publish_async(struct raw *raw, const char *payload, size_t payload_len)
{
    natsMsg *msg = NULL;
    natsStatus s = make_message(raw, payload, payload_len, &msg);

    if (s == NATS_OK)
        s = js_PublishMsgAsync(raw->js, &msg, NULL);
    natsMsg_Destroy(msg);
    return s;
}

static natsStatus publish_waiting(struct raw *raw, const char *payload, size_t payload_len)
{
    natsMsg *msg = NULL;
    jsPubAck *ack = NULL;
    natsStatus s = make_message(raw, payload, payload_len, &msg);

    if (s == NATS_OK)
        s = js_PublishMsg(&ack, raw->js, msg, NULL, NULL);
    natsMsg_Destroy(msg);
    jsPubAck_Destroy(ack);
    return s;
}

/* One message of an atomic batch; the last one is acknowledged. */
static natsStatus publish_part(struct raw *raw, natsMsg *msg, const char *batch_id, size_t number,
                               bool last)
{
    char sequence[24];
    natsMsg *answer = NULL;

    snprintf(sequence, sizeof(sequence), "%zu", number);
    natsStatus s = natsMsgHeader_Set(msg, "Nats-Batch-Id", batch_id);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(msg, "Nats-Batch-Sequence", sequence);
    if (s == NATS_OK && last)
        s = natsMsgHeader_Set(msg, "Nats-Batch-Commit", "1");
    if (s != NATS_OK)
        return s;
    if (!last)
        return natsConnection_PublishMsg(raw->nc, msg);
    s = natsConnection_RequestMsg(&answer, raw->nc, msg, ANSWER_MS);
    if (s == NATS_OK && strstr(natsMsg_GetData(answer), "\"error\"") != NULL)
        s = NATS_ERR;
    natsMsg_Destroy(answer);
    return s;
}

static natsStatus publish_batch(struct raw *raw, const char *payload, size_t payload_len,
                                size_t count)
{
    char batch_id[JJ__ID_SIZE];
    natsStatus s = jj__id_new(jj__clock_wall_ms(), batch_id, NULL) == JJ_OK ? NATS_OK : NATS_ERR;

    for (size_t i = 1; s == NATS_OK && i <= count; i++) {
        natsMsg *msg = NULL;
        s = make_message(raw, payload, payload_len, &msg);
        if (s == NATS_OK)
            s = publish_part(raw, msg, batch_id, i, i == count);
        natsMsg_Destroy(msg);
    }
    return s;
}

static char *make_payload(size_t len)
{
    char *payload = malloc(len + 1);

    if (payload != NULL)
        memset(payload, 'x', len + 1);
    return payload;
}

jj_status raw_publish(struct raw *raw, size_t count, size_t payload_len, jj_error *err)
{
    char *payload = make_payload(payload_len);
    natsStatus s = payload == NULL ? NATS_NO_MEMORY : NATS_OK;

    for (size_t i = 0; s == NATS_OK && i < count; i++)
        s = publish_async(raw, payload, payload_len);
    if (s == NATS_OK)
        s = js_PublishAsyncComplete(raw->js, NULL);
    free(payload);
    return check(s, "publish", err);
}

jj_status raw_publish_batches(struct raw *raw, size_t count, size_t payload_len, jj_error *err)
{
    char *payload = make_payload(payload_len);
    natsStatus s = payload == NULL ? NATS_NO_MEMORY : NATS_OK;

    for (size_t done = 0; s == NATS_OK && done < count; done += BATCH)
        s = publish_batch(raw, payload, payload_len, count - done < BATCH ? count - done : BATCH);
    free(payload);
    return check(s, "publish batches", err);
}

jj_status raw_publish_waiting(struct raw *raw, size_t count, size_t payload_len, int64_t *us_out,
                              jj_error *err)
{
    char *payload = make_payload(payload_len);
    natsStatus s = payload == NULL ? NATS_NO_MEMORY : NATS_OK;

    for (size_t i = 0; s == NATS_OK && i < count; i++) {
        int64_t from_us = jj__clock_mono_us();
        s = publish_waiting(raw, payload, payload_len);
        if (us_out != NULL)
            us_out[i] = jj__clock_mono_us() - from_us;
    }
    free(payload);
    return check(s, "publish and wait", err);
}

/* ---- take ---- */

static natsStatus subscribe(struct raw *raw)
{
    jsSubOptions options;
    natsStatus s = jsSubOptions_Init(&options);

    if (s != NATS_OK)
        return s;
    options.Stream = raw->stream;
    options.Config.MaxAckPending = 10000;
    return js_PullSubscribe(&raw->sub, raw->js, raw->subject, CONSUMER, NULL, &options, NULL);
}

static natsStatus take_some(struct raw *raw, size_t most, size_t *taken_out)
{
    natsMsgList list = {0};
    natsStatus s =
        natsSubscription_Fetch(&list, raw->sub, most < FETCH ? (int)most : FETCH, ANSWER_MS, NULL);

    for (int i = 0; s == NATS_OK && i < list.Count; i++)
        s = natsMsg_Ack(list.Msgs[i], NULL);
    *taken_out = s == NATS_OK ? (size_t)list.Count : 0;
    natsMsgList_Destroy(&list);
    return s;
}

jj_status raw_take(struct raw *raw, size_t count, jj_error *err)
{
    natsStatus s = raw->sub == NULL ? subscribe(raw) : NATS_OK;
    size_t taken = 0;

    for (size_t done = 0; s == NATS_OK && done < count; done += taken)
        s = take_some(raw, count - done, &taken);
    if (s == NATS_OK)
        s = natsConnection_FlushTimeout(raw->nc, ANSWER_MS);
    wait_until_counted(raw, raw->stream, CONSUMER);
    return check(s, "take", err);
}

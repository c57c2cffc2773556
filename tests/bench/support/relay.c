/* SPDX-License-Identifier: Apache-2.0 */

#include "relay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <nats/nats.h>

#include "bench.h"
#include "clock.h"

#define FIRST   "relay.first"
#define SECOND  "relay.second"
#define WAIT_MS 5000

struct relay {
    natsConnection *producer, *worker;
    jsCtx *publish, *take;
    natsSubscription *fetched, *pushed;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t back_us; /* guarded by lock: when it came back; 0: not yet */
};

static void must(natsStatus s, const char *what)
{
    if (s != NATS_OK)
        bench_fail(what, NULL);
}

static void add_stream(struct relay *relay, const char *name, const char *subject, bool queue)
{
    const char *subjects[] = {subject};
    jsStreamConfig config;

    must(jsStreamConfig_Init(&config), "stream");
    config.Name = name;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = queue ? js_WorkQueuePolicy : js_LimitsPolicy;
    must(js_AddStream(NULL, relay->publish, &config, NULL, NULL), "stream");
}

/* Fetches one message after the other, publishes it to the second stream and acknowledges it. */
static void *work(void *ctx)
{
    struct relay *relay = ctx;

    while (!atomic_load(&relay->stopping)) {
        natsMsgList list = {0};
        natsStatus s = natsSubscription_Fetch(&list, relay->fetched, 1, 200, NULL);
        for (int i = 0; s == NATS_OK && i < list.Count; i++) {
            must(natsConnection_Publish(relay->worker, SECOND, natsMsg_GetData(list.Msgs[i]),
                                        natsMsg_GetDataLength(list.Msgs[i])),
                 "second publish");
            must(natsMsg_Ack(list.Msgs[i], NULL), "acknowledgement");
        }
        natsMsgList_Destroy(&list);
    }
    nats_ReleaseThreadMemory();
    return NULL;
}

static void come_back(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *ctx)
{
    struct relay *relay = ctx;

    (void)nc;
    (void)sub;
    natsMsg_Destroy(msg);
    pthread_mutex_lock(&relay->lock);
    relay->back_us = jj__clock_mono_us();
    pthread_cond_signal(&relay->changed);
    pthread_mutex_unlock(&relay->lock);
}

static natsStatus connect_to(const char *url, natsConnection **nc_out)
{
    natsOptions *options = NULL;
    natsStatus s = natsOptions_Create(&options);

    if (s == NATS_OK)
        s = natsOptions_SetURL(options, url);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(options, true);
    if (s == NATS_OK)
        s = natsConnection_Connect(nc_out, options);
    natsOptions_Destroy(options);
    return s;
}

struct relay *relay_begin(const char *url)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    jsSubOptions in_order;

    if (relay == NULL)
        bench_fail("memory", NULL);
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->changed, NULL);
    must(connect_to(url, &relay->producer), "connection");
    must(connect_to(url, &relay->worker), "connection");
    must(natsConnection_JetStream(&relay->publish, relay->producer, NULL), "JetStream");
    must(natsConnection_JetStream(&relay->take, relay->worker, NULL), "JetStream");
    add_stream(relay, "RELAY_FIRST", FIRST, true);
    add_stream(relay, "RELAY_SECOND", SECOND, false);
    must(js_PullSubscribe(&relay->fetched, relay->take, FIRST, "relay", NULL, NULL, NULL), "pull");
    must(jsSubOptions_Init(&in_order), "push");
    in_order.Ordered = true;
    must(js_Subscribe(&relay->pushed, relay->take, SECOND, come_back, relay, NULL, &in_order, NULL),
         "push");
    if (pthread_create(&relay->thread, NULL, work, relay) != 0)
        bench_fail("thread", NULL);
    return relay;
}

void relay_end(struct relay *relay)
{
    atomic_store(&relay->stopping, true);
    pthread_join(relay->thread, NULL);
    natsSubscription_Destroy(relay->fetched);
    natsSubscription_Destroy(relay->pushed);
    jsCtx_Destroy(relay->publish);
    jsCtx_Destroy(relay->take);
    natsConnection_Destroy(relay->producer);
    natsConnection_Destroy(relay->worker);
    pthread_cond_destroy(&relay->changed);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}

int64_t relay_us(struct relay *relay, size_t payload_len)
{
    char *payload = calloc(1, payload_len);

    if (payload == NULL)
        bench_fail("memory", NULL);
    pthread_mutex_lock(&relay->lock);
    relay->back_us = 0;
    pthread_mutex_unlock(&relay->lock);
    int64_t from_us = jj__clock_mono_us();
    must(js_Publish(NULL, relay->publish, FIRST, payload, (int)payload_len, NULL, NULL), "publish");
    pthread_mutex_lock(&relay->lock);
    while (relay->back_us == 0)
        pthread_cond_wait(&relay->changed, &relay->lock);
    int64_t us = relay->back_us - from_us;
    pthread_mutex_unlock(&relay->lock);
    free(payload);
    return us;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "clock.h"
#include "nats_client.h"
#include "wait.h"

#define CHUNK 10000 /* jobs in one call */

static const char payload[LOAD_PAYLOAD + 1] = "{\"to\":\"ada@example.org\",\"subject\":\"Welcome\","
                                              "\"text\":\"a hundred bytes of data, more or "
                                              "less, yes\"}  ";

jj_client *load_open(const char *url)
{
    const jj_options options = {.url = url, .timeout_ms = 30000};
    jj_client *client;
    jj_error err;

    bench_must(jj_open(&options, &client, &err), "open", &err);
    return client;
}

/* ---- enqueue ---- */

double load_enqueue_many(jj_client *client, const char *name, size_t count)
{
    jj_spec *specs = calloc(CHUNK, sizeof(*specs));
    int64_t from_us = jj__clock_mono_us();
    jj_error err;

    for (size_t i = 0; specs != NULL && i < CHUNK; i++)
        specs[i] = (jj_spec){.name = name, .data = payload, .data_len = LOAD_PAYLOAD};
    for (size_t done = 0; specs != NULL && done < count; done += CHUNK)
        bench_must(jj_enqueue_many(client, specs, count - done < CHUNK ? count - done : CHUNK, NULL,
                                   NULL, &err),
                   "enqueue", &err);
    free(specs);
    return (double)count / seconds_since(from_us);
}

struct singly {
    jj_client *client;
    const char *name;
    size_t count;
};

static void *enqueue_singly(void *arg)
{
    struct singly *singly = arg;
    const jj_spec spec = {.name = singly->name, .data = payload, .data_len = LOAD_PAYLOAD};
    jj_error err;

    for (size_t i = 0; i < singly->count; i++)
        bench_must(jj_enqueue(singly->client, &spec, NULL, &err), "enqueue", &err);
    return NULL;
}

double load_enqueue_singly(jj_client *client, const char *name, size_t count, unsigned threads)
{
    struct singly singly = {.client = client, .name = name, .count = count / threads};
    pthread_t *ids = calloc(threads, sizeof(*ids));
    int64_t from_us = jj__clock_mono_us();

    for (unsigned i = 0; ids != NULL && i < threads; i++)
        pthread_create(&ids[i], NULL, enqueue_singly, &singly);
    for (unsigned i = 0; ids != NULL && i < threads; i++)
        pthread_join(ids[i], NULL);
    free(ids);
    return (double)(singly.count * threads) / seconds_since(from_us);
}

/* ---- run ---- */

static jj_verdict count_it(jj_attempt *attempt, void *user)
{
    atomic_fetch_add((atomic_size_t *)user, 1);
    return jj_done(attempt, NULL, 0);
}

bool load_index_has_read(void *ctx)
{
    jj_stats *stats = NULL;
    jj_error err;

    if (jj_stats_get(ctx, &stats, &err) != JJ_OK)
        return false;
    bool all = jj_stats_lag_jobs(stats) == 0 && jj_stats_lag_events(stats) == 0;
    jj_stats_free(stats);
    return all;
}

uint64_t load_messages(const char *url, const char *stream)
{
    struct nats_client *nats = nats_client_open(url);
    uint64_t count = nats_client_stream_messages(nats, stream);

    nats_client_close(nats);
    return count;
}

double load_run_above(const char *url, const char *name, size_t count, unsigned concurrency,
                      uint64_t others)
{
    const jj_options options = {.url = url, .concurrency = concurrency};
    struct nats_client *nats = nats_client_open(url);
    atomic_size_t ran = 0;
    jj_client *client;
    jj_error err;

    bench_must(jj_open(&options, &client, &err), "open", &err);
    bench_must(jj_register(client, name, count_it, NULL, &ran, &err), "register", &err);
    int64_t from_us = jj__clock_mono_us();
    bench_must(jj_start(client, &err), "start", &err);
    while (atomic_load(&ran) < count)
        wait_a_moment();
    while (nats_client_stream_messages(nats, "JOBS") > others)
        wait_a_moment();
    double seconds = seconds_since(from_us);
    jj_close(client);
    nats_client_close(nats);
    return (double)count / seconds;
}

double load_run(const char *url, const char *name, size_t count, unsigned concurrency)
{
    return load_run_above(url, name, count, concurrency, 0);
}

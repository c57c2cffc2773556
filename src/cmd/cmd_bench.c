/* SPDX-License-Identifier: Apache-2.0 */

/* How fast this broker is with jobs, and with plain messages of the same size.
 *
 * The jobs have a name that nobody else has, so no worker but the one in here takes them. What is
 * left afterwards is their history. */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker_raw.h"
#include "buf.h"
#include "clock.h"
#include "commands.h"
#include "config.h"
#include "id.h"
#include "json_write.h"
#include "print.h"
#include "status.h"
#include "table.h"

#define CHUNK              10000 /* jobs in one call */
#define CONNECT_TIMEOUT_MS 5000
#define STANDSTILL_S       30

static uint32_t jobs = 100000;
static int64_t payload = 100;

/* ---- Ctrl-C: what is in the queue is still run, so that nothing stays ---- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- the four measures ---- */

struct bench {
    jj_client *client;
    struct raw *raw;
    char name[JJ_NAME_SIZE];
    size_t enqueued;
    double enqueue, publish, life, take; /* a second */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_size_t ran;
};

static double rate(size_t count, int64_t from_us)
{
    return (double)count * 1e6 / (double)(jj__clock_mono_us() - from_us);
}

static jj_status measure_publish(struct bench *bench, jj_error *err)
{
    int64_t from_us = jj__clock_mono_us();
    jj_status s = raw_publish(bench->raw, jobs, (size_t)payload, err);

    bench->publish = rate(jobs, from_us);
    return s;
}

static jj_status enqueue_chunk(struct bench *bench, jj_spec *specs, jj_error *err)
{
    size_t left = jobs - bench->enqueued, stored = 0;
    jj_status s =
        jj_enqueue_many(bench->client, specs, left < CHUNK ? left : CHUNK, NULL, &stored, err);

    bench->enqueued += stored;
    return s;
}

static jj_status measure_enqueue(struct bench *bench, jj_error *err)
{
    jj_spec *specs = calloc(CHUNK, sizeof(*specs));
    char *data = malloc((size_t)payload + 1);
    jj_status s = JJ_OK;

    if (specs == NULL || data == NULL)
        s = jj__fail(err, JJ_ERR_NO_MEMORY, "jobs");
    for (size_t i = 0; s == JJ_OK && i < CHUNK; i++)
        specs[i] = (jj_spec){.name = bench->name, .data = data, .data_len = (size_t)payload};
    if (data != NULL)
        memset(data, 'x', (size_t)payload + 1);
    int64_t from_us = jj__clock_mono_us();
    while (s == JJ_OK && bench->enqueued < jobs && !interrupted)
        s = enqueue_chunk(bench, specs, err);
    bench->enqueue = rate(bench->enqueued, from_us);
    free(specs);
    free(data);
    return s;
}

static jj_status measure_take(struct bench *bench, jj_error *err)
{
    int64_t from_us = jj__clock_mono_us();
    jj_status s = raw_take(bench->raw, jobs, err);

    bench->take = rate(jobs, from_us);
    return s;
}

static jj_verdict run_job(jj_attempt *attempt, void *user)
{
    struct bench *bench = user;

    if (atomic_fetch_add(&bench->ran, 1) + 1 == bench->enqueued) {
        pthread_mutex_lock(&bench->lock);
        pthread_cond_signal(&bench->changed);
        pthread_mutex_unlock(&bench->lock);
    }
    return jj_done(attempt, NULL, 0);
}

/* False: for a long time no job has run. */
static bool wait_for_jobs(struct bench *bench)
{
    size_t before = SIZE_MAX;

    pthread_mutex_lock(&bench->lock);
    while (atomic_load(&bench->ran) < bench->enqueued && atomic_load(&bench->ran) != before) {
        struct timespec until;
        before = atomic_load(&bench->ran);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += STANDSTILL_S;
        pthread_cond_timedwait(&bench->changed, &bench->lock, &until);
    }
    pthread_mutex_unlock(&bench->lock);
    return atomic_load(&bench->ran) >= bench->enqueued;
}

/* From the first pull until the last job is acknowledged. */
static jj_status measure_life(struct bench *bench, jj_error *err)
{
    jj_status s = jj_register(bench->client, bench->name, run_job, NULL, bench, err);
    int64_t from_us = jj__clock_mono_us();

    if (s == JJ_OK)
        s = jj_start(bench->client, err);
    if (s != JJ_OK)
        return s;
    if (!wait_for_jobs(bench))
        return jj__fail(err, JJ_ERR_TIMEOUT, "no job has run for %d s; %zu of %s are left",
                        STANDSTILL_S, bench->enqueued - atomic_load(&bench->ran), bench->name);
    s = jj_stop(bench->client, err);
    bench->life = rate(bench->enqueued, from_us);
    return s;
}

/* Whatever was enqueued is run, also after a failure. */
static jj_status measure(struct bench *bench, jj_error *err)
{
    jj_error later;
    jj_status s = measure_publish(bench, err);

    if (s == JJ_OK && !interrupted)
        s = measure_enqueue(bench, err);
    if (s == JJ_OK && !interrupted)
        s = measure_take(bench, err);
    if (bench->enqueued == 0)
        return s;
    jj_status life_s = measure_life(bench, s == JJ_OK ? err : &later);
    return s == JJ_OK ? life_s : s;
}

/* ---- what it printed ---- */

static void add_row(struct table *table, const char *what, double value, const char *beside,
                    double plain)
{
    char ratio[24];

    snprintf(ratio, sizeof(ratio), "%.2f", value / plain);
    table_text(table, PRINT_PLAIN, what);
    table_number(table, PRINT_PLAIN, (unsigned long long)value);
    table_text(table, PRINT_PLAIN, beside);
    table_number(table, PRINT_PLAIN, (unsigned long long)plain);
    table_text(table, PRINT_BOLD, ratio);
}

static void print_table(const struct bench *bench)
{
    static const struct column columns[] = {
        {.title = "JOBS"},
        {.title = "PER SECOND", .right = true},
        {.title = "PLAIN JETSTREAM"},
        {.title = "PER SECOND", .right = true},
        {.title = "RATIO", .right = true},
        {0},
    };
    struct table table = {.columns = columns};

    add_row(&table, "enqueue", bench->enqueue, "publish", bench->publish);
    add_row(&table, "whole life", bench->life, "fetch and ack", bench->take);
    table_flush(&table);
}

static void add_pair(struct buf *json, const char *key, double value, double plain)
{
    char ratio[32];

    jj__buf_str(json, key);
    jj__json_add_number(json, "{\"perSecond\":", (int64_t)value);
    jj__json_add_number(json, ",\"plainPerSecond\":", (int64_t)plain);
    snprintf(ratio, sizeof(ratio), ",\"ratio\":%.3f}", value / plain);
    jj__buf_str(json, ratio);
}

static void print_as_json(const struct bench *bench)
{
    struct buf json = {0};

    jj__json_add_number(&json, "{\"jobs\":", jobs);
    jj__json_add_number(&json, ",\"payload\":", payload);
    add_pair(&json, ",\"enqueue\":", bench->enqueue, bench->publish);
    add_pair(&json, ",\"life\":", bench->life, bench->take);
    jj__buf_char(&json, '}');
    print_json(&json);
}

/* ---- the command ---- */

static int measure_and_print(const struct program *program, struct bench *bench)
{
    jj_error err = {0};
    jj_status s = measure(bench, &err);

    raw_remove_consumer(bench->raw, "JOBS", bench->name);
    if (s != JJ_OK)
        return program_failed(bench->client, &err);
    if (interrupted)
        return ENDING_FAILED;
    if (program->json)
        print_as_json(bench);
    else
        print_table(bench);
    return ENDING_DONE;
}

static int connect_and_measure(const struct program *program, const jj_options *options)
{
    struct bench bench = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    int ending = ENDING_DONE;
    char random[9];
    jj_error err = {0};

    if (jj__id_random(random, sizeof(random) - 1, &err) != JJ_OK)
        return program_fail(&err);
    snprintf(bench.name, sizeof(bench.name), "bench-%s", random);
    bench.client = program_open(options, &ending);
    if (bench.client == NULL)
        return ending;
    if (raw_open(options, "JETJOBS_BENCH", &bench.raw, &err) == JJ_OK)
        ending = measure_and_print(program, &bench);
    else
        ending = program_failed(bench.client, &err);
    raw_close(bench.raw);
    jj_close(bench.client);
    return ending;
}

static int run(const struct program *program, int argc, char **argv)
{
    struct config *config = NULL;
    jj_error err = {0};

    (void)argc;
    (void)argv;
    if (config_load(program->config_path, &config, &err) != JJ_OK)
        return program_fail(&err);
    jj_options options = config->options;
    options.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (program->url != NULL)
        options.url = program->url;
    catch_interrupts();
    int ending = connect_and_measure(program, &options);
    config_free(config);
    return ending;
}

static const struct cmd_option options[] = {
    {"jobs", 'n', "N", "how many jobs; 100000", OPTION_NUMBER, .to = &jobs, .min = 1,
     .max = 10000000},
    {"payload", '\0', "SIZE", "bytes of data of each; 100", OPTION_SIZE, .to = &payload,
     .max = 1024 * 1024},
    {0},
};

const struct command cmd_bench = {
    .name = "bench",
    .arguments = "",
    .summary = "Measure jobs a second, beside plain JetStream",
    .options = options,
    .help =
        "Enqueues jobs of a name of its own and runs them with a handler that does nothing; and\n"
        "publishes and takes as many plain messages of that size, in a stream of its own with\n"
        "the settings of JOBS. It removes the stream and the consumer; the history keeps the\n"
        "jobs for as long as it keeps others. Other work on that broker, and this work on\n"
        "others', is felt.\n",
    .run = run,
};

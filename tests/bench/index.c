/* SPDX-License-Identifier: Apache-2.0 */

/* What an index can do: lives through a history of many jobs, is built again from the streams, and
 * is asked.
 *
 *     index [jobs]     1000000 unless said otherwise
 *
 * The history is that of no-op jobs: of each a claim with 100 bytes of data, and a completion, in
 * batches of 500, as workers write them. One index reads it while it is written; another one is
 * built from the streams afterwards, and must be the same row by row. Prints how many events a
 * second that one applied, its bytes for a job, the process's memory and how long queries took; and
 * last, with 5000 real jobs a second, how long after a handler's end the index knew of it. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jetjobs/jetjobs.h>

#include "broker.h"
#include "clock.h"
#include "codec_pb.h"
#include "server.h"
#include "spec.h"
#include "subject.h"
#include "temp.h"
#include "wait.h"

#define BATCH   500
#define NAMES   4
#define SAMPLES 20000

static void fail(const char *what, const jj_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

/* ---- a history ---- */

static const char *name_of(size_t job)
{
    static const char *const names[NAMES] = {"sendEmail", "resize", "report", "sync"};

    return names[(job / BATCH) % NAMES];
}

/* In the order of time, as UUIDv7 are. */
static void id_of(size_t job, char out[JJ_NAME_SIZE])
{
    snprintf(out, JJ_NAME_SIZE, "019ab%03zx-%04zx-7000-8000-%012zx", job >> 16, job & 0xFFFF, job);
}

static void publish(struct broker *broker, const char *subject, const char *msg_id,
                    const struct buf *body)
{
    const jj_header header = {JJ__HEADER_MSG_ID, msg_id};
    const struct outgoing message = {.subject = subject,
                                     .headers = &header,
                                     .header_count = 1,
                                     .data = body->data,
                                     .len = body->len};
    struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = jj__clock_mono_ms() + 60000};
    struct publish_result result;

    jj__broker_publish_wait(broker, &publication, &result);
    if (result.status != JJ_OK)
        fail("publish", &result.err);
}

static void write_batch(struct broker *broker, size_t first, int64_t base_ms)
{
    static const char data[101] = "{\"to\":\"ada@example.org\",\"subject\":\"Welcome\",\"text\":"
                                  "\"a hundred bytes of data, more or less, yes\"}  ";
    static struct job jobs[BATCH];
    static struct claim claims[BATCH];
    static struct event events[BATCH];
    char msg_id[64], subject[JJ__SUBJECT_SIZE];
    struct buf body = {.max = 1024 * 1024};
    jj_error err;

    for (size_t i = 0; i < BATCH; i++) {
        jobs[i] = (struct job){
            .data = data, .data_len = 100, .created_at_ms = base_ms + (int64_t)(first + i)};
        id_of(first + i, jobs[i].id);
        snprintf(jobs[i].name, sizeof(jobs[i].name), "%s", name_of(first));
        claims[i] = (struct claim){.job = &jobs[i],
                                   .seq = first + i + 1,
                                   .attempt = 1,
                                   .max_attempts = 3,
                                   .with_job = true};
        events[i] = (struct event){.type = EVENT_COMPLETED,
                                   .id = jobs[i].id,
                                   .name = jobs[i].name,
                                   .time_ms = base_ms + (int64_t)(first + i) + 1,
                                   .attempts = 1,
                                   .max_attempts = 3,
                                   .result = "{\"ok\":true}",
                                   .result_len = 11};
    }
    if (jj__pb_write_claims(&body, "bench", first, base_ms, claims, BATCH, &err) != JJ_OK)
        fail("claims", &err);
    snprintf(msg_id, sizeof(msg_id), "c%zu", first);
    publish(broker, "jobs.claims.bench", msg_id, &body);
    if (jj__pb_write_events(&body, "bench", events, BATCH, &err) != JJ_OK)
        fail("events", &err);
    snprintf(msg_id, sizeof(msg_id), "e%zu", first);
    jj__subject_events(subject, name_of(first), "completed");
    publish(broker, subject, msg_id, &body);
    jj__buf_done(&body);
}

static void write_history(const char *url, size_t jobs)
{
    const struct log log = {0};
    const jj_options asked = {.url = url};
    jj_options options;
    struct broker *broker;
    jj_client *client;
    jj_error err;

    if (jj_open(&asked, &client, &err) != JJ_OK) /* makes the streams */
        fail("open", &err);
    jj_close(client);
    if (jj__options_resolve(&asked, &options, &err) != JJ_OK ||
        jj__broker_open(&options, &log, &broker, &err) != JJ_OK)
        fail("connect", &err);
    int64_t base_ms = jj__clock_wall_ms() - (int64_t)jobs;
    for (size_t first = 0; first < jobs; first += BATCH)
        write_batch(broker, first, base_ms);
    jj__broker_close(broker);
}

/* ---- two indexes ---- */

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

static uint64_t mix_job(uint64_t hash, const jj_job *job)
{
    const int64_t numbers[] = {jj_job_state(job),           jj_job_created_at_ms(job),
                               jj_job_run_at_ms(job),       jj_job_started_at_ms(job),
                               jj_job_completed_at_ms(job), jj_job_attempts(job),
                               jj_job_max_attempts(job),    jj_job_lost(job)};
    size_t data_len = 0, result_len = 0;
    const void *data = jj_job_data(job, &data_len);
    const void *result = jj_job_result(job, &result_len);

    hash = mix(hash, jj_job_id(job), strlen(jj_job_id(job)));
    hash = mix(hash, jj_job_worker(job), strlen(jj_job_worker(job)));
    hash = mix(hash, numbers, sizeof(numbers));
    return mix(mix(hash, data, data_len), result, result_len);
}

static uint64_t mix_name(uint64_t hash, jj_client *client, const char *name, size_t *count)
{
    char cursor[256] = "";
    jj_error err;

    do {
        const jj_query query = {
            .name = name, .limit = 1000, .cursor = cursor[0] == '\0' ? NULL : cursor};
        jj_page *page;
        if (jj_get_by_name(client, &query, &page, &err) != JJ_OK)
            fail("get_by_name", &err);
        for (size_t i = 0; i < jj_page_count(page); i++)
            hash = mix_job(hash, jj_page_job(page, i));
        *count += jj_page_count(page);
        const char *next = jj_page_cursor(page);
        snprintf(cursor, sizeof(cursor), "%s", next == NULL ? "" : next);
        jj_page_free(page);
    } while (cursor[0] != '\0');
    return hash;
}

/* All rows as one number. */
static uint64_t sum_of(jj_client *client, size_t *count)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    *count = 0;
    for (size_t name = 0; name < NAMES; name++)
        hash = mix_name(hash, client, name_of(name * BATCH), count);
    return hash;
}

static jj_client *open_index(const char *url, const char *path)
{
    const jj_options options = {
        .url = url, .index_path = path, .timeout_ms = 600000, .connect_timeout_ms = 5000};
    jj_client *client;
    jj_error err;

    if (jj_open(&options, &client, &err) != JJ_OK)
        fail("open", &err);
    return client;
}

/* Until the index has read that job. */
static void wait_for_job(jj_client *client, size_t number)
{
    int64_t until_ms = jj__clock_mono_ms() + 600000;
    char id[JJ_NAME_SIZE];
    jj_job *job = NULL;
    jj_error err;

    id_of(number, id);
    while (jj_wait(client, id, 60000, &job, &err) != JJ_OK)
        if (jj__clock_mono_ms() > until_ms)
            fail("wait", &err);
    jj_job_free(job);
}

/* ---- how far behind ---- */

enum { LAG_RATE = 5000, LAG_JOBS = 25000, LAG_BURST = 50, LAG_SAMPLES = 500 };

static _Atomic int64_t ended_us[LAG_JOBS];

static jj_verdict note_end(jj_attempt *attempt, void *user)
{
    (void)user;
    ended_us[strtoul(jj_attempt_data(attempt, NULL), NULL, 10)] = jj__clock_mono_us();
    return jj_done(attempt, NULL, 0);
}

struct lag {
    jj_client *index;
    char ids[LAG_SAMPLES][JJ_NAME_SIZE];
    atomic_size_t known; /* ids that were enqueued */
    int64_t us[LAG_SAMPLES];
};

/* Waits for one job in fifty, each in its turn. */
static void *watch(void *arg)
{
    struct lag *lag = arg;
    jj_error err;

    for (size_t i = 0; i < LAG_SAMPLES; i++) {
        jj_job *job;
        while (atomic_load(&lag->known) <= i)
            wait_a_moment();
        while (jj_wait(lag->index, lag->ids[i], 10000, &job, &err) != JJ_OK)
            if (err.status != JJ_ERR_NOT_FOUND) /* another client enqueued it just now */
                fail("wait", &err);
        lag->us[i] = jj__clock_mono_us() - ended_us[i * LAG_BURST];
        jj_job_free(job);
    }
    return NULL;
}

static void enqueue_steadily(jj_client *client, struct lag *lag)
{
    static char texts[LAG_JOBS][8];
    jj_spec specs[LAG_BURST];
    jj_receipt receipts[LAG_BURST];
    int64_t begun_us = jj__clock_mono_us();
    jj_error err;

    for (size_t at = 0; at < LAG_JOBS; at += LAG_BURST) {
        for (size_t i = 0; i < LAG_BURST; i++) {
            snprintf(texts[at + i], sizeof(texts[0]), "%zu", at + i);
            specs[i] = (jj_spec){.name = "lag", .data = texts[at + i], .data_len = 8};
        }
        while (jj__clock_mono_us() - begun_us < (int64_t)at * 1000000 / LAG_RATE)
            wait_a_moment();
        if (jj_enqueue_many(client, specs, LAG_BURST, receipts, NULL, &err) != JJ_OK)
            fail("enqueue", &err);
        memcpy(lag->ids[at / LAG_BURST], receipts[0].id, JJ_NAME_SIZE);
        atomic_store(&lag->known, at / LAG_BURST + 1);
    }
}

static void print_times(const char *what, int64_t *us, size_t count);

static void measure_lag(const char *url, jj_client *client)
{
    const jj_options options = {.url = url, .concurrency = 16};
    static struct lag lag;
    jj_client *worker;
    pthread_t watcher;
    jj_error err;

    lag.index = client;
    if (jj_open(&options, &worker, &err) != JJ_OK ||
        jj_register(worker, "lag", note_end, NULL, NULL, &err) != JJ_OK ||
        jj_start(worker, &err) != JJ_OK)
        fail("worker", &err);
    pthread_create(&watcher, NULL, watch, &lag);
    enqueue_steadily(worker, &lag);
    pthread_join(watcher, NULL);
    jj_close(worker);
    print_times("lag at 5000 jobs/s", lag.us, LAG_SAMPLES);
}

/* ---- what it takes ---- */

static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    long kib = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void print_times(const char *what, int64_t *us, size_t count)
{
    qsort(us, count, sizeof(*us), compare);
    printf("%-28s p50 %7.3f ms   p99 %7.3f ms   max %7.3f ms\n", what, (double)us[count / 2] / 1000,
           (double)us[count * 99 / 100] / 1000, (double)us[count - 1] / 1000);
}

static void measure_get(jj_client *client, size_t jobs)
{
    int64_t *us = calloc(SAMPLES, sizeof(*us));
    char id[JJ_NAME_SIZE];
    uint32_t random = 1;
    jj_error err;

    for (size_t i = 0; us != NULL && i < SAMPLES; i++) {
        random = random * 1664525u + 1013904223u; /* Numerical Recipes */
        jj_job *job;
        id_of(random % jobs, id);
        int64_t from_us = jj__clock_mono_us();
        if (jj_get(client, id, &job, &err) != JJ_OK)
            fail("get", &err);
        us[i] = jj__clock_mono_us() - from_us;
        jj_job_free(job);
    }
    print_times("get", us, SAMPLES);
    free(us);
}

static void measure_pages(jj_client *client, jj_state state, const char *what)
{
    enum { PAGES = 500 };
    int64_t us[PAGES];
    char cursor[256] = "";
    jj_error err;

    for (size_t i = 0; i < PAGES; i++) {
        const jj_query query = {.name = name_of(i * BATCH),
                                .state = state,
                                .cursor = cursor[0] == '\0' ? NULL : cursor};
        jj_page *page;
        int64_t from_us = jj__clock_mono_us();
        if (jj_get_by_name(client, &query, &page, &err) != JJ_OK)
            fail("get_by_name", &err);
        us[i] = jj__clock_mono_us() - from_us;
        jj_page_free(page);
    }
    print_times(what, us, PAGES);
}

static void measure_stats(jj_client *client)
{
    enum { TIMES = 200 };
    int64_t us[TIMES];
    jj_error err;

    for (size_t i = 0; i < TIMES; i++) {
        jj_stats *stats;
        int64_t from_us = jj__clock_mono_us();
        if (jj_stats_get(client, &stats, &err) != JJ_OK)
            fail("stats", &err);
        us[i] = jj__clock_mono_us() - from_us;
        jj_stats_free(stats);
    }
    print_times("stats", us, TIMES);
}

int main(int argc, char **argv)
{
    size_t jobs = argc > 1 ? strtoul(argv[1], NULL, 10) / BATCH * BATCH : 1000000;
    struct server server = {0};
    char dir[TEMP_PATH_SIZE], lived_path[TEMP_PATH_SIZE + 16], built_path[TEMP_PATH_SIZE + 16];
    size_t lived_count, built_count;
    struct stat file;

    setvbuf(stdout, NULL, _IOLBF, 0);
    server_start(&server, NULL);
    temp_dir_make(dir);
    snprintf(lived_path, sizeof(lived_path), "%s/lived.db", dir);
    snprintf(built_path, sizeof(built_path), "%s/built.db", dir);

    jj_client *lived = open_index(server.url, lived_path);
    write_history(server.url, jobs);
    wait_for_job(lived, jobs - 1);
    uint64_t lived_sum = sum_of(lived, &lived_count);
    jj_close(lived);

    int64_t from_us = jj__clock_mono_us();
    jj_client *built = open_index(server.url, built_path);
    wait_for_job(built, jobs - 1);
    double seconds = (double)(jj__clock_mono_us() - from_us) / 1e6;
    printf("%zu jobs read in %.1f s: %.0f events/s, %.0f jobs/s\n", jobs, seconds,
           2.0 * (double)jobs / seconds, (double)jobs / seconds);
    printf("memory %ld MiB resident\n", resident_kib() / 1024);
    bool same = sum_of(built, &built_count) == lived_sum && lived_count == built_count;
    printf("%zu rows, %s those of the index that lived through it\n", built_count,
           same ? "the same as" : "NOT THE SAME AS");
    measure_get(built, jobs);
    measure_pages(built, JJ_ANY_STATE, "page of 100, any state");
    measure_pages(built, JJ_COMPLETED, "page of 100, completed");
    measure_stats(built);
    measure_lag(server.url, built);
    printf("memory %ld MiB resident\n", resident_kib() / 1024);
    jj_close(built);
    if (stat(built_path, &file) == 0)
        printf("file %.0f bytes a job\n", (double)file.st_size / (double)(jobs + LAG_JOBS));
    temp_dir_remove(dir);
    server_done(&server);
    return same ? 0 : 1;
}

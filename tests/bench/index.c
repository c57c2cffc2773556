/* SPDX-License-Identifier: Apache-2.0 */

/* What an index can do: reads a history of many jobs into an empty file, then asks it.
 *
 *     index [jobs]     1000000 unless said otherwise
 *
 * The history is that of no-op jobs: of each a claim with 100 bytes of data, and a completion, in
 * batches of 500, as workers write them. Prints how many events a second were applied, the file's
 * bytes for a job, the process's memory, and how long queries took. Every figure but the first is
 * of the same run on the same file. */

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
    size_t jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct server server = {0};
    char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16], id[JJ_NAME_SIZE];
    struct stat file;
    jj_client *client;
    jj_job *job;
    jj_error err;

    setvbuf(stdout, NULL, _IOLBF, 0);
    server_start(&server, NULL);
    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    write_history(server.url, jobs);

    const jj_options options = {
        .url = server.url, .index_path = path, .timeout_ms = 600000, .connect_timeout_ms = 5000};
    int64_t from_us = jj__clock_mono_us();
    if (jj_open(&options, &client, &err) != JJ_OK)
        fail("open", &err);
    id_of(jobs / BATCH * BATCH - 1, id);
    if (jj_get(client, id, &job, &err) != JJ_OK)
        fail("get", &err);
    jj_job_free(job);
    double seconds = (double)(jj__clock_mono_us() - from_us) / 1e6;
    printf("%zu jobs read in %.1f s: %.0f events/s, %.0f jobs/s\n", jobs, seconds,
           2.0 * (double)jobs / seconds, (double)jobs / seconds);
    printf("memory %ld MiB resident\n", resident_kib() / 1024);
    measure_get(client, jobs);
    measure_pages(client, JJ_ANY_STATE, "page of 100, any state");
    measure_pages(client, JJ_COMPLETED, "page of 100, completed");
    measure_stats(client);
    printf("memory %ld MiB resident\n", resident_kib() / 1024);
    jj_close(client);
    if (stat(path, &file) == 0)
        printf("file %.0f bytes a job\n", (double)file.st_size / (double)jobs);
    temp_dir_remove(dir);
    server_done(&server);
    return 0;
}

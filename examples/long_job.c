/* SPDX-License-Identifier: Apache-2.0 */

/* A long job that tells how far it is, logs, and ends early when it is told to.
 *
 *     NATS_URL=nats://127.0.0.1:4222 long_job FILE...
 *
 * counts the lines of the files. What a job logs is stored with it, heard live on log.job, and read
 * back here with jj_logs(). */

#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/jobs.h"

/* The lines of a file; -1: it can't be read. */
static long count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    long lines = 0;
    int c;

    if (file == NULL)
        return -1;
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    lines = ferror(file) ? -1 : lines;
    fclose(file);
    return lines;
}

static jj_verdict count_all(jj_attempt *attempt, const json_t *files)
{
    size_t count = json_array_size(files);
    long total = 0;

    jj_log(attempt, JJ_LOG_INFO, NULL, "started with %zu files", count);
    for (size_t i = 0; i < count; i++) {
        const char *path = json_string_value(json_array_get(files, i));

        if (jj_attempt_stopping(attempt)) /* the worker stops, or the time is up */
            return jj_retry(attempt, "stopped at file %zu of %zu", i + 1, count);
        jj_progress(attempt, (uint32_t)(100 * i / count), path);
        long lines = path != NULL ? count_lines(path) : -1;
        if (lines < 0) {
            jj_log(attempt, JJ_LOG_WARN, NULL, "file %zu: can't be read", i + 1);
            continue;
        }
        jj_log(attempt, JJ_LOG_DEBUG, NULL, "file %zu: %ld lines", i + 1, lines);
        total += lines;
    }
    jj_progress(attempt, 100, NULL);
    jj_log(attempt, JJ_LOG_INFO, NULL, "completed");
    return job_done(attempt, json_pack("{s:I}", "lines", (json_int_t)total));
}

static jj_verdict count_lines_job(jj_attempt *attempt, void *user)
{
    json_t *files = job_data(attempt);
    jj_verdict verdict = json_is_array(files) ? count_all(attempt, files)
                                              : jj_fail(attempt, "data is not a list of files");

    (void)user;
    json_decref(files);
    return verdict;
}

static jj_status print_logs(jj_client *client, const char *id, jj_error *err)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    jj_lines *lines = NULL;

    jj_status s = jj_logs(client, id, 0, &lines, err);
    for (size_t i = 0; s == JJ_OK && i < jj_lines_count(lines); i++) {
        const jj_log_line *line = jj_lines_get(lines, i);
        printf("  %-5s  %s\n", levels[line->level], line->message);
    }
    jj_lines_free(lines);
    return s;
}

int main(int argc, char **argv)
{
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &jj_adapter_memory};
    const jj_handler_options handling = {.timeout_ms = 60000};
    const jj_spec spec = {.name = "countLines"};
    json_t *files = json_array();
    jj_client *client = NULL;
    jj_receipt receipt;
    jj_error err;

    for (int i = 1; i < argc; i++)
        json_array_append_new(files, json_string(argv[i]));
    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "countLines", count_lines_job, &handling, NULL, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = job_enqueue(client, &spec, json_incref(files), &receipt, &err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, &err);
    if (s == JJ_OK)
        s = print_logs(client, receipt.id, &err);
    if (s != JJ_OK)
        fprintf(stderr, "long_job: %s\n", err.text);
    jj_close(client);
    json_decref(files);
    return s == JJ_OK ? 0 : 1;
}

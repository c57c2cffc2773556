/* SPDX-License-Identifier: Apache-2.0 */

/* A report each Monday at 6, by a recurring schedule that the broker keeps.
 *
 *     NATS_URL=nats://127.0.0.1:4222 weekly_report FOLDER          be the worker, until Ctrl-C
 *     NATS_URL=nats://127.0.0.1:4222 weekly_report FOLDER --now    one report, now
 *
 * Sales are in FOLDER/sales.db, made up if it is not there; a report is FOLDER/sales-DATE.csv, with
 * a line for each of the last seven days on which something was sold. --now does not wait for
 * Monday: it enqueues the same job with the same data once. A report that is made twice is the same
 * file: it is written aside, and moved to its place when it is whole. */

#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/jobs.h"

static const char *const made_up =
    "CREATE TABLE IF NOT EXISTS sales (day TEXT, product TEXT, pieces INTEGER);"
    "INSERT INTO sales SELECT date('now', '-' || value || ' days'), 'tea', value + 1"
    " FROM json_each('[1, 2, 3, 8]') WHERE NOT EXISTS (SELECT 1 FROM sales);";

static const char *const last_week =
    "SELECT day, sum(pieces) FROM sales"
    " WHERE day >= date('now', '-7 days') AND day < date('now') GROUP BY day ORDER BY day";

/* Write what the query gives; how many pieces were sold, or -1. */
static int64_t write_rows(sqlite3 *db, FILE *file)
{
    sqlite3_stmt *rows = NULL;
    int64_t pieces = 0;
    int step = SQLITE_ERROR;

    fputs("day,pieces\n", file);
    if (sqlite3_prepare_v2(db, last_week, -1, &rows, NULL) == SQLITE_OK)
        while ((step = sqlite3_step(rows)) == SQLITE_ROW) {
            pieces += sqlite3_column_int64(rows, 1);
            fprintf(file, "%s,%lld\n", (const char *)sqlite3_column_text(rows, 0),
                    (long long)sqlite3_column_int64(rows, 1));
        }
    sqlite3_finalize(rows);
    return step == SQLITE_DONE && ferror(file) == 0 ? pieces : -1;
}

/* The name of today's report; its path goes to out. */
static bool report_path(sqlite3 *db, const char *folder, char out[PATH_MAX])
{
    sqlite3_stmt *today = NULL;
    int len = PATH_MAX;

    if (sqlite3_prepare_v2(db, "SELECT date('now')", -1, &today, NULL) == SQLITE_OK &&
        sqlite3_step(today) == SQLITE_ROW)
        len = snprintf(out, PATH_MAX, "%s/sales-%s.csv", folder,
                       (const char *)sqlite3_column_text(today, 0));
    sqlite3_finalize(today);
    return len < PATH_MAX;
}

static jj_verdict write_report(jj_attempt *attempt, sqlite3 *db, const char *folder)
{
    char path[PATH_MAX], aside[PATH_MAX + JJ_NAME_SIZE];

    if (!report_path(db, folder, path))
        return jj_retry(attempt, "no name for the report: %s", sqlite3_errmsg(db));
    snprintf(aside, sizeof(aside), "%s.%s", path, jj_attempt_id(attempt));
    FILE *file = fopen(aside, "w");
    if (file == NULL)
        return jj_retry(attempt, "can't write %s", aside);
    int64_t pieces = write_rows(db, file);
    bool written = fclose(file) == 0 && pieces >= 0 && rename(aside, path) == 0;
    if (!written) {
        remove(aside);
        return jj_retry(attempt, "can't write %s", path);
    }
    jj_log(attempt, JJ_LOG_INFO, NULL, "wrote %s", path);
    return job_done(attempt, json_pack("{s:s, s:I}", "file", path, "pieces", (json_int_t)pieces));
}

static jj_verdict generate_report(jj_attempt *attempt, void *folder)
{
    char path[PATH_MAX];
    const char *type = NULL;
    sqlite3 *db = NULL;
    json_t *data = job_data(attempt);
    jj_verdict verdict;

    snprintf(path, sizeof(path), "%s/sales.db", (const char *)folder);
    if (json_unpack(data, "{s:s}", "reportType", &type) != 0 || strcmp(type, "sales") != 0)
        verdict = jj_fail(attempt, "data is not {\"reportType\": \"sales\"}");
    else if (sqlite3_open(path, &db) != SQLITE_OK ||
             sqlite3_exec(db, made_up, NULL, NULL, NULL) != SQLITE_OK)
        verdict = jj_retry(attempt, "%s: %s", path, sqlite3_errmsg(db));
    else
        verdict = write_report(attempt, db, folder);
    sqlite3_close(db);
    json_decref(data);
    return verdict;
}

/* See to it that the schedule is there: done by each start, it is stored once. */
static jj_status schedule(jj_client *client, const jj_spec *job, jj_error *err)
{
    const jj_cron cron = {
        .id = "weekly-sales", .spec = "0 0 6 * * mon", .time_zone = "Europe/Berlin", .job = *job};
    jj_cron_change change;

    jj_status s = jj_cron_add(client, &cron, &change, err);
    if (s == JJ_OK)
        printf("weekly-sales, Mondays at 6: %s\n",
               change == JJ_CRON_UNCHANGED ? "is scheduled already" : "scheduled");
    return s;
}

static jj_status report_now(jj_client *client, const jj_spec *job, jj_error *err)
{
    jj_receipt receipt;

    jj_status s = jj_enqueue(client, job, &receipt, err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, err);
    return s;
}

int main(int argc, char **argv)
{
    static const char data[] = "{\"reportType\":\"sales\"}";
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &jj_adapter_memory};
    const jj_spec job = {.name = "generateReport", .data = data, .data_len = sizeof(data) - 1};
    bool now = argc == 3 && strcmp(argv[2], "--now") == 0;
    jj_client *client = NULL;
    sigset_t ends;
    int signal;
    jj_error err;

    if (argc != 2 && !now) {
        fprintf(stderr, "usage: weekly_report FOLDER [--now]\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are other threads */

    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "generateReport", generate_report, NULL, argv[1], &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = schedule(client, &job, &err);
    if (s == JJ_OK && now)
        s = report_now(client, &job, &err);
    else if (s == JJ_OK)
        sigwait(&ends, &signal);
    if (s != JJ_OK)
        fprintf(stderr, "weekly_report: %s\n", err.text);
    jj_close(client);
    return s == JJ_OK ? 0 : 1;
}

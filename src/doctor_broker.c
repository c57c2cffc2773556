/* SPDX-License-Identifier: Apache-2.0 */

/* The server, the account, this client and its index. */

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jetjobs/index.h>

#include "client.h"
#include "rfc3339.h"

#define NEARLY_FULL_PERCENT 80
#define CLOCK_SLACK_MS      1000
#define LAG_MAX             10000
#define ERR_NO_LEADER       10008 /* JSClusterNotAvailErr */

#define SERVER "server"

/* True if one version, as 2.14.4, is older than another. */
static bool is_older(const char *version, const char *other)
{
    for (int part = 0; part < 3; part++) {
        char *end, *other_end;
        long one = strtol(version, &end, 10), two = strtol(other, &other_end, 10);
        if (one != two)
            return one < two;
        version = *end == '.' ? end + 1 : end;
        other = *other_end == '.' ? other_end + 1 : other_end;
    }
    return false;
}

/* It tells, or its streams do. Those of one before 2.11 know nothing of it. */
static const char *server_version(const struct doctor *doctor)
{
    const json_t *server = json_object_get(doctor->server.answer, "server");
    const json_t *config = json_object_get(doctor->streams[DOCTOR_JOBS].answer, "config");
    const char *version = json_string_value(json_object_get(server, "ver"));

    if (version == NULL)
        version =
            json_string_value(json_object_get(json_object_get(config, "metadata"), "_nats.ver"));
    return version == NULL && config != NULL ? "before 2.11" : version;
}

static void check_server(struct doctor *doctor)
{
    const char *version = server_version(doctor);

    if (version != NULL && is_older(version, "2.14.4"))
        jj__doctor_say(doctor, SEVERITY_ERROR, SERVER, "upgrade it",
                       "nats-server %.40s is too old: jetjobs needs 2.14.4 or later", version);
    if (doctor->account.code == ERR_NO_LEADER)
        jj__doctor_say(doctor, SEVERITY_ERROR, SERVER, "bring servers back, or wait a moment",
                       "JetStream has no leader: most servers of the cluster are gone, or do not "
                       "agree yet");
    else if (doctor->account.status == JJ_ERR_UNAVAILABLE || doctor->account.code != 0)
        jj__doctor_say(
            doctor, SEVERITY_ERROR, SERVER,
            "switch it on in the server's configuration, and for this account; a server that has "
            "run out of disk stops it: make room and restart that",
            "JetStream does not answer: jobs can't be stored");
}

/* Clients are not told. */
static void check_sync(struct doctor *doctor)
{
    const json_t *config = json_object_get(doctor->monitor->jsz, "config");

    if (doctor->monitor->jsz == NULL)
        jj__doctor_say(doctor, SEVERITY_NOTE, SERVER,
                       "see that its configuration has sync_interval: always, or name its "
                       "monitoring by --monitor",
                       "whether messages are on disk before they are acknowledged is not visible "
                       "to a client; without that, a power cut may take acknowledged jobs");
    else if (config != NULL && !json_is_true(json_object_get(config, "sync_always")))
        jj__doctor_say(
            doctor, SEVERITY_WARNING, SERVER, "set sync_interval: always in its configuration",
            "messages are acknowledged before they are on disk, and synced every %lld s: "
            "a power cut may take acknowledged jobs",
            (long long)(jj__doctor_number(config, "sync_interval") / 1000000000));
}

/* A stream that could not be written to its disk is among what it tells, and no client is told. */
static void check_health(struct doctor *doctor)
{
    const json_t *healthz = doctor->monitor->healthz;
    const char *status = json_string_value(json_object_get(healthz, "status"));
    const char *error = json_string_value(json_object_get(healthz, "error"));

    if (status != NULL && strcmp(status, "ok") != 0)
        jj__doctor_say(doctor, SEVERITY_ERROR, SERVER,
                       "if it can't write to its disk, make room and restart it: it does not write "
                       "to that stream again before",
                       "it says that it is not well: %.300s", error == NULL ? status : error);
}

static void check_room(struct doctor *doctor, const char *about, const char *todo, int64_t used,
                       int64_t max)
{
    if (max > 0 && used >= max / 100 * NEARLY_FULL_PERCENT)
        jj__doctor_say(doctor, SEVERITY_WARNING, about, todo,
                       "%lld of %lld bytes of storage are in use: when it is full, jobs are "
                       "refused and due ones do not fire",
                       (long long)used, (long long)max);
}

static void check_storage(struct doctor *doctor)
{
    const json_t *account = doctor->account.answer;

    check_room(doctor, "account", "raise its limit, or keep less history (index.history_bytes)",
               jj__doctor_number(account, "storage"),
               jj__doctor_number(json_object_get(account, "limits"), "max_storage"));
    check_room(doctor, SERVER, "raise its max_file_store, or keep less history",
               jj__doctor_number(doctor->monitor->jsz, "storage"),
               jj__doctor_number(json_object_get(doctor->monitor->jsz, "config"), "max_storage"));
}

static void check_clock(struct doctor *doctor)
{
    const json_t *ts = json_object_get(doctor->streams[DOCTOR_EVENTS].answer, "ts");
    int64_t server_ms;

    if (!json_is_string(ts) || !jj__rfc3339_read(json_string_value(ts), &server_ms))
        return;
    int64_t ahead_ms = doctor->now_ms - server_ms;
    if (ahead_ms > CLOCK_SLACK_MS || ahead_ms < -CLOCK_SLACK_MS)
        jj__doctor_say(doctor, SEVERITY_WARNING, "clock", "set both clocks by NTP",
                       "this machine's clock is %lld ms %s the server's: jobs for later come "
                       "early or late by as much",
                       (long long)(ahead_ms < 0 ? -ahead_ms : ahead_ms),
                       ahead_ms < 0 ? "behind" : "ahead of");
}

/* A stream that is not there can be purged by those who may purge any. */
static void check_permissions(struct doctor *doctor)
{
    if (doctor->purge.answer != NULL)
        jj__doctor_say(doctor, SEVERITY_NOTE, "permissions",
                       "give workers and producers users as in broker/permissions.conf",
                       "this user may purge any stream of its account");
}

static void check_index(struct doctor *doctor)
{
    jj_stats *stats = NULL;
    jj_error err = {0};
    jj_status s = jj_stats_get(doctor->client, &stats, &err);

    if (s == JJ_ERR_NOT_PERMITTED)
        return;
    if (s != JJ_OK)
        jj__doctor_say(doctor, SEVERITY_WARNING, "index", "run jetjobs serve", "%s", err.text);
    else if (jj_stats_lag_jobs(stats) + jj_stats_lag_events(stats) > LAG_MAX)
        jj__doctor_say(doctor, SEVERITY_WARNING, "index",
                       "wait, if it was started just now; else see its log",
                       "it has yet to read %llu messages of JOBS and %llu of JOBS_EVENTS: answers "
                       "are late",
                       (unsigned long long)jj_stats_lag_jobs(stats),
                       (unsigned long long)jj_stats_lag_events(stats));
    jj_stats_free(stats);
}

static void check_sqlite(struct doctor *doctor)
{
    if (is_older(jj__sqlite_version(), "3.51.3"))
        jj__doctor_say(doctor, SEVERITY_NOTE, "sqlite",
                       "let no other program write to an index while it is in use",
                       "SQLite %s may lose commits where several connections copy the log to the "
                       "file (fixed in 3.51.3); an index lets only one",
                       jj__sqlite_version());
}

void jj__doctor_check_broker(struct doctor *doctor)
{
    static void (*const checks[])(struct doctor * doctor) = {
        check_server, check_sync,        check_health, check_storage,
        check_clock,  check_permissions, check_index,  check_sqlite};

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        checks[i](doctor);
}

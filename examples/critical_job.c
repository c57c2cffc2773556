/* SPDX-License-Identifier: Apache-2.0 */

/* A job that must not fail unnoticed: on an error it logs what it knows, emits an event of its own
 * for those who watch, and then fails its attempt, so that it is tried again.
 *
 *     NATS_URL=nats://127.0.0.1:4222 critical_job FOLDER
 *
 * writes a backup into FOLDER/backup, which is not there at first. The watcher, a plain NATS
 * client that could be any program anywhere, hears of that and makes the folder; so the second
 * attempt succeeds. */

#include <errno.h>
#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <limits.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/jobs.h"

#define WAIT_MS 30000

/* The task itself, which knows nothing of jobs: 0, or what went wrong. */
static int write_backup(const char *folder)
{
    char path[PATH_MAX];
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/backup/data", folder) >= PATH_MAX)
        return ENAMETOOLONG;
    file = fopen(path, "w");
    if (file == NULL)
        return errno;
    int error = fputs("precious\n", file) < 0 ? errno : 0;
    return fclose(file) == 0 ? error : errno;
}

static jj_verdict critical_task(jj_attempt *attempt, void *folder)
{
    int error = write_backup(folder);
    if (error == 0)
        return job_done(attempt, json_pack("{s:b}", "saved", 1));

    json_t *about = json_pack("{s:s, s:i}", "error", strerror(error), "errno", error);
    char *text = json_dumps(about, JSON_COMPACT);
    jj_log(attempt, JJ_LOG_ERROR, text, "critical task failed");
    jj_emit(attempt, "error", text); /* on job.event, job.criticalTask.event, job.<id>.event */
    free(text);
    json_decref(about);
    return jj_retry(attempt, "%s", strerror(error));
}

/* Hear of the first error, and do something about it. */
static bool watch_and_mend(natsSubscription *sub, const char *folder)
{
    char path[PATH_MAX];
    natsMsg *msg = NULL;

    if (natsSubscription_NextMsg(&msg, sub, WAIT_MS) != NATS_OK)
        return false;
    json_t *event = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    printf("%s: %s\n", natsMsg_GetSubject(msg),
           json_string_value(json_object_get(json_object_get(event, "data"), "error")));
    json_decref(event);
    natsMsg_Destroy(msg);
    return snprintf(path, sizeof(path), "%s/backup", folder) < PATH_MAX && mkdir(path, 0777) == 0;
}

static bool has_backup(const char *folder)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/backup", folder) >= PATH_MAX || access(path, F_OK) == 0;
}

static jj_status work(const char *url, char *folder, natsSubscription *sub, jj_error *err)
{
    const jj_options options = {.url = url, .adapter = &jj_adapter_memory};
    const jj_spec spec = {.name = "criticalTask", .max_attempts = 5};
    jj_client *client = NULL;
    jj_receipt receipt;

    jj_status s = jj_open(&options, &client, err);
    if (s == JJ_OK)
        s = jj_register(client, "criticalTask", critical_task, NULL, folder, err);
    if (s == JJ_OK)
        s = jj_start(client, err);
    if (s == JJ_OK)
        s = jj_enqueue(client, &spec, &receipt, err);
    if (s == JJ_OK && !watch_and_mend(sub, folder))
        fprintf(stderr, "critical_job: heard of no error, or can't mend it\n");
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, err);
    jj_close(client);
    return s;
}

int main(int argc, char **argv)
{
    const char *url = getenv("NATS_URL") != NULL ? getenv("NATS_URL") : "nats://127.0.0.1:4222";
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    jj_error err = {.text = "can't listen"};
    jj_status s = JJ_ERR_UNAVAILABLE;

    if (argc != 2 || has_backup(argv[1])) {
        fprintf(stderr, "usage: critical_job FOLDER, in which there is no backup yet\n");
        return 2;
    }
    if (natsConnection_ConnectTo(&nc, url) == NATS_OK &&
        natsConnection_SubscribeSync(&sub, nc, "job.criticalTask.event") == NATS_OK &&
        natsConnection_Flush(nc) == NATS_OK)
        s = work(url, argv[1], sub, &err);
    if (s != JJ_OK)
        fprintf(stderr, "critical_job: %s\n", err.text);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    nats_Close();
    return s == JJ_OK ? 0 : 1;
}

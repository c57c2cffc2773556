/* SPDX-License-Identifier: Apache-2.0 */

/* The job processImage: resize a picture, optimize it, make a thumbnail of it.
 *
 *     NATS_URL=nats://127.0.0.1:4222 image_pipeline PICTURES IMAGE OUTPUT
 *
 * reads PICTURES/IMAGE.jpg and writes into the folder OUTPUT. Enqueuer, worker and listener are one
 * process here; each could be a program of its own. The listener is a plain NATS client that knows
 * nothing of jetjobs: `nats sub 'job.>'` hears the same. */

#include <gd.h>
#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <limits.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/jobs.h"

#define WAIT_MS 30000

struct folders {
    const char *pictures, *output;
};

/* One run of the handler. */
struct run {
    jj_attempt *attempt;
    const struct folders *folders;
    const char *id;
    gdImagePtr image, thumbnail;
    bool optimized;
    json_t *files; /* saved so far */
};

/* ---- the handler; in its parts JJ_VERDICT_DONE means: so far, so good ---- */

/* Put into *to a copy of the picture that is so wide. */
static jj_verdict scale(struct run *run, const char *operation, int width, gdImagePtr *to)
{
    int height = gdImageSY(run->image) * width / gdImageSX(run->image);

    gdImageSetInterpolationMethod(run->image, GD_CATMULLROM);
    gdImagePtr scaled = gdImageScale(run->image, (unsigned)width, (unsigned)height);
    if (scaled == NULL)
        return jj_retry(run->attempt, "%s: no memory for %dx%d", operation, width, height);
    if (*to != NULL)
        gdImageDestroy(*to);
    *to = scaled;
    jj_log(run->attempt, JJ_LOG_INFO, NULL, "%s: %dx%d", operation, width, height);
    return JJ_VERDICT_DONE;
}

static jj_verdict apply(struct run *run, const char *operation)
{
    if (strcmp(operation, "resize") == 0)
        return scale(run, operation, 800, &run->image);
    if (strcmp(operation, "thumbnail") == 0)
        return scale(run, operation, 200, &run->thumbnail);
    if (strcmp(operation, "optimize") != 0)
        return jj_fail(run->attempt, "unknown operation '%s'", operation);
    run->optimized = true;
    jj_log(run->attempt, JJ_LOG_INFO, NULL, "optimize: progressive, quality 82, no metadata");
    return JJ_VERDICT_DONE;
}

/* Write a JPEG that is named after its size. */
static jj_verdict save(struct run *run, gdImagePtr image)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s-%dx%d.jpg", run->folders->output, run->id,
                       gdImageSX(image), gdImageSY(image));
    FILE *file = len < PATH_MAX ? fopen(path, "wb") : NULL;

    if (file == NULL)
        return jj_retry(run->attempt, "can't write %s", path);
    gdImageInterlace(image, run->optimized); /* in a JPEG: progressive */
    gdImageJpeg(image, file, run->optimized ? 82 : 95);
    bool written = ferror(file) == 0;
    written = fclose(file) == 0 && written;
    if (!written || json_array_append_new(run->files, json_string(path)) != 0)
        return jj_retry(run->attempt, "can't write %s", path);
    jj_log(run->attempt, JJ_LOG_INFO, NULL, "saved %s", path);
    return JJ_VERDICT_DONE;
}

static jj_verdict process(struct run *run, const json_t *operations)
{
    char path[PATH_MAX];
    size_t count = json_array_size(operations);
    jj_verdict verdict = JJ_VERDICT_DONE;

    if (snprintf(path, sizeof(path), "%s/%s.jpg", run->folders->pictures, run->id) < PATH_MAX)
        run->image = gdImageCreateFromFile(path);
    if (run->image == NULL)
        return jj_retry(run->attempt, "can't read %s as a picture", path);
    for (size_t i = 0; verdict == JJ_VERDICT_DONE && i < count; i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        jj_progress(run->attempt, (uint32_t)(100 * i / count), operation);
        verdict = apply(run, operation != NULL ? operation : "");
    }
    if (verdict == JJ_VERDICT_DONE)
        verdict = save(run, run->image);
    if (verdict == JJ_VERDICT_DONE && run->thumbnail != NULL)
        verdict = save(run, run->thumbnail);
    return verdict;
}

static jj_verdict process_image(jj_attempt *attempt, void *user)
{
    struct run run = {.attempt = attempt, .folders = user, .files = json_array()};
    json_t *operations = NULL, *data = job_data(attempt);
    jj_verdict verdict;

    if (json_unpack(data, "{s:s, s:o}", "imageId", &run.id, "operations", &operations) != 0 ||
        !json_is_array(operations) || strchr(run.id, '/') != NULL)
        verdict = jj_fail(attempt, "data is not {\"imageId\": name, \"operations\": [name, ...]}");
    else
        verdict = process(&run, operations);
    if (verdict == JJ_VERDICT_DONE)
        verdict = job_done(attempt, json_pack("{s:b, s:O, s:O}", "processed", 1, "operations",
                                              operations, "files", run.files));

    if (run.image != NULL)
        gdImageDestroy(run.image);
    if (run.thumbnail != NULL)
        gdImageDestroy(run.thumbnail);
    json_decref(run.files);
    json_decref(data);
    return verdict;
}

/* ---- the listener ---- */

/* One line: the time, the subject, and what there is to say. */
static void print_event(const char *subject, const json_t *event)
{
    static const char *const members[] = {"percent", "level", "message", "error", "durationMs"};
    const char *time = json_string_value(json_object_get(event, "time"));

    printf("%.12s  %-26s", time != NULL && strlen(time) > 11 ? time + 11 : "", subject);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        char *value = json_dumps(json_object_get(event, members[i]), JSON_ENCODE_ANY);
        if (value != NULL)
            printf(" %s=%s", members[i], value);
        free(value);
    }
    printf("\n");
}

/* Show a job's events until it is over, then its result. False unless it completed. */
static bool watch(natsSubscription *sub, const char *id)
{
    int64_t deadline_ms = nats_Now() + WAIT_MS;
    bool completed = false, over = false;
    natsMsg *msg = NULL;

    while (!over && natsSubscription_NextMsg(&msg, sub, deadline_ms - nats_Now()) == NATS_OK) {
        const char *subject = natsMsg_GetSubject(msg);
        json_t *event =
            json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
        const char *job_id = json_string_value(json_object_get(event, "jobId"));

        if (job_id != NULL && strcmp(job_id, id) == 0) {
            print_event(subject, event);
            completed = strcmp(subject, "job.processImage.completed") == 0;
            over = completed || strcmp(subject, "job.processImage.failed") == 0;
        }
        if (completed && json_dumpf(json_object_get(event, "result"), stdout, JSON_COMPACT) == 0)
            printf("\n");
        json_decref(event);
        natsMsg_Destroy(msg);
    }
    if (!over)
        fprintf(stderr, "image_pipeline: job %s is not over after %d ms\n", id, WAIT_MS);
    return completed;
}

/* ---- the enqueuer, and all of it together ---- */

static jj_status enqueue(jj_client *client, const char *image, jj_receipt *receipt_out,
                         jj_error *err)
{
    const jj_spec spec = {.name = "processImage"};

    return job_enqueue(client, &spec,
                       json_pack("{s:s, s:[s, s, s]}", "imageId", image, "operations", "resize",
                                 "optimize", "thumbnail"),
                       receipt_out, err);
}

static natsStatus listen_to(const char *url, natsConnection **nc, natsSubscription **sub)
{
    natsStatus s = natsConnection_ConnectTo(nc, url);

    if (s == NATS_OK)
        s = natsConnection_SubscribeSync(sub, *nc, "job.processImage.*");
    if (s == NATS_OK)
        s = natsConnection_Flush(*nc); /* from here on the server passes on every event */
    return s;
}

/* Be the worker until the one job is over. */
static bool work(const char *url, struct folders *folders, const char *image, natsSubscription *sub)
{
    const jj_options options = {.url = url};
    jj_client *client = NULL;
    jj_receipt job;
    jj_error err = {0};
    bool completed = false;

    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "processImage", process_image, NULL, folders, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = enqueue(client, image, &job, &err);
    if (s == JJ_OK) {
        completed = watch(sub, job.id);
        s = jj_stop(client, &err);
    }
    if (s != JJ_OK)
        fprintf(stderr, "image_pipeline: %s\n", err.text);
    jj_close(client);
    return completed && s == JJ_OK;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: image_pipeline PICTURES IMAGE OUTPUT\n");
        return 1;
    }
    const char *url = getenv("NATS_URL") != NULL ? getenv("NATS_URL") : "nats://127.0.0.1:4222";
    struct folders folders = {.pictures = argv[1], .output = argv[3]};
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    bool completed = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    natsStatus s = listen_to(url, &nc, &sub);
    if (s == NATS_OK)
        completed = work(url, &folders, argv[2], sub);
    else
        fprintf(stderr, "image_pipeline: can't listen: %s\n", natsStatus_GetText(s));
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    nats_Close();
    return completed ? 0 : 1;
}

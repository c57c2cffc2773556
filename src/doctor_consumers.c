/* SPDX-License-Identifier: Apache-2.0 */

/* Consumers, those who should pull from them, and what waits although it should not. */

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cron.h"
#include "rfc3339.h"

#define ERR_CONSUMER_NOT_FOUND 10014
#define OVERDUE_MS             30000
#define OLD_MS                 (INT64_C(3600) * 1000)

/* ---- one consumer ---- */

struct consumer {
    struct doctor *doctor;
    const json_t *info;
    const json_t *config;
    const char *todo; /* where somebody should pull */
    char about[128];
};

static bool text_is(const json_t *config, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(config, key));

    return text != NULL && strcmp(text, wanted) == 0;
}

static void check_definition(const struct consumer *consumer)
{
    struct doctor *doctor = consumer->doctor;
    const json_t *config = consumer->config;

    if (!text_is(config, "ack_policy", "explicit"))
        jj__doctor_say(doctor, SEVERITY_ERROR, consumer->about,
                       "delete it: the next worker makes it again",
                       "ack_policy is not \"explicit\": jobs can be lost with their worker");
    if (jj__doctor_number(config, "max_deliver") > 0)
        jj__doctor_say(doctor, SEVERITY_ERROR, consumer->about,
                       "start a worker of it, which mends that",
                       "max_deliver is %lld: a job whose workers die so often is never run again",
                       (long long)jj__doctor_number(config, "max_deliver"));
    if (json_array_size(json_object_get(config, "backoff")) > 0)
        jj__doctor_say(doctor, SEVERITY_ERROR, consumer->about,
                       "start a worker of it, which mends that",
                       "backoff is set: it overrules ack_wait, and leases do not hold");
    if (json_is_true(json_object_get(consumer->info, "paused")))
        jj__doctor_say(doctor, SEVERITY_WARNING, consumer->about, "resume it", "it is paused");
}

static void check_progress(const struct consumer *consumer)
{
    long long pending = (long long)jj__doctor_number(consumer->info, "num_pending");
    long long waiting = (long long)jj__doctor_number(consumer->info, "num_waiting");
    long long running = (long long)jj__doctor_number(consumer->info, "num_ack_pending");
    long long most = (long long)jj__doctor_number(consumer->config, "max_ack_pending");

    if (most > 0 && running >= most && pending > 0)
        jj__doctor_say(consumer->doctor, SEVERITY_WARNING, consumer->about,
                       "raise fleet_concurrency, or wait",
                       "%lld are in workers' hands, which is all that is allowed, and %lld wait",
                       running, pending);
    else if (pending > 0 && waiting == 0 && running == 0)
        jj__doctor_say(consumer->doctor, SEVERITY_ERROR, consumer->about, consumer->todo,
                       "%lld wait, and nobody asks for them", pending);
}

static void check_consumer(struct doctor *doctor, const json_t *info, const char *about,
                           const char *todo)
{
    struct consumer consumer = {
        .doctor = doctor, .info = info, .config = json_object_get(info, "config"), .todo = todo};

    snprintf(consumer.about, sizeof(consumer.about), "%s", about);
    check_definition(&consumer);
    check_progress(&consumer);
}

/* ---- those of names ---- */

static const json_t *find_consumer(const struct doctor *doctor, const char *subject)
{
    size_t i;
    json_t *info;

    json_array_foreach(
        json_object_get(doctor->consumers.answer, "consumers"), i,
        info) if (text_is(json_object_get(info, "config"), "filter_subject", subject)) return info;
    return NULL;
}

static void check_names(struct doctor *doctor)
{
    size_t i;
    json_t *info;

    json_array_foreach(json_object_get(doctor->consumers.answer, "consumers"), i, info)
    {
        char about[128], expected[128];
        const char *name = json_string_value(json_object_get(info, "name"));
        snprintf(about, sizeof(about), "jobs %.64s", name == NULL ? "?" : name);
        snprintf(expected, sizeof(expected), "jobs.enqueue.%.64s", name == NULL ? "?" : name);
        if (!text_is(json_object_get(info, "config"), "filter_subject", expected))
            jj__doctor_say(doctor, SEVERITY_ERROR, about,
                           "delete that consumer, if nobody else needs it",
                           "a consumer of JOBS has this name, and does not take the jobs of that "
                           "name alone: they may be lost");
        else
            check_consumer(doctor, info, about, "start a worker with a handler of that name");
    }
}

/* In a cluster, those whose servers did not answer are missing in the list. */
static bool is_whole(const struct doctor_fact *consumers)
{
    const json_t *answer = consumers->answer;

    return answer != NULL && consumers->code == 0 &&
           json_array_size(json_object_get(answer, "missing")) == 0 &&
           json_array_size(json_object_get(answer, "consumers")) >=
               (size_t)jj__doctor_number(answer, "total");
}

/* Jobs of names that no worker has ever had; only if the whole list was seen. */
static void check_strays(struct doctor *doctor)
{
    const json_t *state = json_object_get(doctor->streams[DOCTOR_JOBS].answer, "state");
    const char *subject;
    json_t *count;

    if (!is_whole(&doctor->consumers))
        return;
    json_object_foreach(json_object_get(state, "subjects"), subject, count)
    {
        char about[128];
        if (find_consumer(doctor, subject) != NULL)
            continue;
        snprintf(about, sizeof(about), "jobs %.64s", strrchr(subject, '.') + 1);
        jj__doctor_say(doctor, SEVERITY_ERROR, about, "start a worker with a handler of that name",
                       "%lld wait, and no worker has ever had that name",
                       (long long)json_integer_value(count));
    }
}

static void check_oldest(struct doctor *doctor)
{
    const json_t *state = json_object_get(doctor->streams[DOCTOR_JOBS].answer, "state");
    const json_t *first = json_object_get(state, "first_ts");
    int64_t first_ms;

    if (jj__doctor_number(state, "messages") > 0 && json_is_string(first) &&
        jj__rfc3339_read(json_string_value(first), &first_ms) && doctor->now_ms - first_ms > OLD_MS)
        jj__doctor_say(doctor, SEVERITY_WARNING, "jobs", "see whether its worker is stuck",
                       "the oldest one waits or runs for %lld minutes",
                       (long long)((doctor->now_ms - first_ms) / 60000));
}

static void check_due(struct doctor *doctor)
{
    if (doctor->due.code == ERR_CONSUMER_NOT_FOUND)
        jj__doctor_say(doctor, SEVERITY_WARNING, "due jobs", "start a worker, or jetjobs serve",
                       "nobody has ever moved them into the queue: jobs for later and retries "
                       "wait");
    else if (doctor->due.answer != NULL && doctor->due.code == 0)
        check_consumer(doctor, doctor->due.answer, "due jobs", "start a worker, or jetjobs serve");
}

void jj__doctor_check_consumers(struct doctor *doctor)
{
    if (doctor->streams[DOCTOR_JOBS].answer != NULL && doctor->streams[DOCTOR_JOBS].code == 0) {
        check_names(doctor);
        check_strays(doctor);
        check_oldest(doctor);
    }
    if (doctor->streams[DOCTOR_SCHEDULE].answer != NULL &&
        doctor->streams[DOCTOR_SCHEDULE].code == 0)
        check_due(doctor);
}

/* ---- schedules that did not fire ---- */

int64_t jj__doctor_overdue(const char *schedule, int64_t now_ms)
{
    int64_t at_ms;

    if (schedule == NULL || strncmp(schedule, "@at ", 4) != 0 ||
        !jj__rfc3339_read(schedule + 4, &at_ms) || now_ms - at_ms <= OVERDUE_MS)
        return 0;
    return now_ms - at_ms;
}

struct overdue {
    int64_t now_ms;
    size_t count;
    char id[JJ_NAME_SIZE]; /* of one of them */
};

/* Thread: broker. */
static void look_at_schedule(void *ctx, const struct cron_message *message)
{
    struct overdue *overdue = ctx;

    if (jj__doctor_overdue(jj__msg_header(message->msg, JJ__HEADER_SCHEDULE), overdue->now_ms) >
        0) {
        overdue->count++;
        memcpy(overdue->id, message->id, sizeof(overdue->id));
    }
    jj__msg_free(message->msg);
}

void jj__doctor_check_schedules(struct doctor *doctor)
{
    struct overdue overdue = {.now_ms = doctor->now_ms};
    jj_error err = {0};

    if (doctor->streams[DOCTOR_SCHEDULE].answer == NULL ||
        doctor->streams[DOCTOR_SCHEDULE].code != 0)
        return;
    jj_status s = jj__cron_read_all(doctor->client->broker, "jobs.schedule.*.*",
                                    doctor->deadline_ms, look_at_schedule, &overdue, &err);
    if (s != JJ_OK)
        jj__doctor_say(doctor, SEVERITY_NOTE, "schedules", "ask with another user, or again",
                       "not all could be looked at: %s", err.text);
    if (overdue.count > 0)
        jj__doctor_say(doctor, SEVERITY_ERROR, "schedules",
                       "see that there is room on the server's disk; jetjobs serve then revives "
                       "them",
                       "%zu should have fired more than 30 s ago and have not, %s among them: the "
                       "server had to refuse that",
                       overdue.count, overdue.id);
}

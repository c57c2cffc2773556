/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of JOBS that their consumer has passed, so that nobody gets them any more. A broker that
 * is killed between the acknowledgement, which its consumer notes, and the deletion leaves such a
 * message; so does who moves a consumer by hand. Only the index tells which of the two it was.
 * Servers that keep several copies of the stream delete them by themselves after some minutes. */

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>

#include <jetjobs/index.h>

#include "client.h"
#include "subject.h"

#define KEPT_MAX 10 /* that are named of one name */

struct kept {
    struct doctor *doctor;
    const char *name; /* of the jobs */
    uint64_t seq;
    char id[JJ_NAME_SIZE];
    uint32_t attempts; /* that were over when it was stored */
};

/* The first message from a sequence; false: none, or it may not be looked at. */
static bool find_next(struct kept *kept, uint64_t from_seq)
{
    char subject[JJ__SUBJECT_SIZE], body[JJ__SUBJECT_SIZE + 64];
    struct broker_msg *msg = NULL;

    jj__subject_enqueue(subject, kept->name);
    int len = snprintf(body, sizeof(body), "{\"seq\":%llu,\"next_by_subj\":\"%s\"}",
                       (unsigned long long)from_seq, subject);
    const struct outgoing question = {
        .subject = "$JS.API.DIRECT.GET." JJ__STREAM_JOBS, .data = body, .len = (size_t)len};
    if (jj__broker_request(kept->doctor->client->broker, &question, kept->doctor->deadline_ms, &msg,
                           NULL) != JJ_OK)
        return false;
    const char *seq = jj__msg_header(msg, "Nats-Sequence");
    const char *id = jj__msg_header(msg, JJ__HEADER_ID);
    const char *attempts = jj__msg_header(msg, JJ__HEADER_ATTEMPTS);
    bool found = jj__msg_status(msg) == 0 && seq != NULL;
    if (found) {
        kept->seq = strtoull(seq, NULL, 10);
        kept->attempts = attempts == NULL ? 0 : (uint32_t)strtoul(attempts, NULL, 10);
        snprintf(kept->id, sizeof(kept->id), "%s", id != NULL && jj__token_valid(id) ? id : seq);
    }
    jj__msg_free(msg);
    return found;
}

static void say_done(const struct kept *kept, const char *about, const jj_job *job)
{
    char todo[128];

    snprintf(todo, sizeof(todo),
             "jetjobs serve deletes it in time; else nats stream rmm " JJ__STREAM_JOBS " %llu",
             (unsigned long long)kept->seq);
    jj__doctor_say(kept->doctor, SEVERITY_WARNING, about, todo,
                   "message %llu of job %s (%s) is still there, though that is done and nobody "
                   "gets it any more: a broker died before it had deleted it",
                   (unsigned long long)kept->seq, kept->id, jj_state_text(jj_job_state(job)));
}

static void say_passed(const struct kept *kept, const char *about)
{
    char todo[256];

    snprintf(todo, sizeof(todo), "jetjobs cancel %s, then jetjobs retry %s: that enqueues it anew",
             kept->id, kept->id);
    jj__doctor_say(kept->doctor, SEVERITY_ERROR, about, todo,
                   "job %s is pending, and nobody gets its message %llu any more: the consumer "
                   "was moved past it",
                   kept->id, (unsigned long long)kept->seq);
}

static void say_unknown(const struct kept *kept, const char *about)
{
    jj__doctor_say(kept->doctor, SEVERITY_WARNING, about, "run jetjobs serve, and ask again",
                   "nobody gets message %llu of job %s any more, and no index tells whether that "
                   "is over",
                   (unsigned long long)kept->seq, kept->id);
}

/* A job that waits for an attempt that is not this message's, or for none, is done with it. */
static void say(const struct kept *kept, const jj_job *job)
{
    char about[128];

    snprintf(about, sizeof(about), "jobs %.64s", kept->name);
    if (job == NULL)
        say_unknown(kept, about);
    else if (jj_job_state(job) == JJ_PENDING && jj_job_attempts(job) <= kept->attempts)
        say_passed(kept, about);
    else if (jj_job_state(job) != JJ_RUNNING)
        say_done(kept, about, job);
}

/* Say what is known of it, unless it was just being deleted. False: no index knows of it. */
static bool report(struct kept *kept)
{
    const struct kept first = *kept;
    jj_job *job = NULL;

    jj__client_saw(kept->doctor->client, &(struct seqs){.jobs = first.seq});
    bool known = jj_get(kept->doctor->client, first.id, &job, NULL) == JJ_OK;
    if (find_next(kept, first.seq) && kept->seq == first.seq)
        say(&first, job);
    *kept = first;
    jj_job_free(job);
    return known;
}

/* Those up to where the consumer has acknowledged all. */
static void check_consumer(struct doctor *doctor, const json_t *info, const char *name)
{
    struct kept kept = {.doctor = doctor, .name = name};
    uint64_t floor_seq =
        (uint64_t)jj__doctor_number(json_object_get(info, "ack_floor"), "stream_seq");

    for (int i = 0; i < KEPT_MAX; i++) {
        if (!find_next(&kept, kept.seq + 1) || kept.seq > floor_seq || !report(&kept))
            return;
    }
}

/* What the consumer neither has nor will give is there for nothing, but for what came or went
 * between the answers. */
static bool may_keep(const struct doctor *doctor, const json_t *info, const char *subject)
{
    const json_t *state = json_object_get(doctor->streams[DOCTOR_JOBS].answer, "state");
    int64_t there = jj__doctor_number(json_object_get(state, "subjects"), subject);

    return there >
           jj__doctor_number(info, "num_pending") + jj__doctor_number(info, "num_ack_pending");
}

void jj__doctor_check_kept(struct doctor *doctor)
{
    const json_t *config = json_object_get(doctor->streams[DOCTOR_JOBS].answer, "config");
    char name[JJ_NAME_SIZE];
    size_t i;
    json_t *info;

    if (jj__doctor_number(config, "num_replicas") > 1)
        return;
    json_array_foreach(json_object_get(doctor->consumers.answer, "consumers"), i, info)
    {
        const char *subject =
            json_string_value(json_object_get(json_object_get(info, "config"), "filter_subject"));
        if (subject != NULL && jj__subject_read_enqueue(subject, name) &&
            may_keep(doctor, info, subject))
            check_consumer(doctor, info, name);
    }
}

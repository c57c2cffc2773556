/* SPDX-License-Identifier: Apache-2.0 */

/* The three streams: there, as they should be, with a leader, with room. */

#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "definitions.h"
#include "subject.h"

#define NEARLY_FULL_PERCENT  80
#define ERR_STREAM_NOT_FOUND 10059

struct stream {
    struct doctor *doctor;
    enum doctor_stream which;
    const json_t *info;
    const json_t *config;
    char about[32];
};

/* Settings of ours that are not the operator's. The rest of a definition is free. */
static const struct {
    const char *key;
    bool fixed; /* can't be changed later */
} settings[] = {
    {"retention", true},          {"storage", true},        {"subjects", false},
    {"discard", false},           {"deny_purge", false},    {"deny_delete", false},
    {"allow_direct", false},      {"allow_atomic", false},  {"allow_msg_schedules", false},
    {"allow_rollup_hdrs", false}, {"allow_msg_ttl", false},
};

/* Settings that none of our definitions has, and that do harm. */
static const struct {
    const char *key;
    const char *harm;
} harmful[] = {
    {"persist_mode", "what it acknowledged may be lost when the server dies"},
    {"no_ack", "nobody learns whether a job was stored"},
    {"sealed", "nothing can be stored in it"},
    {"mirror", "nothing can be stored in it"},
    {"max_msg_size", "larger jobs are refused"},
    {"max_msgs_per_subject", "jobs and schedules beyond that are dropped or refused"},
    {"subject_transform", "messages are not found where they should be"},
};

static const char *definition_of(enum doctor_stream which)
{
    static const char *const definitions[DOCTOR_STREAMS] = {
        [DOCTOR_JOBS] = jj__definition_stream_jobs,
        [DOCTOR_SCHEDULE] = jj__definition_stream_schedule,
        [DOCTOR_EVENTS] = jj__definition_stream_events,
    };

    return definitions[which];
}

/* The server leaves out what is off. */
static bool is_off(const json_t *value)
{
    const char *text = json_string_value(value);

    return value == NULL || json_is_false(value) || json_is_null(value) ||
           (json_is_integer(value) && json_integer_value(value) <= 0) ||
           (text != NULL && strcmp(text, "default") == 0);
}

static bool has_all(const json_t *wanted, const json_t *found)
{
    size_t i, j;
    json_t *one, *other;

    json_array_foreach(wanted, i, one)
    {
        bool has = false;
        json_array_foreach(found, j, other) has |= json_equal(one, other) != 0;
        if (!has)
            return false;
    }
    return true;
}

static bool is_as_wanted(const json_t *wanted, const json_t *found)
{
    if (json_is_array(wanted))
        return has_all(wanted, found);
    return (is_off(wanted) && is_off(found)) || (found != NULL && json_equal(wanted, found) != 0);
}

static void say_different(const struct stream *stream, const char *key, bool fixed,
                          const json_t *wanted, const json_t *found)
{
    char *ours = json_dumps(wanted, JSON_ENCODE_ANY | JSON_COMPACT);
    char *theirs = found == NULL ? NULL : json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);

    jj__doctor_say(stream->doctor, SEVERITY_ERROR, stream->about,
                   fixed ? "use another account, or move that stream away" : "jetjobs provision",
                   "%s is %s, jetjobs needs %s", key, theirs == NULL ? "unset" : theirs,
                   ours == NULL ? "" : ours);
    free(ours);
    free(theirs);
}

static void check_settings(const struct stream *stream)
{
    json_t *wanted = json_loads(definition_of(stream->which), 0, NULL);

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *key = settings[i].key;
        const json_t *ours = json_object_get(wanted, key);
        const json_t *theirs = json_object_get(stream->config, key);
        if (ours != NULL && !is_as_wanted(ours, theirs))
            say_different(stream, key, settings[i].fixed, ours, theirs);
    }
    if (jj__doctor_number(stream->config, "duplicate_window") <
        jj__doctor_number(wanted, "duplicate_window"))
        say_different(stream, "duplicate_window", false,
                      json_object_get(wanted, "duplicate_window"),
                      json_object_get(stream->config, "duplicate_window"));
    json_decref(wanted);
}

static void check_harmful(const struct stream *stream)
{
    for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++)
        if (!is_off(json_object_get(stream->config, harmful[i].key)))
            jj__doctor_say(stream->doctor, SEVERITY_ERROR, stream->about,
                           "take that setting away, or move the stream away", "%s is set: %s",
                           harmful[i].key, harmful[i].harm);
}

/* Limits that would drop jobs in silence. */
static void check_limits(const struct stream *stream)
{
    static const char *const limits[] = {"max_age", "max_msgs", "max_bytes"};
    size_t count = stream->which == DOCTOR_JOBS ? 1 : 3;

    if (stream->which == DOCTOR_EVENTS)
        return;
    for (size_t i = 0; i < count; i++)
        if (!is_off(json_object_get(stream->config, limits[i])))
            jj__doctor_say(stream->doctor, SEVERITY_ERROR, stream->about, "jetjobs provision",
                           "%s is %lld: jobs beyond that are dropped in silence", limits[i],
                           (long long)jj__doctor_number(stream->config, limits[i]));
}

static void check_room(const struct stream *stream)
{
    int64_t used = jj__doctor_number(json_object_get(stream->info, "state"), "bytes");
    int64_t max = jj__doctor_number(stream->config, "max_bytes");

    if (stream->which == DOCTOR_JOBS && max > 0 && used >= max / 100 * NEARLY_FULL_PERCENT)
        jj__doctor_say(stream->doctor, SEVERITY_WARNING, stream->about,
                       "start more workers, or raise streams.max_bytes",
                       "%lld of %lld bytes are in use: when it is full, jobs are refused",
                       (long long)used, (long long)max);
}

/* A server that was killed counts as behind for minutes, before it is offline. */
static void check_replica(const struct stream *stream, const json_t *replica)
{
    bool offline = json_is_true(json_object_get(replica, "offline"));
    const char *name = json_string_value(json_object_get(replica, "name"));

    if (offline || json_is_false(json_object_get(replica, "current")))
        jj__doctor_say(
            stream->doctor, SEVERITY_WARNING, stream->about,
            "see to that server; until then the next one that fails may stop the stream",
            "its copy on %.100s is %s: it lacks %lld messages, and was last heard of %lld s "
            "ago",
            name == NULL ? "?" : name, offline ? "offline" : "behind",
            (long long)jj__doctor_number(replica, "lag"),
            (long long)(jj__doctor_number(replica, "active") / 1000000000));
}

static void check_cluster(const struct stream *stream)
{
    const json_t *cluster = json_object_get(stream->info, "cluster");
    size_t i;
    json_t *replica;

    if (json_object_get(cluster, "name") == NULL)
        return;
    if (jj__doctor_number(stream->config, "num_replicas") < 2)
        jj__doctor_say(stream->doctor, SEVERITY_WARNING, stream->about,
                       "set streams.replicas to 3, then jetjobs provision",
                       "it is on one server of a cluster: when that fails, it is gone");
    json_array_foreach(json_object_get(cluster, "replicas"), i, replica)
        check_replica(stream, replica);
}

static void check_stream(struct doctor *doctor, enum doctor_stream which)
{
    const struct doctor_fact *fact = &doctor->streams[which];
    struct stream stream = {.doctor = doctor, .which = which, .info = fact->answer};

    snprintf(stream.about, sizeof(stream.about), "stream %s", jj__doctor_stream_names[which]);
    if (fact->status == JJ_ERR_NOT_PERMITTED) {
        jj__doctor_say(doctor, SEVERITY_NOTE, stream.about, "ask with another user",
                       "this user may not look at it");
        return;
    }
    if (fact->code == ERR_STREAM_NOT_FOUND) {
        jj__doctor_say(doctor, SEVERITY_ERROR, stream.about, "jetjobs provision",
                       "it is not there");
        return;
    }
    stream.config = json_object_get(fact->answer, "config");
    if (stream.config == NULL) {
        if (doctor->account.answer != NULL)
            jj__doctor_say(doctor, SEVERITY_ERROR, stream.about, "see the log of the server",
                           "there is no answer about it: perhaps it has no leader");
        return;
    }
    check_settings(&stream);
    check_harmful(&stream);
    check_limits(&stream);
    check_room(&stream);
    check_cluster(&stream);
}

void jj__doctor_check_streams(struct doctor *doctor)
{
    for (enum doctor_stream which = 0; which < DOCTOR_STREAMS; which++)
        check_stream(doctor, which);
}

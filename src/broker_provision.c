/* SPDX-License-Identifier: Apache-2.0 */

/* Streams and consumers: from the JSON files in broker/ to the server, as they are.
 *
 * What exists is the operator's. It is changed only where jetjobs could not work with it or where
 * the options ask for it, and never deleted: what can't be changed is an error that names it. */

#include "broker_provision.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "definitions.h"
#include "subject.h"

#define NS_PER_MS INT64_C(1000000)

#define NO_LEADER_WAIT_MS 250

#define ERR_NO_LEADER          10008
#define ERR_STREAM_NOT_FOUND   10059
#define ERR_STREAM_EXISTS      10058
#define ERR_CONSUMER_NOT_FOUND 10014
#define ERR_CONSUMER_EXISTS    10148
#define ERR_NO_STORAGE         10047
#define ERR_NO_PEERS           10005
#define ERR_STREAM_TOO_LARGE   10122

/* Settings that can't be changed later, or that would change what the stream is. */
static const char *const fixed_keys[] = {"retention", "storage"};

/* Settings that jetjobs needs: updated when they differ. */
static const char *const needed_keys[] = {
    "discard",      "deny_purge",          "deny_delete",       "allow_direct",
    "allow_atomic", "allow_msg_schedules", "allow_rollup_hdrs", "allow_msg_ttl"};

/* Limits that would drop jobs in silence: taken away where we have none. */
static const char *const limit_keys[] = {"max_age", "max_msgs", "max_bytes"};

/* Settings that are the operator's: updated only when the options name them. */
static const char *const chosen_keys[] = {"num_replicas", "max_age", "max_bytes"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- asking the server ---- */

struct api {
    struct broker *broker;
    int64_t deadline_ms;
};

static int error_code(const json_t *answer)
{
    return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "err_code"));
}

static jj_status ask_once(const struct api *api, const struct outgoing *message,
                          json_t **answer_out, jj_error *err)
{
    struct broker_msg *msg = NULL;
    jj_status s = jj__broker_request(api->broker, message, api->deadline_ms, &msg, err);

    if (s == JJ_ERR_UNAVAILABLE && jj__broker_connected(api->broker))
        return jj__fail(err, JJ_ERR_UNAVAILABLE,
                        "JetStream does not answer: is it enabled in the server's configuration?");
    if (s != JJ_OK)
        return s;
    json_t *answer = json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    jj__msg_free(msg);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return jj__fail(err, JJ_ERR_PROTOCOL, "%s: the answer is no JSON object", message->subject);
    }
    *answer_out = answer;
    return JJ_OK;
}

/* Ask the JetStream API. *answer_out is a JSON object, perhaps with "error" in it. A cluster that
 * has just started has no leader, for a few seconds. */
static jj_status api_call(const struct api *api, const char *subject, json_t *body,
                          json_t **answer_out, jj_error *err)
{
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    const struct outgoing message = {
        .subject = subject, .data = text, .len = text == NULL ? 0 : strlen(text)};
    jj_status s;

    if (body != NULL && text == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "request to %s", subject);
    s = ask_once(api, &message, answer_out, err);
    while (s == JJ_OK && error_code(*answer_out) == ERR_NO_LEADER &&
           jj__clock_mono_ms() + NO_LEADER_WAIT_MS < api->deadline_ms) {
        json_decref(*answer_out);
        poll(NULL, 0, NO_LEADER_WAIT_MS);
        s = ask_once(api, &message, answer_out, err);
    }
    free(text);
    return s;
}

/* Turn an error in an answer into ours. */
static jj_status answer_error(const json_t *answer, const char *what, jj_error *err)
{
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "description"));
    jj_status status = json_integer_value(json_object_get(error, "code")) == 503
                           ? JJ_ERR_UNAVAILABLE
                           : JJ_ERR_STATE;

    if (error == NULL)
        return JJ_OK;
    return jj__fail(err, status, "%s: %s (%d)", what, text == NULL ? "refused" : text,
                    error_code(answer));
}

/* ---- streams ---- */

static void choose(json_t *config, const char *key, int64_t value)
{
    if (value > 0)
        json_object_set_new(config, key, json_integer((json_int_t)value));
}

static void apply_settings(json_t *config, const struct stream_settings *settings)
{
    const char *name = json_string_value(json_object_get(config, "name"));

    choose(config, "num_replicas", settings->replicas);
    if (strcmp(name, JJ__STREAM_EVENTS) == 0) {
        choose(config, "max_age", settings->history_ms * NS_PER_MS);
        choose(config, "max_bytes", settings->history_bytes);
    }
    if (strcmp(name, JJ__STREAM_JOBS) == 0)
        choose(config, "max_bytes", settings->jobs_bytes);
}

/* A setting that is off is left out by the server. */
static bool same(const json_t *wanted, const json_t *found)
{
    if (found == NULL)
        return json_is_false(wanted) ||
               (json_is_integer(wanted) && json_integer_value(wanted) == 0);
    return json_equal(wanted, found) != 0;
}

static jj_status refuse(const char *stream, const char *key, const json_t *wanted,
                        const json_t *found, jj_error *err)
{
    char *ours = json_dumps(wanted, JSON_ENCODE_ANY | JSON_COMPACT);
    char *theirs = found == NULL ? NULL : json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    jj_status s =
        jj__fail(err, JJ_ERR_STATE,
                 "stream %s exists with %s %s, jetjobs needs %s, and that can't be "
                 "changed: use another account, or move that stream away",
                 stream, key, theirs == NULL ? "unset" : theirs, ours == NULL ? "" : ours);

    free(ours);
    free(theirs);
    return s;
}

static bool contains(const json_t *array, const json_t *value)
{
    size_t i;
    json_t *entry;

    json_array_foreach(array, i, entry) if (json_equal(entry, value)) return true;
    return false;
}

/* Add our subjects to those that it has. True: something was missing. */
static bool add_subjects(const json_t *wanted, json_t *updated)
{
    json_t *subjects = json_object_get(updated, "subjects");
    bool added = false;
    size_t i;
    json_t *subject;

    json_array_foreach(json_object_get(wanted, "subjects"), i,
                       subject) if (!contains(subjects, subject))
    {
        json_array_append(subjects, subject);
        added = true;
    }
    return added;
}

static bool take_over(const json_t *wanted, json_t *updated, const char *key)
{
    const json_t *value = json_object_get(wanted, key);

    if (value == NULL || same(value, json_object_get(updated, key)))
        return false;
    json_object_set(updated, key, (json_t *)value);
    return true;
}

/* A full stream that refuses is the operator's choice, one that forgets is not. */
static bool remove_limits(const json_t *wanted, json_t *updated)
{
    const char *discard = json_string_value(json_object_get(wanted, "discard"));
    bool refuses = discard != NULL && strcmp(discard, "new") == 0;
    bool changed = false;

    for (size_t i = 0; i < COUNT(limit_keys); i++) {
        const json_t *value = json_object_get(wanted, limit_keys[i]);
        bool unlimited = value != NULL && json_integer_value(value) <= 0;
        if (unlimited && (i == 0 || !refuses))
            changed |= take_over(wanted, updated, limit_keys[i]);
    }
    return changed;
}

/* Change updated, the configuration that the server has, into what we need. */
static jj_status reconcile(const json_t *wanted, const json_t *asked_for, json_t *updated,
                           bool *changed_out, jj_error *err)
{
    const char *stream = json_string_value(json_object_get(wanted, "name"));
    bool changed = add_subjects(wanted, updated);

    for (size_t i = 0; i < COUNT(fixed_keys); i++) {
        const json_t *value = json_object_get(wanted, fixed_keys[i]);
        const json_t *found = json_object_get(updated, fixed_keys[i]);
        if (!same(value, found))
            return refuse(stream, fixed_keys[i], value, found, err);
    }
    for (size_t i = 0; i < COUNT(needed_keys); i++)
        changed |= take_over(wanted, updated, needed_keys[i]);
    for (size_t i = 0; i < COUNT(chosen_keys); i++)
        changed |= take_over(asked_for, updated, chosen_keys[i]);
    changed |= remove_limits(wanted, updated);
    json_int_t window = json_integer_value(json_object_get(wanted, "duplicate_window"));
    if (json_integer_value(json_object_get(updated, "duplicate_window")) < window)
        changed |= take_over(wanted, updated, "duplicate_window");
    *changed_out = changed;
    return JJ_OK;
}

/* An old server drops settings that it does not know, and says nothing. */
static jj_status check_server(const json_t *wanted, const json_t *answer, jj_error *err)
{
    const json_t *config = json_object_get(answer, "config");
    const char *version =
        json_string_value(json_object_get(json_object_get(config, "metadata"), "_nats.ver"));
    unsigned major = 0, minor = 0, patch = 0;
    bool old = version == NULL || sscanf(version, "%u.%u.%u", &major, &minor, &patch) != 3 ||
               major < 2 || (major == 2 && (minor < 14 || (minor == 14 && patch < 4)));

    for (size_t i = 0; !old && i < COUNT(needed_keys); i++) {
        const json_t *value = json_object_get(wanted, needed_keys[i]);
        old = value != NULL && !same(value, json_object_get(config, needed_keys[i]));
    }
    if (!old)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_PROTOCOL,
                    "the server is nats-server %s, jetjobs needs 2.14.4 or later",
                    version == NULL ? "older than 2.11" : version);
}

static bool lacks_room(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "description"));
    int code = error_code(answer);

    return code == ERR_NO_STORAGE || code == ERR_STREAM_TOO_LARGE ||
           (code == ERR_NO_PEERS && text != NULL && strstr(text, "insufficient storage") != NULL);
}

/* A stream reserves its max_bytes: where there is no room for them, say whose wish they are. */
static jj_status refused(const json_t *answer, const json_t *config, jj_error *err)
{
    const char *stream = json_string_value(json_object_get(config, "name"));
    int64_t bytes = json_integer_value(json_object_get(config, "max_bytes"));
    bool is_history = strcmp(stream, JJ__STREAM_EVENTS) == 0;
    char what[JJ__SUBJECT_SIZE];
    jj_error told;

    snprintf(what, sizeof(what), "stream %s", stream);
    if (!lacks_room(answer) || bytes <= 0)
        return answer_error(answer, what, err);
    jj_status s = answer_error(answer, what, &told);
    return jj__fail(err, s,
                    "%s: it reserves %lld bytes: make %s smaller, or give JetStream more room "
                    "(max_file_store, or max_file of the account)",
                    told.text, (long long)bytes,
                    is_history ? "index.history_bytes (in C: jj_options.history_bytes)"
                               : "streams.max_bytes (in C: jj_options.jobs_bytes)");
}

/* One call that is to succeed; its answer shows whether the server understood. */
static jj_status change_stream(const struct api *api, const char *verb, const json_t *wanted,
                               json_t *config, int *error_code_out, jj_error *err)
{
    const char *stream = json_string_value(json_object_get(wanted, "name"));
    char subject[JJ__SUBJECT_SIZE];
    json_t *answer = NULL;

    snprintf(subject, sizeof(subject), "$JS.API.STREAM.%s.%s", verb, stream);
    jj_status s = api_call(api, subject, config, &answer, err);
    if (s != JJ_OK)
        return s;
    *error_code_out = error_code(answer);
    s = refused(answer, config, err);
    if (s == JJ_OK)
        s = check_server(wanted, answer, err);
    json_decref(answer);
    return s;
}

static jj_status update_stream(const struct api *api, const json_t *wanted, const json_t *asked_for,
                               json_t *info, jj_error *err)
{
    json_t *config = json_object_get(info, "config");
    bool changed = false;
    int code = 0;
    jj_status s = reconcile(wanted, asked_for, config, &changed, err);

    if (s != JJ_OK || !changed)
        return s != JJ_OK ? s : check_server(wanted, info, err);
    return change_stream(api, "UPDATE", wanted, config, &code, err);
}

static jj_status provision_stream(const struct api *api, json_t *wanted, const json_t *asked_for,
                                  jj_error *err)
{
    const char *stream = json_string_value(json_object_get(wanted, "name"));
    char subject[JJ__SUBJECT_SIZE];
    json_t *info = NULL;
    int code = 0;

    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", stream);
    jj_status s = api_call(api, subject, NULL, &info, err);
    if (s != JJ_OK)
        return s;
    if (error_code(info) == ERR_STREAM_NOT_FOUND) {
        json_decref(info);
        info = NULL;
        s = change_stream(api, "CREATE", wanted, wanted, &code, err);
        if (s == JJ_OK || code != ERR_STREAM_EXISTS)
            return s;
        s = api_call(api, subject, NULL, &info, err); /* somebody was faster */
        if (s != JJ_OK)
            return s;
    }
    s = answer_error(info, subject, err);
    if (s == JJ_OK)
        s = update_stream(api, wanted, asked_for, info, err);
    json_decref(info);
    return s;
}

jj_status jj__provision_streams(struct broker *broker, const struct log *log,
                                const struct stream_settings *settings, int64_t deadline_ms,
                                jj_error *err)
{
    static const char *const definitions[] = {
        jj__definition_stream_jobs, jj__definition_stream_schedule, jj__definition_stream_events};
    const struct api api = {.broker = broker, .deadline_ms = deadline_ms};
    jj_status s = JJ_OK;

    for (size_t i = 0; s == JJ_OK && i < COUNT(definitions); i++) {
        json_t *wanted = json_loads(definitions[i], 0, NULL);
        json_t *asked_for = json_pack("{s:O}", "name", json_object_get(wanted, "name"));
        if (wanted == NULL || asked_for == NULL)
            s = jj__fail(err, JJ_ERR_NO_MEMORY, "stream definitions");
        if (s == JJ_OK) {
            apply_settings(wanted, settings);
            apply_settings(asked_for, settings);
            s = provision_stream(&api, wanted, asked_for, err);
        }
        json_decref(wanted);
        json_decref(asked_for);
        if (s == JJ_ERR_NOT_PERMITTED) {
            jj__log(log, JJ_LOG_DEBUG, "not permitted to look after streams, left to others");
            return JJ_OK;
        }
    }
    return s;
}

/* ---- consumers ---- */

static json_t *consumer_config(const struct consumer_settings *settings)
{
    char filter[JJ__SUBJECT_SIZE];

    if (settings->name == NULL)
        return json_loads(jj__definition_consumer_due, 0, NULL);
    json_t *config = json_loads(jj__definition_consumer_job, 0, NULL);
    jj__subject_enqueue(filter, settings->name);
    json_object_set_new(config, "durable_name", json_string(settings->name));
    json_object_set_new(config, "filter_subject", json_string(filter));
    return config;
}

static const char *stream_of(const struct consumer_settings *settings)
{
    return settings->name == NULL ? JJ__STREAM_SCHEDULE : JJ__STREAM_JOBS;
}

static jj_status reconcile_consumer(const json_t *wanted, const json_t *asked_for, json_t *updated,
                                    bool *changed_out, jj_error *err)
{
    static const char *const fixed[] = {"filter_subject", "ack_policy", "deliver_policy"};
    static const char *const needed[] = {"max_deliver"}; /* max_waiting can't be changed */
    static const char *const chosen[] = {"ack_wait", "max_ack_pending"};
    const char *name = json_string_value(json_object_get(wanted, "durable_name"));
    bool changed = false;

    for (size_t i = 0; i < COUNT(fixed); i++)
        if (!same(json_object_get(wanted, fixed[i]), json_object_get(updated, fixed[i])))
            return jj__fail(err, JJ_ERR_STATE,
                            "consumer %s exists with another %s than \"%s\": delete it", name,
                            fixed[i], json_string_value(json_object_get(wanted, fixed[i])));
    for (size_t i = 0; i < COUNT(needed); i++)
        changed |= take_over(wanted, updated, needed[i]);
    changed |= json_object_del(updated, "backoff") == 0; /* it would overrule ack_wait */
    for (size_t i = 0; i < COUNT(chosen); i++)
        changed |= take_over(asked_for, updated, chosen[i]);
    *changed_out = changed;
    return JJ_OK;
}

static json_t *consumer_request(const struct consumer_settings *settings, json_t *config)
{
    return json_pack("{s:s, s:O}", "stream_name", stream_of(settings), "config", config);
}

static void create_subject(const struct consumer_settings *settings, const json_t *config,
                           char out[2 * JJ__SUBJECT_SIZE])
{
    snprintf(out, (size_t)2 * JJ__SUBJECT_SIZE, "$JS.API.CONSUMER.CREATE.%s.%s.%s",
             stream_of(settings), json_string_value(json_object_get(config, "durable_name")),
             json_string_value(json_object_get(config, "filter_subject")));
}

/* Set *config to what the server has in the end. */
static jj_status provision_consumer(const struct api *api, const struct consumer_settings *settings,
                                    const json_t *asked_for, json_t **config, jj_error *err)
{
    char subject[2 * JJ__SUBJECT_SIZE];
    const char *name = json_string_value(json_object_get(*config, "durable_name"));
    json_t *answer = NULL;
    bool change = true;

    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.INFO.%s.%s", stream_of(settings), name);
    jj_status s = api_call(api, subject, NULL, &answer, err);
    if (s != JJ_OK)
        return s;
    if (error_code(answer) != ERR_CONSUMER_NOT_FOUND) {
        s = answer_error(answer, subject, err);
        json_t *found = json_object_get(answer, "config");
        if (s == JJ_OK)
            s = reconcile_consumer(*config, asked_for, found, &change, err);
        if (s == JJ_OK) {
            json_decref(*config);
            *config = json_incref(found);
        }
    }
    json_decref(answer);
    if (s != JJ_OK || !change)
        return s;
    create_subject(settings, *config, subject);
    json_t *request = consumer_request(settings, *config);
    answer = NULL;
    s = api_call(api, subject, request, &answer, err);
    json_decref(request);
    if (s == JJ_OK)
        s = answer_error(answer, subject, err);
    json_decref(answer);
    return s;
}

/* To make it again, and only that: the server would change one that is there. */
static char *creation(const struct consumer_settings *settings, json_t *config)
{
    json_t *request = json_pack("{s:s, s:O, s:s}", "stream_name", stream_of(settings), "config",
                                config, "action", "create");
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);

    json_decref(request);
    return text;
}

static jj_status fill_facts(const struct consumer_settings *settings, json_t *config,
                            bool may_create, struct consumer_facts *facts, jj_error *err)
{
    char subject[2 * JJ__SUBJECT_SIZE];

    create_subject(settings, config, subject);
    facts->ack_wait_ms =
        (int64_t)json_integer_value(json_object_get(config, "ack_wait")) / NS_PER_MS;
    facts->max_ack_pending =
        (uint32_t)json_integer_value(json_object_get(config, "max_ack_pending"));
    facts->create_subject = strdup(subject);
    facts->create_body = may_create ? creation(settings, config) : NULL;
    if (facts->create_subject != NULL && (facts->create_body != NULL || !may_create))
        return JJ_OK;
    free(facts->create_subject);
    free(facts->create_body);
    *facts = (struct consumer_facts){0};
    return jj__fail(err, JJ_ERR_NO_MEMORY, "consumer");
}

jj_status jj__provision_consumer(struct broker *broker, const struct consumer_settings *settings,
                                 bool allowed, int64_t deadline_ms,
                                 struct consumer_facts *facts_out, jj_error *err)
{
    const struct api api = {.broker = broker, .deadline_ms = deadline_ms};
    json_t *config = consumer_config(settings);
    json_t *asked_for = json_object();
    jj_status s = JJ_OK;

    if (config == NULL || asked_for == NULL) {
        s = jj__fail(err, JJ_ERR_NO_MEMORY, "consumer definition");
        goto done;
    }
    choose(asked_for, "ack_wait", settings->ack_wait_ms * NS_PER_MS);
    choose(asked_for, "max_ack_pending", settings->fleet_concurrency);
    json_object_update(config, asked_for);
    if (allowed)
        s = provision_consumer(&api, settings, asked_for, &config, err);
    if (s == JJ_ERR_NOT_PERMITTED) {
        allowed = false;
        s = JJ_OK;
    }
    if (s == JJ_OK)
        s = fill_facts(settings, config, allowed, facts_out, err);

done:
    json_decref(config);
    json_decref(asked_for);
    return s;
}

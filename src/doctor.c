/* SPDX-License-Identifier: Apache-2.0 */

/* What is there to know, and the way from a check to whoever wants to hear of it. */

#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "subject.h"

const char *const jj__doctor_stream_names[DOCTOR_STREAMS] = {
    [DOCTOR_JOBS] = JJ__STREAM_JOBS,
    [DOCTOR_SCHEDULE] = JJ__STREAM_SCHEDULE,
    [DOCTOR_EVENTS] = JJ__STREAM_EVENTS,
};

const char *jj__severity_text(enum severity severity)
{
    static const char *const texts[] = {"note", "warning", "error"};

    return texts[severity];
}

void jj__doctor_say(struct doctor *doctor, enum severity severity, const char *about,
                    const char *todo, const char *format, ...)
{
    char what[512];
    const struct finding finding = {
        .severity = severity, .about = about, .what = what, .todo = todo};
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    doctor->take(doctor->ctx, &finding);
}

int64_t jj__doctor_number(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

/* ---- asking ---- */

static void ask(struct doctor *doctor, const char *subject, const char *body,
                struct doctor_fact *fact)
{
    struct broker_msg *msg = NULL;
    const struct outgoing message = {
        .subject = subject, .data = body, .len = body == NULL ? 0 : strlen(body)};

    fact->status =
        jj__broker_request(doctor->client->broker, &message, doctor->deadline_ms, &msg, NULL);
    if (fact->status != JJ_OK)
        return;
    fact->answer = json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    fact->code = (int)jj__doctor_number(json_object_get(fact->answer, "error"), "err_code");
    jj__msg_free(msg);
}

static void forget(struct doctor_fact *fact)
{
    json_decref(fact->answer);
}

/* A page has 256 of them at most. */
static void ask_for_consumers(struct doctor *doctor)
{
    static const char subject[] = "$JS.API.CONSUMER.LIST." JJ__STREAM_JOBS;
    char body[48];

    ask(doctor, subject, "{}", &doctor->consumers);
    json_t *all = json_object_get(doctor->consumers.answer, "consumers");
    size_t total = (size_t)jj__doctor_number(doctor->consumers.answer, "total");
    for (size_t before = 0; json_array_size(all) > before && json_array_size(all) < total;) {
        struct doctor_fact page = {0};
        before = json_array_size(all);
        snprintf(body, sizeof(body), "{\"offset\":%zu}", before);
        ask(doctor, subject, body, &page);
        json_array_extend(all, json_object_get(page.answer, "consumers"));
        forget(&page);
    }
}

static void ask_all(struct doctor *doctor)
{
    char subject[JJ__SUBJECT_SIZE];

    ask(doctor, "$JS.API.INFO", NULL, &doctor->account);
    for (enum doctor_stream stream = 0; stream < DOCTOR_STREAMS; stream++) {
        snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s",
                 jj__doctor_stream_names[stream]);
        ask(doctor, subject,
            stream == DOCTOR_JOBS ? "{\"subjects_filter\":\"jobs.enqueue.*\"}" : "",
            &doctor->streams[stream]);
        doctor->now_ms = jj__clock_wall_ms();
    }
    ask_for_consumers(doctor);
    ask(doctor, "$JS.API.CONSUMER.INFO." JJ__STREAM_SCHEDULE "." JJ__CONSUMER_DUE, NULL,
        &doctor->due);
    ask(doctor, "$JS.API.STREAM.PURGE.jetjobs-there-is-no-such-stream", NULL, &doctor->purge);
    ask(doctor, "$SYS.REQ.ACCOUNT.PING.STATZ", NULL, &doctor->server);
}

jj_status jj__doctor_run(jj_client *client, const struct doctor_monitor *monitor,
                         void (*take)(void *ctx, const struct finding *finding), void *ctx,
                         jj_error *err)
{
    struct doctor doctor = {.client = client,
                            .monitor = monitor,
                            .deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms,
                            .take = take,
                            .ctx = ctx};
    jj_status s = JJ_OK;

    ask_all(&doctor);
    if (!jj__broker_connected(client->broker))
        s = jj__fail(err, JJ_ERR_UNAVAILABLE, "the connection to the broker was lost");
    if (s == JJ_OK) {
        jj__doctor_check_broker(&doctor);
        jj__doctor_check_streams(&doctor);
        jj__doctor_check_consumers(&doctor);
        jj__doctor_check_kept(&doctor);
        jj__doctor_check_schedules(&doctor);
    }
    forget(&doctor.server);
    forget(&doctor.account);
    for (enum doctor_stream stream = 0; stream < DOCTOR_STREAMS; stream++)
        forget(&doctor.streams[stream]);
    forget(&doctor.consumers);
    forget(&doctor.due);
    forget(&doctor.purge);
    return s;
}

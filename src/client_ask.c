/* SPDX-License-Identifier: Apache-2.0 */

/* The public questions: of this client's own index if it has one, else of a service.
 *
 * Either way the index first has to read what this client was told is stored, so that it finds its
 * own jobs. A service answers only true or false to cancel and retry; which of the reasons it was,
 * a second question tells. */

#include "client_ask.h"

#include <string.h>

#include "clock.h"
#include "record.h"
#include "state.h"
#include "subject.h"

#define WAIT_STEP_MS  10000 /* after that long a service that died is noticed */
#define STEP_SLACK_MS 2000  /* for its answer to come */

/* ---- what this client has done ---- */

static void raise_seq(atomic_uint_least64_t *seen, uint64_t seq)
{
    uint_least64_t before = atomic_load(seen);

    while (before < seq && !atomic_compare_exchange_weak(seen, &before, seq))
        ;
}

void jj__client_saw(jj_client *client, const struct seqs *seqs)
{
    raise_seq(&client->seen_jobs, seqs->jobs);
    raise_seq(&client->seen_schedule, seqs->schedule);
    raise_seq(&client->seen_events, seqs->events);
}

struct seqs jj__client_seen(jj_client *client)
{
    return (struct seqs){.jobs = atomic_load(&client->seen_jobs),
                         .schedule = atomic_load(&client->seen_schedule),
                         .events = atomic_load(&client->seen_events)};
}

/* ---- asking ---- */

static jj_status ask_own(jj_client *client, const struct request *request, int64_t deadline_ms,
                         struct answer *answer, jj_error *err)
{
    const struct seqs seen = jj__client_seen(client);
    struct seqs written = {0};
    jj_status s = jj__index_wait(client->index, &seen, NULL, deadline_ms, err);

    if (s != JJ_OK)
        return s;
    if (request->verb != VERB_CANCEL && request->verb != VERB_RETRY)
        return jj__index_query(client->index, request, answer, err);
    s = jj__index_change(client->index, request, deadline_ms, answer, &written, err);
    jj__client_saw(client, &written);
    return s;
}

/* *answer is to be done with in every case. */
static jj_status ask(jj_client *client, const struct request *request, struct answer *answer,
                     jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    const struct remote_question question = {.request = request, .deadline_ms = deadline_ms};

    *answer = (struct answer){.verb = request->verb};
    if (client->index != NULL)
        return ask_own(client, request, deadline_ms, answer, err);
    return jj__ask_remote(client, &question, answer, err);
}

static jj_status request_job(enum verb verb, const char *id, struct request *request, jj_error *err)
{
    jj_status s = jj__token_check("job id", id, err);

    *request = (struct request){.verb = verb, .limit = JJ__LIMIT_DEFAULT};
    if (s == JJ_OK)
        memcpy(request->id, id, strlen(id) + 1);
    return s;
}

static jj_status unknown(const char *id, jj_error *err)
{
    return jj__fail(err, JJ_ERR_NOT_FOUND, "job '%s' is not known", id);
}

/* ---- get ---- */

/* The job that an answer holds becomes the caller's. */
static jj_status take_job(jj_status s, struct answer *answer, const char *id, jj_job **job_out,
                          jj_error *err)
{
    if (s == JJ_OK && answer->job == NULL)
        s = unknown(id, err);
    if (s == JJ_OK) {
        *job_out = answer->job;
        answer->job = NULL;
    }
    jj__answer_done(answer);
    return s;
}

jj_status jj_get(jj_client *client, const char *id, jj_job **job_out, jj_error *err)
{
    struct request request;
    struct answer answer;
    jj_status s = request_job(VERB_GET, id, &request, err);
    if (s != JJ_OK)
        return s;

    s = ask(client, &request, &answer, err);
    return take_job(s, &answer, id, job_out, err);
}

static jj_status request_page(const jj_query *query, struct request *request, jj_error *err)
{
    char id[JJ_NAME_SIZE];
    int64_t created_at_ms;

    if (query == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "query is missing");
    jj_status s = jj__token_check("job name", query->name, err);
    if (s != JJ_OK)
        return s;
    if (query->state != JJ_ANY_STATE && jj_state_text(query->state)[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "state is %d: allowed is one of jj_state",
                        (int)query->state);
    if (query->limit > JJ__LIMIT_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "limit is %u: allowed is 1 to %d",
                        (unsigned)query->limit, JJ__LIMIT_MAX);
    if (query->cursor != NULL && !jj__cursor_read(query->cursor, &created_at_ms, id))
        return jj__fail(err, JJ_ERR_INVALID, "cursor '%.80s' is not from a page before",
                        query->cursor);
    *request = (struct request){.verb = VERB_GET_BY_NAME,
                                .state = query->state,
                                .limit = query->limit == 0 ? JJ__LIMIT_DEFAULT : query->limit};
    memcpy(request->name, query->name, strlen(query->name) + 1);
    if (query->cursor != NULL)
        memcpy(request->cursor, query->cursor, strlen(query->cursor) + 1);
    return JJ_OK;
}

jj_status jj_get_by_name(jj_client *client, const jj_query *query, jj_page **page_out,
                         jj_error *err)
{
    struct request request;
    struct answer answer;
    jj_status s = request_page(query, &request, err);
    if (s != JJ_OK)
        return s;

    s = ask(client, &request, &answer, err);
    if (s == JJ_OK) {
        *page_out = answer.page;
        answer.page = NULL;
    }
    jj__answer_done(&answer);
    return s;
}

/* ---- cancel and redrive ---- */

/* What the verb needs. */
static bool can_be_done(enum verb verb, const jj_record *record)
{
    if (verb == VERB_CANCEL)
        return record->state == JJ_PENDING || record->state == JJ_SCHEDULED;
    return (record->state == JJ_FAILED || record->state == JJ_CANCELLED) && record->data_known;
}

/* It was not done. NOT_FOUND or STATE; OK: the job has gone on since, and it can be done now. */
static jj_status explain(jj_client *client, const struct request *request, const char *done,
                         jj_error *err)
{
    jj_job *job = NULL;
    jj_status s = jj_get(client, request->id, &job, err);

    if (s != JJ_OK)
        return s;
    const jj_record *record = &job->record;
    bool over = record->state == JJ_FAILED || record->state == JJ_CANCELLED;
    if (request->verb == VERB_RETRY && over && !record->data_known)
        s = jj__fail(err, JJ_ERR_STATE, "job '%s' was not %s: its data is not known", record->id,
                     done);
    else if (!can_be_done(request->verb, record))
        s = jj__fail(err, JJ_ERR_STATE, "job '%s' was not %s: it is %s", record->id, done,
                     jj_state_text(record->state));
    jj_job_free(job);
    return s;
}

static jj_status change(jj_client *client, enum verb verb, const char *id, const char *done,
                        jj_error *err)
{
    int64_t until_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    struct request request;
    struct answer answer;
    jj_status s = request_job(verb, id, &request, err);
    bool yes = false;

    while (s == JJ_OK && !yes) {
        s = ask(client, &request, &answer, err);
        yes = answer.yes;
        jj__answer_done(&answer);
        if (s == JJ_OK && !yes)
            s = explain(client, &request, done, err);
        if (s == JJ_OK && !yes && jj__clock_mono_ms() >= until_ms)
            s = jj__fail(err, JJ_ERR_STATE, "job '%s' was not %s: it goes on too fast", id, done);
    }
    return s;
}

jj_status jj_cancel(jj_client *client, const char *id, jj_error *err)
{
    return change(client, VERB_CANCEL, id, "cancelled", err);
}

jj_status jj_redrive(jj_client *client, const char *id, jj_error *err)
{
    return change(client, VERB_RETRY, id, "redriven", err);
}

/* ---- wait ---- */

static bool is_over(const jj_job *job)
{
    return jj__state_is_final(job->record.state);
}

/* Wait for one step: as long as it may take, or until a service should have answered. */
static jj_status step_remote(jj_client *client, const struct request *request, int64_t until_ms,
                             jj_job **job_out, jj_error *err)
{
    struct answer answer;
    int64_t now_ms = jj__clock_mono_ms();
    int64_t wait_ms = until_ms - now_ms;
    struct remote_question question = {.request = request};

    if (wait_ms > WAIT_STEP_MS)
        wait_ms = WAIT_STEP_MS;
    question.wait_ms = wait_ms > 0 ? wait_ms : 0;
    question.deadline_ms = now_ms + question.wait_ms + client->options.timeout_ms;
    if (wait_ms > 0 && client->options.timeout_ms > STEP_SLACK_MS)
        question.deadline_ms = now_ms + wait_ms + STEP_SLACK_MS;
    answer = (struct answer){.verb = VERB_GET};
    jj_status s = jj__ask_remote(client, &question, &answer, err);
    return take_job(s, &answer, request->id, job_out, err);
}

static jj_status step_own(jj_client *client, const struct request *request, int64_t until_ms,
                          jj_job **job_out, jj_error *err)
{
    const struct seqs none = {0};
    jj_status s = JJ_OK;

    if (*job_out != NULL) { /* it is known, and not over */
        s = jj__index_wait(client->index, &none, request->id, until_ms, err);
        jj_job_free(*job_out);
        *job_out = NULL;
    }
    if (s != JJ_OK && s != JJ_ERR_TIMEOUT)
        return s;
    return jj_get(client, request->id, job_out, err);
}

static jj_status not_over(const jj_job *job, int64_t timeout_ms, jj_error *err)
{
    return jj__fail(err, JJ_ERR_TIMEOUT, "job '%s' is %s after %lld ms", job->record.id,
                    jj_state_text(job->record.state), (long long)timeout_ms);
}

/* A step whose service has died is repeated, while there is time. */
static jj_status wait_steps(jj_client *client, const struct request *request, int64_t until_ms,
                            jj_job **job, jj_error *err)
{
    jj_status s;

    do {
        if (client->index != NULL) {
            s = step_own(client, request, until_ms, job, err);
        } else {
            jj_job_free(*job);
            *job = NULL;
            s = step_remote(client, request, until_ms, job, err);
        }
        if (s != JJ_OK && s != JJ_ERR_TIMEOUT)
            return s;
    } while ((s != JJ_OK || !is_over(*job)) && jj__clock_mono_ms() < until_ms);
    return s;
}

jj_status jj_wait(jj_client *client, const char *id, int64_t timeout_ms, jj_job **job_out,
                  jj_error *err)
{
    int64_t now_ms = jj__clock_mono_ms();
    struct request request;
    jj_job *job = NULL;
    jj_status s = request_job(VERB_GET, id, &request, err);

    if (s == JJ_OK && timeout_ms < 0)
        s = jj__fail(err, JJ_ERR_INVALID, "timeout_ms is %lld: allowed is 0 or more",
                     (long long)timeout_ms);
    if (s != JJ_OK)
        return s;
    int64_t until_ms = timeout_ms > INT64_MAX / 2 - now_ms ? INT64_MAX / 2 : now_ms + timeout_ms;
    s = wait_steps(client, &request, until_ms, &job, err);
    if (s == JJ_OK && !is_over(job))
        s = not_over(job, timeout_ms, err);
    if (s != JJ_OK) {
        jj_job_free(job);
        return s;
    }
    *job_out = job;
    return JJ_OK;
}

/* ---- logs and stats ---- */

static jj_status get_lines(jj_client *client, const char *id, uint32_t limit, bool events,
                           jj_lines **lines_out, jj_error *err)
{
    struct request request;
    struct answer answer;
    jj_job *job = NULL;
    jj_status s = request_job(VERB_LOGS, id, &request, err);

    if (s == JJ_OK && limit > JJ__LOGS_MAX)
        s = jj__fail(err, JJ_ERR_INVALID, "limit is %u: allowed is 1 to %d", (unsigned)limit,
                     JJ__LOGS_MAX);
    if (s != JJ_OK)
        return s;
    request.limit = limit == 0 ? JJ__LOGS_MAX : limit;
    request.events = events;
    s = ask(client, &request, &answer, err);
    if (s == JJ_OK && answer.lines->count == 0) /* none, or no such job */
        s = jj_get(client, id, &job, err);
    jj_job_free(job);
    if (s == JJ_OK) {
        *lines_out = answer.lines;
        answer.lines = NULL;
    }
    jj__answer_done(&answer);
    return s;
}

jj_status jj_logs(jj_client *client, const char *id, uint32_t limit, jj_lines **lines_out,
                  jj_error *err)
{
    return get_lines(client, id, limit, false, lines_out, err);
}

jj_status jj_history(jj_client *client, const char *id, uint32_t limit, jj_lines **lines_out,
                     jj_error *err)
{
    return get_lines(client, id, limit, true, lines_out, err);
}

jj_status jj_stats_get(jj_client *client, jj_stats **stats_out, jj_error *err)
{
    const struct request request = {.verb = VERB_STATS, .limit = JJ__LIMIT_DEFAULT};
    struct answer answer;

    jj_status s = ask(client, &request, &answer, err);
    if (s == JJ_OK) {
        *stats_out = answer.stats;
        answer.stats = NULL;
    }
    jj__answer_done(&answer);
    return s;
}

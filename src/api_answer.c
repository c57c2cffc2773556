/* SPDX-License-Identifier: Apache-2.0 */

/* What to answer to a request, on a thread of the pool: read it, ask the index, write it down.
 *
 * An answer has to fit into one message. A page that does not is cut shorter, with a cursor to go
 * on from; where a single job is too large for that, it comes without data and result, so that the
 * jobs behind it can be reached. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_inside.h"
#include "clock.h"
#include "codec_request.h"
#include "record.h"
#include "state.h"
#include "subject.h"
#include "utf8.h"

#define CHANGE_LIMIT_MS 2500
#define HEADERS_ROOM    512 /* for those of an answer */

static size_t answer_max(const struct inquiry *inquiry)
{
    return jj__broker_max_payload(inquiry->api->broker) - HEADERS_ROOM;
}

/* ---- errors ---- */

struct error_code {
    const char *code;
    const char *number;
};

static struct error_code code_of(jj_status status)
{
    switch (status) {
    case JJ_ERR_INVALID:
    case JJ_ERR_TOO_LARGE:
        return (struct error_code){"invalid_argument", "400"};
    case JJ_ERR_TIMEOUT:
        return (struct error_code){"timeout", "504"};
    case JJ_ERR_UNAVAILABLE:
    case JJ_ERR_STORAGE:
    case JJ_ERR_NO_MEMORY:
    case JJ_ERR_STATE:
        return (struct error_code){"unavailable", "503"};
    default:
        return (struct error_code){"internal", "500"};
    }
}

void jj__api_fail(struct inquiry *inquiry, jj_status status, const char *text)
{
    const struct error_code error = code_of(status);
    struct buf *body = &inquiry->body;
    jj_status s;

    snprintf(inquiry->error_text, sizeof(inquiry->error_text), "%s", text);
    jj__utf8_printable(inquiry->error_text);
    inquiry->headers[0] = (jj_header){JJ__HEADER_ERROR_CODE, error.number};
    inquiry->headers[1] = (jj_header){JJ__HEADER_ERROR, inquiry->error_text};
    inquiry->header_count = 2;
    jj__buf_reset(body);
    if (inquiry->protobuf)
        s = jj__pb_write_error(body, error.code, inquiry->error_text, NULL);
    else
        s = jj__json_write_error(body, error.code, inquiry->error_text, NULL);
    if (s != JJ_OK)
        jj__buf_reset(body); /* the headers say it */
}

/* ---- reading ---- */

static jj_status read_request(const struct inquiry *inquiry, struct request *request, jj_error *err)
{
    const void *data = jj__msg_data(inquiry->msg);
    size_t len = jj__msg_len(inquiry->msg);

    *request = (struct request){.verb = inquiry->verb};
    memcpy(request->name, inquiry->name, sizeof(request->name));
    if (inquiry->protobuf)
        return jj__pb_read_request(data, len, request, err);
    return jj__json_read_request(data, len, request, err);
}

/* ---- asking ---- */

static bool changes_something(enum verb verb)
{
    return verb == VERB_CANCEL || verb == VERB_RETRY;
}

static void add_seq(struct inquiry *inquiry, const char *header, uint64_t seq)
{
    char *text = inquiry->seqs_text[inquiry->header_count];

    if (seq == 0)
        return;
    snprintf(text, sizeof(inquiry->seqs_text[0]), "%llu", (unsigned long long)seq);
    inquiry->headers[inquiry->header_count++] = (jj_header){header, text};
}

/* A job that is not known is an answer, and so is one that can't be revived. */
static jj_status ask_index(struct inquiry *inquiry, const struct request *request,
                           struct answer *answer, jj_error *err)
{
    struct index *index = inquiry->api->index;
    struct seqs written = {0};
    jj_status s;

    *answer = (struct answer){.verb = request->verb};
    if (!changes_something(request->verb)) {
        s = jj__index_query(index, request, answer, err);
    } else {
        s = jj__index_change(index, request, jj__clock_mono_ms() + CHANGE_LIMIT_MS, answer,
                             &written, err);
        add_seq(inquiry, JJ__HEADER_JOBS_SEQ, written.jobs);
        add_seq(inquiry, JJ__HEADER_EVENTS_SEQ, written.events);
        if (s == JJ_ERR_STATE)
            s = JJ_ERR_NOT_FOUND;
    }
    if (s == JJ_ERR_NOT_FOUND) {
        jj__answer_done(answer);
        *answer = (struct answer){.verb = request->verb};
        s = JJ_OK;
    }
    if (s == JJ_OK && request->verb == VERB_LOGS && answer->lines == NULL) {
        answer->lines = calloc(1, sizeof(*answer->lines));
        if (answer->lines == NULL)
            return jj__fail(err, JJ_ERR_NO_MEMORY, "answer");
    }
    return s;
}

/* ---- writing ---- */

static jj_status write_answer(struct inquiry *inquiry, const struct answer *answer, jj_error *err)
{
    jj__buf_reset(&inquiry->body);
    inquiry->body.max = answer_max(inquiry);
    if (inquiry->protobuf)
        return jj__pb_write_answer(&inquiry->body, answer, err);
    return jj__json_write_answer(&inquiry->body, answer, err);
}

/* Leave out the jobs behind the first count. */
static jj_status cut_page(jj_page *page, size_t count, jj_error *err)
{
    const jj_record *last = &page->jobs[count - 1]->record;

    if (count == page->count)
        return JJ_OK;
    char *cursor = malloc(JJ__CURSOR_SIZE);
    if (cursor == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "cursor");
    jj__cursor_write(last->created_at_ms, last->id, cursor);
    free(page->cursor);
    page->cursor = cursor;
    while (page->count > count)
        jj_job_free(page->jobs[--page->count]);
    return JJ_OK;
}

static void strip(jj_job *job)
{
    job->record.data_known = false;
    job->record.data = NULL;
    job->record.data_len = 0;
    job->record.result = NULL;
    job->record.result_len = 0;
}

static jj_status write_page(struct inquiry *inquiry, struct answer *answer, jj_error *err)
{
    jj_page *page = answer->page;
    jj_status s = write_answer(inquiry, answer, err);

    while (s == JJ_ERR_TOO_LARGE && page->count > 1) {
        s = cut_page(page, page->count / 2, err);
        if (s == JJ_OK)
            s = write_answer(inquiry, answer, err);
    }
    if (s == JJ_ERR_TOO_LARGE && page->count == 1) {
        strip(page->jobs[0]);
        s = write_answer(inquiry, answer, err);
    }
    return s;
}

static jj_status write_any(struct inquiry *inquiry, struct answer *answer, jj_error *err)
{
    jj_status s = answer->page != NULL ? write_page(inquiry, answer, err)
                                       : write_answer(inquiry, answer, err);

    if (s != JJ_ERR_TOO_LARGE)
        return s;
    return jj__fail(err, s, "the answer does not fit into a message, which may have %zu bytes%s",
                    jj__broker_max_payload(inquiry->api->broker),
                    inquiry->verb == VERB_LOGS ? ": ask for fewer lines" : "");
}

/* ---- all of it ---- */

/* It has asked to be answered when the job is over, and it is not. */
static bool is_to_wait(const struct inquiry *inquiry, const struct answer *answer)
{
    return inquiry->wait_until_ms > jj__clock_mono_ms() && answer->job != NULL &&
           !jj__state_is_final(answer->job->record.state);
}

static jj_status work(struct inquiry *inquiry, jj_error *err)
{
    struct request request;
    struct answer answer;
    jj_status s = read_request(inquiry, &request, err);

    if (s != JJ_OK)
        return s;
    s = ask_index(inquiry, &request, &answer, err);
    if (s == JJ_OK && is_to_wait(inquiry, &answer)) {
        memcpy(inquiry->waiter.until_final, request.id, sizeof(request.id));
        inquiry->parks = true;
    } else if (s == JJ_OK) {
        s = write_any(inquiry, &answer, err);
    }
    jj__answer_done(&answer);
    return s;
}

void jj__api_work(struct inquiry *inquiry)
{
    jj_error err;
    jj_status s = inquiry->verb == VERBS ? jj__api_schedule(inquiry, &err) : work(inquiry, &err);

    if (s != JJ_OK)
        jj__api_fail(inquiry, s, err.text);
}

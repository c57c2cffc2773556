/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of claims and of events. The first byte says which, and of what type the events are. What
 * was read is sane, can be written, reads as the same again, and makes live events. */
#include "fuzz.h"

#include <string.h>

#include "codec_json.h"
#include "codec_pb.h"
#include "subject.h"
#include "utf8.h"

/* ---- what may be relied on ---- */

static void check_job(const struct job *job)
{
    must(jj__token_valid(job->id) && jj__token_valid(job->name));
    must(job->schedule_id == NULL || jj__token_valid(job->schedule_id));
    for (size_t i = 0; i < job->header_count; i++)
        must(jj__header_name_valid(job->headers[i].name) &&
             jj__header_value_valid(job->headers[i].value));
}

static void check_claim(const struct claim *claim)
{
    check_job(claim->job);
    must(claim->attempt > 0 && claim->job->attempts == claim->attempt - 1);
}

static void check_texts(const struct event *event)
{
    const char *texts[] = {event->traceparent, event->error, event->event, event->message};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        must(texts[i] == NULL || (texts[i][0] != '\0' && jj__utf8_valid(texts[i])));
}

static void check_event(const struct event *event)
{
    must(jj__token_valid(event->id));
    must(event->worker == NULL || jj__token_valid(event->worker));
    must(event->data == NULL || jj__json_valid(event->data, strlen(event->data)));
    must(event->percent <= 100 && event->level <= JJ_LOG_ERROR);
    check_texts(event);
    if (event->job != NULL)
        check_job(event->job);
}

/* ---- and back ---- */

static void write_claims(struct buf *out, const struct pb_claims *claims)
{
    size_t room = 256;

    must(jj__pb_write_claims(out, claims->worker, claims->number, claims->time_ms, claims->claims,
                             claims->count, NULL) == JJ_OK);
    for (size_t i = 0; i < claims->count; i++)
        room += jj__pb_claim_size(&claims->claims[i]);
    must(out->len <= room);
}

static void write_events(struct buf *out, const struct pb_events *events)
{
    size_t room = 256;

    must(jj__pb_write_events(out, events->worker, events->events, events->count, NULL) == JJ_OK);
    for (size_t i = 0; i < events->count; i++)
        room += jj__pb_event_size(&events->events[i]);
    must(out->len <= room);
}

static void fuzz_claims(const uint8_t *data, size_t size)
{
    struct pb_claims claims, again;
    struct buf first = {0}, second = {0};
    jj_error err = {0};

    if (jj__pb_read_claims(data, size, &claims, &err) != JJ_OK) {
        must_be_line(&err);
        return;
    }
    for (size_t i = 0; i < claims.count; i++)
        check_claim(&claims.claims[i]);
    write_claims(&first, &claims);
    must(jj__pb_read_claims(first.data, first.len, &again, NULL) == JJ_OK);
    must(again.count == claims.count);
    write_claims(&second, &again);
    must_be_same(&first, &second);
    jj__pb_claims_free(&again);
    jj__pb_claims_free(&claims);
    jj__buf_done(&first);
    jj__buf_done(&second);
}

/* What the subject of a batch says. */
static void set_type(struct pb_events *events, enum event_type type)
{
    for (size_t i = 0; i < events->count; i++) {
        events->events[i].type = type;
        events->events[i].name = "name";
    }
}

/* It is one line of JSON, whatever it holds. */
static void check_live(const struct event *event)
{
    struct buf out = {0};

    jj__json_event(&out, event);
    must(!out.failed && jj__json_valid(out.data, out.len));
    must(memchr(out.data, '\n', out.len) == NULL);
    jj__buf_done(&out);
}

static void fuzz_events(enum event_type type, const uint8_t *data, size_t size)
{
    struct pb_events events, again;
    struct buf first = {0}, second = {0};
    jj_error err = {0};

    if (jj__pb_read_events(data, size, &events, &err) != JJ_OK) {
        must_be_line(&err);
        return;
    }
    set_type(&events, type);
    for (size_t i = 0; i < events.count; i++) {
        check_event(&events.events[i]);
        check_live(&events.events[i]);
    }
    write_events(&first, &events);
    must(jj__pb_read_events(first.data, first.len, &again, NULL) == JJ_OK);
    must(again.count == events.count);
    set_type(&again, type);
    write_events(&second, &again);
    must_be_same(&first, &second);
    jj__pb_events_free(&again);
    jj__pb_events_free(&events);
    jj__buf_done(&first);
    jj__buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        fuzz_claims(data + 1, size - 1);
    else
        fuzz_events((enum event_type)(data[0] / 2 % EVENT_TYPES), data + 1, size - 1);
    return 0;
}

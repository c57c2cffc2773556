/* SPDX-License-Identifier: Apache-2.0 */

/* Enqueueing and scheduling one job: the call waits until it is stored. */

#include <string.h>

#include "clock.h"
#include "duplicate.h"
#include "fault.h"
#include "letter.h"
#include "place.h"
#include "schedule_ask.h"
#include "spec.h"

/* So that the client's next question is answered by an index that has read that far. */
static void saw(jj_client *client, const char *stream, uint64_t seq)
{
    struct seqs seqs = {0};

    if (strcmp(stream, JJ__STREAM_JOBS) == 0)
        seqs.jobs = seq;
    else
        seqs.schedule = seq;
    jj__client_saw(client, &seqs);
}

/* As the service answers, which has looked up whose duplicate it was. */
static jj_status ask_service(jj_client *client, const jj_spec *spec, const struct letter *letter,
                             int64_t deadline_ms, jj_receipt *receipt, jj_error *err)
{
    struct schedule_stored stored;
    jj_status s =
        jj__schedule_ask(client->broker, &letter->message, spec->name, deadline_ms, &stored, err);

    if (s != JJ_OK)
        return s;
    memcpy(receipt->id, stored.id, sizeof(receipt->id));
    receipt->seq = stored.seq;
    receipt->duplicate = stored.duplicate;
    saw(client, JJ__STREAM_SCHEDULE, stored.seq);
    return JJ_OK;
}

/* With an id of the caller's it may be the second time, long after the first: the job may be on its
 * way. */
static void store(jj_client *client, const jj_spec *spec, const struct letter *letter,
                  const char *stream, int64_t deadline_ms, struct publish_result *result)
{
    const struct step first = {0};
    struct publication publication = {
        .messages = &letter->message, .count = 1, .deadline_ms = deadline_ms};

    if (spec->id != NULL && strcmp(stream, JJ__STREAM_SCHEDULE) == 0)
        jj__place_store(client->broker, &letter->message, &first, deadline_ms, result);
    else
        jj__broker_publish_wait(client->broker, &publication, result);
}

static jj_status send_letter(jj_client *client, const jj_spec *spec, const struct letter *letter,
                             const char *stream, jj_receipt *receipt, jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    struct publish_result result;

    memcpy(receipt->id, letter->id, sizeof(receipt->id));
    jj__fault_point("enqueue.ready");
    store(client, spec, letter, stream, deadline_ms, &result);
    jj__fault_point("enqueue.stored");
    if (result.status == JJ_ERR_NOT_PERMITTED && strcmp(stream, JJ__STREAM_SCHEDULE) == 0)
        return ask_service(client, spec, letter, deadline_ms, receipt, err);
    if (result.status != JJ_OK)
        return jj__fail(err, result.status, "%s", result.err.text);
    receipt->seq = result.seq;
    receipt->duplicate = result.duplicate;
    saw(client, stream, result.seq);
    if (!result.duplicate || spec->unique_key == NULL)
        return JJ_OK;
    const struct duplicate duplicate = {
        .stream = stream, .seq = result.seq, .key = spec->unique_key, .deadline_ms = deadline_ms};
    return jj__duplicate_find(client->broker, &client->log, &duplicate, receipt->id, err);
}

static jj_status enqueue_at(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                            jj_receipt *receipt_out, jj_error *err)
{
    const char *stream = run_at_ms > 0 ? JJ__STREAM_SCHEDULE : JJ__STREAM_JOBS;
    struct letter letter;
    jj_receipt receipt = {0};
    jj_status s = jj__letter_write(client, spec, run_at_ms, &letter, err);

    if (s == JJ_OK)
        s = send_letter(client, spec, &letter, stream, &receipt, err);
    jj__letter_free(&letter);
    if (receipt_out != NULL && (s == JJ_OK || s == JJ_ERR_TIMEOUT))
        *receipt_out = receipt;
    return s;
}

jj_status jj_enqueue(jj_client *client, const jj_spec *spec, jj_receipt *receipt_out, jj_error *err)
{
    return enqueue_at(client, spec, 0, receipt_out, err);
}

jj_status jj_schedule(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                      jj_receipt *receipt_out, jj_error *err)
{
    if (run_at_ms > JJ__RFC3339_MAX_MS)
        return jj__fail(err, JJ_ERR_INVALID, "run_at_ms is beyond the year 9999");
    return enqueue_at(client, spec, run_at_ms < 1 ? 1 : run_at_ms, receipt_out, err);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* From a caller's spec to a message.
 *
 * Every job has an id before it is sent, and its Nats-Msg-Id comes from that id or from the unique
 * key: so a call whose outcome is unknown can be repeated, by the caller or by us after a
 * reconnect, and the stream stores one. */

#include "letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define OWN_HEADERS 13

void jj__letter_add(struct letter *letter, const char *name, const char *value)
{
    letter->headers[letter->message.header_count++] = (jj_header){.name = name, .value = value};
}

static void add_job_headers(struct letter *letter, const jj_spec *spec)
{
    jj__letter_add(letter, JJ__HEADER_MSG_ID, letter->msg_id);
    jj__letter_add(letter, JJ__HEADER_ID, letter->id);
    if (spec->unique_key != NULL)
        jj__letter_add(letter, JJ__HEADER_KEY, spec->unique_key);
    letter->message.header_count +=
        jj__spec_headers(spec, &letter->texts, letter->headers + letter->message.header_count);
}

static void add_schedule_headers(struct letter *letter, const jj_spec *spec, int64_t run_at_ms)
{
    jj__subject_schedule(letter->subject, spec->name, letter->id);
    jj__subject_due(letter->target, spec->name);
    jj__resend_at(run_at_ms, letter->at);
    jj__rfc3339_write(run_at_ms, letter->run_at);
    jj__rfc3339_write(jj__clock_wall_ms(), letter->created_at);
    jj__letter_add(letter, JJ__HEADER_SCHEDULE, letter->at);
    jj__letter_add(letter, JJ__HEADER_SCHEDULE_TARGET, letter->target);
    jj__letter_add(letter, JJ__HEADER_RUN_AT, letter->run_at);
    jj__letter_add(letter, JJ__HEADER_CREATED_AT, letter->created_at);
}

static jj_status choose_id(jj_client *client, const jj_spec *spec, char id_out[JJ_NAME_SIZE],
                           jj_error *err)
{
    if (spec->id == NULL)
        return jj__id_new(jj__clock_wall_ms(), id_out, err);
    if (jj__client_has_handler(client, spec->id))
        return jj__fail(err, JJ_ERR_INVALID,
                        "job id '%s' is the name of a handler: their events would mix", spec->id);
    memcpy(id_out, spec->id, strlen(spec->id) + 1);
    return JJ_OK;
}

jj_status jj__letter_write(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                           struct letter *letter, jj_error *err)
{
    jj_status s = jj__spec_check(spec, jj__broker_max_payload(client->broker), err);

    *letter = (struct letter){0};
    if (s == JJ_OK)
        s = choose_id(client, spec, letter->id, err);
    if (s != JJ_OK)
        return s;
    letter->headers = malloc((spec->header_count + OWN_HEADERS) * sizeof(*letter->headers));
    if (letter->headers == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "job headers");
    if (spec->unique_key != NULL)
        snprintf(letter->msg_id, sizeof(letter->msg_id), JJ__KEY_PREFIX "%s", spec->unique_key);
    else
        snprintf(letter->msg_id, sizeof(letter->msg_id), "%s", letter->id);
    jj__subject_enqueue(letter->subject, spec->name);
    add_job_headers(letter, spec);
    if (run_at_ms > 0)
        add_schedule_headers(letter, spec, run_at_ms);
    letter->message.subject = letter->subject;
    letter->message.headers = letter->headers;
    letter->message.data = spec->data;
    letter->message.len = spec->data_len;
    return JJ_OK;
}

void jj__letter_free(struct letter *letter)
{
    free(letter->headers);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Telling live what is stored already: for whoever listens now, never repeated, and nobody waits
 * for it. */

#include "tell.h"

#include "codec_json.h"
#include "subject.h"

static void send(struct broker *broker, const char *subject, const struct buf *body)
{
    const struct outgoing message = {.subject = subject, .data = body->data, .len = body->len};

    jj__ignore(jj__broker_send(broker, &message), "the stored event is what counts");
}

void jj__tell(struct broker *broker, struct buf *body, const struct event *event)
{
    const char *type = jj__event_type_text(event->type);
    char subject[JJ__SUBJECT_SIZE];

    jj__buf_reset(body);
    jj__json_event(body, event);
    if (body->failed || body->len > jj__broker_max_payload(broker)) {
        struct event smaller = *event;
        smaller.result = NULL;
        smaller.result_len = 0;
        jj__buf_reset(body);
        jj__json_event(body, &smaller);
    }
    if (body->failed)
        return;
    jj__subject_live(subject, type);
    send(broker, subject, body);
    jj__subject_live_of(subject, event->name, type);
    send(broker, subject, body);
    if (event->type == EVENT_EVENT) {
        jj__subject_live_of(subject, event->id, type);
        send(broker, subject, body);
    }
    if (event->type == EVENT_LOG) {
        send(broker, JJ__SUBJECT_LOG, body);
        jj__subject_log_of(subject, event->id);
        send(broker, subject, body);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Live events as JSON. Each job sends four or more of them. */

#include "codec_json.h"

#include "log.h"

static void add_what_its_type_adds(struct buf *out, const struct event *event)
{
    switch (event->type) {
    case EVENT_COMPLETED:
        jj__json_add_bytes(out, "result", event->result, event->result_len);
        jj__json_add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_FAILED:
        jj__json_add_text(out, ",\"error\":", event->error);
        jj__json_add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_RETRYING:
        jj__json_add_text(out, ",\"error\":", event->error);
        jj__json_add_time(out,
                          ",\"runAt\":", event->run_at_ms != 0 ? event->run_at_ms : event->time_ms);
        jj__json_add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_PROGRESS:
        jj__json_add_number(out, ",\"percent\":", event->percent);
        jj__json_add_text(out, ",\"message\":", event->message);
        break;
    case EVENT_EVENT:
        jj__json_add_text(out, ",\"event\":", event->event);
        jj__json_add_value(out, ",\"data\":", event->data);
        break;
    case EVENT_LOG:
        jj__json_add_text(out, ",\"level\":", jj__log_level_text(event->level));
        jj__json_add_text(out, ",\"message\":", event->message);
        jj__json_add_value(out, ",\"data\":", event->data);
        break;
    case EVENT_STARTED:
    case EVENT_CANCELLED:
    case EVENT_TYPES:
        break;
    }
}

void jj__json_event(struct buf *out, const struct event *event)
{
    jj__buf_str(out, "{\"type\":\"");
    jj__buf_str(out, jj__event_type_text(event->type));
    jj__buf_char(out, '"');
    jj__json_add_text(out, ",\"jobId\":", event->id);
    jj__json_add_text(out, ",\"name\":", event->name);
    jj__json_add_time(out, ",\"time\":", event->time_ms);
    jj__json_add_number(out, ",\"attempts\":", event->attempts);
    if (event->max_attempts != 0) /* 0: nobody said */
        jj__json_add_number(out, ",\"maxAttempts\":", event->max_attempts);
    jj__json_add_text(out, ",\"worker\":", event->worker);
    add_what_its_type_adds(out, event);
    jj__json_add_text(out, ",\"traceparent\":", event->traceparent);
    jj__buf_char(out, '}');
}

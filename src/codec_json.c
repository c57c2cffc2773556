/* SPDX-License-Identifier: Apache-2.0 */
/* Live events as JSON, and what counts as JSON. Each job sends four or more of these events, so
 * they are appended by hand: building jansson's tree to print it takes several times as long. What
 * others send is never parsed by hand: whether bytes are JSON is decided by jansson alone. */

#include "codec_json.h"

#include <jansson.h>
#include <string.h>

#include "log.h"
#include "rfc3339.h"
#include "utf8.h"

bool jj__json_valid(const void *data, size_t len)
{
    /* any value, "\u0000" within strings, and integers beyond 64 bits: all are RFC 8259 */
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;

    json_t *value = json_loadb(data, len, flags, NULL);
    json_decref(value);
    return value != NULL;
}

/* Whether a byte stands for itself in a JSON string, whatever is around it. */
static bool plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static void add_escaped(struct buf *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";

    const char *name = byte != '\0' ? strchr(names, byte) : NULL;
    jj__buf_char(out, '\\');
    if (name != NULL) {
        jj__buf_char(out, letters[name - names]);
        return;
    }
    jj__buf_str(out, "u00");
    jj__buf_char(out, hex[byte >> 4]);
    jj__buf_char(out, hex[byte & 0xF]);
}

void jj__json_string(struct buf *out, const char *text, size_t len)
{
    size_t written = 0;
    size_t at = 0;

    jj__buf_char(out, '"');
    while (at < len) {
        unsigned char byte = (unsigned char)text[at];
        if (plain(byte)) {
            at++;
            continue;
        }
        size_t char_len = jj__utf8_len(text + at, len - at);
        if (char_len > 1) {
            at += char_len;
            continue;
        }
        jj__buf_add(out, text + written, at - written);
        if (char_len == 1)
            add_escaped(out, byte);
        else
            jj__buf_str(out, "\xEF\xBF\xBD");
        written = ++at;
    }
    jj__buf_add(out, text + written, at - written);
    jj__buf_char(out, '"');
}

static void add_base64(struct buf *out, const unsigned char *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t at = 0; at < len; at += 3) {
        unsigned bits = (unsigned)data[at] << 16;
        char four[4] = {0, 0, '=', '='};

        if (at + 1 < len)
            bits |= (unsigned)data[at + 1] << 8;
        if (at + 2 < len)
            bits |= data[at + 2];
        four[0] = digits[bits >> 18];
        four[1] = digits[bits >> 12 & 0x3F];
        if (at + 1 < len)
            four[2] = digits[bits >> 6 & 0x3F];
        if (at + 2 < len)
            four[3] = digits[bits & 0x3F];
        jj__buf_add(out, four, sizeof(four));
    }
}

/* One JSON value as it is. Line ends can only be white space in it, and become spaces, so that an
 * event is one line. */
static void add_value(struct buf *out, const char *json, size_t len)
{
    char *at = jj__buf_reserve(out, len);

    if (at == NULL)
        return;
    for (size_t i = 0; i < len; i++) {
        at[i] = json[i];
        if (json[i] == '\n' || json[i] == '\r')
            at[i] = ' ';
    }
    out->len += len;
}

/* The members below begin with the comma, since none is the first. NULL is no member. */

static void add_text(struct buf *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    jj__buf_str(out, key);
    jj__json_string(out, text, strlen(text));
}

static void add_number(struct buf *out, const char *key, int64_t number)
{
    jj__buf_str(out, key);
    jj__buf_i64(out, number);
}

static void add_time(struct buf *out, const char *key, int64_t unix_ms)
{
    char text[JJ__RFC3339_SIZE];

    jj__rfc3339_write(unix_ms, text);
    jj__buf_str(out, key);
    jj__buf_char(out, '"');
    jj__buf_add(out, text, sizeof(text) - 1);
    jj__buf_char(out, '"');
}

static void add_data(struct buf *out, const char *json)
{
    if (json == NULL)
        return;
    jj__buf_str(out, ",\"data\":");
    add_value(out, json, strlen(json));
}

static void add_result(struct buf *out, const void *result, size_t len)
{
    if (len == 0)
        return;
    if (jj__json_valid(result, len)) {
        jj__buf_str(out, ",\"result\":");
        add_value(out, result, len);
        return;
    }
    jj__buf_str(out, ",\"resultBase64\":\"");
    add_base64(out, result, len);
    jj__buf_char(out, '"');
}

static void add_what_its_type_adds(struct buf *out, const struct event *event)
{
    switch (event->type) {
    case EVENT_COMPLETED:
        add_result(out, event->result, event->result_len);
        add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_FAILED:
        add_text(out, ",\"error\":", event->error);
        add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_RETRYING:
        add_text(out, ",\"error\":", event->error);
        add_time(out, ",\"runAt\":", event->run_at_ms != 0 ? event->run_at_ms : event->time_ms);
        add_number(out, ",\"durationMs\":", event->duration_ms);
        break;
    case EVENT_PROGRESS:
        add_number(out, ",\"percent\":", event->percent);
        add_text(out, ",\"message\":", event->message);
        break;
    case EVENT_EVENT:
        add_text(out, ",\"event\":", event->event);
        add_data(out, event->data);
        break;
    case EVENT_LOG:
        add_text(out, ",\"level\":", jj__log_level_text(event->level));
        add_text(out, ",\"message\":", event->message);
        add_data(out, event->data);
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
    add_text(out, ",\"jobId\":", event->id);
    add_text(out, ",\"name\":", event->name);
    add_time(out, ",\"time\":", event->time_ms);
    add_number(out, ",\"attempts\":", event->attempts);
    if (event->max_attempts != 0) /* 0: nobody said */
        add_number(out, ",\"maxAttempts\":", event->max_attempts);
    add_text(out, ",\"worker\":", event->worker);
    add_what_its_type_adds(out, event);
    add_text(out, ",\"traceparent\":", event->traceparent);
    jj__buf_char(out, '}');
}

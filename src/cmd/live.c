/* SPDX-License-Identifier: Apache-2.0 */

/* Live events. */

#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "event.h"
#include "json_write.h"
#include "log.h"
#include "print.h"
#include "rfc3339.h"
#include "show.h"
#include "units.h"

#define GAP "  "

json_t *live_read(const jj_live *live)
{
    json_t *event = json_loadb(live->json, live->json_len, JSON_ALLOW_NUL, NULL);

    if (json_is_object(event))
        return event;
    json_decref(event);
    return NULL;
}

const char *live_text(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));

    return text == NULL ? "" : text;
}

static char *value_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);

    return value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static jj_log_level level_of(const char *text)
{
    for (jj_log_level level = JJ_LOG_DEBUG; level <= JJ_LOG_ERROR; level++)
        if (strcmp(text, jj__log_level_text(level)) == 0)
            return level;
    return JJ_LOG_INFO;
}

void live_line(const json_t *event, jj_log_line *line, char **data_out)
{
    *data_out = value_of(event, "data");
    *line =
        (jj_log_line){.level = level_of(live_text(event, "level")),
                      .attempt = (uint32_t)json_integer_value(json_object_get(event, "attempts")),
                      .message = live_text(event, "message"),
                      .data = *data_out};
    jj__rfc3339_read(live_text(event, "time"), &line->time_ms);
}

/* ---- for programs ---- */

/* What is no JSON becomes some. */
static void print_line(const jj_live *live)
{
    struct buf json = {0};

    if (jj__json_valid(live->json, live->json_len)) {
        jj__json_value(&json, live->json, live->json_len);
    } else {
        jj__json_add_text(&json, "{\"subject\":", live->subject);
        jj__json_add_bytes(&json, "data", live->json, live->json_len);
        jj__buf_char(&json, '}');
    }
    print_json(&json);
}

/* ---- for people ---- */

static enum print_colour colour_of(enum event_type type)
{
    static const enum print_colour colours[EVENT_TYPES] = {
        [EVENT_STARTED] = PRINT_BLUE,     [EVENT_COMPLETED] = PRINT_GREEN,
        [EVENT_FAILED] = PRINT_RED,       [EVENT_RETRYING] = PRINT_YELLOW,
        [EVENT_CANCELLED] = PRINT_YELLOW,
    };

    return type < EVENT_TYPES ? colours[type] : PRINT_PLAIN;
}

static void print_part(enum print_colour colour, const char *text)
{
    if (text[0] == '\0')
        return;
    print_plain(GAP);
    print_text(colour, text);
}

static void print_number(const json_t *event, const char *key, const char *unit)
{
    const json_t *value = json_object_get(event, key);
    char text[SHOW_SIZE];

    if (!json_is_integer(value))
        return;
    snprintf(text, sizeof(text), "%lld%s", (long long)json_integer_value(value), unit);
    print_part(PRINT_PLAIN, text);
}

static void print_duration(const json_t *event)
{
    const json_t *value = json_object_get(event, "durationMs");
    char text[UNITS_DURATION_SIZE];

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return;
    units_write_duration(json_integer_value(value), text);
    print_part(PRINT_PLAIN, text);
}

static void print_value(const json_t *event, const char *key)
{
    char *text = value_of(event, key);

    print_part(PRINT_DIM, text == NULL ? "" : text);
    free(text);
}

/* When the next attempt is due. */
static void print_due(const json_t *event)
{
    char due[SHOW_SIZE];
    int64_t time_ms;

    if (!jj__rfc3339_read(live_text(event, "runAt"), &time_ms))
        return;
    show_due(time_ms, due);
    print_part(PRINT_PLAIN, due);
}

static void print_event(const jj_live *live, const json_t *event)
{
    enum event_type type = jj__event_type_read(live_text(event, "type"));
    char text[SHOW_SIZE];

    print_text(PRINT_DIM, live_text(event, "time"));
    snprintf(text, sizeof(text), "%-9s", live_text(event, "type"));
    print_part(colour_of(type), type == EVENT_TYPES ? live->subject : text);
    print_part(PRINT_PLAIN, live_text(event, "name"));
    print_part(PRINT_DIM, live_text(event, "jobId"));
    print_part(PRINT_RED, live_text(event, "error"));
    print_due(event);
    print_number(event, "percent", "%");
    print_part(PRINT_PLAIN, live_text(event, "event"));
    if (type == EVENT_LOG)
        print_part(PRINT_PLAIN, live_text(event, "level"));
    print_part(PRINT_PLAIN, live_text(event, "message"));
    print_duration(event);
    print_value(event, "result");
    print_value(event, "data");
    print_plain("\n");
}

void live_print(const struct program *program, const jj_live *live)
{
    json_t *event = program->json || !print_on_terminal() ? NULL : live_read(live);

    if (event == NULL)
        print_line(live);
    else
        print_event(live, event);
    json_decref(event);
}

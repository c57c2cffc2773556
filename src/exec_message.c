/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of a handler's program: a JSON object to a line. Members that are not known are ignored,
 * so that a program may say more than this version reads. */

#include "exec_message.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "log.h"

static jj_status read_text(const json_t *object, const char *key, const char **text_out,
                           jj_error *err)
{
    const json_t *value = json_object_get(object, key);

    *text_out = json_string_value(value);
    if (value == NULL || json_is_null(value) || json_is_string(value))
        return JJ_OK;
    return jj__fail(err, JJ_ERR_INVALID, "\"%s\" is not a string", key);
}

static jj_status read_level(const json_t *object, jj_log_level *level_out, jj_error *err)
{
    const char *text = NULL;
    jj_status s = read_text(object, "level", &text, err);

    *level_out = JJ_LOG_INFO;
    if (s != JJ_OK || text == NULL)
        return s;
    for (jj_log_level level = JJ_LOG_DEBUG; level <= JJ_LOG_ERROR; level++)
        if (strcmp(text, jj__log_level_text(level)) == 0) {
            *level_out = level;
            return JJ_OK;
        }
    return jj__fail(err, JJ_ERR_INVALID,
                    "\"level\" is '%.32s': allowed is debug, info, warn or error", text);
}

static jj_status read_percent(const json_t *value, uint32_t *percent_out, jj_error *err)
{
    double percent = json_number_value(value);

    if (!json_is_number(value) || !(percent >= 0 && percent <= 100))
        return jj__fail(err, JJ_ERR_INVALID, "\"progress\" is not a number from 0 to 100");
    *percent_out = (uint32_t)percent;
    return JJ_OK;
}

static jj_status read_data(const json_t *object, char **data_out, jj_error *err)
{
    const json_t *value = json_object_get(object, "data");

    if (value == NULL)
        return JJ_OK;
    *data_out = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return *data_out != NULL ? JJ_OK : jj__fail(err, JJ_ERR_NO_MEMORY, "\"data\"");
}

static jj_status read_kind(const json_t *object, struct exec_message *message, jj_error *err)
{
    const json_t *percent = json_object_get(object, "progress");
    bool is_event = json_object_get(object, "event") != NULL;
    bool is_log = json_object_get(object, "log") != NULL;

    if ((percent != NULL) + is_event + is_log != 1)
        return jj__fail(err, JJ_ERR_INVALID,
                        "not one of \"progress\", \"event\" and \"log\" is in it, but %s",
                        percent != NULL || is_event ? "several" : "none");
    if (percent != NULL) {
        message->kind = MESSAGE_PROGRESS;
        jj_status s = read_percent(percent, &message->percent, err);
        return s == JJ_OK ? read_text(object, "message", &message->text, err) : s;
    }
    message->kind = is_event ? MESSAGE_EVENT : MESSAGE_LOG;
    jj_status s = read_text(object, is_event ? "event" : "log", &message->text, err);
    if (s == JJ_OK && message->text == NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "\"%s\" is not a string", is_event ? "event" : "log");
    if (s == JJ_OK && is_log)
        s = read_level(object, &message->level, err);
    return s == JJ_OK ? read_data(object, &message->data, err) : s;
}

jj_status jj__exec_message_read(const char *line, size_t len, struct exec_message *message_out,
                                jj_error *err)
{
    json_error_t problem;
    json_t *object = json_loadb(line, len, JSON_DECODE_ANY, &problem);

    *message_out = (struct exec_message){.memory = object};
    if (object == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "it is no JSON: %.100s", problem.text);
    if (!json_is_object(object))
        return jj__fail(err, JJ_ERR_INVALID, "it is no JSON object");
    return read_kind(object, message_out, err);
}

void jj__exec_message_done(struct exec_message *message)
{
    free(message->data);
    json_decref(message->memory);
}

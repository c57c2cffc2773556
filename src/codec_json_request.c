/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the index service from JSON. Anybody may have sent them: size and depth are bounded
 * before jansson, whose parser calls itself for each level, sees a byte; what it makes of them is
 * at most some forty times as large. */

#include "codec_request.h"

#include <jansson.h>
#include <string.h>

#include "json_plain.h"

#define DEPTH_MAX 32

/* Enough of a value for a text that shows it. */
#define SHOWN_SIZE 64

/* Whether brackets outside of strings nest deeper than is allowed. Right for every beginning of a
 * JSON text, so nothing deeper is parsed, whatever comes after. */
static bool too_deep(const char *json, size_t len)
{
    bool in_string = false;
    unsigned depth = 0;

    for (size_t at = 0; at < len; at++) {
        char c = json[at];
        if (in_string && c == '\\')
            at++;
        else if (c == '"')
            in_string = !in_string;
        else if (in_string)
            continue;
        else if ((c == '[' || c == '{') && ++depth > DEPTH_MAX)
            return true;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return false;
}

struct shown {
    char text[SHOWN_SIZE];
    size_t len;
};

/* Takes what fits, and ends the writing there. */
static int show_part(const char *part, size_t len, void *ctx)
{
    struct shown *shown = ctx;
    size_t room = sizeof(shown->text) - 1 - shown->len;
    size_t take = len < room ? len : room;

    memcpy(shown->text + shown->len, part, take);
    shown->len += take;
    return len <= room ? 0 : -1;
}

static jj_status refuse_value(const char *what, const json_t *value, const char *allowed,
                              jj_error *err)
{
    struct shown shown = {0};

    jj__ignore(json_dump_callback(value, show_part, &shown, JSON_ENCODE_ANY | JSON_COMPACT),
               "what does not fit is not shown");
    return jj__request_refuse(what, shown.text, allowed, err);
}

/* A member that is a string without NUL; null is as good as none. */
static jj_status read_text(const json_t *object, const char *member, const char *allowed,
                           const char **text_out, jj_error *err)
{
    const json_t *value = json_object_get(object, member);

    if (value == NULL || json_is_null(value))
        return JJ_OK;
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return refuse_value(member, value, allowed, err);
    *text_out = json_string_value(value);
    return JJ_OK;
}

static jj_status read_limit(const json_t *object, enum verb verb, int64_t *number,
                            const int64_t **limit_out, jj_error *err)
{
    const json_t *value = json_object_get(object, "limit");

    if (value == NULL || json_is_null(value))
        return JJ_OK;
    if (!json_is_integer(value))
        return refuse_value("limit", value, jj__limit_allowed(verb), err);
    *number = json_integer_value(value);
    *limit_out = number;
    return JJ_OK;
}

static jj_status read_flag(const json_t *object, const char *member, bool *flag_out, jj_error *err)
{
    const json_t *value = json_object_get(object, member);

    if (value == NULL || json_is_null(value))
        return JJ_OK;
    if (!json_is_boolean(value))
        return refuse_value(member, value, "true or false", err);
    *flag_out = json_is_true(value);
    return JJ_OK;
}

/* Those members that the verb knows; texts are the object's. */
static jj_status read_members(const json_t *object, enum verb verb, int64_t *number,
                              struct asked *asked, jj_error *err)
{
    jj_status s = JJ_OK;

    if (verb == VERB_STATS)
        return JJ_OK;
    if (verb != VERB_GET_BY_NAME)
        s = read_text(object, "id", JJ__ALLOWED_TOKEN, &asked->id, err);
    if (s == JJ_OK && verb == VERB_GET_BY_NAME)
        s = read_text(object, "name", JJ__ALLOWED_TOKEN, &asked->name, err);
    if (s == JJ_OK && verb == VERB_GET_BY_NAME)
        s = read_text(object, "status", JJ__ALLOWED_STATUS, &asked->status, err);
    if (s == JJ_OK && verb == VERB_GET_BY_NAME)
        s = read_text(object, "cursor", JJ__ALLOWED_CURSOR, &asked->cursor, err);
    if (s == JJ_OK && (verb == VERB_GET_BY_NAME || verb == VERB_LOGS))
        s = read_limit(object, verb, number, &asked->limit, err);
    if (s == JJ_OK && verb == VERB_LOGS)
        s = read_flag(object, "events", &asked->events, err);
    return s;
}

static jj_status read_object(const json_t *object, struct request *request, jj_error *err)
{
    struct asked asked = {0};
    int64_t number;

    if (!json_is_object(object))
        return refuse_value("request", object, "a JSON object", err);
    jj_status s = read_members(object, request->verb, &number, &asked, err);
    if (s != JJ_OK)
        return s;
    return jj__request_fill(request, &asked, err);
}

/* Why jansson gave no value. Where it has no memory, it says nothing or blames the text. */
static jj_status refuse_text(const void *data, size_t len, const json_error_t *error, jj_error *err)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return jj__fail(err, JJ_ERR_INVALID, "request has a member twice: %s", error->text);
    case json_error_numeric_overflow:
        return jj__fail(err, JJ_ERR_INVALID, "request has a number beyond 64 bits: %s",
                        error->text);
    default:
        break;
    }
    if (error->text[0] == '\0' || jj__json_plain(data, len))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "request");
    return jj__fail(err, JJ_ERR_INVALID, "request is not JSON: %s (byte %d)", error->text,
                    error->position);
}

jj_status jj__json_read_request(const void *data, size_t len, struct request *request,
                                jj_error *err)
{
    /* any value, so that a text can say which it is; NUL in strings, which others may know */
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_error_t error;

    if (len == 0)
        return jj__request_fill(request, &(struct asked){0}, err);
    if (len > JJ__REQUEST_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "request has %zu bytes, and %d are allowed", len,
                        JJ__REQUEST_MAX);
    if (too_deep(data, len))
        return jj__fail(err, JJ_ERR_INVALID, "request has more than %d levels", DEPTH_MAX);

    json_t *object = json_loadb(data, len, flags, &error);
    if (object == NULL)
        return refuse_text(data, len, &error, err);
    jj_status s = read_object(object, request, err);
    json_decref(object);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to an index and its answers, as they are inside the library, whatever carries them.
 *
 * A cursor comes back from strangers. What one stands for is written once more and compared, so
 * that there is one text for each place and no other is taken. */

#include "query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "state.h"
#include "subject.h"

/* "-9223372036854775808-", an id and a NUL. */
#define PLACE_SIZE (21 + JJ_NAME_SIZE)

/* So much of a wrong value is shown. */
#define SHOWN_MAX 40

const char *jj__verb_text(enum verb verb)
{
    static const char *const texts[VERBS] = {
        [VERB_GET] = "get",       [VERB_GET_BY_NAME] = "getByName",
        [VERB_CANCEL] = "cancel", [VERB_RETRY] = "retry",
        [VERB_LOGS] = "logs",     [VERB_STATS] = "stats",
    };

    return texts[verb];
}

/* ---- cursors ---- */

void jj__cursor_write(int64_t created_at_ms, const char *id, char out[JJ__CURSOR_SIZE])
{
    char place[PLACE_SIZE];

    /* digits, '-' and the characters of ids make no '+' and no '/', so this is base64url, too */
    int len = snprintf(place, sizeof(place), "%" PRId64 "-%s", created_at_ms, id);
    size_t written = jj__base64_write(out, place, (size_t)len < sizeof(place) ? (size_t)len : 0);
    while (written > 0 && out[written - 1] == '=')
        written--;
    out[written] = '\0';
}

/* "<created_at_ms>-<id>" */
static bool read_place(const char *place, int64_t *created_at_ms_out, char id_out[JJ_NAME_SIZE])
{
    char *end;

    errno = 0;
    long long created_at_ms = strtoll(place, &end, 10);
    if (errno != 0 || end == place || *end != '-' || !jj__token_valid(end + 1))
        return false;
    *created_at_ms_out = created_at_ms;
    memcpy(id_out, end + 1, strlen(end + 1) + 1);
    return true;
}

bool jj__cursor_read(const char *text, int64_t *created_at_ms_out, char id_out[JJ_NAME_SIZE])
{
    char place[JJ__CURSOR_SIZE];
    char again[JJ__CURSOR_SIZE];
    char id[JJ_NAME_SIZE];
    int64_t created_at_ms;
    size_t len = strlen(text);

    if (len >= JJ__CURSOR_SIZE || !jj__base64_read(text, len, place, &len))
        return false;
    place[len] = '\0';
    if (!read_place(place, &created_at_ms, id))
        return false;
    jj__cursor_write(created_at_ms, id, again);
    if (strcmp(again, text) != 0)
        return false;
    *created_at_ms_out = created_at_ms;
    memcpy(id_out, id, sizeof(id));
    return true;
}

/* ---- requests ---- */

jj_status jj__request_refuse(const char *what, const char *value, const char *allowed,
                             jj_error *err)
{
    size_t len = strnlen(value, SHOWN_MAX + 1);
    bool whole = len <= SHOWN_MAX;

    if (!whole)
        for (len = SHOWN_MAX; len > 0 && ((unsigned char)value[len] & 0xC0) == 0x80; len--)
            continue; /* back to where a character begins */
    return jj__fail(err, JJ_ERR_INVALID, "%s %.*s%s is not %s", what, (int)len, value,
                    whole ? "" : "...", allowed);
}

/* The same for a text, which is shown in quotes. */
static jj_status refuse_text(const char *what, const char *text, const char *allowed, jj_error *err)
{
    char quoted[SHOWN_MAX + 2]; /* one character more than is shown, so that it shows as cut */

    snprintf(quoted, sizeof(quoted), "\"%s\"", text);
    return jj__request_refuse(what, quoted, allowed, err);
}

static jj_status fill_token(char out[JJ_NAME_SIZE], const char *what, const char *text,
                            jj_error *err)
{
    if (text == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "%s is missing", what);
    if (!jj__token_valid(text))
        return refuse_text(what, text, JJ__ALLOWED_TOKEN, err);
    memcpy(out, text, strlen(text) + 1);
    return JJ_OK;
}

/* The name that the subject says may be said again. */
static jj_status fill_name(char out[JJ_NAME_SIZE], const char *name, jj_error *err)
{
    char allowed[JJ_NAME_SIZE + 32];

    if (out[0] == '\0')
        return fill_token(out, "name", name, err);
    if (name == NULL || strcmp(name, out) == 0)
        return JJ_OK;
    snprintf(allowed, sizeof(allowed), "%s, as the subject says", out);
    return refuse_text("name", name, allowed, err);
}

static jj_status fill_status(jj_state *state_out, const char *status, jj_error *err)
{
    if (status == NULL)
        return JJ_OK;

    jj_state state = jj__state_read(status);
    if (state == JJ_ANY_STATE)
        return refuse_text("status", status, JJ__ALLOWED_STATUS, err);
    *state_out = state;
    return JJ_OK;
}

static jj_status fill_cursor(char out[JJ__CURSOR_SIZE], const char *cursor, jj_error *err)
{
    int64_t created_at_ms;
    char id[JJ_NAME_SIZE];

    if (cursor == NULL)
        return JJ_OK;
    if (!jj__cursor_read(cursor, &created_at_ms, id))
        return refuse_text("cursor", cursor, JJ__ALLOWED_CURSOR, err);
    memcpy(out, cursor, strlen(cursor) + 1);
    return JJ_OK;
}

const char *jj__limit_allowed(enum verb verb)
{
    return verb == VERB_LOGS ? "an integer from 1 to 2001" : "an integer from 1 to 1000";
}

static jj_status fill_limit(struct request *request, const int64_t *limit, jj_error *err)
{
    int64_t max = request->verb == VERB_LOGS ? JJ__LOGS_MAX : JJ__LIMIT_MAX;
    char text[24];

    if (limit == NULL)
        return JJ_OK;
    if (*limit < 1 || *limit > max) {
        snprintf(text, sizeof(text), "%" PRId64, *limit);
        return jj__request_refuse("limit", text, jj__limit_allowed(request->verb), err);
    }
    request->limit = (uint32_t)*limit;
    return JJ_OK;
}

static jj_status fill_query(struct request *request, const struct asked *asked, jj_error *err)
{
    jj_status s = fill_name(request->name, asked->name, err);

    if (s == JJ_OK)
        s = fill_status(&request->state, asked->status, err);
    if (s == JJ_OK)
        s = fill_limit(request, asked->limit, err);
    if (s == JJ_OK)
        s = fill_cursor(request->cursor, asked->cursor, err);
    return s;
}

jj_status jj__request_fill(struct request *request, const struct asked *asked, jj_error *err)
{
    struct request filled = {.verb = request->verb, .limit = JJ__LIMIT_DEFAULT};
    jj_status s = JJ_OK;

    memcpy(filled.name, request->name, sizeof(filled.name));
    switch (request->verb) {
    case VERB_GET_BY_NAME:
        s = fill_query(&filled, asked, err);
        break;
    case VERB_LOGS:
        filled.limit = JJ__LOGS_MAX;
        filled.events = asked->events;
        s = fill_token(filled.id, "id", asked->id, err);
        if (s == JJ_OK)
            s = fill_limit(&filled, asked->limit, err);
        break;
    case VERB_GET:
    case VERB_CANCEL:
    case VERB_RETRY:
        s = fill_token(filled.id, "id", asked->id, err);
        break;
    case VERB_STATS:
    case VERBS:
        break;
    }
    if (s == JJ_OK)
        *request = filled;
    return s;
}

/* ---- answers ---- */

size_t jj_page_count(const jj_page *page)
{
    return page->count;
}

const jj_job *jj_page_job(const jj_page *page, size_t at)
{
    return at < page->count ? page->jobs[at] : NULL;
}

const char *jj_page_cursor(const jj_page *page)
{
    return page->cursor;
}

void jj_page_free(jj_page *page)
{
    if (page == NULL)
        return;
    for (size_t i = 0; i < page->count; i++)
        jj_job_free(page->jobs[i]);
    free(page->jobs);
    free(page->cursor);
    free(page);
}

size_t jj_lines_count(const jj_lines *lines)
{
    return lines->count;
}

const jj_log_line *jj_lines_get(const jj_lines *lines, size_t at)
{
    return at < lines->count ? &lines->lines[at] : NULL;
}

void jj_lines_free(jj_lines *lines)
{
    if (lines == NULL)
        return;
    jj__arena_done(&lines->arena);
    free(lines);
}

size_t jj_stats_count(const jj_stats *stats)
{
    return stats->count;
}

const jj_name_stats *jj_stats_name(const jj_stats *stats, size_t at)
{
    return at < stats->count ? &stats->names[at] : NULL;
}

uint64_t jj_stats_lag_jobs(const jj_stats *stats)
{
    return stats->lag_jobs;
}

uint64_t jj_stats_lag_events(const jj_stats *stats)
{
    return stats->lag_events;
}

void jj_stats_free(jj_stats *stats)
{
    if (stats == NULL)
        return;
    for (size_t i = 0; i < stats->count; i++)
        free((char *)stats->names[i].name);
    free(stats->names);
    free(stats);
}

void jj__answer_done(struct answer *answer)
{
    jj_job_free(answer->job);
    jj_page_free(answer->page);
    jj_lines_free(answer->lines);
    jj_stats_free(answer->stats);
    *answer = (struct answer){.verb = answer->verb};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the index service as JSON, one line each. A page may have a thousand jobs, so nothing
 * is built but the text. */

#include "codec_request.h"

#include <assert.h>
#include <string.h>

#include "json_write.h"
#include "log.h"
#include "record.h"

/* ---- members; what is not known is none ---- */

static void add_time(struct buf *out, const char *key, int64_t unix_ms)
{
    if (unix_ms != 0)
        jj__json_add_time(out, key, unix_ms);
}

static void add_times(struct buf *out, const jj_record *record)
{
    add_time(out, ",\"createdAt\":", record->created_at_ms);
    add_time(out, ",\"runAt\":", record->run_at_ms);
    add_time(out, ",\"startedAt\":", record->started_at_ms);
    add_time(out, ",\"completedAt\":", record->completed_at_ms);
}

void jj__json_job(struct buf *out, const jj_record *record)
{
    jj__buf_str(out, "{\"id\":");
    jj__json_string(out, record->id, strlen(record->id));
    jj__json_add_text(out, ",\"name\":", record->name);
    if (record->data_known)
        jj__json_add_bytes(out, "data", record->data, record->data_len);
    jj__json_add_text(out, ",\"status\":", jj_state_text(record->state));
    add_times(out, record);
    jj__json_add_bytes(out, "result", record->result, record->result_len);
    jj__json_add_text(out, ",\"error\":", record->error);
    jj__json_add_number(out, ",\"attempts\":", record->attempts);
    if (record->max_attempts != 0)
        jj__json_add_number(out, ",\"maxAttempts\":", record->max_attempts);
    jj__json_add_number(out, ",\"lost\":", record->lost);
    jj__json_add_text(out, ",\"worker\":", record->worker);
    jj__json_add_text(out, ",\"scheduleId\":", record->schedule_id);
    if (record->progress != JJ_NO_PROGRESS)
        jj__json_add_number(out, ",\"progress\":", record->progress);
    jj__buf_char(out, '}');
}

static void add_page(struct buf *out, const jj_page *page)
{
    jj__buf_str(out, "{\"jobs\":[");
    for (size_t i = 0; i < page->count && !out->failed; i++) {
        if (i != 0)
            jj__buf_char(out, ',');
        jj__json_job(out, &page->jobs[i]->record);
    }
    jj__buf_char(out, ']');
    jj__json_add_text(out, ",\"cursor\":", page->cursor);
    jj__buf_char(out, '}');
}

void jj__json_log_line(struct buf *out, const jj_log_line *line)
{
    jj__json_add_time(out, "{\"time\":", line->time_ms);
    if (line->event != NULL) {
        jj__json_add_text(out, ",\"event\":", line->event);
    } else {
        jj__json_add_text(out, ",\"level\":", jj__log_level_text(line->level));
        jj__json_add_text(out, ",\"message\":", line->message);
    }
    jj__json_add_value(out, ",\"data\":", line->data);
    jj__json_add_number(out, ",\"attempt\":", line->attempt);
    jj__buf_char(out, '}');
}

static void add_lines(struct buf *out, const jj_lines *lines)
{
    jj__buf_str(out, "{\"logs\":[");
    for (size_t i = 0; i < lines->count && !out->failed; i++) {
        if (i != 0)
            jj__buf_char(out, ',');
        jj__json_log_line(out, &lines->lines[i]);
    }
    jj__buf_str(out, "]}");
}

static void add_count(struct buf *out, const char *key, uint64_t count)
{
    jj__buf_str(out, key);
    jj__buf_u64(out, count);
}

static void add_name(struct buf *out, const jj_name_stats *stats)
{
    jj__json_string(out, stats->name, strlen(stats->name));
    add_count(out, ":{\"pending\":", stats->counts[JJ_PENDING]);
    add_count(out, ",\"scheduled\":", stats->counts[JJ_SCHEDULED]);
    add_count(out, ",\"running\":", stats->counts[JJ_RUNNING]);
    add_count(out, ",\"completed\":", stats->counts[JJ_COMPLETED]);
    add_count(out, ",\"failed\":", stats->counts[JJ_FAILED]);
    add_count(out, ",\"cancelled\":", stats->counts[JJ_CANCELLED]);
    jj__buf_char(out, '}');
}

static void add_stats(struct buf *out, const jj_stats *stats)
{
    jj__buf_str(out, "{\"names\":{");
    for (size_t i = 0; i < stats->count && !out->failed; i++) {
        if (i != 0)
            jj__buf_char(out, ',');
        add_name(out, &stats->names[i]);
    }
    add_count(out, "},\"lag\":{\"jobs\":", stats->lag_jobs);
    add_count(out, ",\"events\":", stats->lag_events);
    jj__buf_str(out, "}}");
}

static void add_answer(struct buf *out, const struct answer *answer)
{
    switch (answer->verb) {
    case VERB_GET:
        if (answer->job != NULL)
            jj__json_job(out, &answer->job->record);
        else
            jj__buf_str(out, "null");
        break;
    case VERB_GET_BY_NAME:
        add_page(out, answer->page);
        break;
    case VERB_CANCEL:
        jj__buf_str(out, answer->yes ? "{\"cancelled\":true}" : "{\"cancelled\":false}");
        break;
    case VERB_RETRY:
        jj__buf_str(out, answer->yes ? "{\"retried\":true}" : "{\"retried\":false}");
        break;
    case VERB_LOGS:
        add_lines(out, answer->lines);
        break;
    case VERB_STATS:
        add_stats(out, answer->stats);
        break;
    case VERBS:
        assert(false);
        break;
    }
}

/* Take back what was appended from start on if not all of it could be. */
static jj_status finish(struct buf *out, size_t start, jj_error *err)
{
    bool beyond_max = out->beyond_max;

    if (!out->failed)
        return JJ_OK;
    jj__buf_truncate(out, start);
    if (beyond_max)
        return jj__fail(err, JJ_ERR_TOO_LARGE, "answer would have more than %zu bytes", out->max);
    return jj__fail(err, JJ_ERR_NO_MEMORY, "answer");
}

jj_status jj__json_write_answer(struct buf *out, const struct answer *answer, jj_error *err)
{
    size_t start = out->len;

    add_answer(out, answer);
    return finish(out, start, err);
}

jj_status jj__json_write_error(struct buf *out, const char *code, const char *message,
                               jj_error *err)
{
    size_t start = out->len;

    jj__json_add_text(out, "{\"error\":{\"code\":", code);
    jj__json_add_text(out, ",\"message\":", message);
    jj__buf_str(out, "}}");
    return finish(out, start, err);
}

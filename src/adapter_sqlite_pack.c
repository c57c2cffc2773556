/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a row that no statement looks at, as two pieces of bytes. SQLite spends more time on
 * a row's columns than on finding the row, and a row has two dozen: as bytes, writing one takes
 * three quarters of the time.
 *
 *     fields:  sum, times and counters, worker, schedule_id, error, result, marks
 *     content: sum, data_known, headers, data
 *
 * Numbers are in LEB128, texts and bytes have their length + 1 before them, 0 for NULL; texts keep
 * their NUL, so they are handed out where they are. The sums are there because SQLite sees only
 * damage to its trees: a row in which a bit has changed is to be damage as well, not an answer.
 * They cover the columns of the row, too, and are not meant for other machines. */

#include <string.h>

#include "adapter_sqlite.h"

#define SUM_SIZE    4
#define NUMBER_SIZE 10 /* longest */

/* ---- sums ---- */

static uint64_t add_to_sum(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t word;

    for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    word = 0;
    if (len > 0)
        memcpy(&word, at, len);
    sum = (sum ^ word ^ (uint64_t)len << 56) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

static uint32_t sum_of_fields(const jj_record *record, const void *bytes, size_t len)
{
    const int64_t columns[] = {(int64_t)record->state, record->created_at_ms, record->run_at_ms,
                               record->completed_at_ms};
    uint64_t sum = add_to_sum(1, columns, sizeof(columns));

    sum = add_to_sum(sum, record->id, strlen(record->id));
    sum = add_to_sum(sum, record->name, strlen(record->name));
    return (uint32_t)add_to_sum(sum, bytes, len);
}

static uint32_t sum_of_content(const jj_record *record, const void *bytes, size_t len)
{
    return (uint32_t)add_to_sum(add_to_sum(2, record->id, strlen(record->id)), bytes, len);
}

uint32_t jj__sqlite_sum_of_offsets(const jj_offsets *offsets)
{
    const jj_offset *all[] = {&offsets->jobs, &offsets->schedule, &offsets->events};
    uint64_t sum = 3;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        sum = add_to_sum(sum, &all[i]->seq, sizeof(all[i]->seq));
        sum = add_to_sum(sum, all[i]->created, strlen(all[i]->created));
    }
    return (uint32_t)sum;
}

/* ---- packing ---- */

static char *put_number(char *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (char)(number | 0x80);
    *at++ = (char)number;
    return at;
}

static char *put_bytes(char *at, const void *bytes, size_t len)
{
    at = put_number(at, bytes == NULL ? 0 : (uint64_t)len + 1);
    if (bytes == NULL || len == 0)
        return at;
    memcpy(at, bytes, len);
    return at + len;
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static char *put_text(char *at, const char *text)
{
    return put_bytes(at, text, text_size(text));
}

bool jj__sqlite_pack_fields(struct buf *out, const jj_record *record)
{
    size_t texts =
        text_size(record->worker) + text_size(record->schedule_id) + text_size(record->error);

    jj__buf_reset(out);
    char *start = jj__buf_reserve(out, SUM_SIZE + 12 * NUMBER_SIZE + texts + record->result_len +
                                           record->marks_len);
    if (start == NULL)
        return false;
    char *at = put_number(start + SUM_SIZE, (uint64_t)record->started_at_ms);
    at = put_number(at, record->attempts);
    at = put_number(at, record->max_attempts);
    at = put_number(at, record->lost);
    at = put_number(at, record->redrives);
    at = put_number(at, record->snoozes);
    at = put_number(at, record->progress + 1); /* 0 for JJ_NO_PROGRESS: one byte */
    at = put_text(at, record->worker);
    at = put_text(at, record->schedule_id);
    at = put_text(at, record->error);
    at = put_bytes(at, record->result, record->result_len);
    at = put_bytes(at, record->marks, record->marks_len);
    out->len = (size_t)(at - start);
    uint32_t sum = sum_of_fields(record, start + SUM_SIZE, out->len - SUM_SIZE);
    memcpy(start, &sum, SUM_SIZE);
    return true;
}

bool jj__sqlite_pack_content(struct buf *out, const jj_record *record)
{
    jj__buf_reset(out);
    char *start =
        jj__buf_reserve(out, SUM_SIZE + 3 * NUMBER_SIZE + record->headers_len + record->data_len);
    if (start == NULL)
        return false;
    char *at = put_number(start + SUM_SIZE, record->data_known);
    at = put_bytes(at, record->headers, record->headers_len);
    at = put_bytes(at, record->data, record->data_len);
    out->len = (size_t)(at - start);
    uint32_t sum = sum_of_content(record, start + SUM_SIZE, out->len - SUM_SIZE);
    memcpy(start, &sum, SUM_SIZE);
    return true;
}

/* ---- unpacking ---- */

struct cursor {
    const char *at, *end;
    bool bad;
};

static uint64_t get_number(struct cursor *cursor)
{
    uint64_t number = 0;

    for (int shift = 0; cursor->at < cursor->end && shift < 64; shift += 7) {
        unsigned char byte = (unsigned char)*cursor->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    cursor->bad = true;
    return 0;
}

static const void *get_bytes(struct cursor *cursor, size_t *len_out)
{
    uint64_t size = get_number(cursor);
    const char *bytes = cursor->at;

    *len_out = 0;
    if (size == 0)
        return NULL;
    if (size - 1 > (size_t)(cursor->end - cursor->at)) {
        cursor->bad = true;
        return NULL;
    }
    *len_out = (size_t)(size - 1);
    cursor->at += *len_out;
    return bytes;
}

static const char *get_text(struct cursor *cursor)
{
    size_t size;
    const char *text = get_bytes(cursor, &size);

    if (text != NULL && (size == 0 || text[size - 1] != '\0'))
        cursor->bad = true;
    return cursor->bad ? NULL : text;
}

static bool begin(struct cursor *cursor, const void *bytes, size_t len, uint32_t *sum_out)
{
    if (bytes == NULL || len < SUM_SIZE)
        return false;
    memcpy(sum_out, bytes, SUM_SIZE);
    *cursor =
        (struct cursor){.at = (const char *)bytes + SUM_SIZE, .end = (const char *)bytes + len};
    return true;
}

bool jj__sqlite_unpack_fields(jj_record *record, const void *bytes, size_t len)
{
    struct cursor cursor;
    uint32_t sum;

    if (!begin(&cursor, bytes, len, &sum) ||
        sum != sum_of_fields(record, cursor.at, len - SUM_SIZE))
        return false;
    record->started_at_ms = (int64_t)get_number(&cursor);
    record->attempts = (uint32_t)get_number(&cursor);
    record->max_attempts = (uint32_t)get_number(&cursor);
    record->lost = (uint32_t)get_number(&cursor);
    record->redrives = (uint32_t)get_number(&cursor);
    record->snoozes = (uint32_t)get_number(&cursor);
    record->progress = (uint32_t)get_number(&cursor) - 1;
    record->worker = get_text(&cursor);
    record->schedule_id = get_text(&cursor);
    record->error = get_text(&cursor);
    record->result = get_bytes(&cursor, &record->result_len);
    record->marks = get_bytes(&cursor, &record->marks_len);
    return !cursor.bad && cursor.at == cursor.end;
}

bool jj__sqlite_unpack_content(jj_record *record, const void *bytes, size_t len)
{
    struct cursor cursor;
    uint32_t sum;

    if (!begin(&cursor, bytes, len, &sum) ||
        sum != sum_of_content(record, cursor.at, len - SUM_SIZE))
        return false;
    record->data_known = get_number(&cursor) != 0;
    record->headers = get_bytes(&cursor, &record->headers_len);
    record->data = get_bytes(&cursor, &record->data_len);
    return !cursor.bad && cursor.at == cursor.end;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs from stdin. What one read brings is enqueued at once: a file goes in large batches, and the
 * line that somebody types does not wait for the next one. */

#include "enqueue_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "client.h"
#include "json_write.h"
#include "print.h"
#include "spec.h"
#include "status.h"

#define READ_SIZE ((size_t)1024 * 1024)

void enqueue_print(const struct program *program, const jj_receipt *receipt)
{
    struct buf json = {0};

    if (!program->json) {
        print_text(PRINT_PLAIN, receipt->id);
        print_plain("\n");
        return;
    }
    jj__json_add_text(&json, "{\"id\":", receipt->id);
    jj__json_add_number(&json, ",\"seq\":", (int64_t)receipt->seq);
    jj__buf_str(&json, receipt->duplicate ? ",\"duplicate\":true}" : ",\"duplicate\":false}");
    print_json(&json);
}

/* Read once; *end_out: there was nothing left. */
static jj_status read_more(struct buf *text, size_t size, bool *end_out, jj_error *err)
{
    char *at = jj__buf_reserve(text, size);
    ssize_t got;

    if (at == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "data from stdin");
    do
        got = read(STDIN_FILENO, at, size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return jj__fail_errno(err, JJ_ERR_STORAGE, errno, "stdin");
    text->len += (size_t)got;
    *end_out = got == 0;
    return JJ_OK;
}

jj_status enqueue_read_all(jj_client *client, struct buf *out, jj_error *err)
{
    size_t max = jj__broker_max_payload(client->broker);
    bool end = false;
    jj_status s = JJ_OK;

    while (s == JJ_OK && !end && out->len <= max)
        s = read_more(out, READ_SIZE, &end, err);
    if (s == JJ_OK && !end)
        return jj__fail(err, JJ_ERR_TOO_LARGE, "data from stdin has more than %zu bytes", max);
    return s;
}

/* ---- lines ---- */

struct lines {
    const struct program *program;
    jj_client *client;
    const jj_spec *spec;
    size_t line;      /* how many lines are done */
    struct buf text;  /* what was read, and is not enqueued yet */
    struct buf specs; /* jj_spec for each whole line of it, */
    struct buf at;    /* and, as size_t, which line that is */
};

static const jj_spec *specs_of(const struct lines *lines)
{
    return (const void *)lines->specs.data;
}

static size_t count_of(const struct lines *lines)
{
    return lines->specs.len / sizeof(jj_spec);
}

static size_t line_of(const struct lines *lines, size_t at)
{
    return ((const size_t *)(const void *)lines->at.data)[at];
}

static jj_status fail_at(size_t line, const jj_error *why, jj_error *err)
{
    return jj__fail(err, why->status, "line %zu: %s", line, why->text);
}

/* Add the job of a line. */
static jj_status add_line(struct lines *lines, const char *text, size_t len, jj_error *err)
{
    jj_spec spec = *lines->spec;
    jj_error why = {0};

    lines->line++;
    if (len == 0)
        return JJ_OK;
    spec.data = text;
    spec.data_len = len;
    if (jj__spec_check(&spec, jj__broker_max_payload(lines->client->broker), &why) != JJ_OK)
        return fail_at(lines->line, &why, err);
    jj__buf_add(&lines->specs, &spec, sizeof(spec));
    jj__buf_add(&lines->at, &lines->line, sizeof(lines->line));
    if (lines->specs.failed || lines->at.failed)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "line %zu", lines->line);
    return JJ_OK;
}

/* Add all whole lines, and at the end of all what is left; *used_out: bytes of them. */
static jj_status add_lines(struct lines *lines, bool end, size_t *used_out, jj_error *err)
{
    jj_status s = JJ_OK;

    *used_out = 0;
    while (s == JJ_OK && *used_out < lines->text.len) {
        const char *text = lines->text.data + *used_out;
        size_t left = lines->text.len - *used_out;
        const char *line_end = memchr(text, '\n', left);
        if (line_end == NULL && !end)
            break;
        size_t len = line_end == NULL ? left : (size_t)(line_end - text);
        s = add_line(lines, text, len, err);
        *used_out += len + (line_end == NULL ? 0 : 1);
    }
    return s;
}

/* Enqueue what was added, and print the ids of what was stored. */
static jj_status enqueue_added(struct lines *lines, jj_error *err)
{
    size_t count = count_of(lines);
    jj_receipt *receipts = calloc(count == 0 ? 1 : count, sizeof(*receipts));
    size_t stored = 0;
    jj_error why = {0};

    if (receipts == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "%zu jobs", count);
    jj_status s = jj_enqueue_many(lines->client, specs_of(lines), count, receipts, &stored, &why);
    for (size_t i = 0; i < stored; i++)
        enqueue_print(lines->program, &receipts[i]);
    print_flush();
    free(receipts);
    if (s != JJ_OK)
        return fail_at(line_of(lines, stored), &why, err);
    return JJ_OK;
}

/* Lines before one that is wrong are enqueued; that one ends it. */
static jj_status take_lines(struct lines *lines, bool end, jj_error *err)
{
    size_t used;
    jj_error bad = {0};

    add_lines(lines, end, &used, &bad);
    jj_status s = enqueue_added(lines, err);
    if (s == JJ_OK && bad.status != JJ_OK) {
        *err = bad;
        return bad.status;
    }
    memmove(lines->text.data, lines->text.data + used, lines->text.len - used);
    jj__buf_truncate(&lines->text, lines->text.len - used);
    jj__buf_reset(&lines->specs);
    jj__buf_reset(&lines->at);
    return s;
}

int enqueue_lines(const struct program *program, jj_client *client, const jj_spec *spec)
{
    struct lines lines = {.program = program, .client = client, .spec = spec};
    bool end = false;
    jj_error err = {0};
    jj_status s = JJ_OK;

    while (s == JJ_OK && !end) {
        s = read_more(&lines.text, READ_SIZE, &end, &err);
        if (s == JJ_OK)
            s = take_lines(&lines, end, &err);
    }
    jj__buf_done(&lines.text);
    jj__buf_done(&lines.specs);
    jj__buf_done(&lines.at);
    return s == JJ_OK ? ENDING_DONE : program_failed(client, &err);
}

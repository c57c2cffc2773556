/* SPDX-License-Identifier: Apache-2.0 */

/* Enqueueing and scheduling: from a caller's spec to a stored message.
 *
 * Every job has an id before it is sent, and its Nats-Msg-Id comes from that id or from the unique
 * key: so a call whose outcome is unknown can be repeated, by the caller or by us after a
 * reconnect, and the stream stores one. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "duplicate.h"
#include "id.h"
#include "resend.h"
#include "rfc3339.h"
#include "spec.h"
#include "subject.h"

#define OWN_HEADERS             13
#define KEY_PREFIX              "key:"
#define KEY_MAX                 256
#define ERR_BATCH_HAS_DUPLICATE 10201

/* A spec as a message. The strings live in it. */
struct letter {
    struct outgoing message;
    jj_header *headers;
    char id[JJ_NAME_SIZE];
    char subject[JJ__SUBJECT_SIZE];
    char msg_id[sizeof(KEY_PREFIX) + KEY_MAX];
    char max_attempts[12];
    char timeout[24];
    char at[JJ__AT_SIZE];
    char target[JJ__SUBJECT_SIZE];
    char run_at[JJ__RFC3339_SIZE];
    char created_at[JJ__RFC3339_SIZE];
    char batch_sequence[24];
};

static void add(struct letter *letter, const char *name, const char *value)
{
    letter->headers[letter->message.header_count++] = (jj_header){.name = name, .value = value};
}

static void add_job_headers(struct letter *letter, const jj_spec *spec)
{
    add(letter, JJ__HEADER_MSG_ID, letter->msg_id);
    add(letter, JJ__HEADER_ID, letter->id);
    if (spec->unique_key != NULL)
        add(letter, JJ__HEADER_KEY, spec->unique_key);
    if (spec->max_attempts > 0) {
        snprintf(letter->max_attempts, sizeof(letter->max_attempts), "%u",
                 (unsigned)spec->max_attempts);
        add(letter, JJ__HEADER_MAX_ATTEMPTS, letter->max_attempts);
    }
    if (spec->timeout_ms > 0) {
        snprintf(letter->timeout, sizeof(letter->timeout), "%lld", (long long)spec->timeout_ms);
        add(letter, JJ__HEADER_TIMEOUT, letter->timeout);
    }
    if (spec->content_type != NULL)
        add(letter, JJ__HEADER_CONTENT_TYPE, spec->content_type);
    if (spec->traceparent != NULL)
        add(letter, JJ__HEADER_TRACEPARENT, spec->traceparent);
    for (size_t i = 0; i < spec->header_count; i++)
        add(letter, spec->headers[i].name, spec->headers[i].value);
}

static void add_schedule_headers(struct letter *letter, const jj_spec *spec, int64_t run_at_ms)
{
    jj__subject_schedule(letter->subject, spec->name, letter->id);
    jj__subject_due(letter->target, spec->name);
    jj__resend_at(run_at_ms, letter->at);
    jj__rfc3339_write(run_at_ms, letter->run_at);
    jj__rfc3339_write(jj__clock_wall_ms(), letter->created_at);
    add(letter, JJ__HEADER_SCHEDULE, letter->at);
    add(letter, JJ__HEADER_SCHEDULE_TARGET, letter->target);
    add(letter, JJ__HEADER_RUN_AT, letter->run_at);
    add(letter, JJ__HEADER_CREATED_AT, letter->created_at);
}

static jj_status choose_id(jj_client *client, const jj_spec *spec, char id_out[JJ_NAME_SIZE],
                           jj_error *err)
{
    if (spec->id == NULL)
        return jj__id_new(jj__clock_wall_ms(), id_out, err);
    if (jj__client_has_handler(client, spec->id))
        return jj__fail(err, JJ_ERR_INVALID,
                        "job id '%s' is the name of a handler: their events would mix", spec->id);
    memcpy(id_out, spec->id, strlen(spec->id) + 1);
    return JJ_OK;
}

/* Free with free_letter(). run_at_ms 0: to run now. */
static jj_status write_letter(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                              struct letter *letter, jj_error *err)
{
    jj_status s = jj__spec_check(spec, jj__broker_max_payload(client->broker), err);

    *letter = (struct letter){0};
    if (s == JJ_OK)
        s = choose_id(client, spec, letter->id, err);
    if (s != JJ_OK)
        return s;
    letter->headers = malloc((spec->header_count + OWN_HEADERS) * sizeof(*letter->headers));
    if (letter->headers == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "job headers");
    if (spec->unique_key != NULL)
        snprintf(letter->msg_id, sizeof(letter->msg_id), KEY_PREFIX "%s", spec->unique_key);
    else
        snprintf(letter->msg_id, sizeof(letter->msg_id), "%s", letter->id);
    jj__subject_enqueue(letter->subject, spec->name);
    add_job_headers(letter, spec);
    if (run_at_ms > 0)
        add_schedule_headers(letter, spec, run_at_ms);
    letter->message.subject = letter->subject;
    letter->message.headers = letter->headers;
    letter->message.data = spec->data;
    letter->message.len = spec->data_len;
    return JJ_OK;
}

static void free_letter(struct letter *letter)
{
    free(letter->headers);
}

/* So that the client's next question is answered by an index that has read that far. */
static void saw(jj_client *client, const char *stream, uint64_t seq)
{
    struct seqs seqs = {0};

    if (strcmp(stream, JJ__STREAM_JOBS) == 0)
        seqs.jobs = seq;
    else
        seqs.schedule = seq;
    jj__client_saw(client, &seqs);
}

/* ---- one job ---- */

static jj_status send_letter(jj_client *client, const jj_spec *spec, const struct letter *letter,
                             const char *stream, jj_receipt *receipt, jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    struct publication publication = {
        .messages = &letter->message, .count = 1, .deadline_ms = deadline_ms};
    struct publish_result result;

    memcpy(receipt->id, letter->id, sizeof(receipt->id));
    jj__broker_publish_wait(client->broker, &publication, &result);
    if (result.status != JJ_OK)
        return jj__fail(err, result.status, "%s", result.err.text);
    receipt->seq = result.seq;
    receipt->duplicate = result.duplicate;
    saw(client, stream, result.seq);
    if (!result.duplicate || spec->unique_key == NULL)
        return JJ_OK;
    const struct duplicate duplicate = {
        .stream = stream, .seq = result.seq, .key = spec->unique_key, .deadline_ms = deadline_ms};
    return jj__duplicate_find(client->broker, &client->log, &duplicate, receipt->id, err);
}

static jj_status enqueue_at(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                            jj_receipt *receipt_out, jj_error *err)
{
    const char *stream = run_at_ms > 0 ? JJ__STREAM_SCHEDULE : JJ__STREAM_JOBS;
    struct letter letter;
    jj_receipt receipt = {0};
    jj_status s = write_letter(client, spec, run_at_ms, &letter, err);

    if (s == JJ_OK)
        s = send_letter(client, spec, &letter, stream, &receipt, err);
    free_letter(&letter);
    if (receipt_out != NULL && (s == JJ_OK || s == JJ_ERR_TIMEOUT))
        *receipt_out = receipt;
    return s;
}

jj_status jj_enqueue(jj_client *client, const jj_spec *spec, jj_receipt *receipt_out, jj_error *err)
{
    return enqueue_at(client, spec, 0, receipt_out, err);
}

jj_status jj_schedule(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                      jj_receipt *receipt_out, jj_error *err)
{
    if (run_at_ms > JJ__RFC3339_MAX_MS)
        return jj__fail(err, JJ_ERR_INVALID, "run_at_ms is beyond the year 9999");
    return enqueue_at(client, spec, run_at_ms < 1 ? 1 : run_at_ms, receipt_out, err);
}

/* ---- many jobs ---- */

/* The letters of one batch. */
struct batch {
    struct letter *letters;
    struct outgoing *messages;
    size_t count;
    bool ours; /* all ids are new: what is in the stream under them came from this call */
};

static void free_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free_letter(&batch->letters[i]);
    free(batch->letters);
    free(batch->messages);
}

/* offset is where the batch begins in the caller's array, for the error's text. */
static jj_status write_batch(jj_client *client, const jj_spec *specs, size_t count, size_t offset,
                             struct batch *batch, jj_error *err)
{
    jj_error why;

    *batch = (struct batch){.ours = true};
    batch->letters = calloc(count, sizeof(*batch->letters));
    batch->messages = calloc(count, sizeof(*batch->messages));
    if (batch->letters == NULL || batch->messages == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "batch of %zu jobs", count);
    for (size_t i = 0; i < count; i++) {
        jj_status s = write_letter(client, &specs[i], 0, &batch->letters[i], &why);
        if (s != JJ_OK)
            return jj__fail(err, s, "spec %zu: %s", offset + i, why.text);
        batch->count = i + 1;
        batch->ours = batch->ours && specs[i].id == NULL && specs[i].unique_key == NULL;
    }
    return JJ_OK;
}

/* Send a batch under a new batch id: the headers of the one before are overwritten. */
static void send_batch(jj_client *client, struct batch *batch, int64_t deadline_ms,
                       struct publish_result *result)
{
    char batch_id[JJ__ID_SIZE];
    struct publication publication = {.messages = batch->messages,
                                      .count = batch->count,
                                      .deadline_ms = deadline_ms,
                                      .once = true};

    result->status = jj__id_new(jj__clock_wall_ms(), batch_id, &result->err);
    if (result->status != JJ_OK)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        struct letter *letter = &batch->letters[i];
        size_t own = letter->message.header_count;
        snprintf(letter->batch_sequence, sizeof(letter->batch_sequence), "%zu", i + 1);
        add(letter, JJ__HEADER_BATCH_ID, batch_id);
        add(letter, JJ__HEADER_BATCH_SEQUENCE, letter->batch_sequence);
        if (i + 1 == batch->count)
            add(letter, JJ__HEADER_BATCH_COMMIT, "1");
        batch->messages[i] = letter->message;
        letter->message.header_count = own;
    }
    jj__broker_publish_wait(client->broker, &publication, result);
}

/* The batch is stored, but the acknowledgement was lost: its last job, published alone, is told to
 * be a duplicate of itself, and where that is. */
static void find_batch_seq(jj_client *client, const struct batch *batch, int64_t deadline_ms,
                           struct publish_result *result)
{
    struct publication publication = {.messages = &batch->letters[batch->count - 1].message,
                                      .count = 1,
                                      .deadline_ms = deadline_ms};

    jj__broker_publish_wait(client->broker, &publication, result);
}

/* Send until it is stored, refused, or too late. */
static jj_status store_batch(jj_client *client, struct batch *batch, uint64_t *last_seq_out,
                             jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    struct publish_result result;
    bool unknown = false;

    for (;;) {
        send_batch(client, batch, deadline_ms, &result);
        if (result.status != JJ_ERR_TIMEOUT || jj__clock_mono_ms() >= deadline_ms)
            break;
        unknown = true; /* the connection broke: again, with another batch id */
    }
    if (result.err_code == ERR_BATCH_HAS_DUPLICATE && unknown && batch->ours)
        find_batch_seq(client, batch, deadline_ms, &result);
    else if (result.err_code == ERR_BATCH_HAS_DUPLICATE)
        return jj__fail(err, unknown ? JJ_ERR_TIMEOUT : JJ_ERR_EXISTS,
                        "one of %zu jobs has been enqueued within the last 10 minutes%s",
                        batch->count, unknown ? ", perhaps by this call" : "");
    if (result.status != JJ_OK)
        return jj__fail(err, result.status, "%s", result.err.text);
    *last_seq_out = result.seq;
    return JJ_OK;
}

/* What makes two jobs the same to the stream. */
struct identity {
    const char *text;
    size_t at;
};

static int compare_identities(const void *a, const void *b)
{
    const struct identity *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    if (order != 0)
        return order;
    return x->at < y->at ? -1 : x->at > y->at;
}

static jj_status check_identities(struct identity *list, size_t count, const char *what,
                                  jj_error *err)
{
    qsort(list, count, sizeof(*list), compare_identities);
    for (size_t i = 1; i < count; i++)
        if (strcmp(list[i - 1].text, list[i].text) == 0)
            return jj__fail(err, JJ_ERR_INVALID, "specs %zu and %zu have the same %s '%.80s'",
                            list[i - 1].at, list[i].at, what, list[i].text);
    return JJ_OK;
}

static jj_status check_distinct(const jj_spec *specs, size_t count, jj_error *err)
{
    struct identity *ids = malloc(count * sizeof(*ids));
    struct identity *keys = malloc(count * sizeof(*keys));
    size_t id_count = 0, key_count = 0;
    jj_status s = JJ_OK;

    if (ids == NULL || keys == NULL) {
        s = jj__fail(err, JJ_ERR_NO_MEMORY, "%zu jobs", count);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        if (specs[i].id != NULL)
            ids[id_count++] = (struct identity){specs[i].id, i};
        if (specs[i].unique_key != NULL)
            keys[key_count++] = (struct identity){specs[i].unique_key, i};
    }
    s = check_identities(ids, id_count, "id", err);
    if (s == JJ_OK)
        s = check_identities(keys, key_count, "unique key", err);

done:
    free(ids);
    free(keys);
    return s;
}

/* A call with many jobs. Receipts may lie where the specs have their ids from, when a call is
 * repeated: each is written when its spec has been used. */
struct many {
    jj_client *client;
    const jj_spec *specs;
    size_t count;
    jj_receipt *receipts; /* NULL: not wanted */
    size_t stored;
    size_t named; /* have their receipts */
};

static jj_status enqueue_next_batch(struct many *many, jj_error *err)
{
    size_t first = many->stored;
    size_t count = many->count - first < JJ_BATCH_MAX ? many->count - first : JJ_BATCH_MAX;
    uint64_t last_seq = 0;
    struct batch batch;
    jj_status s = write_batch(many->client, many->specs + first, count, first, &batch, err);

    if (s == JJ_OK)
        s = store_batch(many->client, &batch, &last_seq, err);
    for (size_t i = 0; many->receipts != NULL && i < batch.count; i++) {
        jj_receipt *receipt = &many->receipts[first + i];
        *receipt = (jj_receipt){.seq = s == JJ_OK ? last_seq - (count - 1 - i) : 0};
        memcpy(receipt->id, batch.letters[i].id, sizeof(receipt->id));
    }
    many->named = first + batch.count;
    if (s == JJ_OK) {
        many->stored += count;
        saw(many->client, JJ__STREAM_JOBS, last_seq);
    }
    free_batch(&batch);
    return s;
}

/* Of jobs that were not tried: the id given, or a new one, for the call to be repeated with. */
static void name_the_rest(struct many *many)
{
    for (size_t i = many->named; i < many->count; i++) {
        const char *id = many->specs[i].id;
        jj_receipt receipt = {0};
        if (id == NULL)
            jj__ignore(jj__id_new(jj__clock_wall_ms(), receipt.id, NULL), "then it has none");
        else if (jj__token_valid(id))
            memcpy(receipt.id, id, strlen(id) + 1);
        many->receipts[i] = receipt;
    }
}

jj_status jj_enqueue_many(jj_client *client, const jj_spec *specs, size_t count,
                          jj_receipt *receipts_out, size_t *stored_out, jj_error *err)
{
    struct many many = {.client = client, .specs = specs, .count = count, .receipts = receipts_out};
    jj_status s = count == 0 ? JJ_OK : check_distinct(specs, count, err);

    while (s == JJ_OK && many.stored < count)
        s = enqueue_next_batch(&many, err);
    if (receipts_out != NULL)
        name_the_rest(&many);
    if (stored_out != NULL)
        *stored_out = many.stored;
    return s;
}

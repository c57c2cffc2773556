/* SPDX-License-Identifier: Apache-2.0 */

/* Enqueueing many jobs: atomic batches, one after the other.
 *
 * Of a batch all jobs are stored or none, and nothing of one before the one before it is stored.
 * But the server stores nothing of a batch before its last message: so while it works on one, the
 * next is written and sent up to there, and its last message follows the acknowledgement. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fault.h"
#include "letter.h"

#define ERR_BATCH_HAS_DUPLICATE 10201
/* Of an id of a batch, 50 bits: short, because it is stored with each job and read by each worker,
 * and it need only differ from those of the batches that are under way. */
#define BATCH_ID_LEN 10

/* The letters of one batch, and its way to the stream. */
struct batch {
    struct letter *letters;
    struct outgoing *messages;
    size_t first; /* its place in the caller's array */
    size_t count;
    bool ours;           /* all ids are new: what is in the stream under them came from this call */
    int64_t deadline_ms; /* steady clock */
    struct publishing publishing;
};

static void free_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        jj__letter_free(&batch->letters[i]);
    free(batch->letters);
    free(batch->messages);
}

/* ---- sending ---- */

static jj_status write_batch(jj_client *client, const jj_spec *specs, size_t count,
                             struct batch *batch, jj_error *err)
{
    jj_error why;

    batch->letters = calloc(count, sizeof(*batch->letters));
    batch->messages = calloc(count, sizeof(*batch->messages));
    if (batch->letters == NULL || batch->messages == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "batch of %zu jobs", count);
    for (size_t i = 0; i < count; i++) {
        jj_status s = jj__letter_write(client, &specs[i], 0, &batch->letters[i], &why);
        batch->count = i + (s == JJ_OK);
        if (s != JJ_OK)
            return jj__fail(err, s, "spec %zu: %s", batch->first + i, why.text);
        batch->ours = batch->ours && specs[i].id == NULL && specs[i].unique_key == NULL;
    }
    return JJ_OK;
}

/* Send a batch under a new batch id: the headers of the one before are overwritten. */
static jj_status send_batch(jj_client *client, struct batch *batch, bool hold, jj_error *err)
{
    char batch_id[BATCH_ID_LEN + 1];
    struct publication publication = {.messages = batch->messages,
                                      .count = batch->count,
                                      .deadline_ms = hold ? INT64_MAX : batch->deadline_ms,
                                      .once = true,
                                      .hold = hold};

    jj_status s = jj__id_random(batch_id, BATCH_ID_LEN, err);
    if (s != JJ_OK)
        return s;
    for (size_t i = 0; i < batch->count; i++) {
        struct letter *letter = &batch->letters[i];
        size_t own = letter->message.header_count;
        snprintf(letter->batch_sequence, sizeof(letter->batch_sequence), "%zu", i + 1);
        jj__letter_add(letter, JJ__HEADER_BATCH_ID, batch_id);
        jj__letter_add(letter, JJ__HEADER_BATCH_SEQUENCE, letter->batch_sequence);
        if (i + 1 == batch->count)
            jj__letter_add(letter, JJ__HEADER_BATCH_COMMIT, "1");
        batch->messages[i] = letter->message;
        letter->message.header_count = own;
    }
    jj__broker_publish_begin(client->broker, &publication, &batch->publishing);
    return JJ_OK;
}

/* The batch is stored, but the acknowledgement was lost: its last job, published alone, is told to
 * be a duplicate of itself, and where that is. */
static void find_batch_seq(jj_client *client, const struct batch *batch,
                           struct publish_result *result)
{
    struct publication publication = {.messages = &batch->letters[batch->count - 1].message,
                                      .count = 1,
                                      .deadline_ms = batch->deadline_ms};

    jj__broker_publish_wait(client->broker, &publication, result);
}

/* The connection broke: again, with another batch id. */
static bool is_worth_repeating(const struct publish_result *result)
{
    return result->status == JJ_ERR_TIMEOUT || result->err_code == JJ__ERR_BATCH_INCOMPLETE;
}

/* Wait until it is stored, refused, or too late. */
static jj_status store_batch(jj_client *client, struct batch *batch, uint64_t *last_seq_out,
                             jj_error *err)
{
    struct publish_result result;
    bool unknown = false;

    jj__broker_publish_end(&batch->publishing, &result);
    jj__fault_point("enqueue_many.stored");
    while (is_worth_repeating(&result) && jj__clock_mono_ms() < batch->deadline_ms) {
        unknown = unknown || result.status == JJ_ERR_TIMEOUT;
        jj_status s = send_batch(client, batch, false, err);
        if (s != JJ_OK)
            return s;
        jj__broker_publish_end(&batch->publishing, &result);
    }
    if (result.err_code == ERR_BATCH_HAS_DUPLICATE && unknown && batch->ours)
        find_batch_seq(client, batch, &result);
    else if (result.err_code == ERR_BATCH_HAS_DUPLICATE)
        return jj__fail(err, unknown ? JJ_ERR_TIMEOUT : JJ_ERR_EXISTS,
                        "one of %zu jobs has been enqueued within the last 10 minutes%s",
                        batch->count, unknown ? ", perhaps by this call" : "");
    if (result.err_code == JJ__ERR_BATCH_INCOMPLETE)
        result.status = unknown ? JJ_ERR_TIMEOUT : JJ_ERR_UNAVAILABLE;
    if (result.status != JJ_OK)
        return jj__fail(err, result.status, "%s", result.err.text);
    *last_seq_out = result.seq;
    return JJ_OK;
}

/* ---- no two the same ---- */

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

/* ---- one batch after the other ---- */

/* A call with many jobs. Receipts may lie where the specs have their ids from, when a call is
 * repeated: each is written when its spec has been used. */
struct many {
    jj_client *client;
    const jj_spec *specs;
    size_t count;
    jj_receipt *receipts; /* NULL: not wanted */
    size_t written;       /* are in batches */
    size_t stored;
    size_t named; /* have their receipts */
};

/* last_seq 0: it is not stored. */
static void end_batch(struct many *many, struct batch *batch, uint64_t last_seq)
{
    for (size_t i = 0; many->receipts != NULL && i < batch->count; i++) {
        jj_receipt *receipt = &many->receipts[batch->first + i];
        *receipt = (jj_receipt){.seq = last_seq == 0 ? 0 : last_seq - (batch->count - 1 - i)};
        memcpy(receipt->id, batch->letters[i].id, sizeof(receipt->id));
    }
    many->named = batch->first + batch->count;
    free_batch(batch);
}

/* Write the next batch and send it, or only as far as it may be held. On failure it is gone. */
static jj_status begin_batch(struct many *many, struct batch *batch, bool hold, jj_error *err)
{
    size_t left = many->count - many->written;
    size_t count = left < JJ_BATCH_MAX ? left : JJ_BATCH_MAX;

    *batch = (struct batch){.first = many->written, .ours = true};
    batch->deadline_ms = jj__clock_mono_ms() + many->client->options.timeout_ms;
    jj_status s = write_batch(many->client, many->specs + batch->first, count, batch, err);
    jj__fault_point("enqueue_many.ready");
    if (s == JJ_OK)
        s = send_batch(many->client, batch, hold, err);
    many->written += batch->count;
    return s;
}

static jj_status finish_batch(struct many *many, struct batch *batch, jj_error *err)
{
    uint64_t last_seq = 0;
    jj_status s = store_batch(many->client, batch, &last_seq, err);

    if (s == JJ_OK) {
        const struct seqs seqs = {.jobs = last_seq};
        many->stored += batch->count;
        jj__client_saw(many->client, &seqs);
    }
    end_batch(many, batch, last_seq);
    return s;
}

static void let_go(struct many *many, struct batch *batch)
{
    batch->deadline_ms = jj__clock_mono_ms() + many->client->options.timeout_ms;
    jj__broker_let_go(&batch->publishing, batch->deadline_ms);
}

static void drop_batch(struct many *many, struct batch *batch)
{
    struct publish_result result;

    jj__broker_drop(&batch->publishing);
    jj__broker_publish_end(&batch->publishing, &result);
    end_batch(many, batch, 0);
}

/* Two batches are under way, but for the first and the last. */
static jj_status store_all(struct many *many, jj_error *err)
{
    struct batch batches[2];
    jj_error later;
    jj_status s = begin_batch(many, &batches[0], false, err);

    if (s != JJ_OK)
        end_batch(many, &batches[0], 0);
    for (size_t i = 0; s == JJ_OK; i = 1 - i) {
        struct batch *next = &batches[1 - i];
        bool last = many->written == many->count;
        jj_status next_s = last ? JJ_OK : begin_batch(many, next, true, &later);
        s = finish_batch(many, &batches[i], err);
        if (last)
            break;
        if (next_s != JJ_OK) {
            end_batch(many, next, 0);
            return s != JJ_OK ? s : jj__fail(err, next_s, "%s", later.text);
        }
        if (s == JJ_OK)
            let_go(many, next);
        else
            drop_batch(many, next);
    }
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

    if (s == JJ_OK && count > 0)
        s = store_all(&many, err);
    if (receipts_out != NULL)
        name_the_rest(&many);
    if (stored_out != NULL)
        *stored_out = many.stored;
    return s;
}

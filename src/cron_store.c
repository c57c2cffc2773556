/* SPDX-License-Identifier: Apache-2.0 */

/* Storing a recurring schedule, so that adding it again is harmless.
 *
 * A message that replaces a schedule makes the server count anew: an interval begins again, and a
 * time that has just come, but for which the server's timer has not fired yet, is passed over. So
 * what is there already is left alone. What is to be replaced must still be what was read: of two
 * who add at the same moment the second one looks again. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "cron.h"
#include "place.h"

#define ERR_BAD_SCHEDULE 10189
#define ERR_BAD_ZONE     10223

void jj__cron_filter(char out[JJ__SUBJECT_SIZE], const char *name, const char *id)
{
    snprintf(out, JJ__SUBJECT_SIZE, "jobs.schedule.%s.%s", name == NULL ? "*" : name,
             id == NULL ? "*" : id);
}

/* ---- comparing ---- */

/* Of the server's headers only those that say when it fires make a difference. */
static bool counts(const jj_header *header)
{
    return strncasecmp(header->name, "Nats-", 5) != 0 ||
           strncasecmp(header->name, JJ__HEADER_SCHEDULE, strlen(JJ__HEADER_SCHEDULE)) == 0;
}

static int compare_headers(const void *a, const void *b)
{
    const jj_header *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : strcmp(x->value, y->value);
}

/* Those that count, in a fixed order. */
static size_t sort_headers(jj_header *headers, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (counts(&headers[i]))
            headers[kept++] = headers[i];
    qsort(headers, kept, sizeof(*headers), compare_headers);
    return kept;
}

static jj_status same_headers(struct broker_msg *msg, const struct outgoing *message,
                              bool *same_out)
{
    jj_header *theirs = NULL;
    size_t their_count = 0;
    jj_status s = jj__msg_headers(msg, &theirs, &their_count, NULL);
    if (s != JJ_OK)
        return s;
    jj_header *ours = malloc((message->header_count + 1) * sizeof(*ours));
    if (ours == NULL) {
        free(theirs);
        return JJ_ERR_NO_MEMORY;
    }

    memcpy(ours, message->headers, message->header_count * sizeof(*ours));
    size_t our_count = sort_headers(ours, message->header_count);
    their_count = sort_headers(theirs, their_count);
    bool same = our_count == their_count;
    for (size_t i = 0; same && i < our_count; i++)
        same = compare_headers(&ours[i], &theirs[i]) == 0;
    free(ours);
    free(theirs);
    *same_out = same;
    return JJ_OK;
}

/* Headers that can't be read are not the same. */
static jj_status compare(struct broker_msg *msg, const struct outgoing *message, bool *same_out,
                         jj_error *err)
{
    size_t len = jj__msg_len(msg);

    *same_out = false;
    if (len != message->len || (len > 0 && memcmp(jj__msg_data(msg), message->data, len) != 0))
        return JJ_OK;
    jj_status s = same_headers(msg, message, same_out);
    return s == JJ_ERR_NO_MEMORY ? jj__fail(err, s, "headers of a schedule") : JJ_OK;
}

/* ---- what is there ---- */

struct present {
    uint64_t seq; /* on the subject; 0: nothing */
    bool same;
};

static jj_status judge(const struct cron_message *found, const struct outgoing *message,
                       struct present *present, jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE];

    jj__subject_schedule(subject, found->name, found->id);
    bool ours = strcmp(subject, message->subject) == 0;
    if (!jj__cron_recurs(found))
        return !ours ? JJ_OK
                     : jj__fail(err, JJ_ERR_EXISTS, "'%s' is the id of a job for later", found->id);
    if (!ours)
        return jj__fail(err, JJ_ERR_EXISTS,
                        "'%s' is the id of a schedule of '%s' already: remove that first",
                        found->id, found->name);
    present->seq = found->seq;
    return compare(found->msg, message, &present->same, err);
}

/* Look at all that has this id, for whatever name. */
static jj_status look(struct broker *broker, const struct outgoing *message, const char *id,
                      int64_t deadline_ms, struct present *present_out, jj_error *err)
{
    char filter[JJ__SUBJECT_SIZE];
    struct cron_message found = {0};
    jj_error why;

    *present_out = (struct present){0};
    jj__cron_filter(filter, NULL, id);
    for (;;) {
        jj_status s = jj__cron_read_next(broker, filter, found.seq + 1, deadline_ms, &found, &why);
        if (s == JJ_ERR_NOT_FOUND)
            return JJ_OK;
        if (s != JJ_OK)
            return jj__fail(err, s, "%s", why.text);
        s = judge(&found, message, present_out, err);
        jj__msg_free(found.msg);
        if (s != JJ_OK)
            return s;
    }
}

/* ---- storing ---- */

static jj_status refusal(const struct publish_result *result, jj_error *err)
{
    if (result->err_code == ERR_BAD_SCHEDULE)
        return jj__fail(err, JJ_ERR_INVALID, "the broker can't read the schedule (%d)",
                        result->err_code);
    if (result->err_code == ERR_BAD_ZONE)
        return jj__fail(err, JJ_ERR_INVALID, "the broker does not know the time zone (%d)",
                        result->err_code);
    return jj__fail(err, result->status, "%s", result->err.text);
}

jj_status jj__cron_store(struct broker *broker, const struct outgoing *message, const char *id,
                         int64_t deadline_ms, struct cron_stored *stored_out, jj_error *err)
{
    struct cron_stored stored = {.change = JJ_CRON_UNCHANGED};
    struct publish_result result = {0};
    struct present present;

    for (;;) {
        jj_status s = look(broker, message, id, deadline_ms, &present, err);
        bool blind = s == JJ_ERR_NOT_PERMITTED; /* it may write, but not read */
        if (s != JJ_OK && !blind)
            return s;
        if (present.same) /* and was ours, if we have tried */
            break;
        stored.change = present.seq > 0 ? JJ_CRON_REPLACED : JJ_CRON_ADDED;
        jj__place_publish(broker, message, blind ? NULL : &present.seq, deadline_ms, &result);
        present.seq = result.seq;
        if (result.status == JJ_OK)
            break;
        if (!jj__place_taken(result.err_code) || jj__clock_mono_ms() >= deadline_ms)
            return refusal(&result, err);
    }
    stored.seq = present.seq;
    *stored_out = stored;
    return JJ_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The list of recurring schedules: each entry is a message that was read, and points into it. What
 * others have written is shown as far as it makes sense. */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client.h"
#include "clock.h"
#include "cron.h"
#include "cron_spec.h"
#include "job.h"
#include "rfc3339.h"

struct item {
    struct item *next;
    jj_cron_entry entry;
    struct cron_message message;
    jj_header *headers;
};

struct jj_crons {
    struct item *first;
    const struct item **items; /* by id */
    size_t count;
    bool no_memory;
};

static void free_item(struct item *item)
{
    free(item->headers);
    jj__msg_free(item->message.msg);
    free(item);
}

/* Thread: broker. */
static void take(void *ctx, const struct cron_message *message)
{
    struct jj_crons *crons = ctx;
    struct item *item = NULL;

    if (jj__cron_recurs(message)) {
        item = calloc(1, sizeof(*item));
        crons->no_memory |= item == NULL;
    }
    if (item == NULL) {
        jj__msg_free(message->msg);
        return;
    }
    item->message = *message;
    item->next = crons->first;
    crons->first = item;
    crons->count++;
}

/* ---- from a message to an entry ---- */

/* The job's own ones. */
static bool is_own(const char *name)
{
    return strncasecmp(name, "Nats-", 5) != 0 && strncmp(name, "Job-", 4) != 0 &&
           strcmp(name, JJ__HEADER_CONTENT_TYPE) != 0 && strcmp(name, JJ__HEADER_TRACEPARENT) != 0;
}

/* When it was added, and its next time as far as that can be known: the rules of time zones are the
 * broker's. */
static void fill_times(struct item *item)
{
    jj_cron_entry *entry = &item->entry;
    const char *stored = jj__msg_header(item->message.msg, "Nats-Time-Stamp");
    struct cron_times times;

    if (stored == NULL || !jj__rfc3339_read(stored, &entry->added_at_ms))
        entry->added_at_ms = 0;
    if ((entry->cron.time_zone == NULL || strcmp(entry->cron.time_zone, "UTC") == 0) &&
        jj__cron_read(entry->cron.spec, &times, NULL) == JJ_OK)
        entry->next_at_ms = jj__cron_next(&times, entry->added_at_ms, jj__clock_wall_ms());
}

static jj_status fill(struct item *item, jj_error *err)
{
    struct broker_msg *msg = item->message.msg;
    char due[JJ__SUBJECT_SIZE];
    struct job job;
    size_t count = 0;
    jj_status s = jj__msg_headers(msg, &item->headers, &count, err);
    if (s != JJ_OK)
        return s;
    jj__subject_due(due, item->message.name);
    const struct job_message message = {.subject = due,
                                        .data = jj__msg_data(msg),
                                        .data_len = jj__msg_len(msg),
                                        .headers = item->headers,
                                        .header_count = count};

    jj__ignore(jj__job_read(&message, &job, NULL), "what can't be read is shown as not said");
    item->entry.cron =
        (jj_cron){.id = item->message.id,
                  .spec = jj__msg_header(msg, JJ__HEADER_SCHEDULE),
                  .time_zone = jj__msg_header(msg, JJ__HEADER_TIME_ZONE),
                  .job = {.name = item->message.name,
                          .data = job.data,
                          .data_len = job.data_len,
                          .content_type = jj__msg_header(msg, JJ__HEADER_CONTENT_TYPE),
                          .max_attempts = job.max_attempts,
                          .timeout_ms = job.timeout_ms,
                          .traceparent = job.traceparent,
                          .headers = item->headers}};
    fill_times(item);
    for (size_t i = 0; i < count; i++)
        if (is_own(item->headers[i].name))
            item->headers[item->entry.cron.job.header_count++] = item->headers[i];
    return JJ_OK;
}

static int compare(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;
    int order = strcmp((*x)->message.id, (*y)->message.id);

    return order != 0 ? order : strcmp((*x)->message.name, (*y)->message.name);
}

static jj_status fill_all(struct jj_crons *crons, jj_error *err)
{
    size_t at = 0;
    jj_status s = JJ_OK;

    crons->items = calloc(crons->count + 1, sizeof(*crons->items));
    if (crons->items == NULL || crons->no_memory)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "list of %zu schedules", crons->count);
    for (struct item *item = crons->first; s == JJ_OK && item != NULL; item = item->next) {
        crons->items[at++] = item;
        s = fill(item, err);
    }
    qsort(crons->items, at, sizeof(*crons->items), compare);
    return s;
}

jj_status jj_cron_list(jj_client *client, const char *name, jj_crons **crons_out, jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    char filter[JJ__SUBJECT_SIZE];
    jj_status s = name == NULL ? JJ_OK : jj__token_check("job name", name, err);
    if (s != JJ_OK)
        return s;
    jj_crons *crons = calloc(1, sizeof(*crons));
    if (crons == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "list of schedules");

    jj__cron_filter(filter, name, NULL);
    s = jj__cron_read_all(client->broker, filter, deadline_ms, take, crons, err);
    if (s == JJ_OK)
        s = fill_all(crons, err);
    if (s != JJ_OK) {
        jj_crons_free(crons);
        return s;
    }
    *crons_out = crons;
    return JJ_OK;
}

size_t jj_crons_count(const jj_crons *crons)
{
    return crons->count;
}

const jj_cron_entry *jj_crons_get(const jj_crons *crons, size_t at)
{
    return &crons->items[at]->entry;
}

void jj_crons_free(jj_crons *crons)
{
    if (crons == NULL)
        return;
    while (crons->first != NULL) {
        struct item *item = crons->first;
        crons->first = item->next;
        free_item(item);
    }
    free((void *)crons->items);
    free(crons);
}

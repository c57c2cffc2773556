/* SPDX-License-Identifier: Apache-2.0 */

/* An answer is many messages and a last one that only has a status. They come to a port, on the
 * broker thread. */

#include "direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "subject.h"
#include "thread.h"

uint64_t jj__direct_number(struct broker_msg *msg, const char *header)
{
    const char *value = jj__msg_header(msg, header);

    return value == NULL ? 0 : strtoull(value, NULL, 10);
}

static void finish(struct direct_reading *reading, jj_status status, bool more)
{
    pthread_mutex_lock(&reading->lock);
    reading->finished = true;
    reading->status = status;
    reading->more = more;
    pthread_cond_signal(&reading->changed);
    pthread_mutex_unlock(&reading->lock);
    if (reading->direct.finished != NULL)
        reading->direct.finished(reading->direct.ctx);
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct direct_reading *reading = ctx;

    if (msg == NULL)
        return; /* no server has the stream now: as if it did not answer */
    int status = jj__msg_status(msg);
    if (status == 0) {
        reading->direct.take(reading->direct.ctx, msg);
        return;
    }
    uint64_t pending = jj__direct_number(msg, "Nats-Num-Pending");
    jj__msg_free(msg);
    if (status == 204 || status == 404) /* the end of an answer; there is none */
        finish(reading, JJ_OK, status == 204 && pending > 0);
    else
        finish(reading, JJ_ERR_PROTOCOL, false);
}

bool jj__direct_ask(struct broker *broker, const struct direct *direct, const char *inbox)
{
    char subject[96], body[JJ__SUBJECT_SIZE + 128];

    snprintf(subject, sizeof(subject), "$JS.API.DIRECT.GET.%s", direct->stream);
    int len = snprintf(body, sizeof(body),
                       "{\"seq\":%llu,\"batch\":%d,\"max_bytes\":%d,\"next_by_subj\":\"%s\"}",
                       (unsigned long long)direct->from_seq, direct->max_messages,
                       direct->max_bytes, direct->filter);
    const struct outgoing request = {
        .subject = subject, .reply = inbox, .data = body, .len = (size_t)len};

    return jj__broker_send(broker, &request);
}

static void ask(void *ctx)
{
    struct direct_reading *reading = ctx;
    const struct port_options options = {.subject = reading->inbox, .take = take, .ctx = reading};

    jj__broker_inbox(reading->broker, "d", reading->inbox);
    jj_status s = jj__broker_port_open(reading->broker, &options, &reading->port, NULL);
    if (s == JJ_OK)
        jj__ignore(jj__direct_ask(reading->broker, &reading->direct, reading->inbox),
                   "without an answer time runs out");
    else
        finish(reading, s, false);
}

static void close_port(void *ctx)
{
    struct direct_reading *reading = ctx;

    jj__broker_port_close(reading->port);
}

void jj__direct_begin(struct broker *broker, const struct direct *direct,
                      struct direct_reading *reading)
{
    *reading =
        (struct direct_reading){.broker = broker, .direct = *direct, .status = JJ_ERR_TIMEOUT};
    pthread_mutex_init(&reading->lock, NULL);
    jj__thread_condition(&reading->changed);
    jj__broker_call(broker, ask, reading);
}

bool jj__direct_is_over(struct direct_reading *reading)
{
    pthread_mutex_lock(&reading->lock);
    bool is = reading->finished || jj__clock_mono_ms() >= reading->direct.deadline_ms;
    pthread_mutex_unlock(&reading->lock);
    return is;
}

jj_status jj__direct_end(struct direct_reading *reading, bool *more_out, jj_error *err)
{
    jj__broker_call(reading->broker, close_port, reading);
    pthread_cond_destroy(&reading->changed);
    pthread_mutex_destroy(&reading->lock);
    *more_out = reading->more;
    if (reading->status == JJ_OK)
        return JJ_OK;
    return jj__fail(err, reading->status, "can't read %s: %s", reading->direct.stream,
                    reading->status == JJ_ERR_PROTOCOL ? "the server refuses a direct get"
                                                       : jj_status_text(reading->status));
}

jj_status jj__direct_read(struct broker *broker, const struct direct *direct, bool *more_out,
                          jj_error *err)
{
    const struct timespec until = {.tv_sec = (time_t)(direct->deadline_ms / 1000),
                                   .tv_nsec = (long)(direct->deadline_ms % 1000) * 1000000};
    struct direct_reading reading;

    jj__direct_begin(broker, direct, &reading);
    pthread_mutex_lock(&reading.lock);
    while (!reading.finished && jj__clock_mono_ms() < direct->deadline_ms)
        pthread_cond_timedwait(&reading.changed, &reading.lock, &until);
    pthread_mutex_unlock(&reading.lock);
    return jj__direct_end(&reading, more_out, err);
}

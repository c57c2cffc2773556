/* SPDX-License-Identifier: Apache-2.0 */

/* The broker thread: the one that owns the connection and on which everything from the broker is
 * handed out. A message goes from the socket to its handler, and an answer back to the socket,
 * without a switch of threads; writes of one turn leave together. */

#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker_nats.h"
#include "clock.h"
#include "id.h"
#include "thread.h"

#define FLUSH_AT_CLOSE_MS 2000

struct call {
    void (*fn)(void *ctx);
    void *ctx;
    pthread_cond_t ended; /* its own: else each call would wake all that wait for theirs */
    bool finished;
    struct call *next;
};

bool jj__broker_on_thread(const struct broker *broker)
{
    return pthread_equal(pthread_self(), broker->self) != 0;
}

size_t jj__broker_max_payload(const struct broker *broker)
{
    return atomic_load(&broker->max_payload);
}

bool jj__broker_connected(const struct broker *broker)
{
    return atomic_load(&broker->connected);
}

void jj__broker_thread_done(void)
{
    nats_ReleaseThreadMemory();
}

void jj__broker_inbox(struct broker *broker, const char *kind, char out[JJ__INBOX_SIZE])
{
    snprintf(out, JJ__INBOX_SIZE, "%s.%s%llu", broker->inbox, kind,
             (unsigned long long)broker->next_inbox++);
}

jj_status jj__fail_nats(jj_error *err, natsStatus status, const char *what)
{
    jj_status mapped = JJ_ERR_UNAVAILABLE;

    if (status == NATS_NO_MEMORY)
        mapped = JJ_ERR_NO_MEMORY;
    else if (status == NATS_TIMEOUT)
        mapped = JJ_ERR_TIMEOUT;
    else if (status == NATS_MAX_PAYLOAD)
        mapped = JJ_ERR_TOO_LARGE;
    else if (status == NATS_INVALID_ARG || status == NATS_INVALID_SUBJECT)
        mapped = JJ_ERR_INVALID;
    return jj__fail(err, mapped, "%s: %s", what, natsStatus_GetText(status));
}

/* ---- waking ---- */

void jj__broker_wake(struct broker *broker)
{
    atomic_store(&broker->work, true);
    if (!atomic_exchange(&broker->asleep, false))
        return;
    while (write(broker->wake_fds[1], "w", 1) < 0 && errno == EINTR)
        ;
}

static void drain_pipe(struct broker *broker)
{
    char bytes[64];

    while (read(broker->wake_fds[0], bytes, sizeof(bytes)) > 0)
        ;
}

static jj_status open_pipe(struct broker *broker, jj_error *err)
{
    if (pipe(broker->wake_fds) != 0)
        return jj__fail_errno(err, JJ_ERR_UNAVAILABLE, errno, "pipe");
    for (int i = 0; i < 2; i++) {
        int flags = fcntl(broker->wake_fds[i], F_GETFL);
        if (flags < 0 || fcntl(broker->wake_fds[i], F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(broker->wake_fds[i], F_SETFD, FD_CLOEXEC) < 0)
            return jj__fail_errno(err, JJ_ERR_UNAVAILABLE, errno, "pipe");
    }
    return JJ_OK;
}

/* ---- the thread ---- */

void jj__broker_member_add(struct broker *broker, struct broker_member *member)
{
    member->next = broker->members;
    broker->members = member;
    atomic_store(&broker->work, true); /* a turn that is under way does not ask what it wishes */
}

void jj__broker_member_remove(struct broker *broker, struct broker_member *member)
{
    if (broker->next_member == member)
        broker->next_member = member->next;
    for (struct broker_member **link = &broker->members; *link != NULL; link = &(*link)->next)
        if (*link == member) {
            *link = member->next;
            return;
        }
}

/* Members may remove themselves and others from within: jj__broker_member_remove() looks after
 * next_member. */
void jj__broker_tell_members(struct broker *broker, bool connected)
{
    struct broker_member *member = broker->members;

    for (; member != NULL; member = broker->next_member) {
        broker->next_member = member->next;
        if (member->connected != NULL)
            member->connected(member->ctx, connected);
    }
}

void jj__broker_call(struct broker *broker, void (*fn)(void *ctx), void *ctx)
{
    if (jj__broker_on_thread(broker)) {
        fn(ctx);
        return;
    }
    struct call call = {.fn = fn, .ctx = ctx};

    pthread_cond_init(&call.ended, NULL);
    pthread_mutex_lock(&broker->lock);
    *broker->calls_end = &call;
    broker->calls_end = &call.next;
    pthread_mutex_unlock(&broker->lock);
    jj__broker_wake(broker);
    pthread_mutex_lock(&broker->lock);
    while (!call.finished)
        pthread_cond_wait(&call.ended, &broker->lock);
    pthread_mutex_unlock(&broker->lock);
    pthread_cond_destroy(&call.ended);
}

static void run_calls(struct broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    while (broker->calls != NULL) {
        struct call *call = broker->calls;
        broker->calls = call->next;
        if (broker->calls == NULL)
            broker->calls_end = &broker->calls;
        pthread_mutex_unlock(&broker->lock);
        call->fn(call->ctx);
        pthread_mutex_lock(&broker->lock);
        call->finished = true;
        pthread_cond_signal(&call->ended);
    }
    pthread_mutex_unlock(&broker->lock);
}

static int64_t turn_members(struct broker *broker, int64_t now_ms)
{
    int64_t next_ms = jj__publisher_turn(broker, now_ms);
    struct broker_member *member = broker->members;

    for (; member != NULL; member = broker->next_member) {
        broker->next_member = member->next;
        int64_t wish_ms = member->turn(member->ctx, now_ms);
        if (wish_ms < next_ms)
            next_ms = wish_ms;
    }
    int64_t check_ms = jj__publisher_turn(broker, now_ms); /* of what they have published */
    return check_ms < next_ms ? check_ms : next_ms;
}

static int poll_timeout(int64_t next_ms)
{
    if (next_ms == INT64_MAX)
        return -1;
    int64_t wait_ms = next_ms - jj__clock_mono_ms();
    if (wait_ms <= 0)
        return 0;
    return wait_ms > 60000 ? 60000 : (int)wait_ms;
}

/* Sleep until there is input, room to write, a wake, or next_ms. True: there is input. */
static bool wait_for_input(struct broker *broker, int64_t next_ms)
{
    struct pollfd fds[2] = {{.fd = broker->wake_fds[0], .events = POLLIN},
                            {.fd = atomic_load(&broker->fd), .events = POLLIN}};
    if (atomic_load(&broker->want_write))
        fds[1].events |= POLLOUT;

    atomic_store(&broker->asleep, true);
    int timeout_ms = atomic_load(&broker->work) ? 0 : poll_timeout(next_ms);
    if (poll(fds, 2, timeout_ms) < 0) {
        fds[0].revents = 0;
        fds[1].revents = 0;
    }
    atomic_store(&broker->asleep, false);
    atomic_store(&broker->work, false);
    if (fds[0].revents != 0)
        drain_pipe(broker);
    return (fds[1].revents & ~POLLOUT) != 0; /* with TLS the library waits where nothing comes */
}

static void *broker_main(void *arg)
{
    struct broker *broker = arg;
    int64_t next_ms = 0;

    broker->self = pthread_self();
    jj__trash_open();
    while (!atomic_load(&broker->stopping)) {
        if (broker->nc == NULL && jj__clock_mono_ms() >= broker->connect_at_ms)
            jj__connect_try(broker);
        if (broker->nc == NULL && broker->connect_at_ms < next_ms)
            next_ms = broker->connect_at_ms;
        bool input = wait_for_input(broker, next_ms);
        if (broker->nc != NULL && input) {
            natsConnection_ProcessReadEvent(broker->nc);
            jj__ports_drain(broker);
        }
        jj__news_take(broker);
        run_calls(broker);
        jj__publisher_take_outbox(broker);
        next_ms = turn_members(broker, jj__clock_mono_ms());
        if (broker->nc != NULL && atomic_load(&broker->want_write))
            natsConnection_ProcessWriteEvent(broker->nc);
        if (broker->nc != NULL && natsConnection_IsClosed(broker->nc))
            jj__connect_end(broker);
        jj__trash_empty();
    }
    run_calls(broker);
    jj__connect_end(broker);
    jj__publisher_close(broker);
    jj__trash_close();
    jj__broker_thread_done();
    return NULL;
}

/* ---- open and close ---- */

static char *copy(const char *text, bool *failed)
{
    if (text == NULL)
        return NULL;
    char *result = strdup(text);
    if (result == NULL)
        *failed = true;
    return result;
}

static jj_status copy_options(struct broker *broker, const jj_options *options, jj_error *err)
{
    bool failed = false;

    broker->options = *options;
    broker->options.url = copy(options->url, &failed);
    broker->shown_url = jj__broker_without_secrets(options->url);
    failed |= broker->shown_url == NULL;
    broker->options.credentials = copy(options->credentials, &failed);
    broker->options.nkey = copy(options->nkey, &failed);
    broker->options.tls_ca = copy(options->tls_ca, &failed);
    broker->options.tls_cert = copy(options->tls_cert, &failed);
    broker->options.tls_key = copy(options->tls_key, &failed);
    broker->options.worker = NULL;
    broker->options.inbox_prefix = NULL;
    return failed ? jj__fail(err, JJ_ERR_NO_MEMORY, "options") : JJ_OK;
}

static void free_broker(struct broker *broker)
{
    if (broker == NULL)
        return;
    jj__publisher_close(broker);
    jj__news_close(broker);
    natsOptions_Destroy(broker->nats_options);
    jj__connect_forget_servers(broker);
    for (int i = 0; i < 2; i++)
        if (broker->wake_fds[i] >= 0)
            close(broker->wake_fds[i]);
    pthread_cond_destroy(&broker->changed);
    pthread_mutex_destroy(&broker->lock);
    jj__secret_wipe(&broker->signer, sizeof(broker->signer));
    free(broker->shown_url);
    free((char *)broker->options.url);
    free((char *)broker->options.credentials);
    free((char *)broker->options.nkey);
    free((char *)broker->options.tls_ca);
    free((char *)broker->options.tls_cert);
    free((char *)broker->options.tls_key);
    free(broker->publisher.slots);
    free(broker);
}

static jj_status make_inbox(struct broker *broker, const jj_options *options, jj_error *err)
{
    const char *prefix = options->inbox_prefix == NULL ? "_INBOX" : options->inbox_prefix;
    char random[23];

    if (strlen(prefix) > sizeof(broker->inbox) - sizeof(random) - 1)
        return jj__fail(err, JJ_ERR_INVALID, "inbox_prefix is longer than %zu characters",
                        sizeof(broker->inbox) - sizeof(random) - 1);
    jj_status s = jj__id_random(random, sizeof(random) - 1, err);
    if (s != JJ_OK)
        return s;
    snprintf(broker->inbox, sizeof(broker->inbox), "%s.%s", prefix, random);
    return JJ_OK;
}

static jj_status start_thread(struct broker *broker, jj_error *err)
{
    int failed = jj__thread_create(&broker->thread, NULL, broker_main, broker);

    return failed == 0 ? JJ_OK : jj__fail_errno(err, JJ_ERR_UNAVAILABLE, failed, "thread");
}

static void stop_thread(struct broker *broker)
{
    atomic_store(&broker->stopping, true);
    jj__broker_wake(broker);
    pthread_join(broker->thread, NULL);
}

static jj_status new_broker(struct broker **broker_out, jj_error *err)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "broker");

    pthread_mutex_init(&broker->lock, NULL);
    jj__thread_condition(&broker->changed);
    broker->calls_end = &broker->calls;
    broker->complaints_end = &broker->complaints;
    broker->outbox_end = &broker->outbox;
    broker->wake_fds[0] = broker->wake_fds[1] = -1;
    broker->connect_delay_ms = JJ__RECONNECT_FIRST_MS;
    atomic_store(&broker->fd, -1);
    *broker_out = broker;
    return JJ_OK;
}

jj_status jj__broker_open(const jj_options *options, const struct log *log,
                          struct broker **broker_out, jj_error *err)
{
    struct broker *broker = NULL;
    jj_status s = new_broker(&broker, err);
    if (s != JJ_OK)
        return s;

    broker->log = *log;
    s = copy_options(broker, options, err);
    if (s == JJ_OK)
        s = make_inbox(broker, options, err);
    if (s == JJ_OK)
        s = open_pipe(broker, err);
    if (s == JJ_OK)
        s = jj__news_open(broker, err);
    if (s == JJ_OK)
        s = jj__connect_options(broker, err);
    if (s == JJ_OK)
        s = jj__publisher_open(broker, err);
    if (s == JJ_OK)
        s = start_thread(broker, err);
    if (s != JJ_OK) {
        free_broker(broker);
        return s;
    }
    int64_t limit_ms = broker->options.connect_timeout_ms;
    s = jj__broker_wait_connected(broker, limit_ms < 0 ? INT64_MAX : jj__clock_mono_ms() + limit_ms,
                                  err);
    if (s != JJ_OK) {
        stop_thread(broker);
        free_broker(broker);
        return s;
    }
    *broker_out = broker;
    return JJ_OK;
}

void jj__broker_close(struct broker *broker)
{
    if (broker == NULL)
        return;
    jj__broker_flush(broker, FLUSH_AT_CLOSE_MS);
    stop_thread(broker);
    free_broker(broker);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The connection and the broker thread.
 *
 * The client library runs here in its external event loop mode: it has no threads of its own for
 * reading, writing or delivering, so a message goes from the socket to its handler, and an answer
 * back to the socket, without a switch of threads; writes of one turn leave together.
 *
 * The hard idea is reconnecting. The library could do it, but in this mode it keeps a half-read
 * message across connections (3.4.1, conn.c: the parser lives as long as the connection), so the
 * bytes of two connections could be read as one message. Hence each connection is a new
 * natsConnection: the loop closes a broken one and connects again, on this thread, which has
 * nothing else to do then. */

#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker_nats.h"
#include "buf.h"
#include "clock.h"
#include "id.h"

#define PING_INTERVAL_MS   10000
#define PINGS_OUT_MAX      2
#define CONNECT_ONCE_MS    2000 /* one attempt to connect */
#define RECONNECT_FIRST_MS 50
#define RECONNECT_MAX_MS   2000
#define FLUSH_AT_CLOSE_MS  2000
#define IO_BUFFER_SIZE     (128 * 1024) /* bytes read at once */

struct call {
    void (*fn)(void *ctx);
    void *ctx;
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

/* ---- what the client library calls in its event loop mode, with its lock held ---- */

static natsStatus on_attach(void **user_data, void *loop, natsConnection *nc, natsSock fd)
{
    struct broker *broker = loop;

    (void)nc;
    *user_data = broker;
    atomic_store(&broker->fd, (int)fd);
    return NATS_OK;
}

static natsStatus on_read(void *user_data, bool add)
{
    struct broker *broker = user_data;

    if (!add) {
        atomic_store(&broker->fd, -1);
        jj__broker_wake(broker);
    }
    return NATS_OK;
}

static natsStatus on_write(void *user_data, bool add)
{
    struct broker *broker = user_data;

    atomic_store(&broker->want_write, add);
    if (add && !jj__broker_on_thread(broker))
        jj__broker_wake(broker);
    return NATS_OK;
}

static natsStatus on_detach(void *user_data)
{
    struct broker *broker = user_data;

    atomic_store(&broker->fd, -1);
    return NATS_OK;
}

/* ---- what the server says on its own account ----
 *
 * The client library tells it on a thread that it has for all connections of the process, perhaps
 * when we are gone: so its callbacks know a struct news only, which the broker and each connection
 * hold until they are through with it. What was said is dealt with on the broker thread. */

struct news {
    pthread_mutex_t lock;
    struct broker *broker; /* guarded by lock; NULL: closed */
    unsigned users;        /* guarded by lock */
};

struct complaint {
    struct complaint *next;
    bool denied; /* it is about permissions */
    char text[];
};

static jj_status open_news(struct broker *broker, jj_error *err)
{
    broker->news = calloc(1, sizeof(*broker->news));
    if (broker->news == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "broker");
    pthread_mutex_init(&broker->news->lock, NULL);
    broker->news->broker = broker;
    broker->news->users = 1;
    return JJ_OK;
}

static void hold_news(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    news->users++;
    pthread_mutex_unlock(&news->lock);
}

static void release_news(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    bool last = --news->users == 0;
    pthread_mutex_unlock(&news->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&news->lock);
    free(news);
}

static void close_news(struct news *news)
{
    if (news == NULL)
        return;
    pthread_mutex_lock(&news->lock);
    news->broker = NULL;
    pthread_mutex_unlock(&news->lock);
    release_news(news);
}

static void add_complaint(struct broker *broker, bool denied, const char *text)
{
    struct complaint *complaint = calloc(1, sizeof(*complaint) + strlen(text) + 1);

    if (complaint == NULL)
        return; /* whoever waits for an answer has a deadline */
    complaint->denied = denied;
    memcpy(complaint->text, text, strlen(text) + 1);
    pthread_mutex_lock(&broker->lock);
    *broker->complaints_end = complaint;
    broker->complaints_end = &complaint->next;
    pthread_mutex_unlock(&broker->lock);
    jj__broker_wake(broker);
}

/* The text of the last error on this thread, without the place in the library's source that it
 * begins with: "(conn.c:2088): ...". */
static const char *last_error(natsStatus status)
{
    const char *text = nats_GetLastError(NULL);

    if (text == NULL || text[0] == '\0')
        return natsStatus_GetText(status);
    const char *place_end = text[0] == '(' ? strstr(text, "): ") : NULL;
    return place_end == NULL ? text : place_end + 3;
}

/* Thread: the library's, as for on_closed(). */
static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *ctx)
{
    struct news *news = ctx;

    (void)nc;
    (void)sub;
    pthread_mutex_lock(&news->lock);
    if (news->broker != NULL)
        add_complaint(news->broker, status == NATS_NOT_PERMITTED, last_error(status));
    pthread_mutex_unlock(&news->lock);
}

/* The last thing that is told of a connection. */
static void on_closed(natsConnection *nc, void *ctx)
{
    (void)nc;
    release_news(ctx);
}

static struct complaint *next_complaint(struct broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    struct complaint *complaint = broker->complaints;
    if (complaint != NULL)
        broker->complaints = complaint->next;
    if (broker->complaints == NULL)
        broker->complaints_end = &broker->complaints;
    pthread_mutex_unlock(&broker->lock);
    return complaint;
}

static void take_complaints(struct broker *broker)
{
    struct complaint *complaint;

    while ((complaint = next_complaint(broker)) != NULL) {
        bool told = complaint->denied && jj__publisher_denied(broker, complaint->text);
        told |= complaint->denied && jj__request_denied(broker, complaint->text);
        jj__log(&broker->log, told ? JJ_LOG_DEBUG : JJ_LOG_WARN, "broker says: %s",
                complaint->text);
        free(complaint);
    }
}

static void forget_complaints(struct broker *broker)
{
    struct complaint *complaint;

    while ((complaint = next_complaint(broker)) != NULL)
        free(complaint);
}

/* ---- connecting ---- */

static natsStatus set_servers(struct broker *broker)
{
    char *list = strdup(broker->options.url);
    const char *servers[64];
    int count = 0;
    char *save = NULL;
    natsStatus s = NATS_NO_MEMORY;

    if (list == NULL)
        return s;
    for (char *url = strtok_r(list, ", ", &save); url != NULL && count < 32;
         url = strtok_r(NULL, ", ", &save))
        servers[count++] = url;
    for (int i = 0; i < broker->server_count && count < 64; i++)
        servers[count++] = broker->servers[i];
    s = count == 0 ? NATS_INVALID_ARG
                   : natsOptions_SetServers(broker->nats_options, servers, count);
    free(list);
    return s;
}

/* Servers of a cluster that we learned of carry no user, so the first url's is used for all. */
static natsStatus set_user(struct broker *broker)
{
    const char *url = broker->options.url;
    const char *start = strstr(url, "://");
    start = start == NULL ? url : start + 3;
    size_t host = strcspn(start, "@,");
    char user[256];

    if (start[host] != '@' || host >= sizeof(user))
        return NATS_OK;
    memcpy(user, start, host);
    user[host] = '\0';
    char *password = strchr(user, ':');
    if (password == NULL)
        return natsOptions_SetToken(broker->nats_options, user);
    *password++ = '\0';
    return natsOptions_SetUserInfo(broker->nats_options, user, password);
}

static natsStatus set_security(struct broker *broker)
{
    const jj_options *options = &broker->options;
    natsOptions *nats = broker->nats_options;
    natsStatus s = set_user(broker);

    if (s == NATS_OK && options->credentials != NULL)
        s = natsOptions_SetUserCredentialsFromFiles(nats, options->credentials, NULL);
    if (s == NATS_OK && options->tls_ca != NULL)
        s = natsOptions_LoadCATrustedCertificates(nats, options->tls_ca);
    if (s == NATS_OK && options->tls_cert != NULL)
        s = natsOptions_LoadCertificatesChain(nats, options->tls_cert, options->tls_key);
    if (s == NATS_OK && (options->tls_ca != NULL || options->tls_cert != NULL))
        s = natsOptions_SetSecure(nats, true);
    return s;
}

static jj_status make_options(struct broker *broker, jj_error *err)
{
    natsStatus s = natsOptions_Create(&broker->nats_options);
    natsOptions *nats = broker->nats_options;

    if (s == NATS_OK)
        s = natsOptions_SetEventLoop(nats, broker, on_attach, on_read, on_write, on_detach);
    if (s == NATS_OK)
        s = natsOptions_SetAllowReconnect(nats, false);
    if (s == NATS_OK)
        s = natsOptions_SetName(nats, "jetjobs");
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(nats, PING_INTERVAL_MS);
    if (s == NATS_OK)
        s = natsOptions_SetMaxPingsOut(nats, PINGS_OUT_MAX);
    if (s == NATS_OK)
        s = natsOptions_SetIOBufSize(nats, IO_BUFFER_SIZE);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(nats, on_error, broker->news);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(nats, on_closed, broker->news);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(nats, true); /* else a thread flushes, a millisecond later */
    if (s == NATS_OK)
        s = set_security(broker);
    return s == NATS_OK ? JJ_OK : jj__fail_nats(err, s, "connection options");
}

static void forget_servers(struct broker *broker)
{
    for (int i = 0; i < broker->server_count; i++)
        free(broker->servers[i]);
    free(broker->servers);
    broker->servers = NULL;
    broker->server_count = 0;
}

static natsStatus subscribe(struct port *port)
{
    struct broker *broker = port->broker;
    natsStatus s =
        port->queue == NULL
            ? natsConnection_SubscribeSync(&port->sub, broker->nc, port->subject)
            : natsConnection_QueueSubscribeSync(&port->sub, broker->nc, port->subject, port->queue);

    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(port->sub, -1, -1);
    return s;
}

/* Members may remove themselves and others from within: jj__broker_member_remove() looks after
 * next_member. */
static void tell_members(struct broker *broker, bool connected)
{
    struct broker_member *member = broker->members;

    for (; member != NULL; member = broker->next_member) {
        broker->next_member = member->next;
        if (member->connected != NULL)
            member->connected(member->ctx, connected);
    }
}

/* Close what is left of the connection. What could not be written by now holds the library up for
 * half a second, in which nobody writes it, so that is done before; and unsubscribing would be more
 * to write, so that is done behind. */
static void drop_connection(struct broker *broker)
{
    if (broker->nc == NULL)
        return;
    forget_servers(broker);
    if (natsConnection_GetDiscoveredServers(broker->nc, &broker->servers, &broker->server_count) !=
        NATS_OK)
        broker->server_count = 0;
    if (atomic_load(&broker->want_write))
        natsConnection_ProcessWriteEvent(broker->nc);
    natsConnection_Destroy(broker->nc);
    broker->nc = NULL;
    for (struct port *port = broker->ports; port != NULL; port = port->next) {
        natsSubscription_Destroy(port->sub);
        port->sub = NULL;
    }
}

static void disconnect(struct broker *broker)
{
    bool was_connected = atomic_exchange(&broker->connected, false);

    drop_connection(broker);
    atomic_store(&broker->fd, -1);
    atomic_store(&broker->want_write, false);
    if (was_connected) {
        jj__log(&broker->log, JJ_LOG_WARN, "connection to the broker lost, connecting again");
        broker->connect_delay_ms = RECONNECT_FIRST_MS;
        broker->connect_at_ms = jj__clock_mono_ms();
        tell_members(broker, false);
    }
}

static void note_connect(struct broker *broker, jj_status status, bool refused, const char *text)
{
    pthread_mutex_lock(&broker->lock);
    broker->connect_status = status;
    broker->refused = refused;
    snprintf(broker->connect_text, sizeof(broker->connect_text), "%s", text);
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
}

static bool connected_before(const struct broker *broker)
{
    return atomic_load(&broker->max_payload) != 0;
}

/* How long one attempt may take: the first ones no longer than the caller waits. */
static natsStatus set_limit(struct broker *broker)
{
    int64_t limit_ms = broker->options.connect_timeout_ms;

    if (connected_before(broker) || limit_ms <= 0 || limit_ms > CONNECT_ONCE_MS)
        limit_ms = CONNECT_ONCE_MS;
    return natsOptions_SetTimeout(broker->nats_options, limit_ms);
}

static void connect_failed(struct broker *broker, natsStatus s)
{
    const char *text = last_error(s);

    if (connected_before(broker) &&
        strncmp(text, broker->connect_text, sizeof(broker->connect_text) - 1) != 0)
        jj__log(&broker->log, JJ_LOG_WARN, "no broker at %s: %s", broker->shown_url, text);
    note_connect(broker, JJ_ERR_UNAVAILABLE, s == NATS_CONNECTION_AUTH_FAILED, text);
    disconnect(broker);
    broker->connect_at_ms = jj__clock_mono_ms() + broker->connect_delay_ms;
    broker->connect_delay_ms = broker->connect_delay_ms * 2 > RECONNECT_MAX_MS
                                   ? RECONNECT_MAX_MS
                                   : broker->connect_delay_ms * 2;
}

static void try_connect(struct broker *broker)
{
    natsStatus s = set_servers(broker);

    if (s == NATS_OK)
        s = set_limit(broker);
    if (s == NATS_OK) {
        hold_news(broker->news);
        s = natsConnection_Connect(&broker->nc, broker->nats_options);
        if (s != NATS_OK)
            release_news(broker->news);
    }
    for (struct port *port = broker->ports; s == NATS_OK && port != NULL; port = port->next)
        s = subscribe(port);
    if (s != NATS_OK) {
        connect_failed(broker, s);
        return;
    }
    atomic_store(&broker->max_payload, (size_t)natsConnection_GetMaxPayload(broker->nc));
    atomic_store(&broker->connected, true);
    note_connect(broker, JJ_OK, false, "");
    jj__log(&broker->log, JJ_LOG_DEBUG, "connected to the broker");
    jj__publisher_reconnected(broker);
    tell_members(broker, true);
}

/* ---- ports ---- */

jj_status jj__broker_port_open(struct broker *broker, const struct port_options *options,
                               struct port **port_out, jj_error *err)
{
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "subscription");
    port->broker = broker;
    port->take = options->take;
    port->ctx = options->ctx;
    port->subject = strdup(options->subject);
    port->queue = options->queue == NULL ? NULL : strdup(options->queue);
    natsStatus s = NATS_OK;
    if (port->subject == NULL || (options->queue != NULL && port->queue == NULL))
        s = NATS_NO_MEMORY;
    if (s == NATS_OK && broker->nc != NULL)
        s = subscribe(port);
    if (s == NATS_CONNECTION_CLOSED)
        s = NATS_OK; /* made again after the next connect */
    if (s != NATS_OK) {
        natsSubscription_Destroy(port->sub);
        free(port->subject);
        free(port->queue);
        free(port);
        return jj__fail_nats(err, s, options->subject);
    }
    port->next = broker->ports;
    broker->ports = port;
    *port_out = port;
    return JJ_OK;
}

static void free_closed_ports(struct broker *broker)
{
    struct port **link = &broker->ports;

    broker->ports_closed = false;
    while (*link != NULL) {
        struct port *port = *link;
        if (!port->closed) {
            link = &port->next;
            continue;
        }
        *link = port->next;
        natsSubscription_Destroy(port->sub);
        free(port->subject);
        free(port->queue);
        free(port);
    }
}

void jj__broker_port_close(struct port *port)
{
    if (port == NULL)
        return;
    struct broker *broker = port->broker;

    port->closed = true;
    broker->ports_closed = true;
    if (!broker->draining)
        free_closed_ports(broker);
}

void jj__broker_port_drain(struct port *port)
{
    if (port->sub != NULL)
        jj__ignore(natsSubscription_Drain(port->sub), "without it, less is given back in time");
}

static void drain_port(struct port *port)
{
    natsMsg *msg;

    while (!port->closed && port->sub != NULL) {
        msg = NULL;
        natsStatus s = natsSubscription_NextMsg(&msg, port->sub, 0);
        if (s == NATS_NO_RESPONDERS)
            port->take(port->ctx, NULL);
        else if (s == NATS_OK)
            port->take(port->ctx, (struct broker_msg *)msg);
        else
            break;
    }
}

static void drain_ports(struct broker *broker)
{
    broker->draining = true;
    for (struct port *port = broker->ports; port != NULL; port = port->next)
        drain_port(port);
    broker->draining = false;
    if (broker->ports_closed)
        free_closed_ports(broker);
}

/* ---- the thread ---- */

void jj__broker_member_add(struct broker *broker, struct broker_member *member)
{
    member->next = broker->members;
    broker->members = member;
}

void jj__broker_member_remove(struct broker *broker, struct broker_member *member)
{
    if (broker->next_member == member)
        broker->next_member = member->next;
    if (broker->following == member)
        broker->following = member->next;
    for (struct broker_member **link = &broker->members; *link != NULL; link = &(*link)->next)
        if (*link == member) {
            *link = member->next;
            return;
        }
}

void jj__broker_call(struct broker *broker, void (*fn)(void *ctx), void *ctx)
{
    if (jj__broker_on_thread(broker)) {
        fn(ctx);
        return;
    }
    struct call call = {.fn = fn, .ctx = ctx};

    pthread_mutex_lock(&broker->lock);
    *broker->calls_end = &call;
    broker->calls_end = &call.next;
    pthread_mutex_unlock(&broker->lock);
    jj__broker_wake(broker);
    pthread_mutex_lock(&broker->lock);
    while (!call.finished)
        pthread_cond_wait(&broker->changed, &broker->lock);
    pthread_mutex_unlock(&broker->lock);
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
        pthread_cond_broadcast(&broker->changed);
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
    return next_ms;
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
    return fds[1].revents != 0;
}

static void *broker_main(void *arg)
{
    struct broker *broker = arg;
    int64_t next_ms = 0;

    broker->self = pthread_self();
    while (!atomic_load(&broker->stopping)) {
        if (broker->nc == NULL && jj__clock_mono_ms() >= broker->connect_at_ms)
            try_connect(broker);
        if (broker->nc == NULL && broker->connect_at_ms < next_ms)
            next_ms = broker->connect_at_ms;
        bool input = wait_for_input(broker, next_ms);
        if (broker->nc != NULL && input) {
            natsConnection_ProcessReadEvent(broker->nc);
            drain_ports(broker);
        }
        take_complaints(broker);
        run_calls(broker);
        jj__publisher_take_outbox(broker);
        next_ms = turn_members(broker, jj__clock_mono_ms());
        if (broker->nc != NULL && atomic_load(&broker->want_write))
            natsConnection_ProcessWriteEvent(broker->nc);
        if (broker->nc != NULL && natsConnection_IsClosed(broker->nc))
            disconnect(broker);
    }
    run_calls(broker);
    disconnect(broker);
    jj__publisher_close(broker);
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

/* The url as it may be shown: all between "://" and "@" is hidden. */
static char *without_secrets(const char *url)
{
    struct buf shown = {0};

    while (*url != '\0') {
        const char *scheme = strstr(url, "://");
        size_t len = scheme == NULL ? strlen(url) : (size_t)(scheme - url) + 3;
        const char *host = url + len;
        while (host > url && *host != '@')
            host--;
        if (*host == '@')
            jj__buf_str(&shown, "***");
        jj__buf_add(&shown, host, len - (size_t)(host - url));
        url += len;
    }
    jj__buf_char(&shown, '\0');
    if (shown.failed)
        jj__buf_done(&shown);
    return shown.data;
}

static jj_status copy_options(struct broker *broker, const jj_options *options, jj_error *err)
{
    bool failed = false;

    broker->options = *options;
    broker->options.url = copy(options->url, &failed);
    broker->shown_url = without_secrets(options->url);
    failed |= broker->shown_url == NULL;
    broker->options.credentials = copy(options->credentials, &failed);
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
    close_news(broker->news);
    forget_complaints(broker);
    natsOptions_Destroy(broker->nats_options);
    forget_servers(broker);
    for (int i = 0; i < 2; i++)
        if (broker->wake_fds[i] >= 0)
            close(broker->wake_fds[i]);
    pthread_cond_destroy(&broker->changed);
    pthread_mutex_destroy(&broker->lock);
    free(broker->shown_url);
    free((char *)broker->options.url);
    free((char *)broker->options.credentials);
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

/* Our threads take no signals: they are the application's. */
static jj_status start_thread(struct broker *broker, jj_error *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&broker->thread, NULL, broker_main, broker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 ? JJ_OK : jj__fail_errno(err, JJ_ERR_UNAVAILABLE, failed, "thread");
}

static void stop_thread(struct broker *broker)
{
    atomic_store(&broker->stopping, true);
    jj__broker_wake(broker);
    pthread_join(broker->thread, NULL);
}

static bool connect_settled(const struct broker *broker)
{
    return atomic_load(&broker->connected) || broker->refused;
}

jj_status jj__broker_wait_connected(struct broker *broker, int64_t deadline_ms, jj_error *err)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000,
                             .tv_nsec = (deadline_ms % 1000) * 1000000};
    jj_status s = JJ_OK;
    int timed_out = 0;

    pthread_mutex_lock(&broker->lock);
    while (!connect_settled(broker) && timed_out == 0)
        timed_out = deadline_ms == INT64_MAX
                        ? pthread_cond_wait(&broker->changed, &broker->lock)
                        : pthread_cond_timedwait(&broker->changed, &broker->lock, &until);
    if (!atomic_load(&broker->connected))
        s = jj__fail(err, JJ_ERR_UNAVAILABLE, "no broker at %s: %s", broker->shown_url,
                     broker->connect_text[0] == '\0' ? "no answer in time" : broker->connect_text);
    pthread_mutex_unlock(&broker->lock);
    return s;
}

static jj_status new_broker(struct broker **broker_out, jj_error *err)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "broker");
    pthread_condattr_t attr;

    pthread_mutex_init(&broker->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&broker->changed, &attr);
    pthread_condattr_destroy(&attr);
    broker->calls_end = &broker->calls;
    broker->complaints_end = &broker->complaints;
    broker->outbox_end = &broker->outbox;
    broker->wake_fds[0] = broker->wake_fds[1] = -1;
    broker->connect_delay_ms = RECONNECT_FIRST_MS;
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
        s = open_news(broker, err);
    if (s == JJ_OK)
        s = make_options(broker, err);
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

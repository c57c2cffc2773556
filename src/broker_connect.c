/* SPDX-License-Identifier: Apache-2.0 */

/* Connecting, and what is left to do when a connection breaks.
 *
 * The client library runs in its external event loop mode: it has no threads of its own for
 * reading, writing or delivering. The hard idea is reconnecting. The library could do it, but in
 * this mode it keeps a half-read message across connections (3.4.1, conn.c: the parser lives as
 * long as the connection), so the bytes of two connections could be read as one message. Hence each
 * connection is a new natsConnection: a broken one is closed, and the broker thread, which has
 * nothing else to do then, connects again. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker.h"
#include "broker_nats.h"
#include "buf.h"
#include "clock.h"
#include "creds.h"
#include "nkey.h"
#include "thread.h"

#define PING_INTERVAL_MS 10000
#define PINGS_OUT_MAX    2
#define WRITE_LIMIT_MS   5000 /* with TLS the library waits for room to write, at most so long */
#define CONNECT_ONCE_MS  2000 /* one attempt to connect */
#define RECONNECT_MAX_MS 2000
#define IO_BUFFER_SIZE   (128 * 1024) /* bytes read at once */

/* The text of the last error on this thread, without the place in the library's source that it
 * begins with: "(conn.c:2088): ...". */
const char *jj__broker_last_error(natsStatus status)
{
    const char *text = nats_GetLastError(NULL);

    if (text == NULL || text[0] == '\0')
        return natsStatus_GetText(status);
    const char *place_end = text[0] == '(' ? strstr(text, "): ") : NULL;
    return place_end == NULL ? text : place_end + 3;
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

/* ---- options ---- */

/* The length of "nats://" and the like; 0: no such thing is here. */
static size_t scheme_len(const char *url)
{
    size_t letters = strspn(url, "abcdefghijklmnopqrstuvwxyz");

    return letters > 0 && strncmp(url + letters, "://", 3) == 0 ? letters + 3 : 0;
}

/* Where the next url with a scheme begins, or the list ends. What is between belongs together: a
 * comma may be part of a password. */
static const char *next_url(const char *url)
{
    for (; *url != '\0'; url++)
        if ((*url == ',' || *url == ' ') && scheme_len(url + 1) > 0)
            return url + 1;
    return url;
}

/* The urls as they may be shown: what stands before "@" is hidden. */
char *jj__broker_without_secrets(const char *url)
{
    struct buf shown = {0};

    while (*url != '\0') {
        size_t len = scheme_len(url);
        const char *next = next_url(url + len);
        const char *host = next;
        jj__buf_add(&shown, url, len);
        while (host > url + len && *host != '@')
            host--;
        if (*host == '@')
            jj__buf_str(&shown, "***");
        jj__buf_add(&shown, host, (size_t)(next - host));
        url = next;
    }
    jj__buf_char(&shown, '\0');
    if (shown.failed)
        jj__buf_done(&shown);
    return shown.data;
}

static bool names_host(const char *server)
{
    const char *scheme = strstr(server, "://");
    const char *rest = scheme == NULL ? server : scheme + 3;
    const char *at = strrchr(rest, '@');
    const char *host = at == NULL ? rest : at + 1;

    return host[0] != '\0' && strchr(":/?#", host[0]) == NULL;
}

/* The client library would take its own default for a server that is not named. */
static jj_status check_url(const struct broker *broker, jj_error *err)
{
    char *list = strdup(broker->options.url);
    char *save = NULL;
    bool named = false;

    if (list == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "url");
    for (char *url = strtok_r(list, ", ", &save); url != NULL; url = strtok_r(NULL, ", ", &save)) {
        named = names_host(url);
        if (!named)
            break;
    }
    free(list);
    return named ? JJ_OK
                 : jj__fail(err, JJ_ERR_INVALID,
                            "url '%s' does not name a server: allowed is nats://HOST:PORT, several "
                            "with commas between",
                            broker->shown_url);
}

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

jj_status jj__connect_options(struct broker *broker, jj_error *err)
{
    jj_status checked = check_url(broker, err);
    if (checked != JJ_OK)
        return checked;
    sigset_t before;
    jj__signals_hold(&before); /* the first call starts the library's threads */
    natsStatus s = natsOptions_Create(&broker->nats_options);
    jj__signals_release(&before);
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
        s = natsOptions_SetErrorHandler(nats, jj__news_on_error, broker->news);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(nats, jj__news_on_closed, broker->news);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(nats, true); /* else a thread flushes, a millisecond later */
    if (s == NATS_OK)
        s = natsOptions_SetWriteDeadline(nats, WRITE_LIMIT_MS);
    if (s != NATS_OK)
        return jj__fail_nats(err, s, "connection options");
    return jj__auth_options(broker, err);
}

void jj__connect_forget_servers(struct broker *broker)
{
    for (int i = 0; i < broker->server_count; i++)
        free(broker->servers[i]);
    free(broker->servers);
    broker->servers = NULL;
    broker->server_count = 0;
}

/* Close what is left of the connection. What could not be written by now holds the library up for
 * half a second, in which nobody writes it, so that is done before; and unsubscribing would be more
 * to write, so that is done behind. */
static void drop_connection(struct broker *broker)
{
    if (broker->nc == NULL)
        return;
    jj__connect_forget_servers(broker);
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

/* Connect again, but not yet. */
static void back_off(struct broker *broker)
{
    broker->connect_at_ms = jj__clock_mono_ms() + broker->connect_delay_ms;
    broker->connect_delay_ms = broker->connect_delay_ms * 2 > RECONNECT_MAX_MS
                                   ? RECONNECT_MAX_MS
                                   : broker->connect_delay_ms * 2;
}

/* Connect again at once; but a connection that did not last counts as one that failed. A user whose
 * time is up is let in and thrown out for the rest of that second. */
static void connect_again(struct broker *broker)
{
    int64_t now_ms = jj__clock_mono_ms();

    if (now_ms - broker->connected_at_ms < RECONNECT_MAX_MS) {
        back_off(broker);
        return;
    }
    broker->connect_delay_ms = JJ__RECONNECT_FIRST_MS;
    broker->connect_at_ms = now_ms;
}

void jj__connect_end(struct broker *broker)
{
    bool was_connected = atomic_exchange(&broker->connected, false);

    drop_connection(broker);
    atomic_store(&broker->fd, -1);
    atomic_store(&broker->want_write, false);
    if (was_connected) {
        if (!atomic_load(&broker->stopping))
            jj__log(&broker->log, JJ_LOG_WARN, "connection to the broker lost, connecting again");
        connect_again(broker);
        jj__broker_tell_members(broker, false);
    }
}

static void note_connect(struct broker *broker, bool refused, const char *text)
{
    pthread_mutex_lock(&broker->lock);
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

/* With TLS 1.3 a server that misses the client's certificate hangs up without a word that the
 * client library would pass on; what it says itself differs by its version. */
static bool hung_up(const struct broker *broker, natsStatus s, const char *text)
{
    const jj_options *options = &broker->options;
    bool tls = options->tls_ca != NULL || options->tls_cert != NULL ||
               strncmp(options->url, "tls://", 6) == 0;

    return strcmp(text, "Expected 'PONG', got ''") == 0 || (tls && s == NATS_CONNECTION_CLOSED);
}

static void why_not(const struct broker *broker, natsStatus s, char out[JJ__CONNECT_TEXT_SIZE])
{
    const char *text = jj__broker_last_error(s);
    const char *creds = broker->options.credentials;

    if (hung_up(broker, s, text))
        text = broker->options.tls_cert == NULL
                   ? "the server hangs up: it may want a certificate of us"
                   : "the server hangs up: it may not like our certificate";
    bool refused = creds != NULL && s == NATS_CONNECTION_AUTH_FAILED;
    bool too_long = creds != NULL && strcmp(text, "maximum control line exceeded") == 0;
    snprintf(out, JJ__CONNECT_TEXT_SIZE, refused || too_long ? "%s: " : "%s", text);
    size_t len = strlen(out);
    if (refused)
        jj__creds_doubt(creds, jj__clock_wall_ms(), out + len, JJ__CONNECT_TEXT_SIZE - len);
    else if (too_long)
        snprintf(out + len, JJ__CONNECT_TEXT_SIZE - len,
                 "the server's max_control_line is less than the JWT takes (%s)", creds);
}

/* Do we sign what the server says, to prove who we are? */
static bool signs(const jj_options *options)
{
    return options->nkey != NULL || options->credentials != NULL;
}

static void connect_failed(struct broker *broker, natsStatus s)
{
    unsigned tries = signs(&broker->options) ? JJ__SIGNED_TRIES : 1;
    char text[JJ__CONNECT_TEXT_SIZE];

    why_not(broker, s, text);
    if (connected_before(broker) && strcmp(text, broker->connect_text) != 0)
        jj__log(&broker->log, JJ_LOG_WARN, "no broker at %s: %s", broker->shown_url, text);
    broker->refusals += s == NATS_CONNECTION_AUTH_FAILED;
    note_connect(broker, broker->refusals >= tries, text);
    jj__connect_end(broker);
    back_off(broker);
}

void jj__connect_try(struct broker *broker)
{
    natsStatus s = set_servers(broker);

    if (s == NATS_OK)
        s = set_limit(broker);
    if (s == NATS_OK) {
        jj__news_hold(broker->news);
        s = natsConnection_Connect(&broker->nc, broker->nats_options);
        if (s != NATS_OK)
            jj__news_release(broker->news);
    }
    for (struct port *port = broker->ports; s == NATS_OK && port != NULL; port = port->next)
        s = jj__port_subscribe(port);
    if (s != NATS_OK) {
        connect_failed(broker, s);
        return;
    }
    atomic_store(&broker->max_payload, (size_t)natsConnection_GetMaxPayload(broker->nc));
    atomic_store(&broker->connected, true);
    broker->connected_at_ms = jj__clock_mono_ms();
    broker->refusals = 0;
    note_connect(broker, false, "");
    jj__log(&broker->log, JJ_LOG_DEBUG, "connected to the broker");
    jj__publisher_reconnected(broker);
    jj__broker_tell_members(broker, true);
}

/* ---- waiting for it ---- */

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
        s = jj__fail(err, broker->refused ? JJ_ERR_NOT_PERMITTED : JJ_ERR_UNAVAILABLE,
                     "no broker at %s: %s", broker->shown_url,
                     broker->connect_text[0] == '\0' ? "no answer in time" : broker->connect_text);
    pthread_mutex_unlock(&broker->lock);
    return s;
}

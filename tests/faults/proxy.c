/* SPDX-License-Identifier: Apache-2.0 */

#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"

#define CONNECTIONS 16
#define BUFFER      65536
#define BROKERS     3
#define TICK_MS     20
#define GREETING_MS 1000

/* One direction of a connection. */
struct way {
    int from, to;
    size_t len, at;
    int64_t not_before_ms;
    char bytes[BUFFER];
};

struct link {
    bool open;
    int64_t since_ms;
    struct way up, down;
};

struct proxy {
    int listener, port;
    int ports[BROKERS], count, next;
    atomic_int mode;
    atomic_bool cut, stop;
    pthread_t thread;
    struct link links[CONNECTIONS];
};

/* ---- sockets ---- */

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void prepare(int fd)
{
    int on = 1;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int connect_to(int port)
{
    struct sockaddr_in address = address_of(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    prepare(fd);
    return fd;
}

/* ---- connections ---- */

static void close_link(struct link *link)
{
    struct linger reset = {.l_onoff = 1};

    if (!link->open)
        return;
    setsockopt(link->up.from, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(link->up.from);
    close(link->down.from);
    link->open = false;
}

static void accept_one(struct proxy *proxy)
{
    struct link *link = proxy->links;
    int broker = -1;
    int client = accept(proxy->listener, NULL, NULL);

    if (client < 0)
        return;
    while (link < proxy->links + CONNECTIONS && link->open)
        link++;
    for (int i = 0; i < proxy->count && broker < 0; i++)
        broker = connect_to(proxy->ports[proxy->next++ % proxy->count]);
    if (broker < 0 || link == proxy->links + CONNECTIONS) {
        close(client);
        if (broker >= 0)
            close(broker);
        return;
    }
    prepare(client);
    link->open = true;
    link->since_ms = jj__clock_mono_ms();
    link->up.from = link->down.to = client;
    link->up.to = link->down.from = broker;
    link->up.len = link->up.at = link->down.len = link->down.at = 0;
}

/* Move what can be moved; false: the connection is over. */
static bool pump(struct way *way, bool slow, int64_t now_ms)
{
    if (way->len == 0) {
        ssize_t got = read(way->from, way->bytes, sizeof(way->bytes));
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got <= 0)
            return true;
        way->len = (size_t)got;
        way->at = 0;
        way->not_before_ms = slow ? now_ms + PROXY_SLOW_MS : 0;
    }
    if (now_ms < way->not_before_ms)
        return true;
    ssize_t put = send(way->to, way->bytes + way->at, way->len, MSG_NOSIGNAL);
    if (put < 0)
        return errno == EAGAIN || errno == EINTR;
    way->at += (size_t)put;
    way->len -= (size_t)put;
    return true;
}

static void serve(struct proxy *proxy, struct link *link, int64_t now_ms)
{
    int mode = atomic_load(&proxy->mode);
    bool up = mode != PROXY_HOLD && mode != PROXY_HOLD_UP;
    bool down = mode != PROXY_HOLD && mode != PROXY_HOLD_DOWN;

    if (!link->open)
        return;
    /* libnats before 3.10 waits for ever for the rest of a greeting (nats.c #707). */
    if ((!up || !down) && now_ms - link->since_ms < GREETING_MS) {
        close_link(link);
        return;
    }
    if ((up && !pump(&link->up, mode == PROXY_SLOW, now_ms)) ||
        (down && !pump(&link->down, mode == PROXY_SLOW, now_ms)))
        close_link(link);
}

/* ---- the thread ---- */

static bool is_held(const struct proxy *proxy)
{
    int mode = atomic_load(&proxy->mode);

    return mode == PROXY_HOLD || mode == PROXY_HOLD_UP || mode == PROXY_HOLD_DOWN;
}

/* Wait until something can be read, or written that could not be; a short time at most. */
static void wait_for_news(struct proxy *proxy)
{
    struct pollfd fds[1 + 2 * CONNECTIONS];
    nfds_t count = 0;

    if (!is_held(proxy))
        fds[count++] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (struct link *link = proxy->links; link < proxy->links + CONNECTIONS; link++) {
        if (!link->open || is_held(proxy))
            continue;
        fds[count++] =
            (struct pollfd){.fd = link->up.from, .events = link->up.len == 0 ? POLLIN : 0};
        fds[count++] =
            (struct pollfd){.fd = link->down.from, .events = link->down.len == 0 ? POLLIN : 0};
    }
    poll(fds, count, TICK_MS);
}

static void *run(void *arg)
{
    struct proxy *proxy = arg;

    while (!atomic_load(&proxy->stop)) {
        wait_for_news(proxy);
        if (atomic_exchange(&proxy->cut, false))
            for (int i = 0; i < CONNECTIONS; i++)
                close_link(&proxy->links[i]);
        if (!is_held(proxy))
            accept_one(proxy);
        for (int i = 0; i < CONNECTIONS; i++)
            serve(proxy, &proxy->links[i], jj__clock_mono_ms());
    }
    for (int i = 0; i < CONNECTIONS; i++)
        close_link(&proxy->links[i]);
    return NULL;
}

/* ---- from outside ---- */

struct proxy *proxy_start(const int ports[], int count)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    struct sockaddr_in address = address_of(0);
    socklen_t size = sizeof(address);

    assert_non_null(proxy);
    assert_true(count <= BROKERS);
    proxy->count = count;
    memcpy(proxy->ports, ports, (size_t)count * sizeof(*ports));
    proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (proxy->listener < 0 ||
        bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(proxy->listener, 16) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &size) != 0)
        fail_msg("proxy: %s", strerror(errno));
    prepare(proxy->listener);
    proxy->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
    return proxy;
}

int proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
    atomic_store(&proxy->mode, mode);
}

void proxy_cut(struct proxy *proxy)
{
    atomic_store(&proxy->cut, true);
}

void proxy_stop(struct proxy *proxy)
{
    if (proxy == NULL)
        return;
    atomic_store(&proxy->stop, true);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    free(proxy);
}

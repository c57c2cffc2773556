/* SPDX-License-Identifier: Apache-2.0 */

#include "beanstalk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "process.h"
#include "wait.h"

#define PIPELINE    500
#define BUFFER_SIZE ((size_t)1 << 20)
#define PORTS_FROM  12000
#define PORTS       3000
#define CONNECT_MS  5000

/* ---- start and end ---- */

struct dial {
    int fd;
    int port;
};

static bool dial(void *ctx)
{
    struct dial *to = ctx;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)to->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    to->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (to->fd < 0)
        return false;
    if (connect(to->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return setsockopt(to->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
    close(to->fd);
    return false;
}

bool beanstalk_connect(struct beanstalk *beanstalk)
{
    struct dial to = {.port = PORTS_FROM + (int)(getpid() % PORTS)};

    *beanstalk = (struct beanstalk){.fd = -1};
    if (!wait_until(dial, &to, CONNECT_MS))
        return false;
    beanstalk->fd = to.fd;
    beanstalk->buffer = malloc(BUFFER_SIZE);
    if (beanstalk->buffer == NULL)
        bench_fail("beanstalkd: no memory", NULL);
    return true;
}

void beanstalk_hang_up(struct beanstalk *beanstalk)
{
    if (beanstalk->fd >= 0)
        close(beanstalk->fd);
    free(beanstalk->buffer);
}

struct process *beanstalk_start(const char *dir, bool fsync_always)
{
    char port[12];

    if (access("/usr/bin/beanstalkd", X_OK) != 0)
        return NULL;
    snprintf(port, sizeof(port), "%d", PORTS_FROM + (int)(getpid() % PORTS));
    const char *const argv[] = {
        "/usr/bin/beanstalkd",       "-l", "127.0.0.1", "-p", port, "-b", dir,
        fsync_always ? "-f0" : "-F", NULL};
    return process_start(argv, NULL);
}

/* ---- its protocol ---- */

static void send_all(struct beanstalk *beanstalk, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(beanstalk->fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0)
            bench_fail("beanstalkd: send", NULL);
        text += sent;
        len -= (size_t)sent;
    }
}

static void receive(struct beanstalk *beanstalk)
{
    if (beanstalk->begin > 0) {
        memmove(beanstalk->buffer, beanstalk->buffer + beanstalk->begin,
                beanstalk->end - beanstalk->begin);
        beanstalk->end -= beanstalk->begin;
        beanstalk->begin = 0;
    }
    ssize_t got =
        recv(beanstalk->fd, beanstalk->buffer + beanstalk->end, BUFFER_SIZE - beanstalk->end, 0);
    if (got <= 0)
        bench_fail("beanstalkd: receive", NULL);
    beanstalk->end += (size_t)got;
}

/* The next line, without its end; the caller's until the next call. */
static const char *read_line(struct beanstalk *beanstalk)
{
    size_t looked = 0;
    char *end;

    for (;;) {
        char *at = beanstalk->buffer + beanstalk->begin;
        size_t len = beanstalk->end - beanstalk->begin;
        end = len > looked ? memchr(at + looked, '\n', len - looked) : NULL;
        if (end != NULL) {
            *end = '\0';
            beanstalk->begin += (size_t)(end - at) + 1;
            return at;
        }
        looked = len;
        receive(beanstalk);
    }
}

static void skip(struct beanstalk *beanstalk, size_t len)
{
    while (beanstalk->end - beanstalk->begin < len)
        receive(beanstalk);
    beanstalk->begin += len;
}

static void expect(struct beanstalk *beanstalk, const char *opening)
{
    const char *line = read_line(beanstalk);

    if (strncmp(line, opening, strlen(opening)) != 0)
        bench_fail(line, NULL);
}

/* RESERVED <id> <bytes>, and the data. */
static uint64_t read_reserved(struct beanstalk *beanstalk)
{
    const char *line = read_line(beanstalk);
    char *at;

    if (strncmp(line, "RESERVED ", 9) != 0)
        bench_fail(line, NULL);
    uint64_t id = strtoull(line + 9, &at, 10);
    skip(beanstalk, strtoul(at, NULL, 10) + 2);
    return id;
}

/* ---- measures ---- */

static size_t write_put(char *out, size_t size, size_t payload_len)
{
    size_t len = (size_t)snprintf(out, size, "put 0 0 60 %zu\r\n", payload_len);

    memset(out + len, 'x', payload_len);
    memcpy(out + len + payload_len, "\r\n", 2);
    return len + payload_len + 2;
}

static char *room_for(size_t commands, size_t each)
{
    char *room = malloc(commands * each);

    if (room == NULL)
        bench_fail("beanstalkd: no memory", NULL);
    return room;
}

double beanstalk_put(struct beanstalk *beanstalk, size_t count, size_t payload_len)
{
    size_t each = payload_len + 64;
    char *text = room_for(PIPELINE, each);
    int64_t from_us = jj__clock_mono_us();

    for (size_t done = 0; done < count; done += PIPELINE) {
        size_t part = count - done < PIPELINE ? count - done : PIPELINE;
        size_t len = 0;
        for (size_t i = 0; i < part; i++)
            len += write_put(text + len, each, payload_len);
        send_all(beanstalk, text, len);
        for (size_t i = 0; i < part; i++)
            expect(beanstalk, "INSERTED ");
    }
    free(text);
    return (double)count / seconds_since(from_us);
}

static void drain_part(struct beanstalk *beanstalk, char *text, uint64_t *ids, size_t part)
{
    size_t len = 0;

    for (size_t i = 0; i < part; i++)
        len += (size_t)snprintf(text + len, 32, "reserve\r\n");
    send_all(beanstalk, text, len);
    for (size_t i = 0; i < part; i++)
        ids[i] = read_reserved(beanstalk);
    len = 0;
    for (size_t i = 0; i < part; i++)
        len += (size_t)snprintf(text + len, 32, "delete %llu\r\n", (unsigned long long)ids[i]);
    send_all(beanstalk, text, len);
    for (size_t i = 0; i < part; i++)
        expect(beanstalk, "DELETED");
}

double beanstalk_drain(struct beanstalk *beanstalk, size_t count)
{
    char *text = room_for(PIPELINE, 32);
    uint64_t ids[PIPELINE];
    int64_t from_us = jj__clock_mono_us();

    for (size_t done = 0; done < count; done += PIPELINE)
        drain_part(beanstalk, text, ids, count - done < PIPELINE ? count - done : PIPELINE);
    free(text);
    return (double)count / seconds_since(from_us);
}

void beanstalk_latency(struct beanstalk *worker, struct beanstalk *producer, size_t count,
                       size_t payload_len, int64_t *us_out)
{
    char *text = room_for(1, payload_len + 64);
    size_t len = write_put(text, payload_len + 64, payload_len);
    char answer[48];

    for (size_t i = 0; i < count; i++) {
        send_all(worker, "reserve\r\n", 9);
        int64_t from_us = jj__clock_mono_us();
        send_all(producer, text, len);
        uint64_t id = read_reserved(worker);
        us_out[i] = jj__clock_mono_us() - from_us;
        expect(producer, "INSERTED ");
        int answer_len =
            snprintf(answer, sizeof(answer), "delete %llu\r\n", (unsigned long long)id);
        send_all(worker, answer, (size_t)answer_len);
        expect(worker, "DELETED");
    }
    free(text);
}

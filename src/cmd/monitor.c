/* SPDX-License-Identifier: Apache-2.0 */

/* One request of HTTP/1.0, whose answer ends with the connection. */

#include "monitor.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "buf.h"
#include "status.h"

#define SCHEME     "http://"
#define PORT       "8222"
#define PART_SIZE  256
#define ANSWER_MAX ((size_t)1024 * 1024)
#define LIMIT_SECS 3 /* for each step */

struct address {
    char host[PART_SIZE];
    char port[8];
    char path[PART_SIZE]; /* "" or "/base" */
};

/* ---- where ---- */

static bool copy(char *out, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

/* HOST, or [HOST] if it has colons: what follows; NULL: it is not there. */
static const char *read_host(const char *text, struct address *address)
{
    bool closed = *text == '[';
    const char *host = closed ? text + 1 : text;
    size_t len = strcspn(host, closed ? "]/" : ":/");

    if (len == 0 || (closed && host[len] != ']') ||
        !copy(address->host, sizeof(address->host), host, len))
        return NULL;
    return closed ? host + len + 1 : host + len;
}

/* :PORT, or nothing for the usual one: what follows; NULL: it can't be read. */
static const char *read_port(const char *text, struct address *address)
{
    bool said = *text == ':';
    const char *port = said ? text + 1 : PORT;
    size_t len = strspn(port, "0123456789");

    if (len == 0 || !copy(address->port, sizeof(address->port), port, len))
        return NULL;
    return said ? port + len : text;
}

/* Nothing in it may end a line of the request. */
static bool read_address(const char *url, struct address *address)
{
    const char *rest = NULL;

    if (strncmp(url, SCHEME, strlen(SCHEME)) == 0 && strpbrk(url, " \t\r\n@?#") == NULL)
        rest = read_host(url + strlen(SCHEME), address);
    if (rest != NULL)
        rest = read_port(rest, address);
    if (rest == NULL || (*rest != '\0' && *rest != '/'))
        return false;
    size_t len = strlen(rest);
    while (len > 0 && rest[len - 1] == '/')
        len--;
    return copy(address->path, sizeof(address->path), rest, len);
}

/* ---- asking ---- */

static const char *reason(int failure)
{
    return failure == EAGAIN || failure == EINPROGRESS ? "no answer in time" : strerror(failure);
}

/* A connection to one of its addresses; -1: none, and errno says why of the last one. */
static int open_one(const struct addrinfo *infos)
{
    const struct timeval limit = {.tv_sec = LIMIT_SECS};

    for (const struct addrinfo *info = infos; info != NULL; info = info->ai_next) {
        int fd = socket(info->ai_family, info->ai_socktype, info->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connect(), too */
        if (connect(fd, info->ai_addr, info->ai_addrlen) == 0)
            return fd;
        int failure = errno;
        close(fd);
        errno = failure;
    }
    return -1;
}

static jj_status connect_to(const struct address *address, int *fd_out, jj_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *infos = NULL;
    int failure = getaddrinfo(address->host, address->port, &hints, &infos);

    if (failure != 0)
        return jj__fail(err, JJ_ERR_UNAVAILABLE, "%s: %s", address->host, gai_strerror(failure));
    *fd_out = open_one(infos);
    failure = errno;
    freeaddrinfo(infos);
    return *fd_out >= 0 ? JJ_OK
                        : jj__fail(err, JJ_ERR_UNAVAILABLE, "%s:%s: %s", address->host,
                                   address->port, reason(failure));
}

/* All that comes until the other side closes. */
static jj_status talk(int fd, const struct address *address, const char *what, struct buf *answer,
                      jj_error *err)
{
    char bytes[4096];
    ssize_t got = 1;
    int len = snprintf(bytes, sizeof(bytes), "GET %s/%s HTTP/1.0\r\nHost: %s\r\n\r\n",
                       address->path, what, address->host);

    if (send(fd, bytes, (size_t)len, MSG_NOSIGNAL) != len)
        got = -1;
    while (got > 0 && !answer->failed) {
        got = recv(fd, bytes, sizeof(bytes), 0);
        if (got > 0)
            jj__buf_add(answer, bytes, (size_t)got);
    }
    if (got < 0)
        return jj__fail(err, JJ_ERR_UNAVAILABLE, "%s:%s: %s", address->host, address->port,
                        reason(errno));
    jj__buf_char(answer, '\0');
    return answer->beyond_max || !answer->failed ? JJ_OK
                                                 : jj__fail(err, JJ_ERR_NO_MEMORY, "answer");
}

/* What stands behind its headers; NULL: it is nothing of a nats-server. Where that is not well its
 * status says so, too. */
static json_t *read_body(const struct buf *answer, const char *key)
{
    const char *body = answer->failed ? NULL : strstr(answer->data, "\r\n\r\n");

    if (body == NULL || strncmp(answer->data, "HTTP/1.", 7) != 0)
        return NULL;
    json_t *json = json_loads(body, 0, NULL);
    if (json_is_string(json_object_get(json, key)))
        return json;
    json_decref(json);
    return NULL;
}

jj_status monitor_get(const char *url, const char *what, const char *key, json_t **answer_out,
                      jj_error *err)
{
    struct address address;
    struct buf answer = {.max = ANSWER_MAX};
    int fd = -1;

    if (!read_address(url, &address))
        return jj__fail(err, JJ_ERR_INVALID,
                        "--monitor '%.100s': allowed is http://HOST[:PORT], of nats-server's "
                        "monitoring",
                        url);
    jj_status s = connect_to(&address, &fd, err);
    if (s != JJ_OK)
        return s;
    s = talk(fd, &address, what, &answer, err);
    close(fd);
    json_t *json = s == JJ_OK ? read_body(&answer, key) : NULL;
    jj__buf_done(&answer);
    if (s == JJ_OK && json == NULL)
        return jj__fail(err, JJ_ERR_PROTOCOL, "%.200s is not the monitoring of a nats-server", url);
    if (s == JJ_OK)
        *answer_out = json;
    return s;
}

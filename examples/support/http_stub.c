/* SPDX-License-Identifier: Apache-2.0 */
#include "http_stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "local_server.h"

#define LINE_SIZE 1024
#define BODY_MAX  4096

struct http_stub {
    struct local_server *server;
    unsigned busy, hang_ups; /* how often these were asked */
};

static void answer(FILE *out, const char *status, const char *more_headers, const char *body)
{
    fprintf(out, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\n", status);
    fprintf(out, "%sContent-Length: %zu\r\n\r\n%s", more_headers, strlen(body), body);
}

static void answer_path(struct http_stub *stub, FILE *out, const char *path, const char *body)
{
    if (strcmp(path, "/busy") == 0 && stub->busy++ < 2)
        answer(out, stub->busy == 1 ? "503 Service Unavailable" : "500 Internal Server Error",
               stub->busy == 1 ? "Retry-After: 1\r\n" : "", "{}");
    else if (strcmp(path, "/hang-up") == 0 && stub->hang_ups++ < 1)
        return;
    else if (strcmp(path, "/ok") == 0 || strcmp(path, "/busy") == 0 ||
             strcmp(path, "/hang-up") == 0)
        answer(out, "200 OK", "", body);
    else
        answer(out, "404 Not Found", "", "{}");
}

/* One request of each connection. */
static void serve(FILE *in, FILE *out, void *user)
{
    char line[LINE_SIZE], path[64] = "", body[BODY_MAX] = "";
    size_t len = 0;

    if (local_server_line(in, line, sizeof(line)) == NULL || sscanf(line, "%*s %63s", path) != 1)
        return;
    while (local_server_line(in, line, sizeof(line)) != NULL && line[0] != '\0')
        if (sscanf(line, "Content-Length: %zu", &len) == 1 && len >= sizeof(body))
            return;
    if (fread(body, 1, len, in) == len)
        answer_path(user, out, path, body);
}

struct http_stub *http_stub_start(void)
{
    struct http_stub *stub = calloc(1, sizeof(*stub));
    if (stub == NULL)
        return NULL;
    stub->server = local_server_start(serve, stub);
    if (stub->server == NULL) {
        free(stub);
        return NULL;
    }
    return stub;
}

unsigned http_stub_port(const struct http_stub *stub)
{
    return local_server_port(stub->server);
}

void http_stub_stop(struct http_stub *stub)
{
    if (stub == NULL)
        return;
    local_server_stop(stub->server);
    free(stub);
}

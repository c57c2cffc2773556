/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp_sink.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "local_server.h"

#define LINE_SIZE 1024

struct smtp_sink {
    struct local_server *server;
    char url[64];
    bool was_busy;
};

static bool begins_with(const char *line, const char *word)
{
    return strncasecmp(line, word, strlen(word)) == 0;
}

/* The answer to "RCPT TO:<...>". */
static const char *judge_recipient(struct smtp_sink *sink, const char *line)
{
    if (begins_with(line, "RCPT TO:<nobody@"))
        return "550 5.1.1 no such mailbox";
    if (begins_with(line, "RCPT TO:<busy@") && !sink->was_busy) {
        sink->was_busy = true;
        return "451 4.2.1 mailbox is busy, try again later";
    }
    return "250 2.1.5 recipient ok";
}

/* Take a mail up to the line that is a single dot. */
static void take_mail(FILE *in)
{
    char line[LINE_SIZE];

    while (local_server_line(in, line, sizeof(line)) != NULL && strcmp(line, ".") != 0)
        printf("  | %s\n", line[0] == '.' ? line + 1 : line); /* SMTP doubles a leading dot */
}

static void serve(FILE *in, FILE *out, void *user)
{
    char line[LINE_SIZE];
    const char *answer = "220 sink.example ESMTP";

    while (fprintf(out, "%s\r\n", answer) > 0 && fflush(out) == 0 &&
           local_server_line(in, line, sizeof(line)) != NULL) {
        answer = "250 2.0.0 ok";
        if (begins_with(line, "RCPT TO:")) {
            answer = judge_recipient(user, line);
        } else if (begins_with(line, "DATA")) {
            fprintf(out, "354 go on\r\n");
            fflush(out);
            take_mail(in);
        }
    }
}

struct smtp_sink *smtp_sink_start(void)
{
    struct smtp_sink *sink = calloc(1, sizeof(*sink));
    if (sink == NULL)
        return NULL;
    sink->server = local_server_start(serve, sink);
    if (sink->server == NULL) {
        free(sink);
        return NULL;
    }
    snprintf(sink->url, sizeof(sink->url), "smtp://127.0.0.1:%u", local_server_port(sink->server));
    return sink;
}

const char *smtp_sink_url(const struct smtp_sink *sink)
{
    return sink->url;
}

void smtp_sink_stop(struct smtp_sink *sink)
{
    if (sink == NULL)
        return;
    local_server_stop(sink->server);
    free(sink);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Judges a producer or a request handler, in whatever language, by the wire contract in
 * broker/README.md, clause by clause. See usage below. Not a judge of workers and indexes. */

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modes.h"

static const char usage[] =
    "usage: conformance [--url URL] producer NAME [--count N] [--timeout SECONDS]\n"
    "           listens to jobs.enqueue.NAME and jobs.schedule.NAME.*, judges the first N (1)\n"
    "           messages, and waits up to SECONDS (60) for them: start it, then your producer\n"
    "       conformance [--url URL] handler SUBJECT [--data TEXT] [--timeout SECONDS]\n"
    "           sends jobs of many kinds to SUBJECT and judges the answers; each may take SECONDS\n"
    "           (5). With TEXT, good data for that handler, those with it have to be completed\n"
    "       conformance clauses\n"
    "           prints what is judged\n"
    "exit status: 0 all holds, 1 a clause is broken or nothing came, 2 usage, 4 no broker\n";

struct arguments {
    const char *words[2];
    int word_count;
    const char *url, *data, *count, *timeout;
};

/* The place for the value of an option; NULL: there is no such option. */
static const char **option(struct arguments *arguments, const char *name)
{
    if (strcmp(name, "--url") == 0)
        return &arguments->url;
    if (strcmp(name, "--data") == 0)
        return &arguments->data;
    if (strcmp(name, "--count") == 0)
        return &arguments->count;
    return strcmp(name, "--timeout") == 0 ? &arguments->timeout : NULL;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    arguments->url = getenv("NATS_URL") != NULL ? getenv("NATS_URL") : "nats://127.0.0.1:4222";
    for (int i = 1; i < argc; i++) {
        const char **value = option(arguments, argv[i]);
        if (value != NULL && i + 1 < argc)
            *value = argv[++i];
        else if (value == NULL && argv[i][0] != '-' && arguments->word_count < 2)
            arguments->words[arguments->word_count++] = argv[i];
        else
            return false;
    }
    return arguments->word_count > 0;
}

/* A number from 1 to a million; 0: it is not. */
static int64_t number(const char *text, int64_t fallback)
{
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : fallback;

    return (end == NULL || *end == '\0') && value >= 1 && value <= 1000000 ? value : 0;
}

static int run(const struct arguments *arguments, bool is_producer)
{
    struct report report = {0};
    struct task task = {
        .what = arguments->words[1],
        .data = arguments->data,
        .count = number(arguments->count, 1),
        .timeout_ms = 1000 * number(arguments->timeout, is_producer ? 60 : 5),
    };
    if (task.count == 0 || task.timeout_ms == 0) {
        fputs(usage, stderr);
        return 2;
    }
    natsStatus s = natsConnection_ConnectTo(&task.nc, arguments->url);
    if (s != NATS_OK) {
        fprintf(stderr, "conformance: no broker: %s\n", natsStatus_GetText(s));
        return 4;
    }
    bool done = is_producer ? listen_to_producer(&task, &report) : ask_handler(&task, &report);
    natsConnection_Destroy(task.nc);
    return report_end(&report) && done ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    int status = 2;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_arguments(argc, argv, &arguments)) {
        fputs(usage, stderr);
        return 2;
    }
    bool is_producer = strcmp(arguments.words[0], "producer") == 0;
    if (strcmp(arguments.words[0], "clauses") == 0 && arguments.word_count == 1) {
        report_list();
        status = 0;
    } else if (arguments.word_count == 2 &&
               (is_producer || strcmp(arguments.words[0], "handler") == 0)) {
        status = run(&arguments, is_producer);
    } else {
        fputs(usage, stderr);
    }
    nats_Close();
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Enqueue one job, now or for later, and wait for it if that is wanted; or one for each line. */

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "commands.h"
#include "enqueue_lines.h"
#include "follow.h"
#include "print.h"
#include "progress.h"
#include "rfc3339.h"
#include "show.h"
#include "spec.h"
#include "status.h"

#define HEADERS_MAX OPTION_TEXTS_MAX
#define HEADER_SIZE 256

static struct {
    int64_t in_ms; /* -1: not said */
    int64_t at_ms; /* -1: not said */
    const char *id;
    const char *key;
    uint32_t max_attempts;
    int64_t timeout_ms;
    struct option_texts headers;
    bool lines;
    bool wait;
    int64_t wait_ms; /* -1: not said */
} said = {.in_ms = -1, .at_ms = -1, .wait_ms = -1};

/* Somebody waits and sees the progress. Decided once: a terminal may go, its signals stay held. */
static bool watched;

static const struct cmd_option options[] = {
    {"in", '\0', "D", "run it when D has passed: 500ms, 15s, 5m, 2h, 7d", OPTION_DURATION,
     .to = &said.in_ms},
    {"at", '\0', "T", "run it at T, as 2026-12-24T18:00:00Z", OPTION_TIME, .to = &said.at_ms},
    {"id", '\0', "I", "its id; one is made unless it is said", OPTION_TEXT, .to = &said.id},
    {"key", '\0', "K", "not if there was one with K in the last 10 minutes", OPTION_TEXT,
     .to = &said.key},
    {"max-attempts", '\0', "N", "how often it may be tried; else its handler says", OPTION_NUMBER,
     .to = &said.max_attempts, .min = 1, .max = 1000},
    {"timeout", '\0', "D", "how long an attempt may take; else its handler says", OPTION_DURATION,
     .to = &said.timeout_ms, .min = 1},
    {"header", 'H', "K:V", "a header; may be said more than once", OPTION_TEXTS,
     .to = &said.headers},
    {"lines", '\0', NULL, "a job for each line of stdin", OPTION_FLAG, .to = &said.lines},
    {"wait", '\0', NULL, "wait until it is over, and show it", OPTION_FLAG, .to = &said.wait},
    {"wait-timeout", '\0', "D", "wait no longer than D", OPTION_DURATION, .to = &said.wait_ms},
    {0},
};

/* ---- the job ---- */

struct job_text {
    struct buf data;
    jj_header headers[HEADERS_MAX];
    char names[HEADERS_MAX][HEADER_SIZE];
};

/* From "name: value". */
static jj_status read_header(const char *text, char name[HEADER_SIZE], jj_header *header,
                             jj_error *err)
{
    const char *colon = strchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);

    if (colon == NULL || len >= HEADER_SIZE)
        return jj__fail(err, JJ_ERR_INVALID, "--header: '%.100s' is not what it takes: name:value",
                        text);
    memcpy(name, text, len);
    name[len] = '\0';
    header->name = name;
    header->value = colon + 1 + strspn(colon + 1, " ");
    return JJ_OK;
}

static jj_status make_spec(int argc, char **argv, struct job_text *text, jj_spec *spec,
                           jj_error *err)
{
    const char *data = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    jj_status s = JJ_OK;

    *spec = (jj_spec){.name = argv[1],
                      .data = data,
                      .data_len = data == NULL ? 0 : strlen(data),
                      .id = said.id,
                      .unique_key = said.key,
                      .max_attempts = said.max_attempts,
                      .timeout_ms = said.timeout_ms,
                      .headers = text->headers,
                      .header_count = said.headers.count};
    for (size_t i = 0; s == JJ_OK && i < said.headers.count; i++)
        s = read_header(said.headers.texts[i], text->names[i], &text->headers[i], err);
    return s != JJ_OK ? s : jj__spec_check(spec, SIZE_MAX, err);
}

/* What can't be said together; NULL: all is well. */
static const char *conflict(int argc, char **argv)
{
    if (said.in_ms >= 0 && said.at_ms >= 0)
        return "--in and --at: say one of them";
    if (said.wait_ms >= 0 && !said.wait)
        return "--wait-timeout: needs --wait";
    if (!said.lines)
        return NULL;
    if (argc > 2 && strcmp(argv[2], "-") != 0)
        return "--lines: the data comes from stdin";
    if (said.id != NULL || said.key != NULL)
        return "--lines: each job needs an id of its own: leave out --id and --key";
    if (said.wait || said.in_ms >= 0 || said.at_ms >= 0)
        return "--lines: leave out --wait, --in and --at";
    return NULL;
}

/* ---- the commands ---- */

static jj_status enqueue(jj_client *client, const jj_spec *spec, jj_receipt *receipt, jj_error *err)
{
    if (said.at_ms >= 0)
        return jj_schedule(client, spec, said.at_ms, receipt, err);
    if (said.in_ms >= 0)
        return jj_schedule(client, spec, jj__clock_wall_ms() + said.in_ms, receipt, err);
    return jj_enqueue(client, spec, receipt, err);
}

/* Somebody has had enough of waiting. */
static int leave(const char *id)
{
    fprintf(stderr, "jetjobs: the job goes on: 'jetjobs get %s' shows it\n", id);
    follow_die();
    return ENDING_FAILED;
}

static int wait_for(const struct program *program, jj_client *client, const jj_spec *spec,
                    const char *id)
{
    int64_t limit_ms = said.wait_ms >= 0 ? said.wait_ms : JJ__TIME_MAX_MS;
    bool stopped = false;
    jj_job *job = NULL;
    jj_error err = {0};
    jj_status s = watched ? progress_wait(client, spec, id, limit_ms, &job, &stopped, &err)
                          : jj_wait(client, id, limit_ms, &job, &err);

    if (stopped)
        return leave(id);
    if (s != JJ_OK) {
        fprintf(stderr, "jetjobs: job %s is enqueued, but:\n", id);
        return program_failed(client, &err);
    }
    show_job(program, job);
    int ending = jj_job_state(job) == JJ_COMPLETED ? ENDING_DONE : ENDING_FAILED;
    jj_job_free(job);
    return ending;
}

static int enqueue_one(const struct program *program, jj_client *client, const jj_spec *spec)
{
    jj_receipt receipt = {0};
    jj_error err = {0};
    jj_status s = enqueue(client, spec, &receipt, &err);

    if (s == JJ_ERR_TIMEOUT)
        fprintf(stderr, "jetjobs: perhaps it is enqueued: to make sure, repeat it with --id %s\n",
                receipt.id);
    if (s != JJ_OK)
        return program_failed(client, &err);
    if (receipt.duplicate)
        fprintf(stderr, "jetjobs: nothing new: job %s was there before\n", receipt.id);
    if (said.wait)
        return wait_for(program, client, spec, receipt.id);
    enqueue_print(program, &receipt);
    return ENDING_DONE;
}

static int run_connected(const struct program *program, jj_client *client, jj_spec *spec,
                         struct buf *data, bool from_stdin)
{
    jj_error err = {0};

    if (said.lines)
        return enqueue_lines(program, client, spec);
    if (from_stdin && enqueue_read_all(client, data, &err) != JJ_OK)
        return program_failed(client, &err);
    if (from_stdin) {
        spec->data = data->data;
        spec->data_len = data->len;
    }
    return enqueue_one(program, client, spec);
}

static int run(const struct program *program, int argc, char **argv)
{
    struct job_text text = {0};
    int ending = ENDING_DONE;
    jj_error err = {0};
    jj_spec spec;

    if (conflict(argc, argv) != NULL)
        return program_usage(&cmd_enqueue, "enqueue: %s", conflict(argc, argv));
    if (make_spec(argc, argv, &text, &spec, &err) != JJ_OK)
        return program_usage(&cmd_enqueue, "enqueue: %s", err.text);
    watched = said.wait && progress_is_seen();
    if (watched)
        follow_hold();
    jj_client *client = program_connect(program, NULL, &ending);
    if (client == NULL)
        return ending;
    ending =
        run_connected(program, client, &spec, &text.data, argc > 2 && strcmp(argv[2], "-") == 0);
    jj__buf_done(&text.data);
    jj_close(client);
    return ending;
}

const struct command cmd_enqueue = {
    .name = "enqueue",
    .arguments = "NAME [DATA|-]",
    .least = 1,
    .most = 2,
    .summary = "Hand a job to whichever worker is free first, and print its id",
    .help =
        "DATA is what the handler gets, usually JSON; - reads it from stdin.\n"
        "\n"
        "With --wait, the job is shown when it is over, and the exit status is 0 only if it is\n"
        "completed. With --lines, stdin is enqueued as it comes, in batches of up to 1000\n"
        "that are stored all or none, and the ids are printed in that order. An empty line\n"
        "is no job.\n",
    .options = options,
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */

/* What a job's handler has logged, and what it logs until the job is over.
 *
 * To follow, there are two sources. Stored lines come from the index, late and at most LINES_MAX;
 * live ones at once, but only from when we listen on. Each line comes at most once from each. So a
 * line is printed when it comes from either, and left out when the other one has brought it. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "catch_up.h"
#include "commands.h"
#include "follow.h"
#include "live.h"
#include "print.h"
#include "show.h"
#include "status.h"

/* So many lines of a job does an index keep; the one after them says how many it did not. */
#define LINES_MAX 1000

/* How often to ask for what was logged just before we listened. */
#define ASK_MS 500

/* Nothing live for so long, and there is no more. */
#define QUIET_MS 300

static uint32_t limit;
static bool follow;
static bool events;

static const struct cmd_option options[] = {
    {"follow", 'f', NULL, "go on until the job is over", OPTION_FLAG, .to = &follow},
    {"limit", 'n', "N", "only the first N lines", OPTION_NUMBER, .to = &limit, .min = 1,
     .max = 2 * LINES_MAX + 1},
    {"events", 'e', NULL, "custom events, too; not with --follow", OPTION_FLAG, .to = &events},
    {0},
};

static jj_status fetch(jj_client *client, const char *id, jj_lines **lines_out, jj_error *err)
{
    jj_status (*ask)(jj_client *, const char *, uint32_t, jj_lines **, jj_error *) =
        events ? jj_history : jj_logs;
    jj_status s = ask(client, id, limit, lines_out, err);

    if (s == JJ_ERR_NOT_FOUND && catch_up(client))
        s = ask(client, id, limit, lines_out, err);
    return s;
}

static int print_stored(const struct program *program, jj_client *client, const char *id)
{
    jj_lines *lines = NULL;
    jj_error err = {0};

    if (fetch(client, id, &lines, &err) != JJ_OK)
        return program_failed(client, &err);
    for (size_t i = 0; i < jj_lines_count(lines); i++)
        show_line(program, jj_lines_get(lines, i));
    jj_lines_free(lines);
    return ENDING_DONE;
}

/* ---- following ---- */

enum source { SOURCE_STORED, SOURCE_LIVE };

/* A line that one source has brought, and the other one not yet. */
struct brought {
    uint64_t line; /* a hash of it */
    enum source source;
};

struct following {
    const struct program *program;
    jj_client *client;
    const char *id;
    size_t stored; /* lines that were taken from the index; main thread */
    pthread_mutex_t lock;
    struct buf brought; /* guarded by lock: struct brought */
    size_t heard;       /* guarded by lock: lines that came live */
};

static uint64_t add_hash(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Data is left out: the sources may write the same value in two ways. */
static uint64_t hash_of(const jj_log_line *line)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    hash = add_hash(hash, &line->time_ms, sizeof(line->time_ms));
    hash = add_hash(hash, &line->attempt, sizeof(line->attempt));
    hash = add_hash(hash, &line->level, sizeof(line->level));
    return add_hash(hash, line->message, strlen(line->message));
}

/* True: the other source has brought it before. Else note that this one has. Lock: held. */
static bool has_been_brought(struct following *following, uint64_t line, enum source source)
{
    struct brought *brought = (void *)following->brought.data;
    size_t count = following->brought.len / sizeof(*brought);
    const struct brought note = {line, source};

    for (size_t i = 0; i < count; i++) {
        if (brought[i].line != line || brought[i].source == source)
            continue;
        brought[i] = brought[count - 1];
        jj__buf_truncate(&following->brought, (count - 1) * sizeof(*brought));
        return true;
    }
    jj__buf_add(&following->brought, &note, sizeof(note));
    return false;
}

static void bring(struct following *following, const jj_log_line *line, enum source source)
{
    pthread_mutex_lock(&following->lock);
    following->heard += source == SOURCE_LIVE ? 1 : 0;
    if (!has_been_brought(following, hash_of(line), source))
        show_line(following->program, line);
    print_flush();
    pthread_mutex_unlock(&following->lock);
}

static bool take_live(const jj_live *live, void *user)
{
    struct following *following = user;
    json_t *event = live_read(live);
    jj_log_line line;
    char *data;

    if (event == NULL)
        return true;
    live_line(event, &line, &data);
    bring(following, &line, SOURCE_LIVE);
    free(data);
    json_decref(event);
    return !print_failed();
}

static jj_status take_stored(struct following *following, jj_error *err)
{
    jj_lines *lines = NULL;
    jj_status s = fetch(following->client, following->id, &lines, err);

    if (s != JJ_OK)
        return s;
    size_t count = jj_lines_count(lines);
    for (; following->stored < count && following->stored < LINES_MAX; following->stored++)
        bring(following, jj_lines_get(lines, following->stored), SOURCE_STORED);
    jj_lines_free(lines);
    return JJ_OK;
}

static size_t heard_by(struct following *following)
{
    pthread_mutex_lock(&following->lock);
    size_t heard = following->heard;
    pthread_mutex_unlock(&following->lock);
    return heard;
}

/* Lines that no index keeps may still be on their way when the job is over. */
static void hear_the_rest(struct following *following)
{
    size_t before;

    do
        before = heard_by(following);
    while (following->stored == LINES_MAX && !follow_wait(QUIET_MS) &&
           heard_by(following) != before);
}

/* Until the job is over or somebody has had enough. An index that is away comes back, or not: what
 * is told live is printed in any case. */
static jj_status follow_job(struct following *following, jj_error *err)
{
    jj_status s = take_stored(following, err);
    bool over = false;

    while ((s == JJ_OK || s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE) && !over &&
           !follow_wait(s == JJ_OK ? 0 : ASK_MS)) {
        jj_job *job = NULL;
        s = jj_wait(following->client, following->id, ASK_MS, &job, err);
        over = s == JJ_OK;
        jj_job_free(job);
        if (over || s == JJ_ERR_TIMEOUT)
            s = take_stored(following, err);
    }
    hear_the_rest(following);
    return s == JJ_ERR_TIMEOUT || s == JJ_ERR_UNAVAILABLE ? JJ_OK : s;
}

static int follow_logs(const struct program *program, jj_client *client, const char *id)
{
    struct following following = {
        .program = program, .client = client, .id = id, .lock = PTHREAD_MUTEX_INITIALIZER};
    char subject[JJ_NAME_SIZE + 16];
    jj_listener *listener = NULL;
    jj_error err = {0};

    snprintf(subject, sizeof(subject), "log.job.%s", id);
    jj_status s = jj_listen(client, subject, take_live, &following, &listener, &err);
    if (s == JJ_OK)
        s = follow_job(&following, &err);
    jj_listener_close(listener);
    jj__buf_done(&following.brought);
    return s == JJ_OK ? ENDING_DONE : program_failed(client, &err);
}

static int run(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;

    (void)argc;
    if (follow && limit != 0)
        return program_usage(&cmd_logs, "logs: --follow and --limit: say one of them");
    if (follow && events)
        return program_usage(&cmd_logs, "logs: --follow and --events: say one of them");
    if (follow)
        follow_hold();
    jj_client *client =
        program_connect(program, follow ? follow_options : program_only_asks, &ending);
    if (client == NULL)
        return ending;
    ending =
        follow ? follow_logs(program, client, argv[1]) : print_stored(program, client, argv[1]);
    jj_close(client);
    return ending;
}

const struct command cmd_logs = {
    .name = "logs",
    .arguments = "ID",
    .least = 1,
    .most = 1,
    .summary = "Print what the handler of a job has logged",
    .help =
        "Each line has its time, attempt, level and message, and perhaps a JSON value. Of a job,\n"
        "the first 1000 lines are kept, and one that says how many there were beyond; those\n"
        "who follow it see all. With --events come the custom events that the handler told,\n"
        "the first 1000 of them: time, attempt, the word event, its name, and its data. To see\n"
        "events as they happen: jetjobs events job.ID.event\n",
    .options = options,
    .run = run,
};

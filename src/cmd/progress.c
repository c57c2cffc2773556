/* SPDX-License-Identifier: Apache-2.0 */

/* The line is drawn by two threads: the listener's when the job tells something, and the one that
 * waits, for the seconds. */

#include "progress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "escape.h"
#include "event.h"
#include "follow.h"
#include "live.h"
#include "print.h"
#include "units.h"

/* What is over sooner needs no line. */
#define PATIENCE_MS 300
#define DRAW_MS     500

#define TEXT_SIZE 256

struct progress {
    const char *id;
    int64_t began_ms;
    pthread_mutex_t lock;
    bool drawn;           /* guarded by lock */
    char text[TEXT_SIZE]; /* guarded by lock: what the job told last */
};

bool progress_is_seen(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

/* Lock: held. */
static void draw(struct progress *progress)
{
    int64_t passed_ms = jj__clock_mono_ms() - progress->began_ms;
    char passed[UNITS_DURATION_SIZE];
    struct buf line = {0};

    if (passed_ms < PATIENCE_MS)
        return;
    units_write_duration(passed_ms - passed_ms % 1000, passed);
    jj__buf_str(&line, progress->id);
    jj__buf_str(&line, "  ");
    jj__buf_str(&line, passed_ms < 1000 ? "0s" : passed);
    jj__buf_str(&line, "  ");
    escape_text(&line, progress->text, strlen(progress->text));
    if (!line.failed)
        fprintf(stderr, "\r\033[K%.*s",
                (int)escape_fit(line.data, line.len, print_width(STDERR_FILENO) - 1), line.data);
    progress->drawn = true;
    jj__buf_done(&line);
}

static void erase(struct progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    pthread_mutex_unlock(&progress->lock);
}

/* What an event says of the job, in a few words; false: nothing that matters here. */
static bool put_into_words(const json_t *event, char out[TEXT_SIZE])
{
    const json_t *attempt = json_object_get(event, "attempts");
    const char *message = live_text(event, "message");

    switch (jj__event_type_read(live_text(event, "type"))) {
    case EVENT_STARTED:
        snprintf(out, TEXT_SIZE, "runs, attempt %d", (int)json_integer_value(attempt));
        return true;
    case EVENT_PROGRESS:
        snprintf(out, TEXT_SIZE, "%d%%%s%s",
                 (int)json_integer_value(json_object_get(event, "percent")),
                 message[0] == '\0' ? "" : "  ", message);
        return true;
    case EVENT_RETRYING:
        snprintf(out, TEXT_SIZE, "will be tried again: %s", live_text(event, "error"));
        return true;
    default:
        return false;
    }
}

static bool take(const jj_live *live, void *user)
{
    struct progress *progress = user;
    json_t *event = live_read(live);
    char text[TEXT_SIZE];

    if (event != NULL && strcmp(live_text(event, "jobId"), progress->id) == 0 &&
        put_into_words(event, text)) {
        pthread_mutex_lock(&progress->lock);
        memcpy(progress->text, text, sizeof(text));
        draw(progress);
        pthread_mutex_unlock(&progress->lock);
    }
    json_decref(event);
    return true;
}

/* Wait in steps, and draw after each. */
static jj_status wait_steps(struct progress *progress, jj_client *client, int64_t limit_ms,
                            jj_job **job_out, bool *stopped_out, jj_error *err)
{
    jj_status s;

    for (;;) {
        int64_t left_ms = limit_ms - (jj__clock_mono_ms() - progress->began_ms);
        s = jj_wait(client, progress->id,
                    left_ms < 0         ? 0
                    : left_ms < DRAW_MS ? left_ms
                                        : DRAW_MS,
                    job_out, err);
        *stopped_out = s != JJ_OK && follow_wait(0);
        if (s != JJ_ERR_TIMEOUT || left_ms <= 0 || *stopped_out)
            return s;
        pthread_mutex_lock(&progress->lock);
        draw(progress);
        pthread_mutex_unlock(&progress->lock);
    }
}

jj_status progress_wait(jj_client *client, const jj_spec *spec, const char *id, int64_t limit_ms,
                        jj_job **job_out, bool *stopped_out, jj_error *err)
{
    struct progress progress = {.id = id,
                                .began_ms = jj__clock_mono_ms(),
                                .lock = PTHREAD_MUTEX_INITIALIZER,
                                .text = "waits"};
    char subject[JJ_NAME_SIZE + 16];
    jj_listener *listener = NULL;

    snprintf(subject, sizeof(subject), "job.%s.*", spec->name);
    if (jj_listen(client, subject, take, &progress, &listener, NULL) != JJ_OK)
        listener = NULL; /* it goes without */
    jj_status s = wait_steps(&progress, client, limit_ms, job_out, stopped_out, err);
    jj_listener_close(listener);
    erase(&progress);
    return s;
}

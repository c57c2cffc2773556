/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs on stdout. */

#include "show.h"

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "codec_request.h"
#include "log.h"
#include "record.h"
#include "rfc3339.h"
#include "table.h"
#include "units.h"

enum print_colour show_colour(jj_state state)
{
    static const enum print_colour colours[JJ_STATES] = {
        [JJ_SCHEDULED] = PRINT_YELLOW, [JJ_RUNNING] = PRINT_BLUE,  [JJ_COMPLETED] = PRINT_GREEN,
        [JJ_FAILED] = PRINT_RED,       [JJ_CANCELLED] = PRINT_DIM,
    };

    return (unsigned)state < JJ_STATES ? colours[state] : PRINT_PLAIN;
}

/* From now to a time, or from that time to now, in whole seconds. */
static void write_distance(int64_t unix_ms, char out[UNITS_DURATION_SIZE])
{
    int64_t ms = jj__clock_wall_ms() - unix_ms;

    ms = ms < 0 ? -ms : ms;
    if (ms < 1000)
        snprintf(out, UNITS_DURATION_SIZE, "<1s");
    else
        units_write_duration(ms - ms % 1000, out);
}

void show_age(int64_t unix_ms, char out[SHOW_SIZE])
{
    out[0] = '\0';
    if (unix_ms == 0)
        return;
    if (print_on_terminal())
        write_distance(unix_ms, out);
    else
        jj__rfc3339_write(unix_ms, out);
}

void show_due(int64_t unix_ms, char out[SHOW_SIZE])
{
    char distance[UNITS_DURATION_SIZE];

    show_age(unix_ms, out);
    if (unix_ms == 0 || !print_on_terminal())
        return;
    write_distance(unix_ms, distance);
    snprintf(out, SHOW_SIZE, unix_ms > jj__clock_wall_ms() ? "in %s" : "now", distance);
}

void show_attempts(const jj_job *job, char out[SHOW_SIZE])
{
    unsigned max = jj_job_max_attempts(job);

    if (max == 0)
        snprintf(out, SHOW_SIZE, "%u", (unsigned)jj_job_attempts(job));
    else
        snprintf(out, SHOW_SIZE, "%u/%u", (unsigned)jj_job_attempts(job), max);
}

void show_json(const jj_job *job)
{
    struct buf json = {0};

    jj__json_job(&json, &job->record);
    print_json(&json);
}

/* ---- a line for each thing ---- */

static void add(struct table *table, const char *what, enum print_colour colour, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    table_text(table, PRINT_DIM, what);
    table_text(table, colour, text);
}

static void add_bytes(struct table *table, const char *what, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    table_text(table, PRINT_DIM, what);
    table_bytes(table, PRINT_PLAIN, bytes, len);
}

/* A time, and for people how far away it is. */
static void add_time(struct table *table, const char *what, int64_t unix_ms)
{
    char text[JJ__RFC3339_SIZE + UNITS_DURATION_SIZE + 16];
    char distance[UNITS_DURATION_SIZE];

    if (unix_ms == 0)
        return;
    jj__rfc3339_write(unix_ms, text);
    if (print_on_terminal()) {
        bool past = unix_ms <= jj__clock_wall_ms();
        write_distance(unix_ms, distance);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " (%s%s%s)", past ? "" : "in ",
                 distance, past ? " ago" : "");
    }
    add(table, what, PRINT_PLAIN, text);
}

static void add_number(struct table *table, const char *what, const char *unit, int64_t number)
{
    char text[SHOW_SIZE];

    snprintf(text, sizeof(text), "%lld%s", (long long)number, unit);
    add(table, what, PRINT_PLAIN, text);
}

static void add_progress(struct table *table, const jj_job *job)
{
    char attempts[SHOW_SIZE];

    show_attempts(job, attempts);
    add(table, "attempts", PRINT_PLAIN, attempts);
    if (jj_job_lost(job) > 0)
        add_number(table, "lost", "", jj_job_lost(job));
    if (jj_job_redrives(job) > 0)
        add_number(table, "redrives", "", jj_job_redrives(job));
    if (jj_job_progress(job) >= 0)
        add_number(table, "progress", "%", jj_job_progress(job));
    add(table, "worker", PRINT_PLAIN, jj_job_worker(job));
    add(table, "schedule", PRINT_PLAIN, jj_job_schedule_id(job));
}

static void add_times(struct table *table, const jj_job *job)
{
    add_time(table, "created", jj_job_created_at_ms(job));
    add_time(table, "run at", jj_job_run_at_ms(job));
    add_time(table, "started", jj_job_started_at_ms(job));
    add_time(table, "over", jj_job_completed_at_ms(job));
}

static void add_content(struct table *table, const jj_job *job)
{
    size_t len;
    const void *bytes = jj_job_data(job, &len);

    if (jj_job_data_known(job))
        add_bytes(table, "data", bytes, len);
    else
        add(table, "data", PRINT_DIM, "not known");
    bytes = jj_job_result(job, &len);
    add_bytes(table, "result", bytes, len);
    add(table, "error", PRINT_RED, jj_job_error(job));
}

void show_job(const struct program *program, const jj_job *job)
{
    static const struct column columns[] = {{.title = "what"}, {.title = "is"}, {0}};
    struct table table = {.columns = columns, .no_titles = true};

    if (program->json) {
        show_json(job);
        return;
    }
    add(&table, "id", PRINT_BOLD, jj_job_id(job));
    add(&table, "name", PRINT_PLAIN, jj_job_name(job));
    add(&table, "status", show_colour(jj_job_state(job)), jj_state_text(jj_job_state(job)));
    add_progress(&table, job);
    add_times(&table, job);
    add_content(&table, job);
    table_flush(&table);
}

/* ---- log lines ---- */

static void print_level(jj_log_level level)
{
    static const enum print_colour colours[] = {
        [JJ_LOG_DEBUG] = PRINT_DIM,
        [JJ_LOG_INFO] = PRINT_GREEN,
        [JJ_LOG_WARN] = PRINT_YELLOW,
        [JJ_LOG_ERROR] = PRINT_RED,
    };
    char text[SHOW_SIZE];

    snprintf(text, sizeof(text), print_on_terminal() ? "%-5s" : "%s", jj__log_level_text(level));
    print_text((unsigned)level <= JJ_LOG_ERROR ? colours[level] : PRINT_PLAIN, text);
}

void show_line(const struct program *program, const jj_log_line *line)
{
    const char *gap = print_on_terminal() ? "  " : "\t";
    char time[JJ__RFC3339_SIZE];
    char attempt[SHOW_SIZE];

    if (program->json) {
        struct buf json = {0};
        jj__json_log_line(&json, line);
        print_json(&json);
        return;
    }
    jj__rfc3339_write(line->time_ms, time);
    print_text(PRINT_DIM, time);
    print_plain(gap);
    snprintf(attempt, sizeof(attempt), "%u", (unsigned)line->attempt);
    print_text(PRINT_DIM, attempt);
    print_plain(gap);
    if (line->event == NULL)
        print_level(line->level);
    else
        print_text(PRINT_BLUE, "event");
    print_plain(gap);
    print_text(PRINT_PLAIN, line->event == NULL ? line->message : line->event);
    if (line->data != NULL) {
        print_plain(gap);
        print_text(PRINT_DIM, line->data);
    }
    print_plain("\n");
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs of a name, newest first, page by page. */

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "show.h"
#include "table.h"

#define PAGE_MAX      1000
#define LIMIT_DEFAULT 100

/* Of a result, what is looked at: no terminal is wider. */
#define GLANCE 400

static const char *const states[JJ_STATES + 1] = {"",          "pending", "scheduled", "running",
                                                  "completed", "failed",  "cancelled", NULL};

static unsigned state;
static uint32_t limit = LIMIT_DEFAULT;

static const struct cmd_option options[] = {
    {"status", '\0', "S",
     "only those that are pending, scheduled, running, completed, failed or "
     "cancelled",
     OPTION_WORD, .to = &state, .words = states},
    {"limit", 'n', "N", "so many at most; 0: all; 100 unless it is said", OPTION_NUMBER,
     .to = &limit},
    {0},
};

static const struct column columns[] = {
    {.title = "ID"},
    {.title = "STATUS"},
    {.title = "ATTEMPTS", .right = true},
    {.title = "AGE", .right = true},
    {.title = "ABOUT", .may_be_cut = true},
    {0},
};

/* When a waiting job runs, or how far a running one is. */
static void add_outlook(struct buf *about, const jj_job *job)
{
    char text[SHOW_SIZE] = "";

    if (jj_job_state(job) == JJ_SCHEDULED)
        show_due(jj_job_run_at_ms(job), text);
    else if (jj_job_state(job) == JJ_RUNNING && jj_job_progress(job) >= 0)
        snprintf(text, sizeof(text), "%d%%", jj_job_progress(job));
    jj__buf_str(about, text);
}

/* Of a job that is over, its result or error; of others what is to come, and what went wrong. */
static void add_about(struct table *table, const jj_job *job)
{
    struct buf about = {0};
    const char *error = jj_job_error(job);
    size_t len;
    const char *result = jj_job_result(job, &len);

    add_outlook(&about, job);
    if (jj_job_state(job) == JJ_COMPLETED && len > 0)
        jj__buf_add(&about, result, print_on_terminal() && len > GLANCE ? GLANCE : len);
    if (jj_job_state(job) != JJ_COMPLETED && error != NULL) {
        jj__buf_str(&about, about.len > 0 ? ": " : "");
        jj__buf_str(&about, error);
    }
    if (about.failed)
        print_give_up();
    table_bytes(table, PRINT_PLAIN, about.data, about.len);
    jj__buf_done(&about);
}

static void add_row(struct table *table, const jj_job *job)
{
    char text[SHOW_SIZE];

    table_text(table, PRINT_PLAIN, jj_job_id(job));
    table_text(table, show_colour(jj_job_state(job)), jj_state_text(jj_job_state(job)));
    show_attempts(job, text);
    table_text(table, PRINT_PLAIN, text);
    show_age(jj_job_created_at_ms(job), text);
    table_text(table, PRINT_PLAIN, text);
    add_about(table, job);
}

static void print_page(const struct program *program, struct table *table, const jj_page *page)
{
    for (size_t i = 0; i < jj_page_count(page) && !print_failed(); i++) {
        if (program->json)
            show_json(jj_page_job(page, i));
        else
            add_row(table, jj_page_job(page, i));
    }
    table_flush(table);
}

static void tell_of_more(const char *name)
{
    if (print_on_terminal())
        fprintf(stderr, "jetjobs: there are more: 'jetjobs list %s --limit 0' shows all\n", name);
}

/* Print pages until there are no more, or as many jobs as were asked for. */
static jj_status print_all(const struct program *program, jj_client *client, jj_query *query,
                           jj_error *err)
{
    struct table table = {.columns = columns};
    uint32_t left = limit;
    jj_page *page = NULL;
    jj_status s;

    do {
        query->limit = limit == 0 || left > PAGE_MAX ? PAGE_MAX : left;
        jj_page *before = page; /* has the cursor */
        s = jj_get_by_name(client, query, &page, err);
        jj_page_free(before);
        if (s != JJ_OK)
            return s;
        print_page(program, &table, page);
        query->cursor = jj_page_cursor(page);
        left -= (uint32_t)jj_page_count(page);
    } while (query->cursor != NULL && (limit == 0 || left > 0) && !print_failed());
    if (query->cursor != NULL && !print_failed())
        tell_of_more(query->name);
    jj_page_free(page);
    return JJ_OK;
}

static int run(const struct program *program, int argc, char **argv)
{
    jj_query query = {.name = argv[1], .state = (jj_state)state};
    int ending = ENDING_DONE;
    jj_error err = {0};

    (void)argc;
    jj_client *client = program_connect(program, program_only_asks, &ending);
    if (client == NULL)
        return ending;
    if (print_all(program, client, &query, &err) != JJ_OK)
        ending = program_failed(client, &err);
    jj_close(client);
    return ending;
}

const struct command cmd_list = {
    .name = "list",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "List the jobs of a name, newest first",
    .help =
        "ABOUT is the result or the error of a job that is over, when one that waits is to run,\n"
        "and how far one that runs has come. With --json, each job is a line of its own.\n",
    .options = options,
    .run = run,
};

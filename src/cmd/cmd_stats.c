/* SPDX-License-Identifier: Apache-2.0 */

/* How many jobs there are, by name and state. */

#include <stdio.h>

#include "buf.h"
#include "codec_request.h"
#include "commands.h"
#include "show.h"
#include "table.h"

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "PENDING", .right = true},
    {.title = "SCHEDULED", .right = true},
    {.title = "RUNNING", .right = true},
    {.title = "COMPLETED", .right = true},
    {.title = "FAILED", .right = true},
    {.title = "CANCELLED", .right = true},
    {0},
};

static void add_name(struct table *table, const jj_name_stats *stats)
{
    static const jj_state order[] = {JJ_PENDING,   JJ_SCHEDULED, JJ_RUNNING,
                                     JJ_COMPLETED, JJ_FAILED,    JJ_CANCELLED};

    table_text(table, PRINT_PLAIN, stats->name);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        table_number(table, show_colour(order[i]), stats->counts[order[i]]);
}

static void print_table(const jj_stats *stats)
{
    struct table table = {.columns = columns};

    for (size_t i = 0; i < jj_stats_count(stats); i++)
        add_name(&table, jj_stats_name(stats, i));
    table_flush(&table);
    if (jj_stats_count(stats) == 0 && print_on_terminal())
        fputs("jetjobs: there are no jobs\n", stderr);
    uint64_t behind = jj_stats_lag_jobs(stats) + jj_stats_lag_events(stats);
    if (behind > 0)
        fprintf(stderr, "jetjobs: the index has yet to read %llu messages\n",
                (unsigned long long)behind);
}

static void print_stats(const struct program *program, jj_stats *stats)
{
    const struct answer answer = {.verb = VERB_STATS, .stats = stats};
    struct buf json = {0};

    if (!program->json) {
        print_table(stats);
        return;
    }
    if (jj__json_write_answer(&json, &answer, NULL) != JJ_OK)
        print_give_up();
    print_json(&json);
}

static int run(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;
    jj_stats *stats = NULL;
    jj_error err = {0};

    (void)argc;
    (void)argv;
    jj_client *client = program_connect(program, program_only_asks, &ending);
    if (client == NULL)
        return ending;
    if (jj_stats_get(client, &stats, &err) == JJ_OK)
        print_stats(program, stats);
    else
        ending = program_failed(client, &err);
    jj_stats_free(stats);
    jj_close(client);
    return ending;
}

const struct command cmd_stats = {
    .name = "stats",
    .arguments = "",
    .summary = "Count jobs by name and status",
    .run = run,
};

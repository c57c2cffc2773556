/* SPDX-License-Identifier: Apache-2.0 */

/* Recurring schedules: add, list, remove. */

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "commands.h"
#include "cron_spec.h"
#include "each.h"
#include "enqueue_lines.h"
#include "json_write.h"
#include "show.h"
#include "spec.h"
#include "table.h"

static struct {
    const char *id;
    const char *spec;
    const char *time_zone;
    uint32_t max_attempts;
    int64_t timeout_ms;
} said;

static const struct cmd_option options[] = {
    {"id", '\0', "I", "add: the schedule's id; that of one that is there replaces it", OPTION_TEXT,
     .to = &said.id},
    {"spec", '\0', "S", "add: when, as \"0 30 6 * * mon-fri\", \"@every 5m\" or @daily",
     OPTION_TEXT, .to = &said.spec},
    {"tz", '\0', "ZONE", "add: the time zone of that, as Europe/Berlin; else UTC", OPTION_TEXT,
     .to = &said.time_zone},
    {"max-attempts", '\0', "N", "add: how often each job may be tried", OPTION_NUMBER,
     .to = &said.max_attempts, .min = 1, .max = 1000},
    {"timeout", '\0', "D", "add: how long an attempt may take", OPTION_DURATION,
     .to = &said.timeout_ms, .min = 1},
    {0},
};

static bool any_option(void)
{
    return said.id != NULL || said.spec != NULL || said.time_zone != NULL ||
           said.max_attempts > 0 || said.timeout_ms > 0;
}

/* ---- add ---- */

static void print_added(const struct program *program, jj_cron_change change)
{
    static const char *const texts[] = {[JJ_CRON_ADDED] = "added",
                                        [JJ_CRON_REPLACED] = "replaced",
                                        [JJ_CRON_UNCHANGED] = "unchanged"};
    struct buf json = {0};

    if (!program->json) {
        print_text(PRINT_PLAIN, said.id);
        print_plain("\n");
        return;
    }
    jj__json_add_text(&json, "{\"id\":", said.id);
    jj__json_add_text(&json, ",\"change\":", texts[change]);
    jj__buf_char(&json, '}');
    print_json(&json);
}

/* data: - stands for stdin; NULL: none. */
static int add_connected(const struct program *program, jj_client *client, jj_cron *cron,
                         const char *data)
{
    struct buf input = {0};
    jj_cron_change change;
    jj_error err = {0};
    jj_status s = JJ_OK;

    if (data != NULL && strcmp(data, "-") == 0) {
        s = enqueue_read_all(client, &input, &err);
        cron->job.data = input.data;
        cron->job.data_len = input.len;
    }
    if (s == JJ_OK)
        s = jj_cron_add(client, cron, &change, &err);
    jj__buf_done(&input);
    if (s != JJ_OK)
        return program_failed(client, &err);
    print_added(program, change);
    return ENDING_DONE;
}

static int add(const struct program *program, int argc, char **argv)
{
    const char *data = argc > 2 ? argv[2] : NULL;
    int ending = ENDING_DONE;
    jj_error err = {0};

    if (argc < 2)
        return program_usage(&cmd_cron, "cron add: NAME is missing");
    if (argc > 3)
        return program_usage(&cmd_cron, "cron add: '%.100s' is too much", argv[3]);
    if (said.id == NULL || said.spec == NULL)
        return program_usage(&cmd_cron, "cron add: --%s is missing",
                             said.id == NULL ? "id" : "spec");
    jj_cron cron = {.id = said.id,
                    .spec = said.spec,
                    .time_zone = said.time_zone,
                    .job = {.name = argv[1],
                            .data = data,
                            .data_len = data == NULL ? 0 : strlen(data),
                            .max_attempts = said.max_attempts,
                            .timeout_ms = said.timeout_ms}};
    if (jj__cron_check(cron.spec, cron.time_zone, &err) != JJ_OK ||
        jj__spec_check(&cron.job, SIZE_MAX, &err) != JJ_OK)
        return program_usage(&cmd_cron, "cron add: %s", err.text);
    jj_client *client = program_connect(program, NULL, &ending);
    if (client == NULL)
        return ending;
    ending = add_connected(program, client, &cron, data);
    jj_close(client);
    return ending;
}

/* ---- list ---- */

static const struct column columns[] = {
    {.title = "ID"},
    {.title = "NAME"},
    {.title = "SPEC"},
    {.title = "ZONE"},
    {.title = "NEXT", .right = true},
    {.title = "DATA", .may_be_cut = true},
    {0},
};

static void add_row(struct table *table, const jj_cron_entry *entry)
{
    const jj_cron *cron = &entry->cron;
    char next[SHOW_SIZE];

    table_text(table, PRINT_PLAIN, cron->id);
    table_text(table, PRINT_PLAIN, cron->job.name);
    table_text(table, PRINT_PLAIN, cron->spec);
    table_text(table, PRINT_PLAIN, cron->time_zone);
    show_due(entry->next_at_ms, next);
    table_text(table, PRINT_PLAIN, next);
    table_bytes(table, PRINT_DIM, cron->job.data, cron->job.data_len);
}

static void print_entry(const jj_cron_entry *entry)
{
    const jj_cron *cron = &entry->cron;
    struct buf json = {0};

    jj__json_add_text(&json, "{\"id\":", cron->id);
    jj__json_add_text(&json, ",\"name\":", cron->job.name);
    jj__json_add_text(&json, ",\"spec\":", cron->spec);
    jj__json_add_text(&json, ",\"timeZone\":", cron->time_zone);
    if (cron->job.data_len > 0)
        jj__json_add_bytes(&json, "data", cron->job.data, cron->job.data_len);
    if (cron->job.max_attempts > 0)
        jj__json_add_number(&json, ",\"maxAttempts\":", cron->job.max_attempts);
    if (cron->job.timeout_ms > 0)
        jj__json_add_number(&json, ",\"timeoutMs\":", cron->job.timeout_ms);
    jj__json_add_time(&json, ",\"addedAt\":", entry->added_at_ms);
    if (entry->next_at_ms > 0)
        jj__json_add_time(&json, ",\"nextAt\":", entry->next_at_ms);
    jj__buf_char(&json, '}');
    print_json(&json);
}

static void print_list(const struct program *program, const jj_crons *crons)
{
    struct table table = {.columns = columns};

    for (size_t i = 0; i < jj_crons_count(crons) && !print_failed(); i++) {
        if (program->json)
            print_entry(jj_crons_get(crons, i));
        else
            add_row(&table, jj_crons_get(crons, i));
    }
    table_flush(&table);
    if (jj_crons_count(crons) == 0 && print_on_terminal() && !program->json)
        fputs("jetjobs: there are no recurring schedules\n", stderr);
}

static int list(const struct program *program, int argc, char **argv)
{
    int ending = ENDING_DONE;
    jj_crons *crons = NULL;
    jj_error err = {0};

    if (argc > 2)
        return program_usage(&cmd_cron, "cron list: '%.100s' is too much", argv[2]);
    jj_client *client = program_connect(program, program_only_asks, &ending);
    if (client == NULL)
        return ending;
    if (jj_cron_list(client, argc > 1 ? argv[1] : NULL, &crons, &err) == JJ_OK)
        print_list(program, crons);
    else
        ending = program_failed(client, &err);
    jj_crons_free(crons);
    jj_close(client);
    return ending;
}

/* ---- which of them ---- */

static int run(const struct program *program, int argc, char **argv)
{
    const char *what = argv[1];

    argc--;
    argv++;
    if (strcmp(what, "add") == 0)
        return add(program, argc, argv);
    if (any_option())
        return program_usage(&cmd_cron, "cron %.100s: takes no options", what);
    if (strcmp(what, "list") == 0)
        return list(program, argc, argv);
    if (strcmp(what, "remove") != 0)
        return program_usage(&cmd_cron, "cron: '%.100s' is none of add, list and remove", what);
    if (argc < 2)
        return program_usage(&cmd_cron, "cron remove: ID is missing");
    return each_id(program, argc, argv, "removed", jj_cron_remove);
}

const struct command cmd_cron = {
    .name = "cron",
    .arguments = "add NAME [DATA|-] | list [NAME] | remove ID...",
    .least = 1,
    .most = -1,
    .summary = "Add, list and remove recurring schedules",
    .help =
        "A schedule is six fields: second, minute, hour, day of the month, month, day of the "
        "week;\n"
        "or @every with a duration; or @hourly, @daily, @weekly, @monthly, @yearly. Each time "
        "makes\n"
        "a job of that NAME with DATA; - reads it from stdin.\n"
        "\n"
        "  jetjobs cron add report --id weekly --spec '0 0 6 * * mon' --tz Europe/Berlin\n"
        "\n"
        "To add what is there already changes nothing. NEXT is not known of one with a time zone.\n"
        "With --json, each schedule is a line of its own.\n",
    .options = options,
    .run = run,
};

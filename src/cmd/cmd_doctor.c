/* SPDX-License-Identifier: Apache-2.0 */

/* What is wrong, what it means, and what to do. */

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "commands.h"
#include "doctor.h"
#include "json_write.h"
#include "monitor.h"
#include "print.h"

struct report {
    bool json;
    size_t notes;
    size_t wrong; /* warnings and errors */
};

static void print_member(struct buf *line, const char *key, const char *text)
{
    jj__buf_str(line, key);
    jj__json_string(line, text, strlen(text));
}

static void print_as_json(const struct finding *finding)
{
    struct buf line = {0};

    print_member(&line, "{\"severity\":", jj__severity_text(finding->severity));
    print_member(&line, ",\"about\":", finding->about);
    print_member(&line, ",\"what\":", finding->what);
    print_member(&line, ",\"todo\":", finding->todo);
    jj__buf_char(&line, '}');
    print_json(&line);
}

static void print_as_text(const struct finding *finding)
{
    static const enum print_colour colours[] = {
        [SEVERITY_NOTE] = PRINT_DIM,
        [SEVERITY_WARNING] = PRINT_YELLOW,
        [SEVERITY_ERROR] = PRINT_RED,
    };

    print_text(colours[finding->severity], jj__severity_text(finding->severity));
    print_plain(": ");
    print_text(PRINT_BOLD, finding->about);
    print_plain(": ");
    print_text(PRINT_PLAIN, finding->what);
    print_plain("\n    ");
    print_text(PRINT_PLAIN, finding->todo);
    print_plain("\n");
}

static void take(void *ctx, const struct finding *finding)
{
    struct report *report = ctx;

    if (finding->severity == SEVERITY_NOTE)
        report->notes++;
    else
        report->wrong++;
    if (report->json)
        print_as_json(finding);
    else
        print_as_text(finding);
}

static const char *monitor;

static const struct cmd_option options[] = {
    {"monitor", '\0', "URL", "the server's monitoring, as http://127.0.0.1:8222", OPTION_TEXT,
     .to = &monitor},
    {0},
};

static int look(const struct program *program, const struct doctor_monitor *told)
{
    struct report report = {.json = program->json};
    int ending = ENDING_DONE;
    jj_error err = {0};
    jj_client *client = program_connect(program, program_only_asks, &ending);

    if (client == NULL)
        return ending;
    if (jj__doctor_run(client, told, take, &report, &err) != JJ_OK)
        ending = program_failed(client, &err);
    else if (report.wrong > 0)
        ending = ENDING_FAILED;
    else if (!report.json)
        print_plain("nothing is wrong\n");
    jj_close(client);
    return ending;
}

static jj_status ask_monitor(struct doctor_monitor *told, jj_error *err)
{
    jj_status s = monitor_get(monitor, "jsz", "server_id", &told->jsz, err);

    return s == JJ_OK ? monitor_get(monitor, "healthz", "status", &told->healthz, err) : s;
}

static int run(const struct program *program, int argc, char **argv)
{
    struct doctor_monitor told = {0};
    jj_error err = {0};

    (void)argc;
    (void)argv;
    int ending = monitor == NULL || ask_monitor(&told, &err) == JJ_OK ? look(program, &told)
                                                                      : program_fail(&err);
    json_decref(told.jsz);
    json_decref(told.healthz);
    return ending;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Look for what is wrong on the broker, and say what to do",
    .help = "Changes nothing. Sees what its user may see. Under each finding stands what to do\n"
            "about it; notes are worth knowing and not wrong. Ends with 1 if something is wrong.\n"
            "Only a server's monitoring tells whether messages are on disk before they are\n"
            "acknowledged (/jsz), and whether it can write to its disk (/healthz).\n",
    .options = options,
    .run = run,
};

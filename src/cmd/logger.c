/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines. Each is one write(), so that those of several threads and processes don't mix. */

#include "logger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "json_write.h"
#include "log.h"
#include "rfc3339.h"
#include "status.h"
#include "utf8.h"

#define TEXT_SIZE 1024
#define LINE_SIZE ((size_t)8 * TEXT_SIZE) /* JSON may need six bytes for one */

static void write_json(struct buf *line, const char *time, const char *level, const char *text)
{
    jj__buf_str(line, "{\"time\":\"");
    jj__buf_str(line, time);
    jj__buf_char(line, '"');
    jj__json_add_text(line, ",\"level\":", level);
    jj__json_add_text(line, ",\"message\":", text);
    jj__buf_str(line, "}\n");
}

static void write_text(struct buf *line, const char *time, const char *level, const char *text)
{
    jj__buf_str(line, time);
    jj__buf_char(line, ' ');
    jj__buf_str(line, level);
    jj__buf_str(line, strlen(level) < 5 ? "  " : " "); /* so that texts are below each other */
    jj__buf_str(line, text);
    jj__buf_char(line, '\n');
}

void logger_sink(jj_log_level level, const char *text, void *user)
{
    const struct logger *logger = user;
    struct buf line = {.max = LINE_SIZE};
    char time[JJ__RFC3339_SIZE];

    if (level < logger->level)
        return;
    jj__rfc3339_write(jj__clock_wall_ms(), time);
    if (logger->json)
        write_json(&line, time, jj__log_level_text(level), text);
    else
        write_text(&line, time, jj__log_level_text(level), text);
    if (!line.failed)
        jj__ignore(write(STDERR_FILENO, line.data, line.len) < 0, "nobody reads it");
    jj__buf_done(&line);
}

void logger_say(const struct logger *logger, jj_log_level level, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    jj__utf8_printable(text);
    logger_sink(level, text, (void *)logger);
}

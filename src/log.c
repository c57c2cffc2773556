/* SPDX-License-Identifier: Apache-2.0 */
/* The library's own log lines, on their way to the user's sink. One call is one line, whatever the
 * arguments hold: it is made printable after it was cut. */

#include "log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

#define LINE_MAX_LEN 1024

void jj__log(const struct log *log, jj_log_level level, const char *format, ...)
{
    if (log->sink == NULL)
        return;

    char line[LINE_MAX_LEN + 1];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (printed < 0)
        memcpy(line, "?", sizeof("?"));
    jj__utf8_printable(line);
    log->sink(level, line, log->user);
}

const char *jj__log_level_text(jj_log_level level)
{
    static const char *const texts[] = {
        [JJ_LOG_DEBUG] = "debug",
        [JJ_LOG_INFO] = "info",
        [JJ_LOG_WARN] = "warn",
        [JJ_LOG_ERROR] = "error",
    };

    if ((size_t)level >= sizeof(texts) / sizeof(texts[0]))
        return texts[JJ_LOG_INFO];
    return texts[level];
}

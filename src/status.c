/* SPDX-License-Identifier: Apache-2.0 */
/* Statuses and their texts. An error text often quotes what a stranger sent, and it is cut to a
 * fixed size: it is made printable after that, so that no quote can forge a line of a log, and none
 * ends in half a character. */

#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

const char *jj_status_text(jj_status status)
{
    static const char *const texts[] = {
        [JJ_OK] = "ok",
        [JJ_ERR_INVALID] = "invalid",
        [JJ_ERR_NOT_FOUND] = "not found",
        [JJ_ERR_EXISTS] = "exists",
        [JJ_ERR_STATE] = "wrong state",
        [JJ_ERR_TIMEOUT] = "timeout",
        [JJ_ERR_UNAVAILABLE] = "unavailable",
        [JJ_ERR_NOT_PERMITTED] = "not permitted",
        [JJ_ERR_TOO_LARGE] = "too large",
        [JJ_ERR_PROTOCOL] = "protocol",
        [JJ_ERR_STORAGE] = "storage",
        [JJ_ERR_NO_MEMORY] = "no memory",
        [JJ_ERR_INTERNAL] = "internal",
    };

    if ((size_t)status >= sizeof(texts) / sizeof(texts[0]))
        return "unknown";
    return texts[status];
}

jj_status jj__fail(jj_error *err, jj_status status, const char *format, ...)
{
    if (err == NULL)
        return status;

    va_list args;
    va_start(args, format);
    int printed = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (printed < 0)
        memcpy(err->text, "?", sizeof("?"));
    jj__utf8_printable(err->text);
    err->status = status;
    return status;
}

jj_status jj__fail_errno(jj_error *err, jj_status status, int errno_value, const char *what)
{
    char text[128];

    if (strerror_r(errno_value, text, sizeof(text)) != 0)
        return jj__fail(err, status, "%s: error %d", what, errno_value);
    return jj__fail(err, status, "%s: %s", what, text);
}

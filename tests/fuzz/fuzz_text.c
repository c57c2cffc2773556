/* SPDX-License-Identifier: Apache-2.0 */
/* The small texts that people and strangers write. The first byte says which: times, durations,
 * sizes, cursors, base64, or any text that is to become printable or JSON. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "json_write.h"
#include "query.h"
#include "rfc3339.h"
#include "spec.h"
#include "subject.h"
#include "units.h"
#include "utf8.h"

static void fuzz_time(const char *text)
{
    char written[JJ__RFC3339_SIZE];
    int64_t ms, again;

    if (!jj__rfc3339_read(text, &ms))
        return;
    must(ms >= JJ__RFC3339_MIN_MS && ms <= JJ__RFC3339_MAX_MS);
    jj__rfc3339_write(ms, written);
    must(strlen(written) == JJ__RFC3339_SIZE - 1);
    must(jj__rfc3339_read(written, &again) && again == ms);
}

static void fuzz_duration(const char *text)
{
    char written[UNITS_DURATION_SIZE];
    int64_t ms;

    if (!units_read_duration(text, &ms))
        return;
    must(ms >= 0 && ms <= JJ__TIME_MAX_MS);
    units_write_duration(ms, written);
    must(strlen(written) < UNITS_DURATION_SIZE && written[0] != '\0');
}

static void fuzz_size(const char *text)
{
    int64_t bytes;

    must(!units_read_size(text, &bytes) || bytes >= 0);
}

static void fuzz_cursor(const char *text)
{
    char id[JJ_NAME_SIZE];
    char written[JJ__CURSOR_SIZE];
    int64_t ms;

    if (!jj__cursor_read(text, &ms, id))
        return;
    must(jj__token_valid(id));
    jj__cursor_write(ms, id, written);
    must(strcmp(written, text) == 0);
}

static void fuzz_base64(const char *text)
{
    size_t len = strlen(text);
    char *bytes = malloc(len / 4 * 3 + 2);
    char *back = malloc(JJ__BASE64_SIZE(len) + 1);
    char *again = malloc(JJ__BASE64_SIZE(len) / 4 * 3 + 2);
    size_t count, read;

    must(bytes != NULL && back != NULL && again != NULL);
    if (jj__base64_read(text, len, bytes, &count)) {
        size_t written = jj__base64_write(back, bytes, count);
        must(written == JJ__BASE64_SIZE(count));
        while (written > 0 && back[written - 1] == '=')
            written--;
        must(jj__base64_read(back, written, again, &read) && read == count);
        must(count == 0 || memcmp(bytes, again, count) == 0);
    }
    free(bytes);
    free(back);
    free(again);
}

static void fuzz_any(const char *text)
{
    size_t len = strlen(text);
    struct buf out = {0};
    char *copy = text_of((const uint8_t *)text, len);

    jj__json_string(&out, text, len);
    must(!out.failed && jj__json_valid(out.data, out.len));
    jj__buf_reset(&out);
    jj__buf_str(&out, "{\"a\":0");
    jj__json_add_bytes(&out, "data", text, len);
    jj__buf_char(&out, '}');
    must(!out.failed && jj__json_valid(out.data, out.len));
    jj__utf8_printable(copy);
    must(strlen(copy) == len && jj__utf8_valid(copy));
    must(strpbrk(copy, "\r\n\033\177") == NULL);
    jj__buf_done(&out);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const char *text) = {fuzz_time,   fuzz_duration, fuzz_size,
                                                      fuzz_cursor, fuzz_base64,   fuzz_any};
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);

    if (size == 0)
        return 0;
    char *text = text_of(data + 1, size - 1);
    kinds[data[0] % count](text);
    free(text);
    return 0;
}

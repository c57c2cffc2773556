/* SPDX-License-Identifier: Apache-2.0 */
/* What the program of a handler writes: a stream that comes in pieces (the first byte says how
 * large) is cut into lines, which are messages or refused with a reason. */
#include "fuzz.h"

#include <string.h>

#include "exec_message.h"
#include "json_write.h"
#include "lines.h"
#include "utf8.h"

#define LINE_MAX_BYTES 256

struct tally {
    size_t lines;
    size_t bytes;
};

static void check_message(const struct exec_message *message)
{
    must(message->percent <= 100 && message->level <= JJ_LOG_ERROR);
    must(message->kind != MESSAGE_EVENT || message->text != NULL);
    must(message->text == NULL || jj__utf8_valid(message->text));
    must(message->data == NULL || jj__json_valid(message->data, strlen(message->data)));
}

static void take(void *ctx, char *line, size_t len, bool cut)
{
    struct tally *tally = ctx;
    struct exec_message message;
    jj_error err = {0};

    must(len < LINE_MAX_BYTES && line[len] == '\0' && memchr(line, '\n', len) == NULL);
    must(!cut || len == LINE_MAX_BYTES - 1);
    tally->lines++;
    tally->bytes += len;
    if (jj__exec_message_read(line, len, &message, &err) == JJ_OK)
        check_message(&message);
    else
        must_be_line(&err);
    jj__exec_message_done(&message);
}

static struct tally cut_up(const uint8_t *data, size_t size, size_t piece)
{
    struct lines lines = {.buf.max = LINE_MAX_BYTES};
    struct tally tally = {0};

    for (size_t at = 0; at < size; at += piece)
        jj__lines_add(&lines, (const char *)data + at, size - at < piece ? size - at : piece, take,
                      &tally);
    jj__lines_end(&lines, take, &tally);
    jj__lines_done(&lines);
    return tally;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tally whole = cut_up(data + 1, size - 1, size);
    struct tally pieces = cut_up(data + 1, size - 1, 1U + data[0]);
    must(whole.lines == pieces.lines && whole.bytes == pieces.bytes);
    return 0;
}

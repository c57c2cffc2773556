/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"

void must_failed(const char *file, int line, const char *claim)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    abort();
}

void must_be_line(const jj_error *err)
{
    char printable[JJ_ERROR_TEXT_SIZE];

    must(err->text[0] != '\0' && strlen(err->text) < JJ_ERROR_TEXT_SIZE);
    memcpy(printable, err->text, strlen(err->text) + 1);
    jj__utf8_printable(printable);
    must(strcmp(printable, err->text) == 0);
}

void must_be_same(const struct buf *one, const struct buf *other)
{
    must(one->len == other->len);
    must(one->len == 0 || memcmp(one->data, other->data, one->len) == 0);
}

char *text_of(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\0', size);
    size_t len = end == NULL ? size : (size_t)(end - data);
    char *text = malloc(len + 1);

    must(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

const char *file_of(const uint8_t *data, size_t size)
{
    static int file = -1; /* it has no name but this */
    static char path[32];

    if (file < 0) {
        char name[] = "/tmp/jetjobs-fuzz-XXXXXX";
        file = mkstemp(name);
        must(file >= 0 && unlink(name) == 0);
        snprintf(path, sizeof(path), "/dev/fd/%d", file);
    }
    must(ftruncate(file, 0) == 0);
    must(size == 0 || pwrite(file, data, size, 0) == (ssize_t)size);
    return path;
}

/* Cut the next line off, in place. NULL: there is none. */
static char *next_line(char **at, const char *end)
{
    char *line = *at;

    if (line >= end)
        return NULL;
    char *stop = memchr(line, '\n', (size_t)(end - line));
    if (stop == NULL) {
        *at = line + (end - line);
        return line;
    }
    *stop = '\0';
    *at = stop + 1;
    return line;
}

void message_read(struct fuzz_message *message, const uint8_t *data, size_t size)
{
    char *at = malloc(size + 1);
    char *line;

    must(at != NULL);
    if (size > 0)
        memcpy(at, data, size);
    at[size] = '\0';
    *message = (struct fuzz_message){.text = at, .subject = ""};
    const char *end = at + size;
    if ((line = next_line(&at, end)) != NULL)
        message->subject = line;
    while (message->header_count < FUZZ_HEADERS_MAX && (line = next_line(&at, end)) != NULL &&
           line[0] != '\0') {
        char *colon = strchr(line, ':');
        jj_header *header = &message->headers[message->header_count++];
        *header = (jj_header){.name = line, .value = colon == NULL ? "" : colon + 1};
        if (colon != NULL)
            *colon = '\0';
    }
    message->data = at;
    message->data_len = (size_t)(end - at);
}

void message_done(struct fuzz_message *message)
{
    free(message->text);
}

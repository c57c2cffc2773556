/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FUZZ_FUZZ_H
#define JJ_TESTS_FUZZ_FUZZ_H

/* What the fuzz targets share: claims about what was read, and an input in pieces. */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "job.h"
#include "status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what does not hold, and where, and ends the process: that is what a fuzzer finds. */
#define must(claim) ((claim) ? (void)0 : must_failed(__FILE__, __LINE__, #claim))
_Noreturn void must_failed(const char *file, int line, const char *claim);

/* An error is one line of UTF-8, fit for a log. */
void must_be_line(const jj_error *err);

void must_be_same(const struct buf *one, const struct buf *other);

/* A copy with a NUL behind it, so that reading beyond the end is noticed; free it. Stops at the
 * first NUL in data. */
char *text_of(const uint8_t *data, size_t size);

/* The path of a file with that in it, until the next call. */
const char *file_of(const uint8_t *data, size_t size);

/* A message as text: a line with the subject, a line "name:value" for each header, an empty line,
 * data. Anything is one. Free with message_done(). */
#define FUZZ_HEADERS_MAX 64
struct fuzz_message {
    char *text;
    const char *subject;
    jj_header headers[FUZZ_HEADERS_MAX];
    size_t header_count;
    const char *data;
    size_t data_len;
};
void message_read(struct fuzz_message *message, const uint8_t *data, size_t size);
void message_done(struct fuzz_message *message);

#endif

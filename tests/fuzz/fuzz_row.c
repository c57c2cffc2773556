/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as bytes. The first byte says what the rest is: fields or content as a file has them, with
 * the sum that they should have (guessing it would take for ever), or marks. What can be read is
 * written as bytes that read as the same. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* For its sums, which nothing else needs. */
#include "adapter_sqlite_pack.c" /* NOLINT(bugprone-suspicious-include) */
#include "fold.h"

static const jj_record blank = {.id = "a", .name = "b", .state = JJ_RUNNING};

/* The input with its sum before it. */
static char *with_sum(uint32_t (*sum_of)(const jj_record *record, const void *bytes, size_t len),
                      const uint8_t *data, size_t size)
{
    char *bytes = malloc(SUM_SIZE + size);
    uint32_t sum = sum_of(&blank, data, size);

    must(bytes != NULL);
    memcpy(bytes, &sum, SUM_SIZE);
    if (size > 0)
        memcpy(bytes + SUM_SIZE, data, size);
    return bytes;
}

static void fuzz_fields(const uint8_t *data, size_t size)
{
    char *bytes = with_sum(sum_of_fields, data, size);
    jj_record record = blank, again = blank;
    struct buf first = {0}, second = {0};

    if (jj__sqlite_unpack_fields(&record, bytes, SUM_SIZE + size)) {
        must(jj__sqlite_pack_fields(&first, &record));
        must(jj__sqlite_unpack_fields(&again, first.data, first.len));
        must(jj__sqlite_pack_fields(&second, &again));
        must_be_same(&first, &second);
        must(!jj__sqlite_unpack_fields(&again, first.data, first.len - 1));
    }
    jj__buf_done(&first);
    jj__buf_done(&second);
    free(bytes);
}

static void fuzz_content(const uint8_t *data, size_t size)
{
    char *bytes = with_sum(sum_of_content, data, size);
    jj_record record = blank, again = blank;
    struct buf first = {0}, second = {0};

    if (jj__sqlite_unpack_content(&record, bytes, SUM_SIZE + size)) {
        must(jj__sqlite_pack_content(&first, &record));
        must(jj__sqlite_unpack_content(&again, first.data, first.len));
        must(jj__sqlite_pack_content(&second, &again));
        must_be_same(&first, &second);
    }
    jj__buf_done(&first);
    jj__buf_done(&second);
    free(bytes);
}

/* Those of an older version are written as of this one, and then read as the same. */
static void fuzz_marks(const uint8_t *data, size_t size)
{
    jj_record record = blank;
    struct row row, again;

    record.marks = data;
    record.marks_len = size;
    if (!jj__row_load(&row, &record))
        return;
    jj__row_seal(&row);
    must(row.record.marks_len > size ||
         (row.record.marks_len == size && memcmp(row.record.marks, data, size) == 0));
    must(jj__row_load(&again, &row.record));
    jj__row_seal(&again);
    must(again.record.marks_len == row.record.marks_len &&
         memcmp(again.record.marks, row.record.marks, row.record.marks_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        fuzz_fields(data + 1, size - 1);
        break;
    case 1:
        fuzz_content(data + 1, size - 1);
        break;
    default:
        fuzz_marks(data + 1, size - 1);
        break;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a job as a row keeps them. A row must not depend on which of the job's messages
 * was read first, so what differs between them is left out and the rest is put into one order. */

#include "content.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "subject.h"

#define FEW 32 /* headers that need no memory to be sorted */

/* Fields of a row, or the name of a step. */
static const char *const left_out[] = {
    JJ__HEADER_ID,     JJ__HEADER_ATTEMPTS,   JJ__HEADER_REDRIVES, JJ__HEADER_SNOOZES,
    JJ__HEADER_RUN_AT, JJ__HEADER_CREATED_AT, JJ__HEADER_PUT_OFFS};

bool jj__content_keeps(const char *name)
{
    if (strncasecmp(name, "Nats-", 5) == 0)
        return false;
    if (strncmp(name, "Job-", 4) != 0)
        return true;
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (strcmp(name, left_out[i]) == 0)
            return false;
    return true;
}

/* What can't be sent stays in the job's first message and goes no further: it is in no claim and
 * no retry. */
static bool is_kept(const jj_header *header)
{
    return jj__header_name_valid(header->name) && jj__header_value_valid(header->value) &&
           jj__content_keeps(header->name);
}

/* By name, and of one name as they stood; all of them are of one array. */
static int compare(const void *a, const void *b)
{
    const jj_header *left = *(const jj_header *const *)a;
    const jj_header *right = *(const jj_header *const *)b;
    int order = strcmp(left->name, right->name);

    if (order != 0)
        return order;
    return (left > right) - (left < right);
}

static size_t sort_kept(const jj_header *headers, size_t count, const jj_header **kept)
{
    size_t kept_count = 0;

    for (size_t i = 0; i < count; i++)
        if (is_kept(&headers[i]))
            kept[kept_count++] = &headers[i];
    if (kept_count > 1)
        qsort(kept, kept_count, sizeof(const jj_header *), compare);
    return kept_count;
}

bool jj__content_pack(struct buf *out, const jj_header *headers, size_t count)
{
    const jj_header *few[FEW];
    const jj_header **kept = few;

    if (count > FEW)
        kept = malloc(count * sizeof(const jj_header *));
    if (kept == NULL)
        return false;

    size_t kept_count = sort_kept(headers, count, kept);
    for (size_t i = 0; i < kept_count; i++) {
        jj__buf_add(out, kept[i]->name, strlen(kept[i]->name) + 1);
        jj__buf_add(out, kept[i]->value, strlen(kept[i]->value) + 1);
    }
    if (kept != few)
        free(kept);
    return !out->failed;
}

/* Take the next header from the bytes at *at. False: there is none. */
static bool next_header(const char **at, const char *end, jj_header *header)
{
    const char *name = *at;
    const char *value = name == end ? NULL : memchr(name, '\0', (size_t)(end - name));

    if (value == NULL || value == name)
        return false;
    value++;
    const char *value_end = value == end ? NULL : memchr(value, '\0', (size_t)(end - value));
    if (value_end == NULL)
        return false;
    *header = (jj_header){.name = name, .value = value};
    *at = value_end + 1;
    return true;
}

static const char *end_of(const void *packed, size_t len)
{
    return len == 0 ? packed : (const char *)packed + len;
}

bool jj__content_unpack(struct arena *arena, const void *packed, size_t len,
                        jj_header **headers_out, size_t *count_out)
{
    const char *end = end_of(packed, len);
    const char *at = packed;
    jj_header header;
    size_t count = 0;

    while (next_header(&at, end, &header))
        count++;
    jj_header *headers = jj__arena_array(arena, count, sizeof(*headers));
    if (headers == NULL)
        return false;
    at = packed;
    for (size_t i = 0; i < count; i++)
        next_header(&at, end, &headers[i]);
    *headers_out = headers;
    *count_out = count;
    return true;
}

const char *jj__content_find(const void *packed, size_t len, const char *name)
{
    const char *end = end_of(packed, len);
    const char *at = packed;
    jj_header header;

    while (next_header(&at, end, &header))
        if (strcmp(header.name, name) == 0)
            return header.value;
    return NULL;
}

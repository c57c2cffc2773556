/* SPDX-License-Identifier: Apache-2.0 */
/* A row on its way from storage and back. The marks are packed by hand, in one order and least byte
 * first, so that a file can be read by another machine and by the next version; what comes back is
 * checked, since a file can be damaged. */

#include <string.h>

#include "fold_events.h"
#include "state.h"

#define MARKS_VERSION  4
#define STANDING_BYTES (4 + 4 + 4 + 8 + 1)
#define MARKS_BYTES_1  (1 + 2 * STANDING_BYTES + 8 + 8 + 4 + 4 + 1 + 8 + 8 + 4 + 4)
#define MARKS_BYTES_2  (MARKS_BYTES_1 + 4 + 4) /* version 1 counts no events */
#define MARKS_BYTES_3  (MARKS_BYTES_2 + 8)     /* version 2 knows of no claimed message */
#define MARKS_BYTES    (MARKS_BYTES_3 + 8)     /* version 3 has no sequence of the content */

_Static_assert(MARKS_BYTES <= JJ_MARKS_MAX, "marks must fit into a record");

/* ---- marks ---- */

static void put(unsigned char **at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *(*at)++ = (unsigned char)(number >> 8 * i);
}

static void put_standing(unsigned char **at, const struct standing *standing)
{
    put(at, standing->redrives, 4);
    put(at, standing->attempts, 4);
    put(at, standing->snoozes, 4);
    put(at, standing->generation, 8);
    put(at, standing->state, 1);
}

size_t jj__fold_pack_marks(const struct marks *marks, unsigned char out[JJ_MARKS_MAX])
{
    unsigned char *at = out;

    put(&at, MARKS_VERSION, 1);
    put_standing(&at, &marks->events);
    put_standing(&at, &marks->queue);
    put(&at, (uint64_t)marks->queue_run_at_ms, 8);
    put(&at, (uint64_t)marks->events_run_at_ms, 8);
    put(&at, marks->said_max_attempts, 4);
    put(&at, marks->content_max_attempts, 4);
    put(&at, marks->content_from, 1);
    put(&at, marks->jobs_seq, 8);
    put(&at, marks->schedule_seq, 8);
    put(&at, marks->lines, 4);
    put(&at, marks->lines_dropped, 4);
    put(&at, marks->custom, 4);
    put(&at, marks->custom_dropped, 4);
    put(&at, marks->claimed_seq, 8);
    put(&at, marks->content_seq, 8);
    return (size_t)(at - out);
}

static uint64_t take(const unsigned char **at, size_t bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t) * (*at)++ << 8 * i;
    return number;
}

static struct standing take_standing(const unsigned char **at)
{
    struct standing standing;

    standing.redrives = (uint32_t)take(at, 4);
    standing.attempts = (uint32_t)take(at, 4);
    standing.snoozes = (uint32_t)take(at, 4);
    standing.generation = take(at, 8);
    standing.state = (jj_state)take(at, 1);
    return standing;
}

/* Before version 4, JOBS was the first of the sources. */
static uint8_t content_from(uint64_t version, uint8_t number)
{
    static const uint8_t earlier[] = {0, FROM_JOBS + 1, FROM_CLAIM + 1, FROM_EVENT + 1};

    return version < 4 && number < sizeof(earlier) ? earlier[number] : number;
}

static bool unpack_marks(const void *packed, size_t len, struct marks *marks)
{
    static const size_t bytes[] = {0, MARKS_BYTES_1, MARKS_BYTES_2, MARKS_BYTES_3, MARKS_BYTES};
    const unsigned char *at = packed;
    uint64_t version = len > 0 ? take(&at, 1) : 0;

    if (version == 0 || version > MARKS_VERSION || len != bytes[version])
        return false;
    marks->events = take_standing(&at);
    marks->queue = take_standing(&at);
    marks->queue_run_at_ms = (int64_t)take(&at, 8);
    marks->events_run_at_ms = (int64_t)take(&at, 8);
    marks->said_max_attempts = (uint32_t)take(&at, 4);
    marks->content_max_attempts = (uint32_t)take(&at, 4);
    marks->content_from = content_from(version, (uint8_t)take(&at, 1));
    marks->jobs_seq = take(&at, 8);
    marks->schedule_seq = take(&at, 8);
    marks->lines = (uint32_t)take(&at, 4);
    marks->lines_dropped = (uint32_t)take(&at, 4);
    marks->custom = version >= 2 ? (uint32_t)take(&at, 4) : 0;
    marks->custom_dropped = version >= 2 ? (uint32_t)take(&at, 4) : 0;
    marks->claimed_seq = version >= 3 ? take(&at, 8) : 0;
    marks->content_seq = version >= 4 ? take(&at, 8) : 0;
    return marks->events.state < JJ_STATES && marks->queue.state <= JJ_SCHEDULED &&
           marks->content_from <= FROM_SCHEDULE + 1;
}

/* ---- rows ---- */

void jj__row_init(struct row *row, const char *id)
{
    *row = (struct row){.record.progress = JJ_NO_PROGRESS};
    memcpy(row->id, id, strlen(id) + 1);
    row->record.id = row->id;
    row->record.name = row->name;
}

bool jj__row_load(struct row *row, const jj_record *record)
{
    struct marks marks;

    jj__row_init(row, "");
    if (strlen(record->id) > JJ_NAME_MAX || strlen(record->name) > JJ_NAME_MAX ||
        !unpack_marks(record->marks, record->marks_len, &marks))
        return false;
    memcpy(row->id, record->id, strlen(record->id) + 1);
    memcpy(row->name, record->name, strlen(record->name) + 1);
    row->record = *record;
    row->record.id = row->id;
    row->record.name = row->name;
    row->marks = marks;
    row->known = record->state != JJ_ANY_STATE;
    jj__row_seal(row);
    return true;
}

void jj__row_seal(struct row *row)
{
    row->record.marks = row->packed_marks;
    row->record.marks_len = jj__fold_pack_marks(&row->marks, row->packed_marks);
}

/* The sequence leaves alone whatever took the id later. The time, which is the stream's, leaves
 * alone what is in a stream that was made anew, and so has the sequences once more. */
bool jj__fold_is_over(const jj_record *record, const struct job *job, uint64_t seq,
                      int64_t stored_at_ms)
{
    struct marks marks;

    return jj__state_is_final(record->state) && record->redrives >= job->redrives &&
           strcmp(record->name, job->name) == 0 && record->completed_at_ms > stored_at_ms &&
           unpack_marks(record->marks, record->marks_len, &marks) && seq <= marks.claimed_seq;
}

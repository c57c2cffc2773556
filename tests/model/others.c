/* SPDX-License-Identifier: Apache-2.0 */

/* The producer, the mover, and the index, which also cancels and revives. */

#include "model.h"
#include "state.h"
#include "step.h"

/* ---- producer ---- */

static const struct message first = {0};

/* Now, or later, or now and misspelt. */
static bool enqueue(struct state *s, unsigned which)
{
    if (s->accepted || (which == 2 && s->left.misspelt == 0))
        return false;
    s->accepted = true;
    s->misspelt = which == 2;
    return model_store(s, which == 1 ? IN_SCHEDULE : IN_JOBS, ID_ENQUEUE, &first);
}

/* It did not hear that the job was accepted. */
static bool enqueue_again(struct state *s, unsigned which)
{
    (void)which;
    if (!s->accepted || s->left.repeats == 0)
        return false;
    s->left.repeats--;
    s->faults++;
    return model_store(s, IN_JOBS, ID_ENQUEUE, &first);
}

/* ---- mover ---- */

static bool mover_takes(struct state *s, unsigned which)
{
    struct message *message = &s->messages[which];

    if (message->place != DUE || message->holder != NOBODY || s->mover.holds)
        return false;
    message->holder = MOVER;
    message->delivered++;
    s->mover = (struct mover){.message = (uint8_t)which, .holds = true};
    if (model_mistake == MOVER_ACKS_FIRST)
        model_remove(message);
    return true;
}

static bool mover_publishes(struct state *s, unsigned which)
{
    const struct message message = s->messages[s->mover.message];

    (void)which;
    if (!s->mover.holds || s->mover.published)
        return false;
    s->mover.published = true;
    return model_store(s, IN_JOBS, ID_DUE, &message);
}

static bool mover_acknowledges(struct state *s, unsigned which)
{
    struct message *message = &s->messages[s->mover.message];

    (void)which;
    if (!s->mover.published)
        return false;
    if (message->place == DUE && message->delivered > 0)
        model_remove(message);
    if (message->holder == MOVER)
        message->holder = NOBODY;
    s->mover = (struct mover){0};
    return true;
}

static bool mover_crashes(struct state *s, unsigned which)
{
    (void)which;
    if (!s->mover.holds || s->left.crashes == 0)
        return false;
    s->left.crashes--;
    s->faults++;
    if (s->messages[s->mover.message].holder == MOVER)
        s->messages[s->mover.message].holder = NOBODY;
    s->mover = (struct mover){0};
    return true;
}

/* ---- index ---- */

static bool may_delete(const struct state *s)
{
    for (unsigned i = 0; i < s->log_len; i++)
        if (s->log[i].what == EVENT_CANCELLED)
            return true;
    return false;
}

/* A cancelled job's message, in whosever hands it is. */
static bool index_deletes(struct state *s, unsigned which)
{
    struct message *message = &s->messages[which / READINGS];
    struct row row;

    if (which / READINGS >= s->message_count || message->place == GONE ||
        !model_index_reads(s, which % READINGS))
        return false;
    model_index_row(s, &row);
    if (!jj__fold_is_cancelled(&row, message->redrives))
        return false;
    model_remove(message);
    return true;
}

static bool index_is_wiped(struct state *s, unsigned which)
{
    (void)which;
    if (s->left.wipes == 0)
        return false;
    s->left.wipes--;
    s->faults++;
    s->index = (struct index){0};
    return true;
}

/* ---- cancel, as in index_change.c ---- */

static bool waits(const jj_record *record)
{
    return record->state == JJ_PENDING || record->state == JJ_SCHEDULED;
}

/* The message id of a cancellation names what it is aimed at: there is one of each. */
static uint8_t find_cancellation(const struct state *s, const jj_record *record)
{
    uint8_t at = 0;

    while (at < s->log_len &&
           (s->log[at].what != EVENT_CANCELLED || s->log[at].redrives != record->redrives ||
            s->log[at].attempts != record->attempts || s->log[at].snoozes != record->snoozes))
        at++;
    return at;
}

static bool aim(struct state *s, const struct row *row)
{
    const struct entry entry = {.what = EVENT_CANCELLED,
                                .redrives = (uint8_t)row->record.redrives,
                                .attempts = (uint8_t)row->record.attempts,
                                .snoozes = (uint8_t)row->record.snoozes};

    s->index.cancelling = true;
    s->index.aim = find_cancellation(s, &row->record);
    s->index.aim_redrives = entry.redrives;
    s->index.aim_attempts = entry.attempts;
    s->index.aim_snoozes = entry.snoozes;
    return s->index.aim < s->log_len || model_append(s, &entry);
}

static bool may_cancel(const struct state *s)
{
    return s->left.cancels > 0 && !s->index.cancelling;
}

static bool cancel(struct state *s, unsigned which)
{
    struct row row;

    if (!model_index_reads(s, which))
        return false;
    model_index_row(s, &row);
    if (!row.known)
        return false;
    s->left.cancels--;
    if (!waits(&row.record)) {
        model_note_cancel(s, (uint8_t)row.record.redrives, false);
        return true;
    }
    if (!aim(s, &row))
        return false;
    if (model_mistake == CANCEL_WITHOUT_READING_BACK)
        model_note_cancel(s, s->index.aim_redrives, true);
    return true;
}

static bool is_cancelling(const struct state *s)
{
    return s->index.cancelling;
}

static bool read_back(struct state *s, unsigned which)
{
    struct row row;

    if (!model_index_reads(s, which) || s->index.read <= s->index.aim)
        return false;
    model_index_row(s, &row);
    uint64_t generation = jj__generation(row.record.attempts, row.record.snoozes);
    uint64_t aimed = jj__generation(s->index.aim_attempts, s->index.aim_snoozes);
    s->index.cancelling = false;
    if (row.record.redrives > s->index.aim_redrives)
        return true; /* it was revived meanwhile: the outcome is unknown */
    if (row.record.state == JJ_CANCELLED)
        model_note_cancel(s, s->index.aim_redrives, true);
    else if (waits(&row.record) && generation > aimed)
        return aim(s, &row); /* missed */
    else
        model_note_cancel(s, s->index.aim_redrives, false);
    return true;
}

/* ---- revive ---- */

static bool may_revive(const struct state *s)
{
    return s->left.redrives > 0;
}

static bool revive(struct state *s, unsigned which)
{
    struct row row;

    if (!model_index_reads(s, which))
        return false;
    model_index_row(s, &row);
    if (!row.known || (row.record.state != JJ_FAILED && row.record.state != JJ_CANCELLED) ||
        row.record.redrives + 1 >= REDRIVES)
        return false;
    s->left.redrives--;
    const struct message revived = {.redrives = (uint8_t)(row.record.redrives + 1)};
    return model_store(s, IN_JOBS, ID_REDRIVE, &revived);
}

const struct move model_other_moves[] = {
    {"the producer enqueues", enqueue, 3, NULL},
    {"the producer repeats itself", enqueue_again, 1, NULL},
    {"a mover gets the job", mover_takes, MESSAGES, NULL},
    {"the mover publishes it", mover_publishes, 1, NULL},
    {"the mover acknowledges", mover_acknowledges, 1, NULL},
    {"the mover crashes", mover_crashes, 1, NULL},
    {"the index deletes a message", index_deletes, MESSAGES *READINGS, may_delete},
    {"the index is wiped", index_is_wiped, 1, NULL},
    {"the job is to be cancelled", cancel, READINGS, may_cancel},
    {"the cancellation is read back", read_back, READINGS, is_cancelling},
    {"the job is revived", revive, READINGS, may_revive},
    {0},
};

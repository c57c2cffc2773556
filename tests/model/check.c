/* SPDX-License-Identifier: Apache-2.0 */

/* What must hold, as in README.md, "What is guaranteed". */

#include <string.h>

#include "model.h"
#include "state.h"

static void breaks(struct state *s, const char *promise)
{
    if (s->broken == NULL)
        s->broken = promise;
}

/* Where two workers have one run, as one of them was frozen, the one may store what the other's run
 * leads to: that can be cancelled although the other has claimed and is about to start. */
static bool is_excused(const struct state *s, unsigned redrives, uint8_t claim)
{
    return s->lease_was_lost && claim < s->cancelled_at[redrives];
}

void model_note_start(struct state *s, const struct message *message, uint8_t claim)
{
    uint8_t *runs = &s->runs[message->redrives][message->attempts];

    for (unsigned r = message->redrives; r < REDRIVES; r++)
        if (s->cancelled[r] && !is_excused(s, r, claim))
            breaks(s, "a job that was cancelled does not start");
    ++*runs;
    if (*runs > 1 + s->faults)
        breaks(s, "an attempt runs once more for each fault at most");
}

/* False: it had been started, or was over, when the index looked. */
void model_note_cancel(struct state *s, uint8_t redrives, bool yes)
{
    bool some = false;

    if (yes) {
        s->cancelled[redrives] = true;
        s->cancelled_at[redrives] = s->index.aim;
        return;
    }
    for (unsigned i = 0; i < s->log_len; i++)
        some |= s->log[i].redrives == redrives &&
                (s->log[i].what != EVENT_CANCELLED || s->cancelled[redrives]);
    if (!some)
        breaks(s, "only what was started or is over can't be cancelled");
}

static bool is_stored(const struct state *s)
{
    for (unsigned i = 0; i < s->message_count; i++)
        if (s->messages[i].place != GONE)
            return true;
    return false;
}

void model_check(struct state *s)
{
    struct row row;

    if (!s->accepted)
        return;
    model_true_row(s, &row);
    if (!is_stored(s) && !jj__state_is_final(row.record.state))
        breaks(s, "what was accepted is in a stream until it is over");
    if (row.record.state == JJ_COMPLETED && !s->done)
        breaks(s, "a job that is completed was done");
    if (row.record.state == JJ_FAILED && !s->failed && !s->misspelt && row.record.lost <= MAX_LOST)
        breaks(s, "a job that has failed was tried");
}

/* An index that is wiped now reads the events again, and finds no messages. */
static bool is_rebuilt_equal(const struct state *s)
{
    struct state wiped = *s;
    struct row now, again;

    wiped.index.queue = (struct queue_half){0};
    model_index_row(s, &now);
    model_index_row(&wiped, &again);
    return now.record.state == again.record.state && now.record.attempts == again.record.attempts &&
           now.record.redrives == again.record.redrives && now.record.lost == again.record.lost;
}

void model_check_end(struct state *s)
{
    struct row row, true_row;

    s->index.read = s->log_len;
    model_index_row(s, &row);
    model_true_row(s, &true_row);
    if (is_stored(s))
        breaks(s, "the queues are empty in the end");
    if (!jj__state_is_final(row.record.state))
        breaks(s, "the index knows that the job is over");
    if (row.record.state != true_row.record.state || !is_rebuilt_equal(s))
        breaks(s, "an index that is built anew is the same");
    for (unsigned r = 0; r < REDRIVES; r++)
        if (s->cancelled[r] && row.record.redrives == r && row.record.state != JJ_CANCELLED)
            breaks(s, "a job that was cancelled stays so");
}

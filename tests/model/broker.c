/* SPDX-License-Identifier: Apache-2.0 */

/* The broker: three streams, message ids that it remembers, deliveries that it may forget. And what
 * the streams say of the job, by the code that says it. */

#include <string.h>

#include "model.h"
#include "step.h"

#define IDS_WITHOUT_SNOOZES 16

_Static_assert(IDS_WITHOUT_SNOOZES *(MAX_SNOOZES + 1) <= 32, "an id is a bit of ids");

enum mistake model_mistake;

uint8_t model_id(enum id kind, const struct message *step)
{
    if (kind == ID_ENQUEUE || kind == ID_REDRIVE)
        return (uint8_t)kind;
    return (uint8_t)(kind + step->redrives * MAX_ATTEMPTS + step->attempts +
                     step->snoozes * IDS_WITHOUT_SNOOZES);
}

static struct step step_of(const struct message *message)
{
    return (struct step){
        .redrives = message->redrives, .attempts = message->attempts, .snoozes = message->snoozes};
}

/* ---- storing ---- */

void model_remove(struct message *message)
{
    message->was = message->place;
    message->place = GONE;
    message->holder = NOBODY;
}

static int order_of(uint8_t redrives, uint8_t attempts, uint8_t snoozes, jj_state state)
{
    int generation = attempts + snoozes;

    return ((redrives * 10 + generation) * 10 + (state == JJ_PENDING)) * 10 + attempts;
}

/* Of the messages that were seen the furthest counts, as in the queue half of a row. */
static void note_furthest(struct queue_half *half, const struct message *message)
{
    uint8_t place = message->place == GONE ? message->was : message->place;
    jj_state state = place == IN_JOBS ? JJ_PENDING : JJ_SCHEDULED;
    int now = order_of(message->redrives, message->attempts, message->snoozes, state);
    int before = order_of(half->redrives, half->attempts, half->snoozes, (jj_state)half->state);

    if (half->state != JJ_ANY_STATE && now <= before)
        return;
    *half =
        (struct queue_half){message->redrives, message->attempts, message->snoozes, (uint8_t)state};
}

void model_index_sees(struct state *s, const struct message *message)
{
    note_furthest(&s->index.queue, message);
}

static bool same_half(const struct queue_half *a, const struct queue_half *b)
{
    return a->redrives == b->redrives && a->attempts == b->attempts && a->snoozes == b->snoozes &&
           a->state == b->state;
}

bool model_index_reads(struct state *s, unsigned which)
{
    unsigned behind = which % LOG_MAX;
    unsigned message = which / LOG_MAX;
    struct queue_half before = s->index.queue;

    if (s->index.read + behind > s->log_len || message > s->message_count)
        return false;
    s->index.read = (uint8_t)(s->log_len - behind);
    if (message == 0)
        return true;
    model_index_sees(s, &s->messages[message - 1]);
    return !same_half(&s->index.queue, &before);
}

/* Of one subject only the last is a schedule. True: what is there stays. */
static bool keeps_its_place(struct state *s, const struct message *message)
{
    const struct step here = step_of(message);

    for (unsigned i = 0; i < s->message_count; i++) {
        const struct step there = step_of(&s->messages[i]);
        if (s->messages[i].place != IN_SCHEDULE)
            continue;
        if (jj__step_compare(&there, &here) >= 0 && model_mistake != REPLACE_A_LATER_STEP)
            return true;
        model_remove(&s->messages[i]);
    }
    return false;
}

bool model_store(struct state *s, enum place place, enum id kind, const struct message *step)
{
    uint8_t id = model_id(kind, step);

    if ((s->ids & 1u << id) != 0 || (place == IN_SCHEDULE && keeps_its_place(s, step)))
        return true;
    if (s->message_count == MESSAGES) {
        s->overflow = true;
        return false;
    }
    struct message *message = &s->messages[s->message_count++];
    *message = (struct message){.place = (uint8_t)place,
                                .redrives = step->redrives,
                                .attempts = step->attempts,
                                .snoozes = step->snoozes,
                                .put_offs = step->put_offs,
                                .id = id};
    s->ids |= 1u << id;
    note_furthest(&s->queue, message);
    return true;
}

bool model_append(struct state *s, const struct entry *entry)
{
    if (s->log_len == LOG_MAX) {
        s->overflow = true;
        return false;
    }
    s->log[s->log_len++] = *entry;
    return true;
}

void model_index_catches_up(struct state *s)
{
    s->index.read = s->log_len;
    for (unsigned i = 0; i < s->message_count; i++)
        if (s->messages[i].place != GONE)
            model_index_sees(s, &s->messages[i]);
}

/* ---- rows ---- */

static void fold_entry(struct row *row, const struct entry *entry, unsigned at)
{
    const struct job job = {.id = "i",
                            .name = "n",
                            .redrives = entry->redrives,
                            .snoozes = entry->snoozes,
                            .attempts = entry->what == EVENT_STARTED ? entry->attempts - 1u
                                                                     : entry->attempts};

    if (entry->what == EVENT_STARTED) {
        const struct claim claim = {
            .job = &job, .attempt = entry->attempts, .lost = entry->lost, .with_job = true};
        jj__fold_claim(row, &claim, "w", at + 1, NULL);
        return;
    }
    const struct event event = {.type = entry->what,
                                .id = "i",
                                .name = "n",
                                .time_ms = at + 1,
                                .attempts = entry->attempts,
                                .redrives = entry->redrives,
                                .snoozes = entry->snoozes,
                                .lost = entry->lost,
                                .run_at_ms = (entry->flags & DELAYED) != 0,
                                .job = (entry->flags & UNRUN) != 0 ? &job : NULL};
    jj__fold_event(row, &event, NULL);
}

static void fold_all(const struct state *s, unsigned read, struct queue_half half, struct row *row)
{
    const struct job job = {.id = "i",
                            .name = "n",
                            .redrives = half.redrives,
                            .attempts = half.attempts,
                            .snoozes = half.snoozes};

    jj__row_init(row, "i");
    if (half.state != JJ_ANY_STATE)
        jj__fold_message(row, half.state == JJ_PENDING ? FROM_JOBS : FROM_SCHEDULE, &job, NULL, 1,
                         0);
    for (unsigned i = 0; i < read; i++)
        fold_entry(row, &s->log[i], i);
}

void model_index_row(const struct state *s, struct row *row)
{
    fold_all(s, s->index.read, s->index.queue, row);
}

void model_true_row(const struct state *s, struct row *row)
{
    fold_all(s, s->log_len, s->queue, row);
}

/* ---- its moves ---- */

static bool fire(struct state *s, unsigned which)
{
    struct message *message = &s->messages[which];

    if (message->place != IN_SCHEDULE)
        return false;
    message->place = DUE;
    message->id = NO_ID; /* the copy has none, though the schedule's stays remembered */
    return true;
}

static bool is_alive_and_holds(const struct state *s, unsigned which)
{
    uint8_t holder = s->messages[which].holder;

    if (holder == MOVER)
        return s->mover.holds && s->mover.message == which;
    if (holder != WORKER && holder != ANOTHER_WORKER)
        return false;
    const struct worker *worker = &s->workers[holder - WORKER];
    return worker->phase != IDLE && worker->message == which && !worker->lease_lost;
}

/* A delivery is over although its holder lives: it was frozen, or cut off. */
static bool expire_alive(struct state *s, unsigned which)
{
    struct message *message = &s->messages[which];

    if (message->place == GONE || message->holder == NOBODY || !is_alive_and_holds(s, which) ||
        s->left.freezes == 0)
        return false;
    if (message->holder != MOVER)
        s->workers[message->holder - WORKER].lease_lost = true;
    message->holder = NOBODY;
    s->lease_was_lost = s->doubled = true;
    s->left.freezes--;
    s->faults++;
    return true;
}

/* It forgets all deliveries, and the removal of one message (or of none). Of the ids it knows those
 * of the messages that are left. */
static bool kill_broker(struct state *s, unsigned which)
{
    if (s->left.kills == 0 || (which < MESSAGES && s->messages[which].place != GONE))
        return false;
    s->left.kills--;
    s->faults += WORKERS; /* each may have had one */
    s->forgetful = s->doubled = true;
    s->ids = 0;
    if (which < MESSAGES)
        s->messages[which].place = s->messages[which].was;
    for (unsigned i = 0; i < s->message_count; i++) {
        s->messages[i].holder = NOBODY;
        s->messages[i].delivered = 0;
        if (s->messages[i].place != GONE && s->messages[i].id != NO_ID)
            s->ids |= 1u << s->messages[i].id;
    }
    return true;
}

const struct move model_broker_moves[] = {
    {"the schedule fires", fire, MESSAGES, NULL},
    {"a delivery expires although its holder lives", expire_alive, MESSAGES, NULL},
    {"the broker is killed and forgets", kill_broker, MESSAGES + 1, NULL},
    {0},
};

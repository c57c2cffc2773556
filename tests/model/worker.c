/* SPDX-License-Identifier: Apache-2.0 */

/* Two workers: pull, ask, claim, read back, run, commit, acknowledge; and all of it may be cut off
 * by a crash, or go on without a lease. */

#include <string.h>

#include <jetjobs/worker.h>

#include "cancels.h"
#include "model.h"
#include "redeliver.h"
#include "state.h"
#include "step.h"

static struct message *message_of(struct state *s, const struct worker *worker)
{
    return &s->messages[worker->message];
}

static uint8_t number_of(const struct state *s, const struct worker *worker)
{
    return (uint8_t)(worker - s->workers);
}

/* ---- what it knows of cancellations ---- */

static uint8_t cancels_in(const struct state *s, uint8_t read)
{
    uint8_t count = 0;

    for (unsigned i = 0; i < read; i++)
        if (s->log[i].what == EVENT_CANCELLED)
            count++;
    return count;
}

/* As jj__ask_judge(). */
static enum cancel_verdict judge(const struct state *s, const struct worker *worker)
{
    const struct message *message = &s->messages[worker->message];
    uint64_t generation = jj__generation(message->attempts, message->snoozes);
    struct cancels cancels = {0};
    const struct cancel_question question = {.id = "i",
                                             .redrives = message->redrives,
                                             .generation = generation,
                                             .unclaimed = generation - message->put_offs,
                                             .first = worker->delivered == 1 && !s->forgetful,
                                             .cleared = worker->cleared,
                                             .until =
                                                 worker->claimed ? worker->claimed_at : UINT64_MAX};

    for (unsigned i = 0; i < worker->read; i++)
        if (s->log[i].what == EVENT_CANCELLED)
            jj__cancels_add(&cancels, "i", s->log[i].redrives,
                            jj__generation(s->log[i].attempts, s->log[i].snoozes), 0);
    enum cancel_verdict verdict = jj__cancels_judge(&cancels, &question);
    jj__cancels_done(&cancels);
    if (verdict == CANCEL_ASK && model_mistake == DOUBT_MEANS_CANCELLED)
        return CANCEL_DROP;
    if (verdict == CANCEL_ASK && model_mistake == DOUBT_MEANS_NOTHING)
        return CANCEL_NONE;
    return verdict;
}

/* ---- letting go of a job ---- */

static void forget(struct worker *worker)
{
    *worker = (struct worker){.acked = worker->acked};
}

/* Whoever says so: only of a delivery that it does not know the server ignores it. */
static void acknowledge(struct state *s, struct worker *worker)
{
    struct message *message = message_of(s, worker);

    if (worker->lease_lost && worker->outcome != EVENT_COMPLETED)
        return;
    worker->acked |= (uint8_t)(1u << worker->message);
    if (message->place == IN_JOBS && message->delivered > 0)
        model_remove(message);
}

/* The broker gives it to another one: soon, as it was told, or some time later. */
static void let_go(struct state *s, struct worker *worker)
{
    if (message_of(s, worker)->holder == WORKER + number_of(s, worker))
        message_of(s, worker)->holder = NOBODY;
    forget(worker);
}

static void drop(struct state *s, struct worker *worker)
{
    acknowledge(s, worker);
    let_go(s, worker);
}

/* ---- taking ---- */

/* What it knew of cancellations does not matter any more. */
static void start(struct state *s, struct worker *worker)
{
    model_note_start(s, message_of(s, worker), worker->claim);
    *worker = (struct worker){.phase = RUNNING,
                              .message = worker->message,
                              .lost = worker->lost,
                              .lease_lost = worker->lease_lost,
                              .acked = worker->acked};
    if (model_mistake == ACK_BEFORE_COMMIT)
        acknowledge(s, worker);
}

static void ask(struct worker *worker)
{
    worker->phase = ASKING;
    worker->asked_after = worker->read;
}

static void fail_unrun(struct worker *worker)
{
    worker->phase = COMMITTING;
    worker->outcome = EVENT_FAILED;
    worker->unrun = true;
}

/* As jj__ask_admit(). */
static void admit(struct state *s, struct worker *worker)
{
    enum cancel_verdict verdict = judge(s, worker);

    if (verdict == CANCEL_DROP) {
        drop(s, worker);
    } else if (verdict == CANCEL_ASK) {
        ask(worker);
    } else if (worker->claimed) {
        start(s, worker);
    } else if (worker->lost > MAX_LOST) {
        fail_unrun(worker);
    } else if (worker->delivered > 1 && !worker->asked) {
        ask(worker);
    } else {
        worker->phase = HELD;
    }
}

/* As jj__adopt(): it comes back to who has it. */
static void adopt(struct worker *worker, const struct message *message)
{
    worker->lease_lost = false;
    if (message->delivered <= worker->delivered)
        return;
    worker->delivered = message->delivered;
    if (worker->phase == HELD || worker->phase == ASKING)
        ask(worker);
}

static bool deliver(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which / MESSAGES];
    uint8_t number = (uint8_t)(which % MESSAGES);
    struct message *message = &s->messages[number];
    bool has_it = worker->phase != IDLE && worker->message == number;

    if (message->place != IN_JOBS || message->holder != NOBODY ||
        (worker->phase != IDLE && !has_it))
        return false;
    if (message->delivered > 0 && s->faults > 0)
        model_index_catches_up(s);
    message->delivered++;
    message->holder = (uint8_t)(WORKER + which / MESSAGES);
    if (has_it) {
        adopt(worker, message);
        return true;
    }
    *worker =
        (struct worker){.message = number, .delivered = message->delivered, .acked = worker->acked};
    if ((worker->acked & 1u << number) != 0)
        drop(s, worker);
    else if (s->misspelt)
        fail_unrun(worker);
    else
        admit(s, worker);
    return true;
}

/* ---- asking ---- */

static struct job job_of(const struct message *message)
{
    return (struct job){
        .redrives = message->redrives, .attempts = message->attempts, .snoozes = message->snoozes};
}

static struct job_facts facts_of(const struct row *row)
{
    struct job_facts facts = {.found = row->known,
                              .attempts = row->record.attempts,
                              .redrives = row->record.redrives,
                              .snoozes = row->record.snoozes,
                              .lost = row->record.lost};

    strncpy(facts.status, jj_state_text(row->record.state), sizeof(facts.status) - 1);
    return facts;
}

static bool is_over(const struct row *row, const struct message *message)
{
    const struct job job = job_of(message);
    struct job_facts facts = facts_of(row);

    return jj__redeliver_is_over(&facts, &job);
}

static uint8_t lost_before(const struct row *row, const struct message *message)
{
    const struct job job = job_of(message);
    struct job_facts facts = facts_of(row);

    return (uint8_t)jj__redeliver_lost(&facts, &job);
}

static bool some_worker_asks(const struct state *s)
{
    return s->workers[0].phase == ASKING || s->workers[1].phase == ASKING;
}

/* The index has read the job's message, and all cancellations that the worker knows of. */
static bool index_answers(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which / READINGS];
    struct message *message = message_of(s, worker);
    struct row row;

    if (worker->phase != ASKING || !model_index_reads(s, which % READINGS) ||
        (judge(s, worker) == CANCEL_ASK && s->index.read < worker->asked_after))
        return false;
    if (worker->lease_lost) {
        let_go(s, worker);
        return true;
    }
    model_index_sees(s, message);
    model_index_row(s, &row);
    worker->asked = true;
    if (is_over(&row, message)) {
        drop(s, worker);
        return true;
    }
    worker->cleared = cancels_in(s, worker->asked_after);
    if (!worker->claimed)
        worker->lost = lost_before(&row, message);
    admit(s, worker);
    return true;
}

static bool index_is_silent(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != ASKING || s->left.silences == 0)
        return false;
    s->left.silences--;
    s->doubled = true;
    s->faults++;
    worker->asked = true;
    if (worker->lease_lost)
        let_go(s, worker);
    else if (judge(s, worker) != CANCEL_ASK) /* else it waits for an index */
        admit(s, worker);
    return true;
}

/* Its clock says that the job came too early: as go_on() in ask.c. */
static bool put_off(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != HELD || s->left.put_offs == 0 ||
        message_of(s, worker)->snoozes == MAX_SNOOZES)
        return false;
    s->left.put_offs--;
    worker->phase = RETRYING;
    worker->too_early = worker->delayed = true;
    return true;
}

/* ---- claiming ---- */

/* True if it is not to be claimed or started, or not yet. As in claim.c. */
static bool dispose(struct state *s, struct worker *worker)
{
    if (worker->lease_lost) {
        let_go(s, worker);
        return true;
    }
    enum cancel_verdict verdict = judge(s, worker);

    if (verdict == CANCEL_DROP)
        drop(s, worker);
    else if (verdict == CANCEL_ASK)
        ask(worker);
    return verdict != CANCEL_NONE;
}

static bool claim(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];
    const struct message *message = message_of(s, worker);

    if (worker->phase != HELD)
        return false;
    if (dispose(s, worker))
        return true;
    worker->phase = CLAIMING;
    worker->claim = s->log_len;
    const struct entry entry = {.what = EVENT_STARTED,
                                .redrives = message->redrives,
                                .attempts = (uint8_t)(message->attempts + 1),
                                .snoozes = message->snoozes,
                                .lost = worker->lost};
    if (!model_append(s, &entry))
        return false;
    if (model_mistake == START_WITHOUT_READING_BACK)
        start(s, worker);
    return true;
}

/* Of what it reads, cancellations matter, and its own claim. It may have read less than there was:
 * then it did so before the rest came. */
static bool read_cancellations(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];
    uint8_t end = s->log_len;

    while (end > 0 && s->log[end - 1].what != EVENT_CANCELLED)
        end--;
    if ((worker->phase != HELD && worker->phase != ASKING) || worker->claimed ||
        worker->read >= end)
        return false;
    worker->read = end;
    return true;
}

static bool read_back(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != CLAIMING)
        return false;
    worker->read = worker->claim;
    worker->claimed = true;
    worker->claimed_at = cancels_in(s, worker->read);
    if (!dispose(s, worker))
        start(s, worker);
    return true;
}

/* ---- running and committing ---- */

static void decide(struct state *s, struct worker *worker, jj_verdict verdict)
{
    bool again = verdict == JJ_VERDICT_RETRY && message_of(s, worker)->attempts + 1 < MAX_ATTEMPTS;

    worker->phase = again ? RETRYING : COMMITTING;
    if (verdict == JJ_VERDICT_DONE)
        worker->outcome = EVENT_COMPLETED;
    else
        worker->outcome = again ? EVENT_RETRYING : EVENT_FAILED;
    if (again && model_mistake == ACK_BEFORE_RETRY_IS_STORED)
        acknowledge(s, worker);
}

/* Done, to be repeated at once or later, or failed. */
static bool handler_returns(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which / 3];
    static const jj_verdict verdicts[] = {JJ_VERDICT_DONE, JJ_VERDICT_RETRY, JJ_VERDICT_RETRY};

    jj_verdict verdict = verdicts[which % 3];
    if (worker->phase != RUNNING || (verdict != JJ_VERDICT_DONE && s->left.failures == 0))
        return false;
    if (verdict != JJ_VERDICT_DONE)
        s->left.failures--;
    s->done |= verdict == JJ_VERDICT_DONE;
    s->failed |= verdict != JJ_VERDICT_DONE;
    if (worker->lease_lost && verdict != JJ_VERDICT_DONE) {
        let_go(s, worker);
        return true;
    }
    worker->delayed = which % 3 == 2;
    decide(s, worker, verdict);
    return true;
}

static bool store_retry(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];
    struct message next = *message_of(s, worker);

    if (worker->phase != RETRYING)
        return false;
    if (worker->too_early) {
        next.snoozes++;
        next.put_offs++;
    } else {
        next.attempts++;
        next.put_offs = 0;
    }
    worker->phase = worker->too_early ? COMMITTED : COMMITTING;
    return model_store(s, worker->delayed ? IN_SCHEDULE : IN_JOBS,
                       worker->delayed ? ID_RETRY : ID_RETRY_NOW, &next);
}

static bool store_event(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];
    const struct message *message = message_of(s, worker);
    uint8_t flags = worker->unrun ? UNRUN : 0;

    if (worker->phase != COMMITTING)
        return false;
    if (worker->outcome == EVENT_RETRYING && worker->delayed)
        flags = DELAYED;
    worker->phase = COMMITTED;
    const struct entry entry = {
        .what = worker->outcome,
        .redrives = message->redrives,
        .attempts = (uint8_t)(message->attempts + (worker->unrun && worker->lost == 0 ? 0 : 1)),
        .snoozes = message->snoozes,
        .lost = worker->lost,
        .flags = flags};
    return model_append(s, &entry);
}

static bool acknowledge_at_last(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != COMMITTED)
        return false;
    drop(s, worker);
    return true;
}

static bool lose_acknowledgement(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != COMMITTED || s->left.lost == 0)
        return false;
    s->left.lost--;
    s->doubled = true;
    s->faults++;
    worker->acked |= (uint8_t)(1u << worker->message);
    let_go(s, worker);
    return true;
}

/* ---- the end of a worker ---- */

static bool stop(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase != HELD || s->left.stops == 0)
        return false;
    s->left.stops--;
    let_go(s, worker);
    return true;
}

/* Another one begins, under another name. */
static bool crash(struct state *s, unsigned which)
{
    struct worker *worker = &s->workers[which];

    if (worker->phase == IDLE || s->left.crashes == 0)
        return false;
    s->left.crashes--;
    s->faults++;
    let_go(s, worker);
    *worker = (struct worker){0};
    return true;
}

const struct move model_worker_moves[] = {
    {"a worker gets the job", deliver, WORKERS *MESSAGES, NULL},
    {"the index answers it", index_answers, WORKERS *READINGS, some_worker_asks},
    {"no index answers it", index_is_silent, WORKERS, NULL},
    {"it puts the job off", put_off, WORKERS, NULL},
    {"it claims the job", claim, WORKERS, NULL},
    {"it reads cancellations", read_cancellations, WORKERS, NULL},
    {"it reads its claim back", read_back, WORKERS, NULL},
    {"its handler returns", handler_returns, WORKERS * 3, NULL},
    {"it stores the retry", store_retry, WORKERS, NULL},
    {"it stores the event", store_event, WORKERS, NULL},
    {"it acknowledges", acknowledge_at_last, WORKERS, NULL},
    {"its acknowledgement is lost", lose_acknowledgement, WORKERS, NULL},
    {"it stops", stop, WORKERS, NULL},
    {"it crashes", crash, WORKERS, NULL},
    {0},
};

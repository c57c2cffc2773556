/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fold.h"
#include "state.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- saying what was read ---- */

static struct job job_of(uint32_t redrives, uint32_t attempts, uint32_t snoozes)
{
    return (struct job){.id = "j",
                        .name = "n",
                        .redrives = redrives,
                        .attempts = attempts,
                        .snoozes = snoozes,
                        .created_at_ms = 5};
}

static void read_job(struct row *row, enum fold_source source, struct job job, uint64_t seq)
{
    assert_int_equal(jj__fold_message(row, source, &job, NULL, seq, 0), FOLD_APPLIED);
}

static enum fold_result read_claim_of(struct row *row, struct job job, uint32_t lost,
                                      const char *worker, int64_t time_ms)
{
    const struct claim claim = {
        .job = &job, .attempt = job.attempts + 1, .max_attempts = 3, .lost = lost};

    return jj__fold_claim(row, &claim, worker, time_ms, NULL);
}

/* Of the first redrive, without snoozes. */
static enum fold_result read_claim(struct row *row, uint32_t attempt)
{
    return read_claim_of(row, job_of(0, attempt - 1, 0), 0, "w1", 100 + attempt);
}

static enum fold_result read_event(struct row *row, struct event event)
{
    event.id = "j";
    event.name = "n";
    if (event.time_ms == 0)
        event.time_ms = 200;
    return jj__fold_event(row, &event, NULL);
}

#define EVENT(...) ((struct event){__VA_ARGS__})

static void must(enum fold_result result)
{
    assert_int_equal(result, FOLD_APPLIED);
}

/* As it would be stored, to see whether anything is different. */
struct picture {
    jj_record record;
    unsigned char marks[JJ_MARKS_MAX];
};

static struct picture picture_of(struct row *row)
{
    struct picture picture = {.record = row->record};

    jj__row_seal(row);
    memcpy(picture.marks, row->packed_marks, row->record.marks_len);
    picture.record.marks = NULL;
    picture.record.marks_len = row->record.marks_len;
    return picture;
}

#define assert_text(a, b)                                                                          \
    do {                                                                                           \
        assert_non_null(a);                                                                        \
        assert_string_equal(a, b);                                                                 \
    } while (0)

static void assert_same(const struct picture *a, const struct picture *b)
{
    const jj_record *x = &a->record, *y = &b->record;

    assert_memory_equal(a->marks, b->marks, sizeof(a->marks));
    assert_int_equal(x->state, y->state);
    assert_int_equal(x->attempts, y->attempts);
    assert_int_equal(x->max_attempts, y->max_attempts);
    assert_int_equal(x->lost, y->lost);
    assert_int_equal(x->redrives, y->redrives);
    assert_int_equal(x->snoozes, y->snoozes);
    assert_int_equal(x->progress, y->progress);
    assert_int_equal(x->created_at_ms, y->created_at_ms);
    assert_int_equal(x->run_at_ms, y->run_at_ms);
    assert_int_equal(x->started_at_ms, y->started_at_ms);
    assert_int_equal(x->completed_at_ms, y->completed_at_ms);
    assert_ptr_equal(x->worker, y->worker);
    assert_ptr_equal(x->schedule_id, y->schedule_id);
    assert_ptr_equal(x->error, y->error);
    assert_ptr_equal(x->result, y->result);
    assert_int_equal(x->result_len, y->result_len);
}

/* ---- the queues ---- */

static void a_job_in_the_queue_is_pending_and_a_schedule_is_scheduled(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_SCHEDULE, job_of(0, 0, 0), 7);
    assert_true(row.known && row.changed);
    assert_string_equal(row.record.name, "n");
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 9);
    assert_int_equal(row.record.state, JJ_PENDING);
    read_job(&row, FROM_SCHEDULE, job_of(0, 0, 0), 8);
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 3);
    assert_int_equal(row.record.state, JJ_PENDING);
    assert_int_equal(row.marks.jobs_seq, 9);
    assert_int_equal(row.marks.schedule_seq, 8);
}

static void the_latest_message_counts_whichever_is_read_first(void **state)
{
    (void)state;
    /* From the first in a job's life to the last. */
    const struct job messages[] = {job_of(0, 0, 0), job_of(0, 0, 1), job_of(0, 1, 1),
                                   job_of(0, 3, 0), job_of(1, 0, 0), job_of(1, 1, 0)};

    for (size_t a = 0; a < COUNT(messages); a++)
        for (size_t b = 0; b < COUNT(messages); b++) {
            struct row row;
            const struct job *last = &messages[a > b ? a : b];
            jj__row_init(&row, "j");
            read_job(&row, FROM_SCHEDULE, messages[a], 1);
            read_job(&row, FROM_SCHEDULE, messages[b], 2);
            assert_int_equal(row.record.redrives, last->redrives);
            assert_int_equal(row.record.attempts, last->attempts);
            assert_int_equal(row.record.snoozes, last->snoozes);
        }
}

static void of_one_generation_the_message_with_more_attempts_counts(void **state)
{
    (void)state;
    struct row a, b;

    jj__row_init(&a, "j");
    jj__row_init(&b, "j");
    read_job(&a, FROM_JOBS, job_of(0, 1, 0), 1);
    read_job(&a, FROM_JOBS, job_of(0, 0, 1), 2);
    read_job(&b, FROM_JOBS, job_of(0, 0, 1), 2);
    read_job(&b, FROM_JOBS, job_of(0, 1, 0), 1);
    assert_int_equal(a.record.attempts, 1);
    assert_int_equal(b.record.attempts, 1);
    assert_int_equal(b.record.snoozes, 0);
}

static void a_schedule_without_a_time_of_its_own_runs_when_it_fires(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);

    jj__row_init(&row, "j");
    must(jj__fold_message(&row, FROM_SCHEDULE, &job, NULL, 1, 5000));
    assert_int_equal(row.record.run_at_ms, 5000);
    read_job(&row, FROM_JOBS, job, 1); /* what fired does not know it any more */
    assert_int_equal(row.record.run_at_ms, 5000);
    job.run_at_ms = 5500;
    must(jj__fold_message(&row, FROM_SCHEDULE, &job, NULL, 2, 5000));
    assert_int_equal(row.record.run_at_ms, 5500);
    read_job(&row, FROM_JOBS, job_of(0, 1, 0), 2); /* a retry without delay */
    assert_int_equal(row.record.run_at_ms, 0);
}

/* ---- the state machine of the events ---- */

static void a_job_is_claimed_fails_and_is_done_at_last(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 1);
    must(read_claim(&row, 1));
    assert_int_equal(row.record.state, JJ_RUNNING);
    assert_int_equal(row.record.attempts, 1);
    assert_int_equal(row.record.max_attempts, 3);
    assert_int_equal(row.record.started_at_ms, 101);
    assert_text(row.record.worker, "w1");

    must(read_event(&row, EVENT(.type = EVENT_RETRYING, .attempts = 1, .error = "smtp",
                                .run_at_ms = 900, .worker = "w1")));
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    assert_int_equal(row.record.attempts, 1);
    assert_int_equal(row.record.run_at_ms, 900);
    assert_text(row.record.error, "smtp");

    must(read_claim_of(&row, job_of(0, 1, 0), 0, "w2", 901));
    assert_int_equal(row.record.state, JJ_RUNNING);
    assert_int_equal(row.record.attempts, 2);
    assert_int_equal(row.record.run_at_ms, 900);
    assert_text(row.record.worker, "w2");

    must(read_event(&row, EVENT(.type = EVENT_COMPLETED, .attempts = 2, .time_ms = 950,
                                .max_attempts = 4, .result = "{}", .result_len = 2)));
    assert_int_equal(row.record.state, JJ_COMPLETED);
    assert_int_equal(row.record.attempts, 2);
    assert_int_equal(row.record.max_attempts, 4);
    assert_int_equal(row.record.completed_at_ms, 950);
    assert_int_equal(row.record.started_at_ms, 901);
    assert_int_equal(row.record.result_len, 2);
    assert_memory_equal(row.record.result, "{}", 2);
    assert_text(row.record.error, "smtp");
    assert_text(row.record.worker, "w2");
}

static void a_retry_without_delay_makes_a_job_pending(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim(&row, 1));
    must(read_event(&row, EVENT(.type = EVENT_RETRYING, .attempts = 1, .error = "e")));
    assert_int_equal(row.record.state, JJ_PENDING);
    assert_int_equal(row.record.run_at_ms, 0);
}

static void a_snooze_counts_no_attempt_and_keeps_the_error(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim(&row, 1));
    must(read_event(&row, EVENT(.type = EVENT_RETRYING, .attempts = 1, .error = "e")));
    must(read_claim(&row, 2));
    must(read_event(&row,
                    EVENT(.type = EVENT_RETRYING, .attempts = 1, .snoozes = 1, .run_at_ms = 7)));
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    assert_int_equal(row.record.attempts, 1);
    assert_int_equal(row.record.snoozes, 1);
    assert_text(row.record.error, "e");
    must(read_claim_of(&row, job_of(0, 1, 1), 0, "w2", 8));
    assert_int_equal(row.record.attempts, 2);
    assert_int_equal(row.record.snoozes, 1);
}

enum deed { CLAIM, RETRY, SNOOZE, COMPLETE, FAIL, FAIL_UNRUN, CANCEL, DEEDS };

/* Something that happens to generation of redrive: a message that waits, or its run. */
static enum fold_result happens(struct row *row, enum deed deed, uint32_t redrives,
                                uint32_t generation)
{
    static struct job unrun; /* what an event points to lives on */
    struct event event = {.redrives = redrives, .attempts = generation + 1, .run_at_ms = 10};

    switch (deed) {
    case CLAIM:
        return read_claim_of(row, job_of(redrives, generation, 0), 0, "w", 100);
    case RETRY:
        event.type = EVENT_RETRYING;
        event.error = "e";
        break;
    case SNOOZE:
        event.type = EVENT_RETRYING;
        event.attempts = generation;
        event.snoozes = 1;
        break;
    case COMPLETE:
        event.type = EVENT_COMPLETED;
        break;
    case FAIL:
        event.type = EVENT_FAILED;
        event.error = "e";
        break;
    case FAIL_UNRUN:
        unrun = job_of(redrives, generation, 0);
        event.type = EVENT_FAILED;
        event.attempts = generation;
        event.error = "e";
        event.job = &unrun;
        break;
    default:
        event.type = EVENT_CANCELLED;
        event.attempts = generation;
        break;
    }
    return read_event(row, event);
}

enum before { NOTHING, WAITS, RUNS, COMPLETED, FAILED, CANCELLED, BEFORES };

/* A row as events of generation 1 leave it. */
static void make(struct row *row, enum before before)
{
    jj__row_init(row, "j");
    if (before == WAITS)
        must(happens(row, RETRY, 0, 0));
    if (before == RUNS)
        must(happens(row, CLAIM, 0, 1));
    if (before == COMPLETED)
        must(happens(row, COMPLETE, 0, 1));
    if (before == FAILED)
        must(happens(row, FAIL, 0, 1));
    if (before == CANCELLED)
        must(happens(row, CANCEL, 0, 1));
    row->changed = false;
}

/* For generations 0, 1 and 2, where the row is at 1. r: still running. */
static const char *const legal[BEFORES][DEEDS] = {
    /* claim, retry, snooze, complete, fail, fail unrun, cancel */
    [NOTHING] = {"xxx", "xxx", "xxx", "xxx", "xxx", "xxx", "xxx"},
    [WAITS] = {"-xx", "---", "---", "---", "-xx", "-xx", "-xx"},
    [RUNS] = {"-xx", "rxx", "rxx", "-xx", "-xx", "-xx", "--x"},
    [COMPLETED] = {"---", "---", "---", "---", "---", "---", "---"},
    [FAILED] = {"---", "---", "---", "---", "---", "---", "---"},
    [CANCELLED] = {"---", "---", "---", "---", "---", "---", "---"},
};

static const jj_state becomes[DEEDS] = {JJ_RUNNING, JJ_SCHEDULED, JJ_SCHEDULED, JJ_COMPLETED,
                                        JJ_FAILED,  JJ_FAILED,    JJ_CANCELLED};

static void what_is_legal_is_done(void **state)
{
    (void)state;
    for (enum before before = NOTHING; before < BEFORES; before++)
        for (enum deed deed = CLAIM; deed < DEEDS; deed++)
            for (uint32_t generation = 0; generation < 3; generation++) {
                struct row row;
                make(&row, before);
                bool applied = happens(&row, deed, 0, generation) == FOLD_APPLIED;
                char expected = legal[before][deed][generation];
                assert_int_equal(applied, expected != '-');
                if (applied)
                    assert_int_equal(row.record.state,
                                     expected == 'r' ? JJ_RUNNING : becomes[deed]);
            }
}

static void an_anomaly_changes_nothing(void **state)
{
    (void)state;
    for (enum before before = NOTHING; before < BEFORES; before++)
        for (enum deed deed = CLAIM; deed < DEEDS; deed++)
            for (uint32_t generation = 0; generation < 3; generation++) {
                struct row row;
                make(&row, before);
                struct picture was = picture_of(&row);
                if (happens(&row, deed, 0, generation) == FOLD_APPLIED)
                    continue;
                struct picture is = picture_of(&row);
                assert_false(row.changed);
                assert_same(&was, &is);
            }
}

static void each_redrive_begins_anew_whatever_was_before(void **state)
{
    (void)state;
    for (enum before before = NOTHING; before < BEFORES; before++)
        for (enum deed deed = CLAIM; deed < DEEDS; deed++) {
            struct row row;
            make(&row, before);
            must(happens(&row, deed, 2, 0));
            assert_int_equal(row.record.state, becomes[deed]);
            assert_int_equal(row.record.redrives, 2);
            for (uint32_t generation = 0; generation < 3; generation++)
                assert_int_equal(happens(&row, deed, 1, generation), FOLD_ANOMALY);
        }
}

static void a_redrive_forgets_how_the_last_one_ended(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim(&row, 1));
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 1, .percent = 50)));
    must(read_event(&row, EVENT(.type = EVENT_FAILED, .attempts = 1, .error = "e", .lost = 2)));
    assert_int_equal(row.record.lost, 2);
    must(happens(&row, CANCEL, 1, 0));
    assert_null(row.record.error);
    assert_null(row.record.worker);
    assert_int_equal(row.record.started_at_ms, 0);
    assert_int_equal(row.record.lost, 0);
    assert_int_equal(row.record.progress, JJ_NO_PROGRESS);
    assert_int_equal(row.record.completed_at_ms, 200);
}

static void the_job_of_a_failure_says_which_message_was_not_run(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job, 1);
    must(read_event(&row, EVENT(.type = EVENT_FAILED, .error = "header", .job = &job)));
    assert_int_equal(row.record.state, JJ_FAILED);
    assert_int_equal(row.record.attempts, 0);
    assert_text(row.record.error, "header");
}

static void attempts_of_0_are_read_as_the_first_generation(void **state)
{
    (void)state;
    for (enum event_type type = EVENT_COMPLETED; type <= EVENT_RETRYING; type++) {
        struct row row;
        jj__row_init(&row, "j");
        must(read_event(&row, EVENT(.type = type, .error = "e")));
        assert_true(row.marks.events.generation <= 1);
    }
}

static void a_cancellation_hits_a_retry_whose_event_is_still_to_come(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(happens(&row, CLAIM, 0, 0));
    read_job(&row, FROM_SCHEDULE, job_of(0, 1, 0), 1);
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    must(happens(&row, CANCEL, 0, 1));
    assert_int_equal(row.record.state, JJ_CANCELLED);
    assert_int_equal(happens(&row, RETRY, 0, 0), FOLD_ANOMALY);
}

/* ---- workers that vanish ---- */

static void a_second_claim_of_a_run_is_a_lost_worker(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim_of(&row, job_of(0, 0, 0), 0, "w1", 100));
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 1, .percent = 50)));
    must(read_claim_of(&row, job_of(0, 0, 0), 0, "w2", 200));
    assert_int_equal(row.record.lost, 1);
    assert_int_equal(row.record.started_at_ms, 200);
    assert_int_equal(row.record.progress, JJ_NO_PROGRESS);
    assert_text(row.record.worker, "w2");
    must(read_claim_of(&row, job_of(0, 0, 0), 5, "w3", 300));
    assert_int_equal(row.record.lost, 5);
    must(read_claim_of(&row, job_of(0, 0, 0), UINT32_MAX, NULL, 400));
    must(read_claim_of(&row, job_of(0, 0, 0), 0, NULL, 500));
    assert_int_equal(row.record.lost, UINT32_MAX);
    assert_null(row.record.worker);
}

static void a_claim_that_is_stored_twice_is_one(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim_of(&row, job_of(0, 0, 0), 1, "w1", 100));
    row.changed = false;
    must(read_claim_of(&row, job_of(0, 0, 0), 1, "w1", 100));
    assert_int_equal(row.record.lost, 1);
    assert_false(row.changed);
}

static void the_next_attempt_has_lost_nothing(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim_of(&row, job_of(0, 0, 0), 2, "w1", 100));
    must(happens(&row, RETRY, 0, 0));
    assert_int_equal(row.record.lost, 2);
    must(read_claim_of(&row, job_of(0, 1, 0), 0, "w1", 200));
    assert_int_equal(row.record.lost, 0);
}

static void a_claim_of_the_next_attempt_stands_for_the_retry_that_nobody_told(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);

    jj__row_init(&row, "j");
    job.run_at_ms = 50;
    read_job(&row, FROM_SCHEDULE, job, 1);
    must(happens(&row, CLAIM, 0, 0));
    assert_int_equal(row.record.run_at_ms, 50);
    must(happens(&row, CLAIM, 0, 1));
    assert_int_equal(row.record.attempts, 2);
    assert_int_equal(row.record.run_at_ms, 0); /* 50 was that of the first */
}

static void a_retry_that_is_told_after_its_claim_tells_why(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(happens(&row, CLAIM, 0, 0));
    must(happens(&row, CLAIM, 0, 1));
    must(read_event(&row, EVENT(.type = EVENT_RETRYING, .attempts = 1, .error = "smtp")));
    assert_int_equal(row.record.state, JJ_RUNNING);
    assert_int_equal(row.record.attempts, 2);
    assert_text(row.record.error, "smtp");
    must(happens(&row, CLAIM, 0, 2));
    assert_int_equal(happens(&row, RETRY, 0, 0), FOLD_ANOMALY);
}

static void the_first_end_counts(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim_of(&row, job_of(0, 0, 0), 0, "w1", 100));
    must(read_claim_of(&row, job_of(0, 0, 0), 1, "w2", 200));
    must(read_event(&row, EVENT(.type = EVENT_COMPLETED, .attempts = 1, .worker = "w1")));
    assert_int_equal(
        read_event(&row, EVENT(.type = EVENT_FAILED, .attempts = 1, .error = "e", .worker = "w2")),
        FOLD_ANOMALY);
    assert_int_equal(row.record.state, JJ_COMPLETED);
    assert_text(row.record.worker, "w1");
    assert_null(row.record.error);
    assert_null(row.record.result);
}

/* ---- progress, and what changes nothing ---- */

static void progress_is_of_the_run_that_it_tells_of(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_claim(&row, 2));
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 2, .percent = 40)));
    assert_int_equal(row.record.progress, 40);
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 1, .percent = 90)));
    must(read_event(&row,
                    EVENT(.type = EVENT_PROGRESS, .attempts = 2, .redrives = 1, .percent = 91)));
    must(read_event(&row,
                    EVENT(.type = EVENT_PROGRESS, .attempts = 2, .snoozes = 1, .percent = 92)));
    assert_int_equal(row.record.progress, 40);
    must(happens(&row, RETRY, 0, 1));
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 2, .percent = 93)));
    assert_int_equal(row.record.progress, 40);
    must(read_claim(&row, 3));
    assert_int_equal(row.record.progress, JJ_NO_PROGRESS);
}

static void what_a_handler_told_makes_no_row(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_event(&row, EVENT(.type = EVENT_PROGRESS, .attempts = 1, .percent = 40)));
    must(read_event(&row, EVENT(.type = EVENT_EVENT, .attempts = 1, .event = "sent")));
    assert_false(row.known);
    assert_false(row.changed);
    assert_string_equal(row.record.name, "");
}

static void what_is_read_again_changes_nothing(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 1);
    must(read_claim(&row, 1));
    must(happens(&row, COMPLETE, 0, 0));
    struct picture was = picture_of(&row);
    row.changed = false;
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 1);
    assert_int_equal(read_claim(&row, 1), FOLD_ANOMALY);
    assert_int_equal(happens(&row, COMPLETE, 0, 0), FOLD_ANOMALY);
    assert_false(row.changed);
    struct picture is = picture_of(&row);
    assert_same(&was, &is);
}

static void a_finished_job_that_is_enqueued_again_stays_finished(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 1);
    must(read_claim(&row, 1));
    must(happens(&row, COMPLETE, 0, 0));
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 9);
    assert_int_equal(row.record.state, JJ_COMPLETED);
    assert_int_equal(row.marks.jobs_seq, 9);
    read_job(&row, FROM_JOBS, job_of(0, 5, 0), 10);
    assert_int_equal(row.record.state, JJ_COMPLETED);
    assert_int_equal(row.record.attempts, 1);
}

static void an_id_is_that_of_the_first_name(void **state)
{
    (void)state;
    struct row row;
    struct job other = job_of(4, 0, 0);
    const struct claim claim = {.job = &other, .attempt = 1};
    struct event event = {.type = EVENT_FAILED, .id = "j", .name = "other", .attempts = 1};

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(0, 0, 0), 1);
    struct picture was = picture_of(&row);
    memcpy(other.name, "other", 6);
    assert_int_equal(jj__fold_message(&row, FROM_JOBS, &other, NULL, 2, 0), FOLD_ANOMALY);
    assert_int_equal(jj__fold_claim(&row, &claim, "w", 1, NULL), FOLD_ANOMALY);
    assert_int_equal(jj__fold_event(&row, &event, NULL), FOLD_ANOMALY);
    assert_false(jj__fold_line(&row, &event));
    struct picture is = picture_of(&row);
    assert_same(&was, &is);
}

/* ---- both halves ---- */

static void the_queue_goes_before_the_events_where_it_is_further(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(happens(&row, RETRY, 0, 0));
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    read_job(&row, FROM_JOBS, job_of(0, 1, 0), 1); /* a mover enqueued it */
    assert_int_equal(row.record.state, JJ_PENDING);
    must(happens(&row, CLAIM, 0, 1));
    assert_int_equal(row.record.state, JJ_RUNNING);
    read_job(&row, FROM_SCHEDULE, job_of(0, 2, 0), 2);
    assert_int_equal(row.record.state, JJ_SCHEDULED);
    assert_int_equal(row.record.attempts, 2);
    assert_int_equal(row.record.started_at_ms, 100);
}

static void a_revived_job_shows_nothing_of_its_last_life(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(1, 0, 0), 2); /* read before how the first life ended */
    must(read_claim(&row, 1));
    must(happens(&row, FAIL, 0, 0));
    assert_int_equal(row.record.state, JJ_PENDING);
    assert_int_equal(row.record.redrives, 1);
    assert_int_equal(row.record.attempts, 0);
    assert_int_equal(row.record.completed_at_ms, 0);
    assert_null(row.record.error);
    assert_null(row.record.worker);
    assert_int_equal(happens(&row, COMPLETE, 0, 0), FOLD_ANOMALY);
}

static void a_time_is_known_from_the_events_if_the_message_was_not_seen(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);
    const struct claim claim = {.job = &job, .attempt = 1, .with_job = true};
    const struct content content = {.data_known = true};

    jj__row_init(&row, "j");
    job.run_at_ms = 50;
    must(jj__fold_claim(&row, &claim, "w", 1, &content));
    assert_int_equal(row.record.run_at_ms, 50);

    jj__row_init(&row, "j");
    must(read_event(&row, EVENT(.type = EVENT_CANCELLED, .job = &job)));
    assert_int_equal(row.record.run_at_ms, 50);
}

static void a_job_that_was_put_off_keeps_its_time(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    must(read_event(&row, EVENT(.type = EVENT_RETRYING, .attempts = 1, .run_at_ms = 900)));
    must(read_claim_of(&row, job_of(0, 1, 1), 0, "w", 901));
    assert_int_equal(row.record.run_at_ms, 900);
}

static void messages_of_a_cancelled_job_are_to_be_deleted(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job_of(1, 0, 0), 1);
    assert_false(jj__fold_is_cancelled(&row, 1));
    must(happens(&row, CANCEL, 1, 0));
    assert_true(jj__fold_is_cancelled(&row, 1));
    assert_true(jj__fold_is_cancelled(&row, 0));
    read_job(&row, FROM_JOBS, job_of(2, 0, 0), 2); /* it is revived */
    assert_true(jj__fold_is_cancelled(&row, 1));
    assert_false(jj__fold_is_cancelled(&row, 2));
    must(happens(&row, CLAIM, 2, 0));
    assert_false(jj__fold_is_cancelled(&row, 1));
}

/* ---- content ---- */

static const struct content known[] = {
    [FROM_JOBS] =
        {.data_known = true, .data = "q", .data_len = 1, .headers = "A\0q", .headers_len = 4},
    [FROM_CLAIM] = {.data_known = true, .data = "c", .data_len = 1},
    [FROM_EVENT] = {.data_known = true, .data = "e", .data_len = 1},
    [FROM_SCHEDULE] = {.data_known = true, .data = "s", .data_len = 1},
};
static const struct content data_omitted = {.headers = "A\0o", .headers_len = 4};

/* Something of a job that carries it; created_at_ms says which source it was. */
static void read_content(struct row *row, enum fold_source source, const struct content *content)
{
    struct job job = job_of(0, 0, 0);
    const struct claim claim = {.job = &job, .attempt = 1, .max_attempts = 7, .with_job = true};
    const struct event event = {.type = EVENT_FAILED,
                                .id = "j",
                                .name = "n",
                                .time_ms = 1,
                                .attempts = 1,
                                .max_attempts = 9,
                                .job = &job};

    job.created_at_ms = 10 + (int64_t)source;
    job.schedule_id = "weekly";
    job.max_attempts = source == FROM_EVENT ? 8 : 0;
    if (source == FROM_CLAIM)
        must(jj__fold_claim(row, &claim, "w", 1, content));
    else if (source == FROM_EVENT)
        must(jj__fold_event(row, &event, content));
    else
        must(jj__fold_message(row, source, &job, content, 1, 0));
}

static void the_best_source_of_content_counts(void **state)
{
    (void)state;
    /* An event that ends the job comes after a claim: other orders of these two don't occur. */
    for (enum fold_source a = FROM_CLAIM; a <= FROM_SCHEDULE; a++)
        for (enum fold_source b = FROM_CLAIM; b <= FROM_SCHEDULE; b++) {
            struct row row;
            enum fold_source best = a < b ? a : b;
            if (a == FROM_EVENT && b <= FROM_EVENT)
                continue;
            jj__row_init(&row, "j");
            read_content(&row, a, &known[a]);
            read_content(&row, b, &known[b]);
            assert_memory_equal(row.record.data, known[best].data, 1);
            assert_int_equal(row.record.created_at_ms, 10 + best);
            assert_string_equal(row.record.schedule_id, "weekly");
            assert_true(row.content_changed);
        }
}

/* The message that was claimed, and one that only has the same id. */
static void what_a_claim_repeats_is_not_written_again(void **state)
{
    (void)state;
    for (uint64_t seq = 0; seq <= 2; seq++) {
        struct row row;
        struct job job = job_of(0, 0, 0);
        const struct claim claim = {.job = &job, .attempt = 1, .seq = seq, .with_job = true};

        jj__row_init(&row, "j");
        read_content(&row, FROM_JOBS, &known[FROM_JOBS]); /* its sequence is 1 */
        row.content_changed = false;
        must(jj__fold_claim(&row, &claim, "w", 1, &known[FROM_CLAIM]));
        assert_int_equal(row.content_changed, seq != 1);
        assert_memory_equal(row.record.data, seq == 1 ? "q" : "c", 1);
        assert_int_equal(row.marks.content_from, FROM_CLAIM + 1);
        assert_int_equal(row.marks.content_seq, 0);
    }
}

static void of_one_source_the_first_content_counts(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_content(&row, FROM_JOBS, &known[FROM_JOBS]);
    row.content_changed = false;
    read_content(&row, FROM_JOBS, &known[FROM_EVENT]);
    assert_memory_equal(row.record.data, "q", 1);
    assert_false(row.content_changed);
}

static void data_that_is_known_is_better_than_data_that_is_not(void **state)
{
    (void)state;
    struct row row;

    jj__row_init(&row, "j");
    read_content(&row, FROM_CLAIM, &data_omitted);
    assert_false(row.record.data_known);
    assert_memory_equal(row.record.headers, "A\0o", 4);
    read_content(&row, FROM_EVENT, &known[FROM_EVENT]);
    assert_true(row.record.data_known);
    assert_memory_equal(row.record.data, "e", 1);
    assert_int_equal(row.record.headers_len, 0);
    read_content(&row, FROM_SCHEDULE, &data_omitted);
    assert_true(row.record.data_known);
    assert_memory_equal(row.record.data, "e", 1);
}

static void the_same_content_from_a_better_source_is_not_written_again(void **state)
{
    (void)state;
    struct row row;
    const char copy[] = "c";
    const struct content same = {.data_known = true, .data = copy, .data_len = 1};

    jj__row_init(&row, "j");
    read_content(&row, FROM_JOBS, &same);
    row.changed = row.content_changed = false;
    read_content(&row, FROM_CLAIM, &known[FROM_CLAIM]);
    assert_true(row.changed);
    assert_false(row.content_changed);
    assert_int_equal(row.record.created_at_ms, 10 + FROM_CLAIM);
}

static void an_anomaly_brings_no_content(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);
    const struct event event = {.type = EVENT_CANCELLED, .id = "j", .name = "n", .job = &job};

    jj__row_init(&row, "j");
    must(happens(&row, CLAIM, 0, 0));
    assert_int_equal(jj__fold_event(&row, &event, &known[FROM_EVENT]), FOLD_ANOMALY);
    assert_false(row.record.data_known);
    assert_int_equal(row.marks.content_from, 0);
}

static void the_header_of_a_job_says_how_many_attempts_it_may_have(void **state)
{
    (void)state;
    struct row row;
    struct job job = job_of(0, 0, 0);
    const struct claim claim = {.job = &job, .attempt = 1, .max_attempts = 7, .with_job = true};

    jj__row_init(&row, "j");
    read_job(&row, FROM_JOBS, job, 1);
    assert_int_equal(row.record.max_attempts, 0);
    read_content(&row, FROM_CLAIM, &known[FROM_CLAIM]);
    assert_int_equal(row.record.max_attempts, 7);
    read_content(&row, FROM_EVENT, &known[FROM_EVENT]);
    assert_int_equal(row.record.max_attempts, 9);

    jj__row_init(&row, "j");
    job.max_attempts = 5;
    must(jj__fold_message(&row, FROM_JOBS, &job, &known[FROM_JOBS], 1, 0));
    assert_int_equal(row.record.max_attempts, 5);
    must(jj__fold_claim(&row, &claim, "w", 1, NULL));
    assert_int_equal(row.record.max_attempts, 5);
    must(jj__fold_claim(&row, &claim, "w", 2, &known[FROM_CLAIM]));
    assert_int_equal(row.record.max_attempts, 5);

    jj__row_init(&row, "j"); /* the job of an event has what was known, not what a header said */
    read_content(&row, FROM_EVENT, &known[FROM_EVENT]);
    assert_int_equal(row.record.max_attempts, 9);
}

/* ---- log lines ---- */

static void so_many_log_lines_are_kept_and_the_rest_counted(void **state)
{
    (void)state;
    struct row row;
    const struct event line = {.type = EVENT_LOG, .id = "j", .name = "n", .redrives = 9};

    jj__row_init(&row, "j");
    for (int i = 0; i < JJ__LINES_MAX; i++)
        assert_true(jj__fold_line(&row, &line));
    assert_true(row.changed);
    assert_false(row.known);
    row.changed = false;
    assert_false(jj__fold_line(&row, &line));
    assert_true(row.changed);
    assert_int_equal(row.marks.lines, JJ__LINES_MAX);
    assert_int_equal(row.marks.lines_dropped, 1);
    row.marks.lines_dropped = UINT32_MAX;
    row.changed = false;
    assert_false(jj__fold_line(&row, &line));
    assert_false(row.changed);
    assert_int_equal(row.marks.lines_dropped, UINT32_MAX);
}

static void custom_events_and_log_lines_leave_each_other_room(void **state)
{
    (void)state;
    struct row row;
    struct event event = {.type = EVENT_EVENT, .id = "j", .name = "n", .event = "half"};
    const struct event line = {.type = EVENT_LOG, .id = "j", .name = "n"};

    jj__row_init(&row, "j");
    for (int i = 0; i < JJ__LINES_MAX; i++)
        assert_true(jj__fold_line(&row, &event));
    assert_false(jj__fold_line(&row, &event));
    assert_true(jj__fold_line(&row, &line));
    assert_int_equal(row.marks.lines, 1);
    assert_int_equal(row.marks.lines_dropped, 0);
    assert_int_equal(row.marks.custom, JJ__LINES_MAX);
    assert_int_equal(row.marks.custom_dropped, 1);
    row.changed = false;
    event.event = NULL;
    assert_false(jj__fold_line(&row, &event));
    assert_false(row.changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_in_the_queue_is_pending_and_a_schedule_is_scheduled),
        cmocka_unit_test(the_latest_message_counts_whichever_is_read_first),
        cmocka_unit_test(of_one_generation_the_message_with_more_attempts_counts),
        cmocka_unit_test(a_schedule_without_a_time_of_its_own_runs_when_it_fires),
        cmocka_unit_test(a_job_is_claimed_fails_and_is_done_at_last),
        cmocka_unit_test(a_retry_without_delay_makes_a_job_pending),
        cmocka_unit_test(a_snooze_counts_no_attempt_and_keeps_the_error),
        cmocka_unit_test(what_is_legal_is_done),
        cmocka_unit_test(an_anomaly_changes_nothing),
        cmocka_unit_test(each_redrive_begins_anew_whatever_was_before),
        cmocka_unit_test(a_redrive_forgets_how_the_last_one_ended),
        cmocka_unit_test(the_job_of_a_failure_says_which_message_was_not_run),
        cmocka_unit_test(attempts_of_0_are_read_as_the_first_generation),
        cmocka_unit_test(a_cancellation_hits_a_retry_whose_event_is_still_to_come),
        cmocka_unit_test(a_second_claim_of_a_run_is_a_lost_worker),
        cmocka_unit_test(a_claim_that_is_stored_twice_is_one),
        cmocka_unit_test(the_next_attempt_has_lost_nothing),
        cmocka_unit_test(a_claim_of_the_next_attempt_stands_for_the_retry_that_nobody_told),
        cmocka_unit_test(a_retry_that_is_told_after_its_claim_tells_why),
        cmocka_unit_test(the_first_end_counts),
        cmocka_unit_test(progress_is_of_the_run_that_it_tells_of),
        cmocka_unit_test(what_a_handler_told_makes_no_row),
        cmocka_unit_test(what_is_read_again_changes_nothing),
        cmocka_unit_test(a_finished_job_that_is_enqueued_again_stays_finished),
        cmocka_unit_test(an_id_is_that_of_the_first_name),
        cmocka_unit_test(the_queue_goes_before_the_events_where_it_is_further),
        cmocka_unit_test(a_revived_job_shows_nothing_of_its_last_life),
        cmocka_unit_test(a_time_is_known_from_the_events_if_the_message_was_not_seen),
        cmocka_unit_test(a_job_that_was_put_off_keeps_its_time),
        cmocka_unit_test(messages_of_a_cancelled_job_are_to_be_deleted),
        cmocka_unit_test(the_best_source_of_content_counts),
        cmocka_unit_test(what_a_claim_repeats_is_not_written_again),
        cmocka_unit_test(of_one_source_the_first_content_counts),
        cmocka_unit_test(data_that_is_known_is_better_than_data_that_is_not),
        cmocka_unit_test(the_same_content_from_a_better_source_is_not_written_again),
        cmocka_unit_test(an_anomaly_brings_no_content),
        cmocka_unit_test(the_header_of_a_job_says_how_many_attempts_it_may_have),
        cmocka_unit_test(so_many_log_lines_are_kept_and_the_rest_counted),
        cmocka_unit_test(custom_events_and_log_lines_leave_each_other_room),
    };

    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}

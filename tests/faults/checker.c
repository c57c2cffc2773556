/* SPDX-License-Identifier: Apache-2.0 */

/* The rules. A run again is excused only by a fault that touched it: one of the broker or of the
 * workers of both runs, between the first run's beginning and the next one's. */

#include "checker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan.h"
#include "state.h"

#define SLACK_MS 1000 /* between what happened and its being written down */
#define TOLD_MAX 20
#define TOLD_MS  30000 /* how long before a run faults are told */
/* Of a process that is done, however many jobs and faults it has seen. */
#define DESCRIPTORS_MAX 32
#define THREADS_MAX     24
#define MEMORY_MAX_KB   ((size_t)192 * 1024)
#define HOUR_MS         INT64_C(3600000)
#define EARLY_MS        600 /* of a mover whose clock is ahead: the server fires half a second early */

struct judging {
    const struct trail *trail;
    const struct fault_list *faults;
    const struct fleet *fleet;
    struct findings *findings;
    size_t told;
};

static void tell(struct judging *judging, const char *what, unsigned producer, unsigned n)
{
    if (judging->told++ < TOLD_MAX)
        print_error("  p%u-%u: %s\n", producer, n, what);
}

/* ---- faults ---- */

/* What the index or a producer suffers makes no worker run anything again, but a producer may
 * enqueue again what a broker has forgotten. What hit the worker of the earlier run may have kept
 * it from saying that the job is over. The worker of the later run may have been given the job
 * before the earlier one even was, if what was on its way to it waited meanwhile: in a socket of a
 * frozen process, or in a link that lets nothing through.
 *
 * A broker that nobody disturbs delivers again, too, what was acknowledged: the acknowledgement may
 * wait to be read longer than the lease lasts. How long they wait is measured (late.h). */
static bool can_repeat(const struct fault *fault, const struct run *earlier,
                       const struct run *later)
{
    if (fault->role == FAULT_ALL)
        return true;
    if (fault->role != ROLE_WORKER)
        return false;
    switch (fault->kind) {
    case FAULT_STARVED:
    case FAULT_FREEZE_WORKER:
    case FAULT_HOLD_LINK:
    case FAULT_ONE_WAY_LINK:
    case FAULT_SLOW_LINK:
        return fault->number == (int)earlier->worker || fault->number == (int)later->worker;
    default:
        return fault->number == (int)earlier->worker;
    }
}

/* How long the traces of a fault show: for a lease, and for what was on its way some seconds. A
 * late broker was late until its answer, and no longer. */
static int64_t after_ms(const struct judging *judging, const struct fault *fault)
{
    return SLACK_MS + (fault->kind == FAULT_LATE_BROKER ? 0 : judging->fleet->ack_wait_ms);
}

/* Did a fault hit one of them before the later one began? */
static bool is_excused(const struct judging *judging, const struct run *earlier,
                       const struct run *later)
{
    for (size_t i = 0; i < judging->faults->count; i++) {
        const struct fault *fault = &judging->faults->list[i];
        if (can_repeat(fault, earlier, later) && fault->begin_ms <= later->begin_ms &&
            fault->end_ms + after_ms(judging, fault) >= earlier->begin_ms)
            return true;
    }
    return false;
}

/* For whoever looks for the reason. */
static void tell_times(const struct judging *judging, const struct run *earlier,
                       const struct run *later)
{
    const struct fate *fate = &judging->trail->fates[earlier->producer][earlier->n];

    if (judging->told >= TOLD_MAX)
        return;
    print_error("    at %lld by worker %u, and %lld ms later by worker %u\n",
                (long long)earlier->begin_ms, earlier->worker,
                (long long)(later->begin_ms - earlier->begin_ms), later->worker);
    print_error("    sent at %lld, accepted at %lld, the earlier run ended at %lld\n",
                (long long)fate->sent_ms, (long long)fate->accepted_ms, (long long)earlier->end_ms);
    for (size_t i = 0; i < judging->faults->count; i++) {
        const struct fault *fault = &judging->faults->list[i];
        if (fault->begin_ms <= later->begin_ms && fault->end_ms + TOLD_MS >= earlier->begin_ms)
            print_error("    %s (%d, %d) from %lld to %lld\n", fault_text(fault->kind), fault->role,
                        fault->number, (long long)fault->begin_ms, (long long)fault->end_ms);
    }
}

/* ---- runs ---- */

static void judge_again(struct judging *judging, const struct run *runs, size_t count)
{
    struct findings *findings = judging->findings;

    for (size_t i = 1; i < count; i++) {
        const struct run *earlier = NULL;
        size_t of_attempt = 1;
        bool excused = false;
        for (size_t j = 0; j < i; j++)
            if (runs[j].attempt == runs[i].attempt) {
                earlier = &runs[j];
                of_attempt++;
                excused |= is_excused(judging, earlier, &runs[i]);
            }
        if (earlier == NULL)
            continue;
        findings->again++;
        if (of_attempt > findings->most)
            findings->most = of_attempt;
        if (!excused) {
            findings->unexplained++;
            tell(judging, "ran again without a fault", runs[i].producer, runs[i].n);
            tell_times(judging, earlier, &runs[i]);
        }
    }
}

static void judge_overlaps(struct judging *judging, const struct run *runs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct run *before = &runs[i - 1];
        if (before->end_ms == 0 || before->end_ms <= runs[i].begin_ms)
            continue;
        judging->findings->overlaps++;
        if (!is_excused(judging, before, &runs[i])) {
            judging->findings->bad_overlaps++;
            tell(judging, "ran beside itself without a fault", runs[i].producer, runs[i].n);
        }
    }
}

static bool was_shifted(const struct judging *judging, int64_t at_ms)
{
    for (size_t i = 0; i < judging->faults->count; i++)
        if (judging->faults->list[i].kind == FAULT_SHIFT_CLOCK &&
            judging->faults->list[i].begin_ms <= at_ms &&
            judging->faults->list[i].end_ms + PLAN_LATE_MS >= at_ms)
            return true;
    return false;
}

static void judge_time(struct judging *judging, const struct fate *fate, const struct run *first)
{
    int64_t early_ms = fate->due_ms - first->begin_wall_ms;

    if (fate->due_ms == 0 || early_ms <= 0)
        return;
    if (early_ms <= EARLY_MS && was_shifted(judging, first->begin_ms)) {
        judging->findings->early_shifted++;
        return;
    }
    judging->findings->early++;
    tell(judging, "ran before its time", first->producer, first->n);
}

static void judge_late(struct judging *judging, const struct fate *fate, const struct run *runs)
{
    const struct run *last = &runs[fate->runs - 1];

    /* The end was told by its worker's clock. */
    if (fate->over_at_ms == 0 || last->begin_wall_ms - fate->over_at_ms <=
                                     judging->fleet->ack_wait_ms + SLACK_MS + FAULT_SHIFT_MS)
        return;
    judging->findings->late++;
    bool excused = false; /* what ran again may lead to a retry that runs again */
    for (const struct run *earlier = runs; earlier < last; earlier++)
        excused |= is_excused(judging, earlier, last);
    if (!excused) {
        judging->findings->bad_late++;
        tell(judging, "ran after it was over, without a fault", last->producer, last->n);
    }
}

static void judge_cancel(struct judging *judging, const struct fate *fate, const struct run *runs)
{
    if (fate->cancelled != 'y')
        return;
    judging->findings->cancelled++;
    for (size_t i = 0; i < fate->runs; i++)
        if (runs[i].begin_ms > fate->cancelled_ms) {
            judging->findings->started_though_cancelled++;
            tell(judging, "started, though it was cancelled", runs[i].producer, runs[i].n);
            return;
        }
}

/* ---- jobs ---- */

static bool has_ended_run(const struct fate *fate, const struct run *runs)
{
    for (size_t i = 0; i < fate->runs; i++)
        if (runs[i].end_ms != 0)
            return true;
    return false;
}

static jj_state expected_state(uint32_t n)
{
    return plan_end(n) == PLAN_FAIL ? JJ_FAILED : JJ_COMPLETED;
}

static void judge_end(struct judging *judging, unsigned producer, unsigned n,
                      const struct fate *fate, const struct run *runs)
{
    struct findings *findings = judging->findings;
    bool is_cancelled = fate->state == JJ_CANCELLED && fate->cancelled != 0;

    if (fate->accepted_ms != 0 &&
        (!jj__state_is_final(fate->state) || (!is_cancelled && !has_ended_run(fate, runs)))) {
        findings->lost++;
        tell(judging, "was accepted and is lost", producer, n);
        return;
    }
    if (fate->state == JJ_ANY_STATE)
        return;
    if (!is_cancelled && fate->state != expected_state(n)) {
        findings->wrong_ends++;
        tell(judging, jj_state_text(fate->state), producer, n);
    } else if (fate->cancelled == 'y' && !is_cancelled) {
        findings->wrong_ends++;
        tell(judging, "was cancelled, and is not", producer, n);
    }
}

static void judge_job(struct judging *judging, unsigned producer, unsigned n)
{
    const struct fate *fate = &judging->trail->fates[producer][n];
    const struct run *runs = judging->trail->runs + fate->first_run;
    struct findings *findings = judging->findings;

    findings->states[fate->state]++;
    if (fate->sent_ms == 0)
        return;
    findings->sent++;
    findings->accepted += fate->accepted_ms != 0;
    findings->unknown += fate->accepted_ms == 0;
    judge_end(judging, producer, n, fate, runs);
    judge_cancel(judging, fate, runs);
    if (fate->runs == 0)
        return;
    judge_again(judging, runs, fate->runs);
    judge_overlaps(judging, runs, fate->runs);
    judge_time(judging, fate, runs);
    judge_late(judging, fate, runs);
}

/* ---- pauses ---- */

static int compare_times(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int64_t longest_pause(const struct trail *trail)
{
    int64_t *times = malloc((trail->run_count + 1) * sizeof(*times));
    int64_t longest_ms = 0;

    assert_non_null(times);
    for (size_t i = 0; i < trail->run_count; i++)
        times[i] = trail->runs[i].begin_ms;
    qsort(times, trail->run_count, sizeof(*times), compare_times);
    for (size_t i = 1; i < trail->run_count; i++)
        if (times[i] - times[i - 1] > longest_ms)
            longest_ms = times[i] - times[i - 1];
    free(times);
    return longest_ms;
}

/* A server that is killed between the acknowledgement, which its consumer notes, and the deletion
 * from the stream keeps the message, and gives it to nobody any more. Its job must be over, which
 * rule 1 judges. */
static bool has_killed_a_broker(const struct fault_list *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        if (faults->list[i].kind == FAULT_KILL_BROKER || faults->list[i].kind == FAULT_LOSE_POWER)
            return true;
    return false;
}

void checker_judge(const struct trail *trail, const struct fault_list *faults,
                   const struct fleet *fleet, struct findings *findings)
{
    struct judging judging = {
        .trail = trail, .faults = faults, .fleet = fleet, .findings = findings};

    findings->foreign = trail->foreign_runs;
    findings->broker_died = has_killed_a_broker(faults);
    findings->runs = trail->run_count;
    findings->most = trail->run_count > 0;
    for (unsigned producer = 0; producer < PRODUCERS; producer++)
        for (unsigned n = 0; n < trail->jobs; n++)
            judge_job(&judging, producer, n);
    findings->longest_pause_ms = longest_pause(trail);
}

/* ---- telling ---- */

/* 0: within the limit. */
static size_t above(size_t value, size_t limit)
{
    return value > limit ? value : 0;
}

bool checker_is_content(const struct findings *findings)
{
    const struct {
        const char *rule;
        size_t broken;
    } rules[] = {
        {"1: accepted and lost", findings->lost},
        {"2: run, but never sent", findings->foreign},
        {"4: run again without a fault", findings->unexplained},
        {"5: run beside itself without a fault", findings->bad_overlaps},
        {"6: run after it was over, without a fault", findings->bad_late},
        {"6: started, though it was cancelled", findings->started_though_cancelled},
        {"7: run before its time", findings->early},
        {"8: left in the queues", findings->left_over},
        {"8: acknowledged and still there, without a fault",
         findings->broker_died ? 0 : findings->kept},
        {"8: holes in the stream of events", findings->holes},
        {"9: another end than the handler's", findings->wrong_ends},
        {"9: another row in an index built anew", findings->rows_differ},
        {"10: descriptors of a process", above(findings->census.descriptors, DESCRIPTORS_MAX)},
        {"10: threads of a process", above(findings->census.threads, THREADS_MAX)},
        {"10: KiB of a process", above(findings->census.memory_kb, MEMORY_MAX_KB)},
        {"10: processes left", findings->processes_left},
    };
    bool content = true;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].broken > 0) {
            print_error("rule %s: %zu\n", rules[i].rule, rules[i].broken);
            content = false;
        }
    return content;
}

void checker_print(const struct findings *findings, const struct fault_list *faults)
{
    size_t kinds[FAULT_KINDS] = {0};

    for (size_t i = 0; i < faults->count; i++)
        kinds[faults->list[i].kind]++;
    print_message("\n| | |\n| --- | ---: |\n");
    print_message("| jobs accepted | %zu |\n", findings->accepted);
    print_message("| faults | %zu |\n", faults->count);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        if (kinds[kind] > 0)
            print_message("| - %s | %zu |\n", fault_text((enum fault_kind)kind), kinds[kind]);
    print_message("| lost | %zu |\n", findings->lost);
    print_message("| cancelled, and started all the same | %zu of %zu |\n",
                  findings->started_though_cancelled, findings->cancelled);
    print_message("| runs beyond the first of an attempt | %zu (%.2f %%) |\n", findings->again,
                  100.0 * (double)findings->again / (double)(findings->runs + 1));
    print_message("| - of these explained by a fault | %zu |\n",
                  findings->again - findings->unexplained);
    print_message("| - beside another run of the job | %zu |\n", findings->overlaps);
    print_message("| - after the job was over | %zu |\n", findings->late);
    print_message("| most runs of one attempt | %zu |\n", findings->most);
    print_message("| scheduled, and early | %zu (%zu by a shifted clock) |\n", findings->early,
                  findings->early_shifted);
    print_message("| messages left though they were acknowledged | %zu |\n", findings->kept);
    print_message(
        "| descriptors, threads, MiB of a process at the end, at most | %zu, %zu, %zu |\n",
        findings->census.descriptors, findings->census.threads, findings->census.memory_kb / 1024);
    print_message("| longest pause | %.1f s |\n", (double)findings->longest_pause_ms / 1000);
}

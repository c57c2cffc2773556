/* SPDX-License-Identifier: Apache-2.0 */

#include "trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "plan.h"

const char *fault_text(enum fault_kind kind)
{
    static const char *const texts[FAULT_KINDS] = {
        [FAULT_STARVED] = "no core for a while",
        [FAULT_LATE_BROKER] = "broker late with acknowledgements",
        [FAULT_CRASH_POINT] = "crash at a point",
        [FAULT_KILL_WORKER] = "worker killed",
        [FAULT_FREEZE_WORKER] = "worker frozen",
        [FAULT_SHIFT_CLOCK] = "worker's clock shifted",
        [FAULT_KILL_PRODUCER] = "producer killed",
        [FAULT_KILL_INDEX] = "index killed",
        [FAULT_FREEZE_INDEX] = "index frozen",
        [FAULT_LOSE_INDEX] = "index file lost",
        [FAULT_DAMAGE_INDEX] = "index file damaged",
        [FAULT_KILL_BROKER] = "broker killed",
        [FAULT_RESTART_BROKER] = "broker restarted",
        [FAULT_FREEZE_BROKER] = "broker frozen",
        [FAULT_STEP_DOWN] = "leader stepped down",
        [FAULT_CUT_LINK] = "link cut",
        [FAULT_HOLD_LINK] = "link half-open",
        [FAULT_ONE_WAY_LINK] = "link one-way",
        [FAULT_SLOW_LINK] = "link slow",
        [FAULT_FULL_STREAM] = "stream full",
        [FAULT_LOSE_POWER] = "broker's power lost",
    };

    return texts[kind];
}

static void *grow(void *array, size_t count, size_t size)
{
    void *grown = realloc(array, count * size);

    if (grown == NULL)
        fail_msg("no memory");
    return grown;
}

struct fault *fault_add(struct fault_list *faults, enum fault_kind kind, int role, int number)
{
    if (faults->count == faults->room) {
        faults->room = faults->room * 2 + 64;
        faults->list = grow(faults->list, faults->room, sizeof(*faults->list));
    }
    struct fault *fault = &faults->list[faults->count++];
    *fault = (struct fault){.kind = kind, .role = role, .number = number};
    fault->begin_ms = fault->end_ms = jj__clock_mono_ms();
    return fault;
}

void fault_move(struct fault_list *to, struct fault_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        *fault_add(to, from->list[i].kind, from->list[i].role, from->list[i].number) =
            from->list[i];
    free(from->list);
    *from = (struct fault_list){0};
}

/* ---- producers ---- */

static void note_step(struct trail *trail, unsigned producer, unsigned first, int64_t ms,
                      bool accepted)
{
    for (unsigned n = first; n < first + PLAN_STEP && n < trail->jobs; n++) {
        struct fate *fate = &trail->fates[producer][n];
        int64_t *at = accepted ? &fate->accepted_ms : &fate->sent_ms;
        if (*at == 0 && (!accepted || plan_kind(n) == PLAN_PLAIN))
            *at = ms;
    }
}

static void read_sent_line(struct trail *trail, unsigned producer, const char *line)
{
    unsigned n;
    long long ms, due_ms;
    char word;

    if (sscanf(line, "s %u %lld", &n, &ms) == 2) {
        note_step(trail, producer, n, ms, false);
    } else if (sscanf(line, "A %u %lld", &n, &ms) == 2) {
        note_step(trail, producer, n, ms, true);
    } else if (sscanf(line, "a %u %lld", &n, &ms) == 2 && n < trail->jobs) {
        if (trail->fates[producer][n].accepted_ms == 0)
            trail->fates[producer][n].accepted_ms = ms;
    } else if (sscanf(line, "d %u %lld", &n, &due_ms) == 2 && n < trail->jobs) {
        struct fate *fate = &trail->fates[producer][n];
        if (fate->due_ms == 0 || due_ms < fate->due_ms)
            fate->due_ms = due_ms; /* the first one may have been stored, though nobody knew */
    } else if (sscanf(line, "c %u %c %lld", &n, &word, &ms) == 3 && n < trail->jobs) {
        struct fate *fate = &trail->fates[producer][n];
        if (fate->cancelled != 'y') {
            fate->cancelled = word;
            fate->cancelled_ms = ms;
        }
    }
}

static FILE *open_trail(const struct fleet *fleet, const char *name)
{
    char path[TEMP_PATH_SIZE + 32];

    fleet_path(fleet, name, path);
    return fopen(path, "r");
}

static void read_sent(struct trail *trail, const struct fleet *fleet, unsigned producer)
{
    char name[32], line[160];

    trail->fates[producer] = calloc(trail->jobs, sizeof(struct fate));
    assert_non_null(trail->fates[producer]);
    snprintf(name, sizeof(name), TRAIL_SENT, producer);
    FILE *file = open_trail(fleet, name);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        read_sent_line(trail, producer, line);
    if (file != NULL)
        fclose(file);
}

/* ---- workers ---- */

static void note_run(struct trail *trail, struct run run)
{
    if (run.producer >= PRODUCERS || run.n >= trail->jobs ||
        trail->fates[run.producer][run.n].sent_ms == 0) {
        trail->foreign_runs++;
        return;
    }
    if (trail->run_count == trail->run_room) {
        trail->run_room = trail->run_room * 2 + 4096;
        trail->runs = grow(trail->runs, trail->run_room, sizeof(*trail->runs));
    }
    trail->runs[trail->run_count++] = run;
}

static int compare_runs(const void *a, const void *b)
{
    const struct run *x = a, *y = b;

    if (x->producer != y->producer)
        return x->producer < y->producer ? -1 : 1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (x->begin_ms > y->begin_ms) - (x->begin_ms < y->begin_ms);
}

static void find_runs(struct trail *trail)
{
    qsort(trail->runs, trail->run_count, sizeof(*trail->runs), compare_runs);
    for (size_t i = 0; i < trail->run_count; i++) {
        struct fate *fate = &trail->fates[trail->runs[i].producer][trail->runs[i].n];
        if (fate->runs++ == 0)
            fate->first_run = i;
    }
}

static void note_end(struct trail *trail, const struct run *end)
{
    if (end->producer >= PRODUCERS || end->n >= trail->jobs)
        return;
    const struct fate *fate = &trail->fates[end->producer][end->n];
    struct run *found = NULL;

    for (size_t i = fate->first_run; i < fate->first_run + fate->runs; i++)
        if (trail->runs[i].worker == end->worker && trail->runs[i].attempt == end->attempt &&
            trail->runs[i].end_ms == 0 && trail->runs[i].begin_ms <= end->end_ms)
            found = &trail->runs[i]; /* the last one: those before it died */
    if (found != NULL)
        found->end_ms = end->end_ms;
}

static void note_pause(struct fault_list *faults, unsigned worker, int64_t begin_ms, int64_t end_ms)
{
    struct fault *fault = fault_add(faults, FAULT_STARVED, ROLE_WORKER, (int)worker);

    fault->begin_ms = begin_ms;
    fault->end_ms = end_ms;
}

static void read_ran(struct trail *trail, const struct fleet *fleet, struct fault_list *faults)
{
    char line[160];
    FILE *file = open_trail(fleet, TRAIL_RAN);
    long long ms, wall_ms;
    struct run run;
    unsigned worker;

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "b %u %u %u %u %lld %lld", &run.producer, &run.n, &run.attempt,
                   &run.worker, &ms, &wall_ms) == 6) {
            run.begin_ms = ms;
            run.begin_wall_ms = wall_ms;
            run.end_ms = 0;
            note_run(trail, run);
        } else if (sscanf(line, "t %u %lld %lld", &worker, &ms, &wall_ms) == 3) {
            note_pause(faults, worker, ms, wall_ms);
        }
    find_runs(trail);
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "e %u %u %u %u %lld", &run.producer, &run.n, &run.attempt, &run.worker,
                   &ms) == 5) {
            run.end_ms = ms;
            note_end(trail, &run);
        }
    fclose(file);
}

void trail_read(struct trail *trail, const struct fleet *fleet, struct fault_list *faults)
{
    *trail = (struct trail){.jobs = fleet->jobs};
    for (unsigned producer = 0; producer < PRODUCERS; producer++)
        read_sent(trail, fleet, producer);
    read_ran(trail, fleet, faults);
}

void trail_free(struct trail *trail)
{
    for (unsigned producer = 0; producer < PRODUCERS; producer++)
        free(trail->fates[producer]);
    free(trail->runs);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* All states that the model can reach, breadth first, so that what is found is found by the fewest
 * moves. A state is its bytes; those that were seen are in a hash table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"
#include "state.h"

struct seen {
    struct state *states;
    uint32_t *from; /* the state before it */
    const char **by;
    size_t count, room;
    uint32_t *table; /* number of a state + 1; 0: free */
    size_t table_size;
};

static uint64_t hash(const struct state *s)
{
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < sizeof(*s); i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

_Static_assert(sizeof(struct state) % sizeof(uint64_t) == 0, "states are hashed by words");

static void *grow(void *array, size_t count, size_t size)
{
    void *grown = realloc(array, count * size);

    if (grown == NULL)
        fail_msg("no memory for %zu states", count);
    return grown;
}

static void make_room(struct seen *seen)
{
    if (seen->count < seen->room)
        return;
    seen->room = seen->room == 0 ? 4096 : seen->room * 2;
    seen->states = grow(seen->states, seen->room, sizeof(*seen->states));
    seen->from = grow(seen->from, seen->room, sizeof(*seen->from));
    seen->by = grow(seen->by, seen->room, sizeof(*seen->by));
    seen->table_size = seen->room * 2;
    seen->table = grow(seen->table, seen->table_size, sizeof(*seen->table));
    memset(seen->table, 0, seen->table_size * sizeof(*seen->table));
    for (size_t i = 0; i < seen->count; i++) {
        size_t at = hash(&seen->states[i]) % seen->table_size;
        while (seen->table[at] != 0)
            at = (at + 1) % seen->table_size;
        seen->table[at] = (uint32_t)i + 1;
    }
}

/* Add a state, unless it is there. */
static void add(struct seen *seen, const struct state *s, size_t from, const char *by)
{
    make_room(seen);
    size_t at = hash(s) % seen->table_size;

    while (seen->table[at] != 0) {
        if (memcmp(&seen->states[seen->table[at] - 1], s, sizeof(*s)) == 0)
            return;
        at = (at + 1) % seen->table_size;
    }
    seen->table[at] = (uint32_t)seen->count + 1;
    seen->states[seen->count] = *s;
    seen->from[seen->count] = (uint32_t)from;
    seen->by[seen->count] = by;
    seen->count++;
}

static void tell_moves(const struct seen *seen, size_t at)
{
    if (at == 0)
        return;
    tell_moves(seen, seen->from[at]);
    print_error("  %s\n", seen->by[at]);
}

/* What became of the job by one move. Where two workers have the same run, the row goes its own
 * ways: what the one does overtakes what the other did. */
static void note_step(const struct state *before, const struct state *after,
                      struct findings *findings)
{
    struct row row_before, row_after;

    if ((before->log_len == after->log_len && before->message_count == after->message_count) ||
        after->doubled)
        return;
    model_true_row(before, &row_before);
    model_true_row(after, &row_after);
    findings->steps[row_before.record.state][row_after.record.state] = true;
}

/* Workers are alike, and of what is gone only a broker that comes back remembers more than whose it
 * was: states that differ in nothing else are one. */
static void make_plain(struct state *s)
{
    for (unsigned i = 0; i < s->message_count && s->left.kills == 0; i++)
        if (s->messages[i].place == GONE)
            s->messages[i].id = s->messages[i].delivered = 0;
    for (unsigned i = 0; i < WORKERS && s->left.kills == 0 && s->left.lost == 0 && !s->forgetful;
         i++)
        s->workers[i].acked = 0;
    if (memcmp(&s->workers[0], &s->workers[1], sizeof(s->workers[0])) <= 0)
        return;
    struct worker worker = s->workers[0];
    s->workers[0] = s->workers[1];
    s->workers[1] = worker;
    for (unsigned i = 0; i < s->message_count; i++)
        if (s->messages[i].holder == WORKER)
            s->messages[i].holder = ANOTHER_WORKER;
        else if (s->messages[i].holder == ANOTHER_WORKER)
            s->messages[i].holder = WORKER;
}

/* Make one kind of moves; true if there was one that may be made. */
static bool make(struct seen *seen, size_t at, const struct move *move, struct findings *findings)
{
    const struct state before = seen->states[at];
    bool some = false;

    if (move->may != NULL && !move->may(&before))
        return false;
    for (unsigned which = 0; which < move->count; which++) {
        struct state after = before;
        bool made = move->make(&after, which);
        if (after.overflow) {
            findings->overflows++;
            some = true;
        }
        if (!made || after.overflow)
            continue;
        some = true;
        make_plain(&after);
        model_check(&after);
        note_step(&before, &after, findings);
        add(seen, &after, at, move->text);
    }
    return some;
}

static void look_at(struct seen *seen, size_t at, struct findings *findings)
{
    static const struct move *const kinds[] = {model_broker_moves, model_worker_moves,
                                               model_other_moves};
    bool some = false;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (const struct move *move = kinds[i]; move->make != NULL; move++)
            some |= make(seen, at, move, findings);
    if (some)
        return;
    findings->ends++;
    model_check_end(&seen->states[at]);
}

void model_explore(const struct exploration *exploration, bool say, struct findings *findings)
{
    struct state first;
    struct seen seen = {0};
    size_t at = 0;

    memset(&first, 0, sizeof(first)); /* padding is compared, too */
    first.left = exploration->budget;
    model_mistake = exploration->mistake;
    *findings = (struct findings){0};
    add(&seen, &first, 0, "");
    for (; at < seen.count && findings->broken == NULL; at++) {
        look_at(&seen, at, findings);
        findings->broken = seen.states[at].broken;
    }
    findings->states = seen.count;
    if (findings->broken != NULL && say) {
        print_error("broken: %s\n", findings->broken);
        tell_moves(&seen, at - 1);
    }
    free(seen.states);
    free(seen.from);
    free(seen.by);
    free(seen.table);
}

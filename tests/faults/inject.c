/* SPDX-License-Identifier: Apache-2.0 */

/* Faults. Which one comes next is drawn from a bag that holds each kind once, so that all get their
 * turn; whom it hits and when is drawn, too. Everything follows from the seed, but for what the
 * processes make of it. */

#include "inject.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "nats_client.h"
#include "plan.h"

/* Where programs can die, by the role that passes there; often: passed for many jobs. */
static const struct point {
    enum role role;
    const char *name;
    unsigned often;
} points[] = {
    {ROLE_WORKER, "pull.taken", 200},
    {ROLE_WORKER, "claim.ready", 50},
    {ROLE_WORKER, "claim.sent", 50},
    {ROLE_WORKER, "claim.stored", 50},
    {ROLE_WORKER, "claim.back", 50},
    {ROLE_WORKER, "run.begins", 200},
    {ROLE_WORKER, "run.ended", 200},
    {ROLE_WORKER, "commit.ready", 50},
    {ROLE_WORKER, "commit.sent", 50},
    {ROLE_WORKER, "commit.stored", 200},
    {ROLE_WORKER, "commit.acknowledged", 200},
    {ROLE_WORKER, "retry.ready", 3},
    {ROLE_WORKER, "retry.stored", 3},
    {ROLE_WORKER, "mover.taken", 5},
    {ROLE_WORKER, "mover.ready", 5},
    {ROLE_WORKER, "mover.stored", 5},
    {ROLE_WORKER, "mover.acknowledged", 5},
    {ROLE_WORKER, "lease.renewed", 1},
    {ROLE_WORKER, "ask.sent", 1},
    {ROLE_WORKER, "ask.answered", 1},
    {ROLE_INDEX, "index.folded", 30},
    {ROLE_INDEX, "index.deleted", 30},
    {ROLE_INDEX, "index.to_commit", 30},
    {ROLE_INDEX, "index.stored", 30},
    {ROLE_INDEX, "cancel.ready", 2},
    {ROLE_INDEX, "cancel.stored", 2},
    {ROLE_PRODUCER, "enqueue.ready", 4},
    {ROLE_PRODUCER, "enqueue.stored", 4},
    {ROLE_PRODUCER, "enqueue_many.ready", 5},
    {ROLE_PRODUCER, "enqueue_many.stored", 5},
};
#define POINTS (sizeof(points) / sizeof(points[0]))

#define AGAIN_MS 500 /* for what could not be taken back */

/* Numerical Recipes' LCG, its upper half. */
static unsigned below(struct injector *injector, unsigned count)
{
    injector->random = injector->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)((injector->random >> 33) % count);
}

size_t inject_points(void)
{
    return POINTS;
}

size_t inject_points_hit(const struct injector *injector, bool say)
{
    size_t count = 0;

    for (size_t i = 0; i < POINTS; i++) {
        count += injector->hit[i];
        if (say && !injector->hit[i])
            print_error("nobody died at %s\n", points[i].name);
    }
    return count;
}

/* ---- points ---- */

/* The next point of the role that nobody has died at, or after that any. */
static const struct point *next_point(struct injector *injector, enum role role)
{
    size_t *next = &injector->points_next[role];
    const struct point *any = NULL;

    for (size_t i = 0; i < POINTS; i++) {
        size_t at = (*next + i) % POINTS;
        if (points[at].role != role)
            continue;
        any = any == NULL ? &points[at] : any;
        if (injector->hit[at])
            continue;
        *next = (at + 1) % POINTS;
        return &points[at];
    }
    if (any != NULL)
        *next = (size_t)(any - points + 1) % POINTS;
    return any;
}

static void start(struct injector *injector, struct actor *actor, bool with_point, int64_t shift_ms)
{
    const struct point *point =
        with_point && !actor->program ? next_point(injector, actor->role) : NULL;

    if (point == NULL)
        actor_start(injector->fleet, actor, NULL, 0, shift_ms);
    else
        actor_start(injector->fleet, actor, point->name, 1 + below(injector, point->often),
                    shift_ms);
}

static void note_point(struct injector *injector, const struct actor *actor)
{
    for (size_t i = 0; i < POINTS; i++)
        if (actor->point != NULL && strcmp(points[i].name, actor->point) == 0)
            injector->hit[i] = true;
}

/* Points go on until all were hit; then, in a run with faults by chance, every other process has
 * one. */
static bool wants_point(struct injector *injector)
{
    return injector->every_ms > 0 &&
           (inject_points_hit(injector, false) < POINTS || below(injector, 4) == 0);
}

/* ---- taking back ---- */

static struct pending *later(struct injector *injector, struct actor *actor, int64_t after_ms)
{
    struct pending *pending = injector->pending;

    while (pending->until_ms != 0)
        pending++; /* as many as faults that last at once */
    pending->fault = injector->faults.count - 1;
    pending->kind = injector->faults.list[pending->fault].kind;
    pending->actor = actor;
    pending->until_ms = jj__clock_mono_ms() + after_ms;
    return pending;
}

/* The answer of the API; NULL: there is none, as when a cluster has no leader just now. */
static json_t *ask_api(struct nats_client *client, const char *subject, const json_t *request)
{
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    json_t *answer = nats_client_ask(client, &(struct note){.subject = subject, .data = text});

    free(text);
    return answer;
}

/* Was that done? */
static bool limit_stream(struct injector *injector, long long bytes)
{
    struct nats_client *client = nats_client_open(injector->fleet->brokers[0].url);
    json_t *info = ask_api(client, "$JS.API.STREAM.INFO.JOBS", NULL);
    json_t *config = json_object_get(info, "config"), *answer = NULL;

    if (config != NULL) {
        json_object_set_new(config, "max_bytes", json_integer(bytes));
        answer = ask_api(client, "$JS.API.STREAM.UPDATE.JOBS", config);
    }
    bool done = answer != NULL && json_object_get(answer, "error") == NULL;
    json_decref(answer);
    json_decref(info);
    nats_client_close(client);
    return done;
}

static void take_back(struct injector *injector, struct pending *pending)
{
    struct actor *actor = pending->actor;
    struct server *broker = &injector->fleet->brokers[pending->broker];

    pending->until_ms = 0;
    switch (pending->kind) {
    case FAULT_FREEZE_WORKER:
    case FAULT_FREEZE_INDEX:
        if (actor->pid != 0)
            kill(actor->pid, SIGCONT);
        break;
    case FAULT_CUT_LINK:
    case FAULT_HOLD_LINK:
    case FAULT_ONE_WAY_LINK:
    case FAULT_SLOW_LINK:
        proxy_set(actor->link, PROXY_PASS);
        if (pending->kind != FAULT_SLOW_LINK)
            proxy_cut(actor->link);
        break;
    case FAULT_SHIFT_CLOCK:
        actor_kill(actor);
        start(injector, actor, false, 0);
        break;
    case FAULT_KILL_BROKER:
    case FAULT_RESTART_BROKER:
        server_restart(broker);
        break;
    case FAULT_FREEZE_BROKER:
        server_thaw(broker);
        break;
    case FAULT_FULL_STREAM:
        if (!limit_stream(injector, -1))
            pending->until_ms = jj__clock_mono_ms() + AGAIN_MS;
        break;
    default:
        break;
    }
    injector->faults.list[pending->fault].end_ms = jj__clock_mono_ms();
}

static bool is_disturbed(const struct injector *injector, const struct actor *actor)
{
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (injector->pending[i].until_ms != 0 && injector->pending[i].actor == actor)
            return true;
    return false;
}

static bool is_broker_disturbed(const struct injector *injector)
{
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (injector->pending[i].until_ms != 0 && injector->pending[i].actor == NULL)
            return true;
    return false;
}

/* ---- faults ---- */

static void kill_and_start(struct injector *injector, struct actor *actor)
{
    actor_kill(actor);
    start(injector, actor, wants_point(injector), 0);
}

static void damage(struct injector *injector, bool lose)
{
    static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm"};
    char path[TEMP_PATH_SIZE + 32];
    unsigned char noise[512];

    for (size_t i = 0; i < 3; i++) {
        fleet_path(injector->fleet, files[i], path);
        if (lose)
            unlink(path);
    }
    if (lose)
        return;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)below(injector, 256);
    fleet_path(injector->fleet, "index.db", path);
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return;
    off_t size = lseek(fd, 0, SEEK_END);
    for (int i = 0; i < 8 && size > 0; i++)
        if (pwrite(fd, noise, sizeof(noise), (off_t)below(injector, (unsigned)size)) < 0)
            break;
    close(fd);
}

static void disturb_actor(struct injector *injector, enum fault_kind kind, struct actor *actor)
{
    int64_t lease_ms = injector->fleet->ack_wait_ms;

    switch (kind) {
    case FAULT_KILL_WORKER:
    case FAULT_KILL_PRODUCER:
    case FAULT_KILL_INDEX:
        kill_and_start(injector, actor);
        break;
    case FAULT_LOSE_INDEX:
    case FAULT_DAMAGE_INDEX:
        actor_kill(actor);
        damage(injector, kind == FAULT_LOSE_INDEX);
        start(injector, actor, wants_point(injector), 0);
        break;
    case FAULT_FREEZE_WORKER:
    case FAULT_FREEZE_INDEX:
        kill(actor->pid, SIGSTOP);
        later(injector, actor, lease_ms / 2 + below(injector, (unsigned)lease_ms * 2));
        break;
    case FAULT_SHIFT_CLOCK:
        actor_kill(actor);
        start(injector, actor, false, below(injector, 2) == 0 ? FAULT_SHIFT_MS : -FAULT_SHIFT_MS);
        later(injector, actor, lease_ms * 2);
        break;
    case FAULT_CUT_LINK:
        proxy_cut(actor->link);
        break;
    case FAULT_HOLD_LINK:
        proxy_set(actor->link, PROXY_HOLD);
        later(injector, actor, lease_ms / 2 + below(injector, (unsigned)lease_ms * 2));
        break;
    case FAULT_ONE_WAY_LINK:
        proxy_set(actor->link, below(injector, 2) == 0 ? PROXY_HOLD_UP : PROXY_HOLD_DOWN);
        later(injector, actor, lease_ms / 2 + below(injector, (unsigned)lease_ms * 2));
        break;
    case FAULT_SLOW_LINK:
        proxy_set(actor->link, PROXY_SLOW);
        later(injector, actor, lease_ms * 2);
        break;
    default:
        break;
    }
}

static void step_down(struct injector *injector)
{
#define STEP_DOWN "LEADER.STEPDOWN."
    static const char *const subjects[] = {"$JS.API.STREAM." STEP_DOWN "JOBS",
                                           "$JS.API.STREAM." STEP_DOWN "JOBS_EVENTS",
                                           "$JS.API.STREAM." STEP_DOWN "JOBS_SCHEDULE",
                                           "$JS.API.CONSUMER." STEP_DOWN "JOBS." PLAN_JOB};
    struct nats_client *client = nats_client_open(injector->fleet->brokers[0].url);

    json_decref(ask_api(client, subjects[below(injector, 4)], NULL)); /* there may be no leader */
    nats_client_close(client);
}

static void disturb_broker(struct injector *injector, enum fault_kind kind)
{
    unsigned number = below(injector, injector->fleet->broker_count);
    struct server *broker = &injector->fleet->brokers[number];

    switch (kind) {
    case FAULT_KILL_BROKER:
        server_kill(broker);
        later(injector, NULL, 200 + below(injector, 1500))->broker = number;
        break;
    case FAULT_RESTART_BROKER:
        server_stop(broker);
        later(injector, NULL, 200 + below(injector, 500))->broker = number;
        break;
    case FAULT_FREEZE_BROKER:
        server_freeze(broker);
        later(injector, NULL, 500 + below(injector, (unsigned)injector->fleet->ack_wait_ms * 2))
            ->broker = number;
        break;
    case FAULT_STEP_DOWN:
        step_down(injector);
        break;
    case FAULT_FULL_STREAM:
        limit_stream(injector, 4096);
        later(injector, NULL, 1500);
        break;
    default:
        break;
    }
}

/* Whom a kind of fault hits. */
static struct actor *choose_actor(struct injector *injector, enum fault_kind kind)
{
    struct fleet *fleet = injector->fleet;

    switch (kind) {
    case FAULT_KILL_WORKER:
    case FAULT_FREEZE_WORKER:
        return fleet_actor(fleet, ROLE_WORKER, below(injector, WORKERS + PROGRAMS));
    case FAULT_SHIFT_CLOCK:
        return fleet_actor(fleet, ROLE_WORKER, below(injector, WORKERS));
    case FAULT_KILL_PRODUCER:
        return fleet_actor(fleet, ROLE_PRODUCER, below(injector, PRODUCERS));
    case FAULT_KILL_INDEX:
    case FAULT_FREEZE_INDEX:
    case FAULT_LOSE_INDEX:
    case FAULT_DAMAGE_INDEX:
        return fleet_actor(fleet, ROLE_INDEX, 0);
    case FAULT_CUT_LINK:
    case FAULT_HOLD_LINK:
    case FAULT_ONE_WAY_LINK:
    case FAULT_SLOW_LINK:
        return &fleet->actors[below(injector, ACTORS)];
    default:
        return NULL;
    }
}

static enum fault_kind draw(struct injector *injector)
{
    if (injector->bag_count == 0)
        for (int kind = FAULT_KILL_WORKER; kind < FAULT_LOSE_POWER; kind++)
            if (kind != FAULT_STEP_DOWN || injector->fleet->broker_count > 1)
                injector->bag[injector->bag_count++] = (enum fault_kind)kind;
    size_t at = below(injector, (unsigned)injector->bag_count);
    enum fault_kind kind = injector->bag[at];

    injector->bag[at] = injector->bag[--injector->bag_count];
    return kind;
}

static void disturb(struct injector *injector)
{
    enum fault_kind kind = draw(injector);
    struct actor *actor = choose_actor(injector, kind);

    if (actor == NULL) {
        if (is_broker_disturbed(injector))
            return;
        fault_add(&injector->faults, kind, FAULT_ALL, 0);
        disturb_broker(injector, kind);
        return;
    }
    if (actor->pid == 0 || is_disturbed(injector, actor))
        return;
    fault_add(&injector->faults, kind, (int)actor->role, (int)actor->number);
    disturb_actor(injector, kind, actor);
}

/* ---- the run ---- */

void inject_begin(struct injector *injector, struct fleet *fleet, uint64_t seed, int64_t every_ms)
{
    *injector = (struct injector){.fleet = fleet, .random = seed, .every_ms = every_ms};
    injector->next_ms = jj__clock_mono_ms() + every_ms;
}

void inject_start(struct injector *injector)
{
    for (size_t i = 0; i < ACTORS; i++)
        start(injector, &injector->fleet->actors[i], injector->every_ms > 0, 0);
}

/* Who died at its point is started again; a producer that is through is not. */
static void look_after(struct injector *injector, struct actor *actor)
{
    int status;

    if (!actor_has_ended(actor, &status))
        return;
    if (WIFEXITED(status) && actor->role == ROLE_PRODUCER && WEXITSTATUS(status) == 0) {
        actor->finished = true;
        return;
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && actor->point != NULL) {
        note_point(injector, actor);
        fault_add(&injector->faults, FAULT_CRASH_POINT, (int)actor->role, (int)actor->number);
    } else {
        fail_msg("an actor (%d, %u) ended by itself: status %x", (int)actor->role, actor->number,
                 (unsigned)status);
    }
    start(injector, actor, wants_point(injector), 0);
}

void inject_turn(struct injector *injector)
{
    int64_t now_ms = jj__clock_mono_ms();

    for (size_t i = 0; i < PENDING_MAX; i++)
        if (injector->pending[i].until_ms != 0 && now_ms >= injector->pending[i].until_ms)
            take_back(injector, &injector->pending[i]);
    for (size_t i = 0; i < ACTORS; i++)
        look_after(injector, &injector->fleet->actors[i]);
    if (injector->every_ms == 0 || now_ms < injector->next_ms)
        return;
    disturb(injector);
    injector->next_ms =
        now_ms + injector->every_ms / 2 + below(injector, (unsigned)injector->every_ms);
}

void inject_end(struct injector *injector)
{
    for (size_t i = 0; i < PENDING_MAX; i++)
        while (injector->pending[i].until_ms != 0)
            take_back(injector, &injector->pending[i]);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "plan.h"
#include "wait.h"

#define STOP_MS 60000

static const char *const role_names[ROLES] = {"worker", "producer", "index"};

void fleet_path(const struct fleet *fleet, const char *name, char out[TEMP_PATH_SIZE + 32])
{
    snprintf(out, TEMP_PATH_SIZE + 32, "%s/%s", fleet->dir, name);
}

struct actor *fleet_actor(struct fleet *fleet, enum role role, unsigned number)
{
    for (struct actor *actor = fleet->actors; actor < fleet->actors + ACTORS; actor++)
        if (actor->role == role && actor->number == number)
            return actor;
    return NULL;
}

/* ---- actors ---- */

/* The step that a producer has to do next: the last one that it began, as it may not be through. */
static unsigned next_step(const struct fleet *fleet, const struct actor *actor)
{
    char name[32], path[TEMP_PATH_SIZE + 32], line[160];
    unsigned step = 0, read;

    snprintf(name, sizeof(name), TRAIL_SENT, actor->number);
    fleet_path(fleet, name, path);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "s %u", &read) == 1)
            step = read;
    fclose(file);
    return step;
}

/* In the child. */
static void become_actor(const struct fleet *fleet, char *const args[], pid_t parent)
{
    char path[TEMP_PATH_SIZE + 32];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    fleet_path(fleet, "log", path);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
        close(fd);
    execv(args[0], args);
    _exit(127);
}

static void run_actor(struct fleet *fleet, struct actor *actor, const char *const args[])
{
    pid_t parent = getpid();

    actor->pid = fork();
    if (actor->pid == 0)
        become_actor(fleet, (char *const *)args, parent);
    assert_true(actor->pid > 0);
    actor->since_ms = jj__clock_mono_ms();
}

/* What the program reads: its handler is an actor, too. */
static void write_config(const struct fleet *fleet, const struct actor *actor,
                         char out[TEMP_PATH_SIZE + 32])
{
    fleet_path(fleet, "program.yaml", out);
    FILE *file = fopen(out, "w");

    assert_non_null(file);
    fprintf(file,
            "nats:\n  url: nats://127.0.0.1:%d\n"
            "worker:\n  concurrency: 2\n  poll_interval: 500ms\n  ack_wait: %lldms\n"
            "  max_lost: 50\n  backoff:\n    initial: 700ms\n"
            "streams:\n  replicas: %u\n"
            "handlers:\n  - name: %s\n    exec: [\"%s\", handler, \"-\", \"%s\", \"%u\"]\n",
            proxy_port(actor->link), (long long)fleet->ack_wait_ms, fleet->broker_count, PLAN_JOB,
            JETJOBS_ACTOR, fleet->dir, actor->number);
    fclose(file);
}

static void start_program(struct fleet *fleet, struct actor *actor)
{
    char path[TEMP_PATH_SIZE + 32];

    write_config(fleet, actor, path);
    const char *const args[] = {JETJOBS_PROGRAM, "--config", path, "worker", NULL};
    run_actor(fleet, actor, args);
}

void actor_start(struct fleet *fleet, struct actor *actor, const char *point, unsigned nth,
                 int64_t shift_ms)
{
    char url[64], number[16], text[10][48];
    const char *args[20] = {JETJOBS_ACTOR, role_names[actor->role], url, fleet->dir, number};
    size_t count = 5, texts = 0;

    if (actor->program) {
        start_program(fleet, actor);
        return;
    }
    snprintf(url, sizeof(url), "nats://127.0.0.1:%d", proxy_port(actor->link));
    snprintf(number, sizeof(number), "%u", actor->number);
#define OPTION(...)                                                                                \
    (snprintf(text[texts], sizeof(text[0]), __VA_ARGS__), args[count++] = text[texts++])
    OPTION("ack_wait=%lld", (long long)fleet->ack_wait_ms);
    OPTION("replicas=%u", fleet->broker_count);
    OPTION("shift=%lld", (long long)shift_ms);
    if (point != NULL) {
        OPTION("point=%s", point);
        OPTION("nth=%u", nth);
    }
    if (actor->role == ROLE_PRODUCER) {
        OPTION("from=%u", next_step(fleet, actor));
        OPTION("to=%u", fleet->jobs);
        OPTION("rate=%u", fleet->rate);
    }
    if (fleet->wrong != PLAN_NO_MISTAKE)
        OPTION("wrong=%d", fleet->wrong);
#undef OPTION
    run_actor(fleet, actor, args);
    actor->point = point;
    actor->shifted = shift_ms != 0;
}

bool actor_has_ended(struct actor *actor, int *status_out)
{
    if (actor->pid == 0 || waitpid(actor->pid, status_out, WNOHANG) != actor->pid)
        return false;
    actor->pid = 0;
    return true;
}

void actor_kill(struct actor *actor)
{
    if (actor->pid == 0)
        return;
    kill(actor->pid, SIGKILL);
    waitpid(actor->pid, NULL, 0);
    actor->pid = 0;
}

int actor_stop(struct actor *actor)
{
    int64_t until_ms = jj__clock_mono_ms() + STOP_MS;
    int status = -1;

    if (actor->pid == 0)
        return -1;
    kill(actor->pid, SIGTERM);
    while (!actor_has_ended(actor, &status)) {
        if (jj__clock_mono_ms() > until_ms) {
            actor_kill(actor);
            return -1;
        }
        wait_a_moment();
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- all of them ---- */

static void begin_cluster(struct fleet *fleet, const char *const stores[])
{
    struct server_options bare = {.no_jetstream = true};
    char config[512];

    for (unsigned i = 0; i < BROKERS; i++)
        server_start(&fleet->brokers[i], &bare);
    for (unsigned i = 0; i < BROKERS; i++) {
        snprintf(config, sizeof(config),
                 "cluster { name: faults, no_advertise: true, listen: \"127.0.0.1:%d\", routes: ["
                 "\"nats://127.0.0.1:%d\", \"nats://127.0.0.1:%d\", \"nats://127.0.0.1:%d\"] }",
                 fleet->brokers[i].spare_port, fleet->brokers[0].spare_port,
                 fleet->brokers[1].spare_port, fleet->brokers[2].spare_port);
        server_restart_with(&fleet->brokers[i],
                            &(struct server_options){.sync_always = fleet->sync_always,
                                                     .store = stores[i],
                                                     .config = config});
    }
}

void fleet_begin(struct fleet *fleet, const struct fleet_options *options)
{
    int ports[BROKERS];
    struct actor *actor = fleet->actors;

    *fleet = (struct fleet){.broker_count = options->cluster ? BROKERS : 1,
                            .sync_always = !options->no_sync,
                            .wrong = options->wrong,
                            .ack_wait_ms = options->ack_wait_ms,
                            .rate = options->rate,
                            .jobs = options->jobs};
    temp_dir_make(fleet->dir);
    if (options->cluster)
        begin_cluster(fleet, options->stores);
    else
        server_start(&fleet->brokers[0], &(struct server_options){.sync_always = !options->no_sync,
                                                                  .store = options->stores[0]});
    for (unsigned i = 0; i < fleet->broker_count; i++)
        ports[i] = fleet->brokers[i].port;
    for (unsigned i = 0; i < WORKERS; i++)
        *actor++ = (struct actor){.role = ROLE_WORKER, .number = i};
    for (unsigned i = 0; i < PROGRAMS; i++)
        *actor++ = (struct actor){.role = ROLE_WORKER, .number = WORKERS + i, .program = true};
    for (unsigned i = 0; i < PRODUCERS; i++)
        *actor++ = (struct actor){.role = ROLE_PRODUCER, .number = i};
    *actor = (struct actor){.role = ROLE_INDEX};
    for (unsigned i = 0; i < ACTORS; i++)
        fleet->actors[i].link = proxy_start(ports, (int)fleet->broker_count);
}

void fleet_end(struct fleet *fleet)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        actor_kill(&fleet->actors[i]);
        proxy_stop(fleet->actors[i].link);
    }
    for (unsigned i = 0; i < fleet->broker_count; i++)
        server_done(&fleet->brokers[i]);
    temp_dir_remove(fleet->dir);
}

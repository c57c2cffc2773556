/* SPDX-License-Identifier: Apache-2.0 */

/* Members and signals.
 *
 * A member is a part, with the configuration that it was made by. To read the configuration again
 * is to have a second worker beside the first: once it runs, the first one takes no more jobs, and
 * is gone when its last handler has returned. So no job is lost, each handler ends under the
 * settings that it began with, and whatever is wrong with the new configuration, the old worker
 * goes on. */

#include "daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "clock.h"
#include "notify.h"
#include "part.h"
#include "spec.h"
#include "status.h"
#include "work.h"

#define TICK_MS 1000
#define TRIM_MS 10000
/* Handlers that are told to end have this long before the process ends without them: more than what
 * a program gets between SIGTERM and SIGKILL. */
#define LEAVE_MS 8000

struct member {
    struct member *next;
    struct part *part;
    struct config *config; /* its own; NULL: the daemon's */
    bool told;             /* what ended it was said */
    bool dismissed;        /* before it ran: what ends it does not matter */
};

/* ---- signals ---- */

static void held_signals(sigset_t *held)
{
    sigemptyset(held);
    sigaddset(held, SIGTERM);
    sigaddset(held, SIGINT);
    sigaddset(held, SIGHUP);
    sigaddset(held, SIGCHLD);
    sigaddset(held, SIGUSR1);
}

static void hold_signals(void)
{
    sigset_t held;

    held_signals(&held);
    pthread_sigmask(SIG_BLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would hide how children end */
}

int daemon_next_signal(int64_t limit_ms)
{
    const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000};
    sigset_t held;

    held_signals(&held);
    int number = sigtimedwait(&held, NULL, &limit);
    return number < 0 ? 0 : number;
}

/* From any thread. */
static void wake(void *unused)
{
    (void)unused;
    kill(getpid(), SIGUSR1);
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- members ---- */

static jj_options options_of(const struct daemon *daemon, const struct config *config)
{
    jj_options options = config->options;

    if (daemon->url != NULL)
        options.url = daemon->url;
    return options;
}

/* Start a part and put it among the members. config: NULL, or its own from here on. */
static struct member *add_member(struct daemon *daemon, struct part_setup *setup,
                                 struct config *config, jj_error *err)
{
    struct member *member = calloc(1, sizeof(*member));

    setup->logger = &daemon->logger;
    setup->changed = wake;
    jj_status s = member == NULL ? jj__fail(err, JJ_ERR_NO_MEMORY, "%s", setup->what)
                                 : part_start(setup, &member->part, err);
    if (s != JJ_OK) {
        free(member);
        config_free(config);
        return NULL;
    }
    member->config = config;
    member->next = daemon->members;
    daemon->members = member;
    return member;
}

static jj_status begin_index(jj_client *client, void *unused, jj_error *err)
{
    (void)unused;
    return jj_serve(client, err);
}

bool daemon_add_index(struct daemon *daemon, const char *path)
{
    struct part_setup setup = {.what = "index", .begin = begin_index};
    jj_error err = {0};

    setup.options = options_of(daemon, daemon->config);
    setup.options.index_path = path;
    if (add_member(daemon, &setup, NULL, &err) != NULL)
        return true;
    daemon->ending = program_fail(&err);
    return false;
}

/* config: whose handlers it is to have; owned: it is the member's own. */
static struct member *add_worker(struct daemon *daemon, struct config *config, bool owned,
                                 jj_error *err)
{
    struct part_setup setup = {.what = "worker", .begin = work_begin, .ctx = config};

    setup.options = options_of(daemon, config);
    return add_member(daemon, &setup, owned ? config : NULL, err);
}

bool daemon_add_worker(struct daemon *daemon)
{
    jj_error err = {0};

    daemon->may_work = true;
    daemon->worker = add_worker(daemon, daemon->config, false, &err);
    if (daemon->worker != NULL)
        return true;
    daemon->ending = program_fail(&err);
    return false;
}

static void remove_member(struct daemon *daemon, struct member *member)
{
    struct member **link = &daemon->members;

    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    if (daemon->worker == member)
        daemon->worker = NULL;
    if (daemon->incoming == member)
        daemon->incoming = NULL;
    part_free(member->part);
    config_free(member->config);
    free(member);
}

/* ---- stopping ---- */

/* As the configuration in effect says. */
static int64_t grace_of(const struct daemon *daemon)
{
    const struct member *worker = daemon->worker;
    const struct config *config =
        worker != NULL && worker->config != NULL ? worker->config : daemon->config;
    jj_options resolved;

    if (jj__options_resolve(&config->options, &resolved, NULL) != JJ_OK)
        return 0;
    return resolved.shutdown_grace_ms;
}

static void stop_members(struct daemon *daemon, int64_t grace_ms)
{
    for (struct member *member = daemon->members; member != NULL; member = member->next)
        part_stop(member->part, grace_ms);
}

void daemon_stop(struct daemon *daemon, enum ending ending)
{
    if (daemon->ending == ENDING_DONE)
        daemon->ending = ending;
    if (daemon->stops++ > 0)
        return;
    notify_say("STOPPING=1");
    stop_members(daemon, grace_of(daemon));
}

static void asked_to_stop(struct daemon *daemon, const char *signal_name)
{
    const struct logger *logger = &daemon->logger;

    if (daemon->stops == 0) {
        logger_say(logger, JJ_LOG_INFO, "%s: stopping; once more: at once", signal_name);
        daemon_stop(daemon, ENDING_DONE);
        return;
    }
    if (daemon->stops++ > 1)
        _exit(ENDING_FAILED);
    logger_say(logger, JJ_LOG_WARN, "%s: stopping at once, jobs that run are given back",
               signal_name);
    stop_members(daemon, 0);
}

/* ---- reading the configuration again ---- */

/* One that was to take the worker's place has not made it so far, or is not to. */
static void give_up_incoming(struct daemon *daemon)
{
    if (daemon->incoming == NULL)
        return;
    daemon->incoming->dismissed = true;
    part_stop(daemon->incoming->part, 0);
    daemon->incoming = NULL;
}

static void keep_handlers(const struct daemon *daemon, const jj_error *err)
{
    logger_say(&daemon->logger, JJ_LOG_ERROR, "SIGHUP: the handlers stay as they are: %s",
               err->text);
}

/* A worker by the new configuration, beside the one that runs. */
static void bring_worker(struct daemon *daemon, struct config *config)
{
    jj_error err = {0};

    give_up_incoming(daemon);
    notify_say("RELOADING=1");
    daemon->incoming = add_worker(daemon, config, true, &err);
    if (daemon->incoming == NULL) {
        keep_handlers(daemon, &err);
        notify_say("READY=1");
    }
}

static void reload(struct daemon *daemon)
{
    struct config *config = NULL;
    jj_error err = {0};

    if (!daemon->may_work || daemon->config_path == NULL) {
        logger_say(&daemon->logger, JJ_LOG_INFO, "SIGHUP: there are no handlers to read again");
        return;
    }
    jj_status s = config_load(daemon->config_path, &config, &err);
    if (s == JJ_OK && config->handler_count == 0)
        s = jj__fail(&err, JJ_ERR_INVALID, "%s: no handlers", daemon->config_path);
    if (s == JJ_OK) {
        bring_worker(daemon, config);
    } else {
        keep_handlers(daemon, &err);
        config_free(config);
    }
}

/* The new worker runs: the old one lets its handlers finish, however long they take. */
static void take_over(struct daemon *daemon)
{
    char names[WORK_NAMES_SIZE];

    if (daemon->worker != NULL)
        part_stop(daemon->worker->part, -1);
    daemon->worker = daemon->incoming;
    daemon->incoming = NULL;
    work_names(daemon->worker->config, names);
    logger_say(&daemon->logger, JJ_LOG_INFO, "SIGHUP: the handlers are now: %s", names);
    notify_say("READY=1");
}

/* ---- looking after all ---- */

static void tell_end(struct daemon *daemon, struct member *member, const jj_error *err)
{
    struct logger *logger = &daemon->logger;

    member->told = true;
    if (err->status == JJ_OK || member->dismissed)
        return;
    if (member == daemon->incoming) {
        daemon->incoming = NULL;
        keep_handlers(daemon, err);
        notify_say("READY=1");
        return;
    }
    logger_say(logger, JJ_LOG_ERROR, "%s", err->text);
    daemon_stop(daemon, program_ending(err->status));
}

static void look_at(struct daemon *daemon, struct member *member)
{
    jj_error err = {0};
    enum part_state state = part_state(member->part, &err);

    if (state >= PART_STOPPED && !member->told)
        tell_end(daemon, member, &err);
    if (state == PART_RUNNING && member == daemon->incoming)
        take_over(daemon);
    if (state == PART_ENDED)
        remove_member(daemon, member);
}

static bool all_are(const struct daemon *daemon, enum part_state state)
{
    for (struct member *member = daemon->members; member != NULL; member = member->next)
        if (part_state(member->part, NULL) < state)
            return false;
    return true;
}

static void look_at_members(struct daemon *daemon)
{
    struct member *next;

    for (struct member *member = daemon->members; member != NULL; member = next) {
        next = member->next;
        look_at(daemon, member);
    }
    if (!daemon->is_ready && daemon->stops == 0 && all_are(daemon, PART_RUNNING)) {
        daemon->is_ready = true;
        notify_say("READY=1");
        if (daemon->ready != NULL)
            daemon->ready(daemon->ctx);
    }
    if (daemon->leave_at_ms == 0 && daemon->stops > 0 && all_are(daemon, PART_STOPPED))
        daemon->leave_at_ms = jj__clock_mono_ms() + LEAVE_MS;
}

static void heed(struct daemon *daemon, int number)
{
    if (number == SIGTERM)
        asked_to_stop(daemon, "SIGTERM");
    if (number == SIGINT)
        asked_to_stop(daemon, "SIGINT");
    if (number == SIGHUP && daemon->had_terminal && !has_terminal())
        asked_to_stop(daemon, "the terminal is gone");
    else if (number == SIGHUP && daemon->stops == 0)
        reload(daemon);
    if (daemon->child_ended != NULL && !daemon->child_ended(daemon->ctx))
        daemon_stop(daemon, ENDING_FAILED);
}

static void tell_watchdog(struct daemon *daemon)
{
    int64_t now_ms = jj__clock_mono_ms();

    if (daemon->watchdog_ms < 0 || now_ms < daemon->watchdog_at_ms)
        return;
    notify_say("WATCHDOG=1");
    daemon->watchdog_at_ms = now_ms + daemon->watchdog_ms;
}

/* The heap keeps what a busy time took, and the index takes a lot of it to read a long history:
 * what is free goes back to the system. */
static void trim_heap(struct daemon *daemon)
{
    int64_t now_ms = jj__clock_mono_ms();

    if (now_ms < daemon->trim_at_ms)
        return;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    daemon->trim_at_ms = now_ms + TRIM_MS;
}

enum ending daemon_run(struct daemon *daemon)
{
    int64_t tick_ms =
        daemon->watchdog_ms > 0 && daemon->watchdog_ms < TICK_MS ? daemon->watchdog_ms : TICK_MS;

    while (daemon->members != NULL &&
           (daemon->leave_at_ms == 0 || jj__clock_mono_ms() < daemon->leave_at_ms)) {
        heed(daemon, daemon_next_signal(tick_ms));
        tell_watchdog(daemon);
        look_at_members(daemon);
        trim_heap(daemon);
    }
    if (daemon->members != NULL) {
        logger_say(&daemon->logger, JJ_LOG_WARN, "some handlers do not end, they are left");
        daemon->ending = ENDING_FAILED;
    }
    return daemon->ending;
}

/* ---- begin and end ---- */

static void warn_of_file(const struct daemon *daemon)
{
    if (daemon->config->open_to_all)
        logger_say(&daemon->logger, JJ_LOG_WARN,
                   "%s can be written by anybody, and it names what is run", daemon->config_path);
    if (daemon->config->tells_secret)
        logger_say(&daemon->logger, JJ_LOG_WARN,
                   "%s holds a secret in nats.url and is open to all users: chmod 600",
                   daemon->config_path);
}

bool daemon_init(struct daemon *daemon, const struct program *program)
{
    jj_error err = {0};

    *daemon = (struct daemon){.config_path = program->config_path, .url = program->url};
    if (config_load(program->config_path, &daemon->config, &err) != JJ_OK) {
        daemon->ending = program_fail(&err);
        return false;
    }
    daemon->logger =
        (struct logger){.level = daemon->config->log_level, .json = daemon->config->log_json};
    daemon->had_terminal = has_terminal();
    daemon->watchdog_ms = notify_watchdog_ms();
    hold_signals();
    warn_of_file(daemon);
    return true;
}

void daemon_done(struct daemon *daemon)
{
    if (daemon->members != NULL)
        _exit(daemon->ending); /* their threads still use what would be freed */
    config_free(daemon->config);
}

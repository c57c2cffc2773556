/* SPDX-License-Identifier: Apache-2.0 */

/* One process of the fault harness: a producer, a worker or an index, built on a library with fault
 * points. It writes down what it does (plan.h) and knows nothing of the faults that it suffers.
 *
 *     actor producer URL DIR NUMBER OPTIONS
 *     actor worker   URL DIR NUMBER OPTIONS
 *     actor index    URL DIR NUMBER OPTIONS
 *     actor handler  -   DIR NUMBER         for a job in the environment: of "jetjobs worker"
 *
 * OPTIONS are NAME=VALUE: point, nth (die there), shift (ms of the wall clock), ack_wait (ms),
 * replicas; of a producer also from, to (jobs) and rate (a second); of a worker wrong (a mistake
 * of plan.h). */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <jetjobs/jetjobs.h>

#include "hooks.h"
#include "plan.h"

static struct options {
    const char *role, *url, *dir;
    uint32_t number;
    const char *point;
    unsigned nth;
    int64_t shift_ms, ack_wait_ms, rate;
    uint32_t replicas, from, to;
    enum plan_mistake wrong;
} options;

static int trail;
static volatile sig_atomic_t ended;

static void note_end(int signal)
{
    (void)signal;
    ended = 1;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define STEADY_MS ((long long)clock_ms(CLOCK_MONOTONIC))
#define WALL_MS   ((long long)clock_ms(CLOCK_REALTIME))

static void open_trail(const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", options.dir, name);
    trail = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trail < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void write_down(const char *format, ...)
{
    char line[160];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (write(trail, line, (size_t)len) != len)
        abort(); /* without its trail a run proves nothing */
}

static void log_line(jj_log_level level, const char *text, void *user)
{
    (void)user;
    if (level >= JJ_LOG_INFO)
        fprintf(stderr, "%lld %s %u: %s\n", STEADY_MS, options.role, (unsigned)options.number,
                text);
}

/* Open the client, however long that takes. */
static jj_client *open_client(const char *index_path)
{
    const jj_options client_options = {.url = options.url,
                                       .connect_timeout_ms = -1,
                                       .timeout_ms = 3000,
                                       .replicas = options.replicas,
                                       .ack_wait_ms = options.ack_wait_ms,
                                       .concurrency = 8,
                                       .poll_interval_ms = 500,
                                       .max_lost = 50, /* faults are many; no job is poison */
                                       .index_path = index_path,
                                       .log = log_line};
    jj_client *client = NULL;
    jj_error err;

    while (!ended && jj_open(&client_options, &client, &err) != JJ_OK) {
        log_line(JJ_LOG_ERROR, err.text, NULL);
        poll(NULL, 0, 100);
    }
    return client;
}

/* ---- worker ---- */

static jj_verdict end_run(jj_attempt *attempt, uint32_t n)
{
    enum plan_end end = jj_attempt_number(attempt) > 1 ? PLAN_DONE : plan_end(n);

    switch (end) {
    case PLAN_RETRY:
        return jj_retry_in(attempt, 700, "once");
    case PLAN_RETRY_NOW:
        return jj_retry_in(attempt, 0, "once");
    case PLAN_FAIL:
        return jj_fail(attempt, "for good");
    default:
        return jj_done(attempt, "1", 1);
    }
}

static void run_job(unsigned producer, unsigned n, unsigned number)
{
    write_down("b %u %u %u %u %lld %lld\n", producer, n, number, (unsigned)options.number,
               STEADY_MS, WALL_MS);
    if (plan_end(n) == PLAN_SLOW)
        poll(NULL, 0, PLAN_SLOW_MS);
    write_down("e %u %u %u %u %lld\n", producer, n, number, (unsigned)options.number, STEADY_MS);
}

static jj_verdict work(jj_attempt *attempt, void *user)
{
    unsigned producer, n;

    (void)user;
    if (sscanf(jj_attempt_id(attempt), "p%u-%u", &producer, &n) != 2)
        return jj_fail(attempt, "no job of ours");
    run_job(producer, n, jj_attempt_number(attempt));
    if (options.wrong == PLAN_RUN_TWICE && plan_runs_twice(n))
        run_job(producer, n, jj_attempt_number(attempt));
    return end_run(attempt, n);
}

/* The same as a program: its exit status. */
static int be_handler(void)
{
    const char *id = getenv("JOB_ID"), *attempt = getenv("JOB_ATTEMPT");
    unsigned producer, n;

    if (id == NULL || attempt == NULL || sscanf(id, "p%u-%u", &producer, &n) != 2)
        return 100;
    open_trail(TRAIL_RAN);
    unsigned number = (unsigned)strtoul(attempt, NULL, 10);
    run_job(producer, n, number);
    enum plan_end end = number > 1 ? PLAN_DONE : plan_end(n);
    if (end == PLAN_FAIL)
        return 100;
    if (end == PLAN_RETRY || end == PLAN_RETRY_NOW)
        return 1;
    return puts("1") == EOF;
}

/* Until it is told to end, see whether the machine lets it run at all. */
static void watch_the_clock(void)
{
    long long last_ms = STEADY_MS;

    while (!ended) {
        poll(NULL, 0, 50);
        long long now_ms = STEADY_MS;
        if (now_ms - last_ms >= options.ack_wait_ms / PLAN_PAUSE_PART)
            write_down("t %u %lld %lld\n", (unsigned)options.number, last_ms, now_ms);
        last_ms = now_ms;
    }
}

static void be_worker(void)
{
    jj_error err = {.text = ""};

    open_trail(TRAIL_RAN);
    jj_client *client = open_client(NULL);
    while (!ended && client != NULL &&
           (jj_register(client, PLAN_JOB, work, NULL, NULL, &err) == JJ_OK ||
            err.status == JJ_ERR_EXISTS) &&
           jj_start(client, &err) != JJ_OK) {
        log_line(JJ_LOG_ERROR, err.text, NULL);
        poll(NULL, 0, 100);
    }
    watch_the_clock();
    jj_close(client);
}

/* ---- index ---- */

static void be_index(void)
{
    char path[512];
    jj_error err;

    snprintf(path, sizeof(path), "%s/index.db", options.dir);
    jj_client *client = open_client(path);
    while (!ended && jj_serve(client, &err) != JJ_OK) {
        log_line(JJ_LOG_ERROR, err.text, NULL);
        poll(NULL, 0, 100);
    }
    while (!ended)
        poll(NULL, 0, 1000);
    jj_close(client);
}

/* ---- producer ---- */

static jj_spec spec_of(uint32_t n, char id[32])
{
    plan_id(options.number, n, id);
    return (jj_spec){.name = PLAN_JOB, .id = id, .data = id, .data_len = strlen(id)};
}

/* Again and again, with the same id, until it is accepted. */
static void enqueue_one(jj_client *client, uint32_t n, int64_t due_ms)
{
    char id[32];
    const jj_spec spec = spec_of(n, id);
    jj_error err;

    if (due_ms > 0)
        write_down("d %u %lld\n", (unsigned)n, (long long)due_ms);
    while (!ended) {
        jj_status s = due_ms > 0 ? jj_schedule(client, &spec, due_ms, NULL, &err)
                                 : jj_enqueue(client, &spec, NULL, &err);
        if (s == JJ_OK)
            break;
        log_line(JJ_LOG_INFO, err.text, NULL);
        poll(NULL, 0, 50);
    }
    if (!ended)
        write_down("a %u %lld\n", (unsigned)n, STEADY_MS);
}

static void cancel_one(jj_client *client, uint32_t n)
{
    char id[32];

    plan_id(options.number, n, id);
    jj_status s = jj_cancel(client, id, NULL);
    write_down("c %u %c %lld\n", (unsigned)n, s == JJ_OK ? 'y' : (s == JJ_ERR_STATE ? 'n' : '?'),
               STEADY_MS);
}

/* The plain jobs of a step, together; one by one where it is not known what was stored. */
static void enqueue_plain(jj_client *client, uint32_t first)
{
    char ids[PLAN_STEP][32];
    jj_spec specs[PLAN_STEP] = {0};
    size_t count = 0, stored = 0;
    jj_error err;

    for (uint32_t n = first; n < first + PLAN_STEP; n++)
        if (plan_kind(n) == PLAN_PLAIN) {
            specs[count] = spec_of(n, ids[count]);
            count++;
        }
    if (jj_enqueue_many(client, specs, count, NULL, &stored, &err) == JJ_OK) {
        write_down("A %u %lld\n", (unsigned)first, STEADY_MS);
        return;
    }
    log_line(JJ_LOG_INFO, err.text, NULL);
    for (uint32_t n = first; n < first + PLAN_STEP; n++)
        if (plan_kind(n) == PLAN_PLAIN)
            enqueue_one(client, n, 0);
}

static void make_step(jj_client *client, uint32_t first)
{
    write_down("s %u %lld\n", (unsigned)first, STEADY_MS);
    enqueue_plain(client, first);
    for (uint32_t n = first; n < first + PLAN_STEP && !ended; n++) {
        enum plan_kind kind = plan_kind(n);
        if (kind == PLAN_PLAIN)
            continue;
        enqueue_one(client, n, kind == PLAN_CANCEL_NOW ? 0 : WALL_MS + PLAN_LATE_MS);
        if (kind != PLAN_LATER)
            cancel_one(client, n);
    }
}

static void be_producer(void)
{
    char name[32];

    snprintf(name, sizeof(name), TRAIL_SENT, (unsigned)options.number);
    open_trail(name);
    jj_client *client = open_client(NULL);
    int64_t began_ms = STEADY_MS;

    for (uint32_t first = options.from; first < options.to && !ended; first += PLAN_STEP) {
        make_step(client, first);
        int64_t due_ms = began_ms + (first + PLAN_STEP - options.from) * 1000 / options.rate;
        while (!ended && STEADY_MS < due_ms)
            poll(NULL, 0, (int)(due_ms - STEADY_MS) + 1);
    }
    jj_close(client);
}

/* ---- main ---- */

static bool read_option(const char *text)
{
    const char *value = strchr(text, '=');
    size_t len = value == NULL ? 0 : (size_t)(value - text);
    const struct {
        const char *name;
        int64_t *number;
    } numbers[] = {
        {"shift", &options.shift_ms}, {"ack_wait", &options.ack_wait_ms}, {"rate", &options.rate}};
    const struct {
        const char *name;
        uint32_t *number;
    } smaller[] = {{"nth", &options.nth},
                   {"replicas", &options.replicas},
                   {"from", &options.from},
                   {"to", &options.to}};

    if (value == NULL)
        return false;
    value++;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strncmp(text, numbers[i].name, len) == 0 && numbers[i].name[len] == '\0')
            *numbers[i].number = strtoll(value, NULL, 10);
    for (size_t i = 0; i < sizeof(smaller) / sizeof(smaller[0]); i++)
        if (strncmp(text, smaller[i].name, len) == 0 && smaller[i].name[len] == '\0')
            *smaller[i].number = (uint32_t)strtoul(value, NULL, 10);
    if (strncmp(text, "point=", 6) == 0)
        options.point = value;
    if (strncmp(text, "wrong=", 6) == 0)
        options.wrong = (enum plan_mistake)(value[0] - '0');
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    options = (struct options){.role = argv[1],
                               .url = argv[2],
                               .dir = argv[3],
                               .number = (uint32_t)strtoul(argv[4], NULL, 10),
                               .ack_wait_ms = 15000,
                               .rate = 1000};
    for (int i = 5; i < argc; i++)
        if (!read_option(argv[i]))
            return 2;
    hooks_die_at(options.point, options.nth);
    hooks_shift_clock(options.shift_ms);
    if (options.wrong == PLAN_ACK_FIRST)
        hooks_ack_first();
    if (strcmp(options.role, "handler") == 0)
        return be_handler();
    signal(SIGTERM, note_end);
    if (strcmp(options.role, "producer") == 0)
        be_producer();
    else if (strcmp(options.role, "index") == 0)
        be_index();
    else
        be_worker();
    return 0;
}

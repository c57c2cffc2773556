/* SPDX-License-Identifier: Apache-2.0 */

/* Many jobs, each of which is cancelled by somebody while four workers take them: what was
 * cancelled never starts, all else runs once, without a single exception. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "desk.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JOBS 2000
#else
#define JOBS 10000
#endif
#define WORKERS 4
#define RACERS  8 /* the odd ones ask the service, the others the index they share */
#define BURST   50
#define SHARE   (JOBS / 50) /* so many of each answer, at least, make it a race */

_Static_assert(JOBS % (RACERS * BURST) == 0, "each racer has whole bursts");

struct race {
    struct desk *desk; /* its keeper serves, its asker asks the service */
    jj_client *embedded;
    jj_client *workers[WORKERS];
    atomic_uint runs[JOBS];  /* by number of the job */
    _Atomic size_t begun;    /* runs */
    _Atomic size_t answered; /* cancellations; JOBS more if a racer gave up */
    jj_status answers[JOBS]; /* each written by the racer whose job it is */
};

struct racer {
    struct race *race;
    jj_client *client;
    pthread_t thread;
    size_t first, end; /* its jobs */
    unsigned seed;
    jj_error err; /* of the first answer that must not be */
};

/* ---- the workers ---- */

static void id_make(size_t number, char id[JJ_NAME_SIZE])
{
    snprintf(id, JJ_NAME_SIZE, "job-%05zu", number);
}

static size_t id_number(const char *id)
{
    return (size_t)strtoul(id + strlen("job-"), NULL, 10);
}

/* Left alone, workers empty the queue before anybody has cancelled anything: so each run waits for
 * two answers more, and about half of the jobs are still there when they are aimed at. */
static jj_verdict note_run(jj_attempt *attempt, void *user)
{
    struct race *race = user;

    atomic_fetch_add(&race->runs[id_number(jj_attempt_id(attempt))], 1);
    size_t turn = atomic_fetch_add(&race->begun, 1);
    for (;;) {
        size_t answered = atomic_load(&race->answered);
        if (answered >= JOBS || answered / 2 >= turn || jj_attempt_stopping(attempt))
            break;
        wait_a_moment();
    }
    return jj_done(attempt, NULL, 0);
}

static void start_workers(struct race *race)
{
    const jj_options options = {.concurrency = 4, .timeout_ms = 20000};
    jj_error err;

    for (size_t i = 0; i < WORKERS; i++) {
        race->workers[i] = desk_client(race->desk, &options);
        if (jj_register(race->workers[i], "mail", note_run, NULL, race, &err) != JJ_OK ||
            jj_start(race->workers[i], &err) != JJ_OK)
            fail_msg("%s", err.text);
    }
}

/* ---- the racers ---- */

static jj_status enqueue_burst(struct racer *racer, size_t first)
{
    char ids[BURST][JJ_NAME_SIZE];
    jj_spec specs[BURST];

    for (size_t i = 0; i < BURST; i++) {
        id_make(first + i, ids[i]);
        specs[i] = (jj_spec){.name = "mail", .id = ids[i]};
    }
    return jj_enqueue_many(racer->client, specs, BURST, NULL, NULL, &racer->err);
}

/* In any order, so that the workers come now before and now after. */
static jj_status cancel_burst(struct racer *racer, size_t first)
{
    char id[JJ_NAME_SIZE];
    size_t left[BURST];
    jj_error err;

    for (size_t i = 0; i < BURST; i++)
        left[i] = first + i;
    for (size_t count = BURST; count > 0; count--) {
        size_t at = (size_t)rand_r(&racer->seed) % count;
        size_t number = left[at];
        left[at] = left[count - 1];
        id_make(number, id);
        jj_status s = jj_cancel(racer->client, id, &err);
        racer->race->answers[number] = s;
        atomic_fetch_add(&racer->race->answered, 1);
        if (s != JJ_OK && s != JJ_ERR_STATE) {
            racer->err = err;
            return s;
        }
    }
    return JJ_OK;
}

static void *race_on(void *arg)
{
    struct racer *racer = arg;
    jj_status s = JJ_OK;

    for (size_t first = racer->first; s == JJ_OK && first < racer->end; first += BURST) {
        s = enqueue_burst(racer, first);
        if (s == JJ_OK)
            s = cancel_burst(racer, first);
    }
    if (s == JJ_OK)
        return NULL;
    atomic_fetch_add(&racer->race->answered, JOBS); /* nobody need wait any more */
    return racer;
}

static void run_racers(struct race *race, unsigned seed)
{
    struct racer racers[RACERS];
    void *failed;

    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.race = race,
                                   .client = i % 2 == 0 ? race->embedded : race->desk->asker,
                                   .first = i * (JOBS / RACERS),
                                   .end = (i + 1) * (JOBS / RACERS),
                                   .seed = seed + (unsigned)i};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race_on, &racers[i]), 0);
    }
    const char *text = NULL;
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, &failed);
        if (failed != NULL)
            text = racers[i].err.text;
    }
    if (text != NULL)
        fail_msg("%s", text);
}

/* ---- the judge ---- */

/* The runs that were written down are those that the answers leave. */
static void expect_runs(struct race *race)
{
    size_t counts[2] = {0}, cancelled[2] = {0}; /* the second of each: by the service */

    for (size_t i = 0; i < JOBS; i++) {
        unsigned runs = atomic_load(&race->runs[i]);
        bool yes = race->answers[i] == JJ_OK;
        if (runs != (yes ? 0 : 1))
            fail_msg("job %zu ran %u times, and was %scancelled", i, runs, yes ? "" : "not ");
        size_t kind = i / (JOBS / RACERS) % 2;
        counts[kind]++;
        cancelled[kind] += yes;
    }
    for (size_t kind = 0; kind < 2; kind++) {
        print_message("%zu of %zu were cancelled by %s\n", cancelled[kind], counts[kind],
                      kind == 0 ? "the embedded index" : "the service");
        assert_true(cancelled[kind] >= SHARE && counts[kind] - cancelled[kind] >= SHARE);
    }
}

/* Both indexes tell of each job's end as its answer did. */
static void expect_ends(struct race *race, jj_client *client)
{
    char id[JJ_NAME_SIZE];
    jj_error err;

    for (size_t i = 0; i < JOBS; i++) {
        jj_job *job = NULL;
        id_make(i, id);
        if (jj_wait(client, id, WAIT_MS, &job, &err) != JJ_OK)
            fail_msg("%s", err.text);
        jj_state state = jj_job_state(job);
        jj_job_free(job);
        if (state != (race->answers[i] == JJ_OK ? JJ_CANCELLED : JJ_COMPLETED))
            fail_msg("%s is %s in the end, and the answer had been %s", id, jj_state_text(state),
                     race->answers[i] == JJ_OK ? "yes" : "no");
    }
}

/* ---- the story ---- */

static int race_begin(void **state)
{
    struct race *race = calloc(1, sizeof(*race));
    void *desk = *state;

    assert_non_null(race);
    desk_begin(&desk);
    race->desk = desk;
    race->embedded =
        desk_client(desk, &(jj_options){.adapter = &jj_adapter_memory, .timeout_ms = 20000});
    *state = race;
    return 0;
}

static void stop_workers(struct race *race)
{
    for (size_t i = 0; i < WORKERS; i++) {
        jj_close(race->workers[i]);
        race->workers[i] = NULL;
    }
}

static int race_end(void **state)
{
    struct race *race = *state;
    void *desk = race->desk;

    atomic_store(&race->answered, JOBS); /* also if the test has failed */
    stop_workers(race);
    jj_close(race->embedded);
    desk_end(&desk);
    free(race);
    return 0;
}

static void what_is_cancelled_never_starts_and_all_else_runs_once(void **state)
{
    struct race *race = *state;
    unsigned seed = (unsigned)jj__clock_wall_ms();

    print_message("seed %u\n", seed);
    start_workers(race);
    run_racers(race, seed);
    assert_true(crew_wait_over(race->desk->crew));
    stop_workers(race); /* then every run has been written down */
    expect_runs(race);
    expect_ends(race, race->embedded);
    expect_ends(race, race->desk->keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"what_is_cancelled_never_starts_and_all_else_runs_once",
         what_is_cancelled_never_starts_and_all_else_runs_once, race_begin, race_end,
         (void *)&desk_kinds[DESK_REMOTE_SQLITE]},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

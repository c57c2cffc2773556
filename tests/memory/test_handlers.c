/* SPDX-License-Identifier: Apache-2.0 */

/* The calls that a handler makes, and the handlers that come with the library. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crew.h"
#include "shortage.h"
#include "workshop.h"

/* ---- what a handler tells ---- */

static jj_status tell_line(jj_attempt *attempt)
{
    return jj_log(attempt, JJ_LOG_INFO, "{\"is\":\"so\"}", "line %d", 1);
}

static jj_status tell_event(jj_attempt *attempt)
{
    return jj_emit(attempt, "happened", "{\"is\":\"so\"}");
}

static jj_status tell_progress(jj_attempt *attempt)
{
    return jj_progress(attempt, 40, "some of it");
}

static atomic_int unfair; /* answers that do not say what was done */

static void try_telling(jj_attempt *attempt, jj_status (*tell)(jj_attempt *attempt),
                        enum shortage_kind kind)
{
    bool some = true;

    for (int n = 0; some; n++) {
        shortage_begin_here(n, kind);
        jj_status s = tell(attempt);
        some = shortage_end();
        atomic_fetch_add(&unfair, s != (some ? JJ_ERR_NO_MEMORY : JJ_OK));
    }
}

static jj_verdict be_telling(jj_attempt *attempt, void *user)
{
    (void)user;
    for (int kind = SHORT_ONCE; kind <= SHORT_FOR_GOOD; kind++) {
        try_telling(attempt, tell_line, (enum shortage_kind)kind);
        try_telling(attempt, tell_event, (enum shortage_kind)kind);
        try_telling(attempt, tell_progress, (enum shortage_kind)kind);
    }
    return jj_done(attempt, "1", 1);
}

static void what_a_handler_tells_is_told_or_it_knows(void **state)
{
    (void)state;
    workshop_enqueue("telling", "told", NULL);
    workshop_expect_result("told", "1");
    jj_job *job = workshop_wait_over("told");
    assert_int_equal(jj_job_progress(job), 40);
    jj_job_free(job);
    assert_int_equal(atomic_load(&unfair), 0);
    assert_int_equal(workshop_count_lines("told"), 4);
}

/* ---- more than may wait ---- */

#define LINE_LEN 60000
#define LINES    300 /* of which 8 MB may wait */

static atomic_bool wordy_begun;
static atomic_bool wordy_may_tell;
static atomic_bool wordy_ended;
static atomic_int wordy_told;

static bool is_set(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* When it ends, there is no memory for what is still to be said of it. */
static jj_verdict be_wordy(jj_attempt *attempt, void *user)
{
    (void)user;
    if (atomic_exchange(&wordy_begun, true))
        return jj_done(attempt, NULL, 0); /* the broker was away for too long */
    wait_until(is_set, &wordy_may_tell, WAIT_MS);
    for (int i = 0; i < LINES; i++)
        atomic_fetch_add(&wordy_told,
                         jj_log(attempt, JJ_LOG_INFO, NULL, "line %0*d", LINE_LEN, i) == JJ_OK);
    shortage_begin_here(0, SHORT_FOR_GOOD);
    atomic_store(&wordy_ended, true);
    return jj_done(attempt, NULL, 0);
}

/* Lines that were heard, and those that are said to be missing. */
struct tally {
    struct listener *log;
    size_t seen;
    size_t known;
};

static bool all_lines_are_known(void *ctx)
{
    struct tally *tally = ctx;

    for (; tally->seen < listener_count(tally->log); tally->seen++) {
        const char *text = event_member(listener_get(tally->log, tally->seen), "message");
        size_t dropped;
        bool is_count = sscanf(text, "%zu log lines and events were dropped", &dropped) == 1;
        tally->known += is_count ? dropped : 1;
    }
    return tally->known == (size_t)atomic_load(&wordy_told);
}

static void how_many_lines_were_dropped_is_told_without_memory(void **state)
{
    struct server *server = &workshop.stage->server;
    struct tally tally = {.log =
                              nats_client_listen(workshop.stage->stranger, "job.wordy.log", NULL)};

    (void)state;
    workshop_enqueue("wordy", "wordy", NULL);
    assert_true(wait_until(is_set, &wordy_begun, WAIT_MS));
    server_freeze(server);
    atomic_store(&wordy_may_tell, true);
    bool ended = wait_until(is_set, &wordy_ended, WAIT_MS);
    server_thaw(server);
    assert_true(ended);
    jj_job_free(workshop_wait_over("wordy"));
    shortage_end();
    assert_true(wait_until(all_lines_are_known, &tally, WAIT_MS));
    assert_true(tally.seen < LINES);
    listener_close(tally.log);
}

/* ---- how it ends ---- */

static jj_verdict end_done(jj_attempt *attempt)
{
    return jj_done(attempt, "first", 5);
}

static jj_verdict end_retry(jj_attempt *attempt)
{
    return jj_retry(attempt, "what it was");
}

static jj_verdict end_retry_in(jj_attempt *attempt)
{
    return jj_retry_in(attempt, 1, "what it was");
}

static jj_verdict end_fail(jj_attempt *attempt)
{
    return jj_fail(attempt, "what it was");
}

static jj_verdict end_snooze(jj_attempt *attempt)
{
    return jj_snooze(attempt, 1);
}

/* How a job's first run ends without memory, and what becomes of the job. */
struct ending {
    const char *id;
    jj_verdict (*give)(jj_attempt *attempt);
    const char *max_attempts;
    enum shortage_kind kind;
    const char *error;  /* NULL: none */
    const char *result; /* NULL: it has failed */
};

static const struct ending endings[] = {
    {"done", end_done, "2", SHORT_ONCE, "no memory for a result of 5 bytes", "again"},
    {"done-short", end_done, "2", SHORT_FOR_GOOD, "no memory for the reason", "again"},
    {"done-last", end_done, "1", SHORT_ONCE, "no memory for a result of 5 bytes", NULL},
    {"retry", end_retry, "2", SHORT_ONCE, "no memory for the reason", "again"},
    {"retry-last", end_retry, "1", SHORT_ONCE, "no memory for the reason", NULL},
    {"retry-in", end_retry_in, "2", SHORT_ONCE, "no memory for the reason", "again"},
    {"fail", end_fail, "2", SHORT_ONCE, "no memory for the reason", NULL},
    {"snooze", end_snooze, "1", SHORT_FOR_GOOD, NULL, "again"},
};

#define ENDINGS (sizeof(endings) / sizeof(endings[0]))

static atomic_int ending_runs[ENDINGS];

static jj_verdict be_ending(jj_attempt *attempt, void *user)
{
    size_t i = 0;

    (void)user;
    while (strcmp(endings[i].id, jj_attempt_id(attempt)) != 0)
        i++;
    if (atomic_fetch_add(&ending_runs[i], 1) > 0)
        return jj_done(attempt, "again", 5);
    shortage_begin_here(0, endings[i].kind);
    jj_verdict verdict = endings[i].give(attempt);
    shortage_end();
    return verdict;
}

static void a_verdict_counts_without_memory_for_its_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDINGS; i++)
        workshop_enqueue("ending", endings[i].id, endings[i].max_attempts);
    for (size_t i = 0; i < ENDINGS; i++) {
        const struct ending *ending = &endings[i];
        jj_job *job = workshop_wait_over(ending->id);
        if (ending->result != NULL)
            workshop_expect_result(ending->id, ending->result);
        else
            assert_int_equal(jj_job_state(job), JJ_FAILED);
        assert_int_equal(atomic_load(&ending_runs[i]), ending->result == NULL ? 1 : 2);
        if (ending->error == NULL)
            assert_null(jj_job_error(job));
        else
            assert_string_equal(jj_job_error(job), ending->error);
        jj_job_free(job);
    }
}

/* ---- handlers of ours ---- */

#define PRINTED "\"printed\""

static void judge_program(const char *id)
{
    workshop_expect_result(id, PRINTED);
}

static void no_job_of_a_program_is_lost_without_memory(void **state)
{
    (void)state;
    workshop_try_jobs("program", judge_program);
}

/* What could not be asked costs no attempt. */
static void judge_service(const char *id)
{
    jj_job *job = workshop_wait_over(id);

    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_non_null(jj_job_result(job, NULL));
    if (jj_job_error(job) != NULL)
        assert_non_null(strstr(jj_job_error(job), "no memory for a result"));
    jj_job_free(job);
}

/* The index service answers. */
static void no_job_of_a_service_is_lost_without_memory(void **state)
{
    (void)state;
    workshop_try_jobs("service", judge_service);
}

/* ---- the tests ---- */

static int begin(void **state)
{
    const jj_exec_options program = {
        .argv = (const char *const[]){"sh", "-c", "echo '" PRINTED "'; echo line >&2", NULL}};
    jj_error err;

    workshop_begin(state);
    workshop_register("telling", be_telling);
    workshop_register("wordy", be_wordy);
    workshop_register("ending", be_ending);
    workshop_must(jj_register_exec(workshop.client, "program", &program, NULL, &err), &err);
    workshop_must(jj_register_request(workshop.client, "service", "jobs.stats", NULL, &err), &err);
    workshop_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_handler_tells_is_told_or_it_knows),
        cmocka_unit_test(how_many_lines_were_dropped_is_told_without_memory),
        cmocka_unit_test(a_verdict_counts_without_memory_for_its_text),
        cmocka_unit_test(no_job_of_a_program_is_lost_without_memory),
        cmocka_unit_test(no_job_of_a_service_is_lost_without_memory),
    };

    return cmocka_run_group_tests_name("memory.handlers", tests, begin, workshop_end);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* All orders of events within small bounds: no promise is broken. And that the model would see a
 * broken one, by mistakes that are put in. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model.h"
#include "state.h"

static bool steps_seen[JJ_STATES][JJ_STATES];

static void note_steps(const struct findings *findings)
{
    for (jj_state from = JJ_ANY_STATE; from < JJ_STATES; from++)
        for (jj_state to = JJ_ANY_STATE; to < JJ_STATES; to++)
            steps_seen[from][to] |= findings->steps[from][to];
}

static void expect_kept(struct budget budget)
{
    struct findings findings;

    model_explore(&(struct exploration){.budget = budget}, true, &findings);
    print_message("%zu states, %zu ends, %zu cut off\n", findings.states, findings.ends,
                  findings.overflows);
    assert_null(findings.broken);
    assert_true(findings.ends > 0);
    if (budget.put_offs == 0) /* a step back of which no event tells */
        note_steps(&findings);
}

static void expect_found(enum mistake mistake, struct budget budget)
{
    struct findings findings;

    model_explore(&(struct exploration){.budget = budget, .mistake = mistake}, false, &findings);
    if (findings.broken == NULL)
        fail_msg("a mistake was not found in %zu states", findings.states);
    print_message("found after %zu states: %s\n", findings.states, findings.broken);
}

/* ---- the promises ---- */

static void without_faults_each_attempt_runs_once(void **state)
{
    (void)state;
    expect_kept((struct budget){.cancels = 1, .failures = 2});
    expect_kept((struct budget){.cancels = 1, .redrives = 1, .stops = 1});
    expect_kept((struct budget){.misspelt = 1, .cancels = 1, .stops = 1});
    expect_kept((struct budget){.redrives = 1, .failures = 2});
}

static void crashes_lose_nothing(void **state)
{
    (void)state;
    expect_kept((struct budget){.crashes = 1, .cancels = 1, .failures = 1});
    expect_kept((struct budget){.crashes = 2, .failures = 1});
    expect_kept((struct budget){.crashes = 2, .cancels = 1});
    expect_kept((struct budget){.crashes = 1, .misspelt = 1});
}

static void leases_that_are_lost_lose_nothing(void **state)
{
    (void)state;
    expect_kept((struct budget){.freezes = 1, .cancels = 1, .failures = 1});
    expect_kept((struct budget){.freezes = 2, .failures = 1});
    expect_kept((struct budget){.freezes = 1, .crashes = 1, .cancels = 1});
}

static void a_forgetful_broker_loses_nothing(void **state)
{
    (void)state;
    expect_kept((struct budget){.kills = 1, .cancels = 1});
    expect_kept((struct budget){.kills = 1, .failures = 1});
}

static void an_index_that_is_silent_or_gone_changes_nothing(void **state)
{
    (void)state;
    expect_kept((struct budget){.crashes = 1, .silences = 1, .wipes = 1, .cancels = 1});
    expect_kept((struct budget){.crashes = 2, .silences = 1, .failures = 1});
}

static void acknowledgements_may_be_lost(void **state)
{
    (void)state;
    expect_kept((struct budget){.lost = 1, .cancels = 1, .failures = 1});
    expect_kept((struct budget){.lost = 1, .cancels = 1, .redrives = 1, .repeats = 1});
}

/* The last is how a job was lost once: both messages of a job run, and fail. */
static void what_is_put_off_is_not_lost(void **state)
{
    (void)state;
    expect_kept((struct budget){.put_offs = 1, .cancels = 1, .failures = 1});
    expect_kept((struct budget){.put_offs = 1, .freezes = 1, .failures = 1});
    expect_kept((struct budget){.put_offs = 1, .lost = 1, .silences = 1, .failures = 2});
}

/* Of all the orders above: each step of the table was made, and no other, as long as nobody ran
 * what another one ran as well. From what is not known a job may come into any state, as histories
 * are shortened at their old ends: those steps are left out. */
static void the_steps_of_a_job_are_those_of_the_table(void **state)
{
    (void)state;
    for (jj_state from = JJ_PENDING; from < JJ_STATES; from++)
        for (jj_state to = JJ_PENDING; to < JJ_STATES; to++)
            if (from != to && steps_seen[from][to] != jj__state_can_become(from, to))
                fail_msg("%s to %s: %s", jj_state_text(from), jj_state_text(to),
                         steps_seen[from][to] ? "made, but not in the table" : "never made");
}

/* ---- mistakes ---- */

static void to_acknowledge_before_the_commit_is_found(void **state)
{
    (void)state;
    expect_found(ACK_BEFORE_COMMIT, (struct budget){.crashes = 1, .failures = 1});
}

static void to_cancel_without_reading_back_is_found(void **state)
{
    (void)state;
    expect_found(CANCEL_WITHOUT_READING_BACK, (struct budget){.cancels = 1});
}

static void to_start_without_reading_back_is_found(void **state)
{
    (void)state;
    expect_found(START_WITHOUT_READING_BACK, (struct budget){.cancels = 1});
}

static void to_acknowledge_before_the_retry_is_stored_is_found(void **state)
{
    (void)state;
    expect_found(ACK_BEFORE_RETRY_IS_STORED, (struct budget){.crashes = 1, .failures = 1});
}

static void a_mover_that_acknowledges_first_is_found(void **state)
{
    (void)state;
    expect_found(MOVER_ACKS_FIRST, (struct budget){.crashes = 1, .failures = 1});
}

static void to_drop_a_job_in_doubt_is_found(void **state)
{
    (void)state;
    expect_found(DOUBT_MEANS_CANCELLED, (struct budget){.crashes = 1, .cancels = 1, .failures = 1});
}

static void to_run_a_job_in_doubt_is_found(void **state)
{
    (void)state;
    expect_found(DOUBT_MEANS_NOTHING, (struct budget){.crashes = 1, .cancels = 1});
}

static void to_replace_a_later_step_is_found(void **state)
{
    (void)state;
    expect_found(REPLACE_A_LATER_STEP,
                 (struct budget){.put_offs = 1, .lost = 1, .silences = 1, .failures = 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_faults_each_attempt_runs_once),
        cmocka_unit_test(crashes_lose_nothing),
        cmocka_unit_test(leases_that_are_lost_lose_nothing),
        cmocka_unit_test(a_forgetful_broker_loses_nothing),
        cmocka_unit_test(an_index_that_is_silent_or_gone_changes_nothing),
        cmocka_unit_test(acknowledgements_may_be_lost),
        cmocka_unit_test(what_is_put_off_is_not_lost),
        cmocka_unit_test(the_steps_of_a_job_are_those_of_the_table),
        cmocka_unit_test(to_acknowledge_before_the_commit_is_found),
        cmocka_unit_test(to_cancel_without_reading_back_is_found),
        cmocka_unit_test(to_start_without_reading_back_is_found),
        cmocka_unit_test(to_acknowledge_before_the_retry_is_stored_is_found),
        cmocka_unit_test(a_mover_that_acknowledges_first_is_found),
        cmocka_unit_test(to_drop_a_job_in_doubt_is_found),
        cmocka_unit_test(to_run_a_job_in_doubt_is_found),
        cmocka_unit_test(to_replace_a_later_step_is_found),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "state.h"

static void each_state_has_a_name_that_is_read_back(void **state)
{
    (void)state;
    static const char *const names[JJ_STATES] = {"",          "pending", "scheduled", "running",
                                                 "completed", "failed",  "cancelled"};

    for (jj_state each = JJ_ANY_STATE; each < JJ_STATES; each++) {
        assert_string_equal(jj_state_text(each), names[each]);
        assert_int_equal(jj__state_read(names[each]), each);
    }
}

static void what_is_no_state_has_no_name(void **state)
{
    (void)state;
    assert_string_equal(jj_state_text((jj_state)JJ_STATES), "");
    assert_string_equal(jj_state_text((jj_state)-1), "");
    assert_int_equal(jj__state_read("Pending"), JJ_ANY_STATE);
    assert_int_equal(jj__state_read("pending "), JJ_ANY_STATE);
    assert_int_equal(jj__state_read("started"), JJ_ANY_STATE);
}

static void three_states_are_final(void **state)
{
    (void)state;
    static const bool is_final[JJ_STATES] = {
        [JJ_COMPLETED] = true, [JJ_FAILED] = true, [JJ_CANCELLED] = true};

    for (jj_state each = JJ_ANY_STATE; each < JJ_STATES; each++)
        assert_int_equal(jj__state_is_final(each), is_final[each]);
    assert_false(jj__state_is_final((jj_state)JJ_STATES));
}

/* A row for each state before, a column for each after; x where there is such a step. */
static void the_steps_are_those_of_the_contract(void **state)
{
    (void)state;
    /* any pending scheduled running completed failed cancelled */
    static const char *const steps[JJ_STATES] = {
        "-xxxxxx", /* not known */
        "---x-xx", /* pending */
        "-x----x", /* scheduled */
        "-xxxxx-", /* running */
        "-------", /* completed */
        "-x-----", /* failed */
        "-x-----", /* cancelled */
    };

    for (jj_state from = JJ_ANY_STATE; from < JJ_STATES; from++)
        for (jj_state to = JJ_ANY_STATE; to < JJ_STATES; to++)
            assert_int_equal(jj__state_can_become(from, to), steps[from][to] == 'x');
}

static void what_is_no_state_has_no_steps(void **state)
{
    (void)state;
    for (jj_state each = JJ_ANY_STATE; each < JJ_STATES; each++) {
        assert_false(jj__state_can_become((jj_state)JJ_STATES, each));
        assert_false(jj__state_can_become(each, (jj_state)JJ_STATES));
        assert_false(jj__state_can_become(each, (jj_state)-1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_has_a_name_that_is_read_back),
        cmocka_unit_test(what_is_no_state_has_no_name),
        cmocka_unit_test(three_states_are_final),
        cmocka_unit_test(the_steps_are_those_of_the_contract),
        cmocka_unit_test(what_is_no_state_has_no_steps),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}

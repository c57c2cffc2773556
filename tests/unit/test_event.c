/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"
#include "subject.h"

static void every_type_reads_back_from_its_text(void **state)
{
    (void)state;
    for (enum event_type type = EVENT_STARTED; type < EVENT_TYPES; type++) {
        assert_true(jj__token_valid(jj__event_type_text(type)));
        assert_int_equal(jj__event_type_read(jj__event_type_text(type)), type);
    }
    assert_string_equal(jj__event_type_text(EVENT_STARTED), "started");
    assert_string_equal(jj__event_type_text(EVENT_LOG), "log");
}

static void other_texts_are_no_type(void **state)
{
    (void)state;
    assert_int_equal(jj__event_type_read(""), EVENT_TYPES);
    assert_int_equal(jj__event_type_read("Completed"), EVENT_TYPES);
    assert_int_equal(jj__event_type_read("complete"), EVENT_TYPES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back_from_its_text),
        cmocka_unit_test(other_texts_are_no_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

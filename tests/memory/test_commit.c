/* SPDX-License-Identifier: Apache-2.0 */

/* What a worker does with the end of a job that it has no memory to store. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "shortage.h"
#include "wait.h"
#include "worker.h"

static void count_line(jj_log_level level, const char *line, void *user)
{
    assert_int_equal(level, JJ_LOG_ERROR);
    assert_non_null(strstr(line, "no memory"));
    ++*(int *)user;
}

static bool is_tried_again(void *ctx)
{
    jj__commit_turn(ctx, NULL, jj__clock_mono_ms());
    return shortage_failures() > 1;
}

/* It does not wait for something else to happen, nor goes round and round. */
static void a_commit_without_memory_is_tried_again_soon(void **state)
{
    int lines = 0;
    struct handler handler = {.name = "x"};
    struct worker worker = {.handlers = &handler, .log = {.sink = count_line, .user = &lines}};
    struct jj_attempt attempt = {
        .worker = &worker, .handler = &handler, .outcome = EVENT_COMPLETED};
    int64_t now_ms = jj__clock_mono_ms();

    (void)state;
    jj__queue_push(&handler.to_commit[EVENT_COMPLETED], &attempt);
    shortage_begin_here(0, SHORT_FOR_GOOD);
    jj__commit_turn(&worker, NULL, now_ms);
    jj__commit_turn(&worker, NULL, now_ms);
    assert_int_equal(shortage_failures(), 1);
    assert_true(worker.commit_again_ms > now_ms);
    assert_true(worker.commit_again_ms < jj__clock_mono_ms() + 1000);

    assert_true(wait_until(is_tried_again, &worker, WAIT_MS));
    assert_int_equal(lines, 2);
    assert_ptr_equal(handler.to_commit[EVENT_COMPLETED].first, &attempt);
    shortage_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_without_memory_is_tried_again_soon),
    };

    return cmocka_run_group_tests_name("memory.commit", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of handlers that tell more than the broker takes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

#define LINES 50000 /* some 20 MB as notes, of which 8 may wait */

/* Waits at the gate, then says LINES lines and fails. */
static jj_verdict say_much(struct crew *crew, jj_attempt *attempt)
{
    crew_pass(crew, attempt);
    int64_t began_ms = jj__clock_mono_ms();
    for (int i = 0; i < LINES; i++)
        jj_log(attempt, JJ_LOG_INFO, NULL, "line %d", i);
    return jj_fail(attempt, "%lld ms", (long long)(jj__clock_mono_ms() - began_ms));
}

/* What was heard of the lines: how many there were, and how many are said to be missing. */
struct tally {
    size_t lines;
    unsigned long long dropped;
    int last;
};

static struct tally count_lines(struct listener *log)
{
    struct tally tally = {.last = -1};

    for (size_t i = 0; i < listener_count(log); i++) {
        const char *text = event_member(listener_get(log, i), "message");
        unsigned long long dropped;
        int line;
        if (sscanf(text, "line %d", &line) == 1) {
            assert_true(line > tally.last); /* in order, none twice */
            tally.last = line;
            tally.lines++;
        } else if (sscanf(text, "%llu log lines and events were dropped", &dropped) == 1) {
            tally.dropped += dropped;
        }
    }
    return tally;
}

struct waiting {
    struct listener *log;
    size_t seen;
    bool ended;
};

static bool last_line_is_there(void *ctx)
{
    struct waiting *waiting = ctx;

    for (; waiting->seen < listener_count(waiting->log); waiting->seen++)
        if (strcmp(event_member(listener_get(waiting->log, waiting->seen), "message"),
                   "line 49999") == 0)
            waiting->ended = true;
    return waiting->ended;
}

static void expect_all_lines_accounted_for(struct crew *crew, struct listener *log,
                                           struct listener *failed, bool some_dropped)
{
    struct waiting waiting = {.log = log};

    assert_true(listener_wait(failed, 1));
    assert_true(wait_until(last_line_is_there, &waiting, WAIT_MS));
    assert_true(crew_wait_over(crew));
    struct tally tally = count_lines(log);
    assert_int_equal(tally.last, LINES - 1);
    assert_int_equal(tally.lines + tally.dropped, LINES);
    if (some_dropped)
        assert_true(tally.dropped > 0);
}

static void a_broker_that_is_away_holds_up_no_handler_and_the_last_lines_are_kept(void **state)
{
    struct crew *crew = *state;
    struct listener *log = nats_client_listen(crew->stranger, "job.x.log", NULL);
    struct listener *failed = nats_client_listen(crew->stranger, "job.x.failed", NULL);

    crew_open(crew, NULL);
    crew_register(crew, "x", say_much, NULL);
    crew_close_gate(crew);
    crew_start(crew);
    crew_enqueue(crew, "x", NULL);
    assert_true(crew_wait_running(crew, 1));
    server_freeze(&crew->server);
    crew_open_gate(crew);
    bool ended = crew_wait_running(crew, 0);
    server_thaw(&crew->server);
    assert_true(ended);
    expect_all_lines_accounted_for(crew, log, failed, true);
    listener_close(log);
    listener_close(failed);
}

static void a_broker_that_is_there_slows_a_handler_down(void **state)
{
    struct crew *crew = *state;
    struct listener *log = nats_client_listen(crew->stranger, "job.x.log", NULL);
    struct listener *failed = nats_client_listen(crew->stranger, "job.x.failed", NULL);

    crew_open(crew, NULL);
    crew_register(crew, "x", say_much, NULL);
    crew_start(crew);
    crew_enqueue(crew, "x", NULL);
    expect_all_lines_accounted_for(crew, log, failed, false);
    listener_close(log);
    listener_close(failed);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_broker_that_is_away_holds_up_no_handler_and_the_last_lines_are_kept),
        STORY(a_broker_that_is_there_slows_a_handler_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

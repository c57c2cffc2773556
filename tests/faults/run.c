/* SPDX-License-Identifier: Apache-2.0 */

#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clock.h"
#include "late.h"
#include "nats_client.h"
#include "plan.h"
#include "rows.h"
#include "starved.h"
#include "wait.h"

#define DRAIN_MS 240000
#define CLEAR_MS 30000 /* for the index to delete what brokers kept */

void run_begin(const struct fleet *fleet)
{
    starved_begin(fleet->ack_wait_ms / PLAN_PAUSE_PART);
    late_begin(fleet->brokers[0].port, fleet->ack_wait_ms / PLAN_PAUSE_PART);
}

bool run_producers_are_through(const struct fleet *fleet)
{
    for (size_t i = 0; i < ACTORS; i++)
        if (fleet->actors[i].role == ROLE_PRODUCER && !fleet->actors[i].finished)
            return false;
    return true;
}

/* What a consumer has not given to anybody who acknowledged it. */
static uint64_t left_of(struct nats_client *client, const char *stream, const char *consumer)
{
    int64_t waiting = nats_client_consumer_number(client, stream, consumer, "num_pending");
    int64_t held = nats_client_consumer_number(client, stream, consumer, "num_ack_pending");

    return (uint64_t)(waiting > 0 ? waiting : 0) + (uint64_t)(held > 0 ? held : 0);
}

/* Schedules that have not fired, and what is due and has not been moved. */
static uint64_t scheduled_left(struct nats_client *client)
{
    json_t *info = nats_client_api(client, "STREAM.INFO.JOBS_SCHEDULE",
                                   json_pack("{s:s}", "subjects_filter", "jobs.schedule.>"));
    const json_t *subjects = json_object_get(json_object_get(info, "state"), "subjects");
    uint64_t schedules = json_object_size(subjects); /* each has one message */

    json_decref(info);
    return schedules + left_of(client, "JOBS_SCHEDULE", "due");
}

/* The schedule before and after the jobs: they go from one to the other, and back. */
static uint64_t messages_left(struct nats_client *client)
{
    return scheduled_left(client) + left_of(client, "JOBS", PLAN_JOB) + scheduled_left(client);
}

/* Once nothing is left: what the streams hold all the same. */
static size_t messages_kept(struct nats_client *client)
{
    return nats_client_stream_messages(client, "JOBS") +
           nats_client_stream_messages(client, "JOBS_SCHEDULE");
}

/* The index deletes what it can say of that it is over; not so in JOBS_SCHEDULE. */
static bool jobs_are_cleared(void *ctx)
{
    return nats_client_stream_messages(ctx, "JOBS") == 0;
}

/* Sequences that no message of the stream has. */
static size_t count_holes(struct nats_client *client, const char *stream)
{
    char what[64];

    snprintf(what, sizeof(what), "STREAM.INFO.%s", stream);
    json_t *info = nats_client_api(client, what, NULL);
    const json_t *state = json_object_get(info, "state");
    json_int_t first = json_integer_value(json_object_get(state, "first_seq"));
    json_int_t last = json_integer_value(json_object_get(state, "last_seq"));
    json_int_t messages = json_integer_value(json_object_get(state, "messages"));

    json_decref(info);
    return (size_t)(last - first + 1 - messages);
}

/* A cluster that has just lost a broker may have no leader yet. */
static bool api_answers(void *ctx)
{
    json_t *info =
        nats_client_ask(ctx, &(struct note){.subject = "$JS.API.CONSUMER.INFO.JOBS." PLAN_JOB});
    bool answers = json_object_get(info, "config") != NULL;

    json_decref(info);
    return answers;
}

/* No more faults: all jobs end, and the queues are empty. What is left, and what is missing. */
static void drain(struct injector *injector, struct findings *findings)
{
    int64_t until_ms = jj__clock_mono_ms() + DRAIN_MS;
    struct nats_client *client = nats_client_open(injector->fleet->brokers[0].url);
    uint64_t left;

    assert_true(wait_until(api_answers, client, DRAIN_MS));
    while ((left = messages_left(client)) > 0 && jj__clock_mono_ms() < until_ms)
        for (int i = 0; i < 50; i++) {
            inject_turn(injector);
            wait_a_moment();
        }
    findings->left_over = left;
    if (left == 0) {
        (void)wait_until(jobs_are_cleared, client, CLEAR_MS); /* what stays is counted */
        findings->kept = messages_kept(client);
    }
    findings->holes = count_holes(client, "JOBS_EVENTS");
    nats_client_close(client);
    census_take(injector->fleet, &findings->census);
}

static void end_actors(struct fleet *fleet)
{
    for (size_t i = 0; i < ACTORS; i++)
        if (!fleet->actors[i].finished && actor_stop(&fleet->actors[i]) != 0)
            fail_msg("an actor (%d, %u) did not end well", (int)fleet->actors[i].role,
                     fleet->actors[i].number);
}

bool run_finish(struct fleet *fleet, struct injector *injector, struct findings *findings)
{
    struct trail trail;

    drain(injector, findings);
    end_actors(fleet);
    findings->processes_left = census_left(fleet);
    starved_end(&injector->faults);
    late_end(&injector->faults);
    trail_read(&trail, fleet, &injector->faults);
    rows_read(fleet, &trail, findings);
    checker_judge(&trail, &injector->faults, fleet, findings);
    trail_free(&trail);
    return checker_is_content(findings);
}

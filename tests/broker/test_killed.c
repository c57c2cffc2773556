/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of a broker that is killed and has forgotten what it delivered, and of other jobs that
 * come to a worker that still holds them.
 *
 * What a killed server forgets depends on the moment. So most stories help: they take the file away
 * in which it remembers the deliveries of a consumer. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "keeper.h"

#define JOBS        1500
#define ACK_WAIT_MS 1000
#define FILE_MAX    65536

/* ---- what the server keeps ---- */

static void path_of(struct crew *crew, const char *file, char *out, size_t size)
{
    snprintf(out, size, "%s/store/jetstream/$G/streams/JOBS/%s", crew->server.dir, file);
}

static void forget_file(struct crew *crew, const char *file)
{
    char path[TEMP_PATH_SIZE + 128];

    path_of(crew, file, path, sizeof(path));
    if (unlink(path) != 0)
        assert_int_equal(errno, ENOENT);
}

/* The server is killed, and knows no more of what it delivered for "x". */
static void kill_and_forget(struct crew *crew)
{
    server_kill(&crew->server);
    forget_file(crew, "obs/x/o.dat");
    server_restart(&crew->server);
}

/* The messages of JOBS, as long as they are few. */
struct messages {
    char bytes[FILE_MAX];
    size_t len;
};

static void save_messages(struct crew *crew, struct messages *messages)
{
    char path[TEMP_PATH_SIZE + 128];

    path_of(crew, "msgs/1.blk", path, sizeof(path));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    messages->len = fread(messages->bytes, 1, sizeof(messages->bytes), file);
    fclose(file);
    assert_in_range(messages->len, 1, FILE_MAX - 1);
}

static void bring_back_messages(struct crew *crew, const struct messages *messages)
{
    char path[TEMP_PATH_SIZE + 128];

    forget_file(crew, "msgs/index.db");
    forget_file(crew, "msgs/2.blk");
    path_of(crew, "msgs/1.blk", path, sizeof(path));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(messages->bytes, 1, messages->len, file), messages->len);
    fclose(file);
}

/* ---- handlers ---- */

static jj_verdict take_a_moment(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    wait_a_moment();
    return jj_done(attempt, NULL, 0);
}

static bool gate_is_open(void *ctx)
{
    struct crew *crew = ctx;

    pthread_mutex_lock(&crew->lock);
    bool open = !crew->gate_closed;
    pthread_mutex_unlock(&crew->lock);
    return open;
}

/* Wait for the gate whatever it is told. */
static jj_verdict insist(struct crew *crew, jj_attempt *attempt)
{
    wait_until(gate_is_open, crew, WAIT_MS);
    return jj_done(attempt, NULL, 0);
}

static jj_verdict insist_and_fail(struct crew *crew, jj_attempt *attempt)
{
    wait_until(gate_is_open, crew, WAIT_MS);
    if (crew_runs(crew, NULL) == 1)
        return jj_fail(attempt, "for once");
    return jj_done(attempt, NULL, 0);
}

/* One job of "x" is running, and its handler waits for the gate. */
static void begin(struct crew *crew, const jj_options *options, crew_act act,
                  const jj_handler_options *handler_options)
{
    crew_open(crew, options);
    crew_register(crew, "x", act, handler_options);
    crew_start(crew);
    crew_close_gate(crew);
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = "job-1", .data = "1", .data_len = 1});
    assert_true(crew_wait_running(crew, 1));
}

static bool wait_delivered_again(struct crew *crew, int64_t count)
{
    return nats_client_wait_consumer(crew->stranger, "JOBS", "x", "num_ack_pending", count);
}

/* ---- the stories ---- */

static void no_job_runs_twice_when_the_broker_is_killed(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.timeout_ms = 20000, .ack_wait_ms = 3000, .concurrency = 8};
    jj_spec *specs = calloc(JOBS, sizeof(*specs));

    assert_non_null(specs);
    crew_open(crew, &options);
    crew_register(crew, "x", take_a_moment, NULL);
    for (size_t i = 0; i < JOBS; i++)
        specs[i] = (jj_spec){.name = "x", .data = "1", .data_len = 1};
    assert_int_equal(jj_enqueue_many(crew->client, specs, JOBS, NULL, NULL, NULL), JJ_OK);
    free(specs);
    crew_start(crew);
    for (size_t i = 1; i <= 3; i++) {
        assert_true(crew_wait_runs(crew, "x", i * JOBS / 4));
        server_kill(&crew->server);
        server_restart(&crew->server);
    }
    assert_true(crew_wait_runs(crew, "x", JOBS));
    keeper_begin(crew); /* it deletes what a killed server kept though it was acknowledged */
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), JOBS);
}

static void a_job_that_runs_is_not_run_again_when_its_delivery_was_forgotten(void **state)
{
    struct crew *crew = *state;

    begin(crew, NULL, crew_pass, NULL);
    kill_and_forget(crew);
    assert_true(wait_delivered_again(crew, 1));
    /* What comes later has been taken in after it. */
    crew_enqueue(crew, "x", "2");
    assert_true(crew_wait_runs(crew, "x", 2));
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 2);
}

static void a_job_that_ended_before_it_came_again_is_not_run_again(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.concurrency = 1}; /* so that nothing is asked for before its end */

    begin(crew, &options, crew_pass, NULL);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    kill_and_forget(crew);
    nats_client_settle(crew->stranger);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 1);
    listener_close(completed);
}

static void a_job_whose_acknowledgement_was_forgotten_is_not_run_again(void **state)
{
    struct crew *crew = *state;
    static struct messages messages;

    begin(crew, NULL, crew_pass, NULL);
    save_messages(crew, &messages);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    server_kill(&crew->server);
    forget_file(crew, "obs/x/o.dat");
    bring_back_messages(crew, &messages);
    server_restart(&crew->server);
    nats_client_settle(crew->stranger);
    assert_true(crew_wait_over(crew));
    crew_enqueue(crew, "x", "2");
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_true(crew_wait_over(crew));
    assert_string_equal(crew_run(crew, 1).data, "2");
    assert_int_equal(crew_runs(crew, NULL), 2);
}

static void a_job_whose_delivery_was_forgotten_is_given_back_at_once_at_a_stop(void **state)
{
    struct crew *crew = *state;
    const jj_options options = {.shutdown_grace_ms = 100};

    crew_open(crew, &options);
    crew_register(crew, "x", insist, NULL);
    crew_start(crew);
    for (size_t i = 0; i < 20; i++) /* so that the consumer's sequence falls back */
        crew_enqueue(crew, "x", "0");
    assert_true(crew_wait_over(crew));
    crew_close_gate(crew);
    crew_enqueue(crew, "x", "1");
    assert_true(crew_wait_running(crew, 1));
    kill_and_forget(crew);
    assert_true(wait_delivered_again(crew, 1));
    crew_enqueue(crew, "x", "2");
    assert_true(crew_wait_running(crew, 2)); /* what came before it has been taken in */
    int64_t before_ms = jj__clock_mono_ms();
    assert_int_equal(jj_stop(crew->client, NULL), JJ_ERR_TIMEOUT);
    struct listener *fetched = nats_client_listen(crew->stranger, "fetched", NULL);
    nats_client_publish(crew->stranger,
                        &(struct note){.subject = "$JS.API.CONSUMER.MSG.NEXT.JOBS.x",
                                       .reply = "fetched",
                                       .data = "2"});
    assert_true(listener_wait(fetched, 2));
    assert_in_range(jj__clock_mono_ms() - before_ms, 0, 14000); /* less than ack_wait */
    listener_close(fetched);
}

/* ---- a lease that was lost ---- */

static bool lease_is_lost(void *ctx)
{
    struct crew *crew = ctx;

    return log_book_has(&crew->book, JJ_LOG_WARN, "lease lost");
}

static bool lease_is_regained(void *ctx)
{
    struct crew *crew = ctx;

    return log_book_has(&crew->book, JJ_LOG_INFO, "lease regained");
}

/* The one job's lease is lost and its message delivered to the worker again, while it runs. */
static void lose_and_regain(struct crew *crew)
{
    server_freeze(&crew->server);
    assert_true(wait_until(lease_is_lost, crew, WAIT_MS));
    server_thaw(&crew->server);
    assert_true(wait_until(lease_is_regained, crew, WAIT_MS));
    assert_int_equal(crew_runs(crew, NULL), 1);
    assert_int_equal(crew_running(crew), 1);
}

static void a_job_that_comes_back_to_its_worker_is_not_run_beside_itself(void **state)
{
    struct crew *crew = *state;

    begin(crew, &(jj_options){.ack_wait_ms = ACK_WAIT_MS}, insist, NULL);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    lose_and_regain(crew);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    assert_true(listener_wait(completed, 1));
    assert_int_equal(crew_runs(crew, NULL), 1);
    listener_close(completed);
}

static bool three_ack_waits_have_passed(void *ctx)
{
    const int64_t *since_ms = ctx;

    return jj__clock_mono_ms() > *since_ms + 3 * ACK_WAIT_MS;
}

static void a_regained_lease_is_kept(void **state)
{
    struct crew *crew = *state;

    begin(crew, &(jj_options){.ack_wait_ms = ACK_WAIT_MS}, insist, NULL);
    lose_and_regain(crew);
    size_t warnings = log_book_count(&crew->book, JJ_LOG_WARN);
    int64_t since_ms = jj__clock_mono_ms();
    assert_true(wait_until(three_ack_waits_have_passed, &since_ms, WAIT_MS));
    assert_int_equal(log_book_count(&crew->book, JJ_LOG_WARN), warnings);
    crew_open_gate(crew);
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_runs(crew, NULL), 1);
}

static void what_a_handler_says_that_was_told_to_stop_is_not_held_against_its_job(void **state)
{
    struct crew *crew = *state;

    begin(crew, &(jj_options){.ack_wait_ms = ACK_WAIT_MS}, insist_and_fail, NULL);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    lose_and_regain(crew);
    crew_open_gate(crew);
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_true(crew_wait_over(crew));
    assert_int_equal(crew_run(crew, 1).attempt, 1);
    assert_int_equal(listener_count(failed), 0);
    listener_close(failed);
}

/* Its handler goes on beyond all limits, and the worker is cut off when it gives it up. */
static void an_attempt_that_was_given_up_without_a_lease_ends_when_it_comes_back(void **state)
{
    struct crew *crew = *state;
    const jj_handler_options limits = {.timeout_ms = 100, .max_attempts = 1};

    begin(crew, &(jj_options){.ack_wait_ms = ACK_WAIT_MS}, insist, &limits);
    struct listener *failed = nats_client_listen(crew->stranger, "job.failed", NULL);
    int64_t begun_ms = crew_run(crew, 0).started_ms + 4 * ACK_WAIT_MS; /* 7 s after the start */
    server_freeze(&crew->server);
    assert_true(wait_until(lease_is_lost, crew, WAIT_MS));
    assert_true(wait_until(three_ack_waits_have_passed, &begun_ms, WAIT_MS));
    server_thaw(&crew->server);
    assert_true(crew_wait_over(crew));
    assert_true(listener_wait(failed, 1));
    assert_string_equal(event_member(listener_get(failed, 0), "error"), "timeout after 100 ms");
    assert_int_equal(crew_running(crew), 1);
    assert_int_equal(crew_runs(crew, NULL), 1);
    crew_open_gate(crew);
    assert_true(crew_wait_running(crew, 0));
    listener_close(failed);
}

/* ---- another job ---- */

/* JOBS, made anew: its first job has the sequence that our job had. */
static void make_jobs_anew(struct crew *crew)
{
    json_t *config = nats_client_stream_config(crew->stranger, "JOBS");

    json_decref(nats_client_api(crew->stranger, "STREAM.DELETE.JOBS", NULL));
    json_decref(nats_client_api(crew->stranger, "STREAM.CREATE.JOBS", config));
}

static jj_verdict insist_unless_new(struct crew *crew, jj_attempt *attempt)
{
    size_t len = 0;
    const char *data = jj_attempt_data(attempt, &len);

    if (data[0] == '1')
        return insist(crew, attempt);
    atomic_bool *may_end = crew->extra;
    while (!atomic_load(may_end))
        wait_a_moment();
    return jj_done(attempt, NULL, 0);
}

static void another_job_with_the_sequence_of_one_that_runs_is_run_and_kept(void **state)
{
    struct crew *crew = *state;
    atomic_bool may_end = false;

    crew->extra = &may_end;
    begin(crew, NULL, insist_unless_new, NULL);
    struct listener *completed = nats_client_listen(crew->stranger, "job.completed", NULL);
    make_jobs_anew(crew);
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .id = "job-2", .data = "2", .data_len = 1});
    assert_true(crew_wait_runs(crew, "x", 2));
    assert_string_equal(crew_run(crew, 1).id, "job-2");
    crew_open_gate(crew);
    assert_true(listener_wait(completed, 1));
    nats_client_settle(crew->stranger);
    /* Its acknowledgement would have taken the other one away. */
    assert_true(crew_wait_backlog(crew, 1));
    atomic_store(&may_end, true);
    assert_true(listener_wait(completed, 2));
    assert_true(crew_wait_over(crew));
    listener_close(completed);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_job_runs_twice_when_the_broker_is_killed, crew_begin,
                                        keepers_end),
        STORY(a_job_that_runs_is_not_run_again_when_its_delivery_was_forgotten),
        STORY(a_job_that_ended_before_it_came_again_is_not_run_again),
        STORY(a_job_whose_acknowledgement_was_forgotten_is_not_run_again),
        STORY(a_job_whose_delivery_was_forgotten_is_given_back_at_once_at_a_stop),
        STORY(a_job_that_comes_back_to_its_worker_is_not_run_beside_itself),
        STORY(a_regained_lease_is_kept),
        STORY(what_a_handler_says_that_was_told_to_stop_is_not_held_against_its_job),
        STORY(an_attempt_that_was_given_up_without_a_lease_ends_when_it_comes_back),
        STORY(another_job_with_the_sequence_of_one_that_runs_is_run_and_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of asking what became of jobs, with an index of one's own and with a service, kept in
 * memory and in a file: each of them four times. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "desk.h"

#define MANY 250

static void an_enqueued_job_is_found_at_once(void **state)
{
    struct desk *desk = *state;
    size_t len = 0;

    for (int i = 0; i < 20; i++) {
        const char *id = desk_enqueue(desk, "mail", NULL, "{\"to\":\"ada\"}");
        jj_job *job = desk_get(desk, id);
        assert_string_equal(jj_job_name(job), "mail");
        assert_int_equal(jj_job_state(job), JJ_PENDING);
        assert_true(jj_job_data_known(job));
        assert_memory_equal(jj_job_data(job, &len), "{\"to\":\"ada\"}", 12);
        assert_int_equal(len, 12);
        assert_true(jj_job_created_at_ms(job) > 0);
        jj_job_free(job);
    }
}

static void a_scheduled_job_is_found_at_once(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .id = "later"};
    int64_t run_at_ms = jj__clock_wall_ms() + 3600000;

    assert_int_equal(jj_schedule(desk->asker, &spec, run_at_ms, NULL, NULL), JJ_OK);
    jj_job *job = desk_get(desk, "later");
    assert_int_equal(jj_job_state(job), JJ_SCHEDULED);
    assert_int_equal(jj_job_run_at_ms(job), run_at_ms);
    jj_job_free(job);
}

static void each_job_of_a_batch_is_found_at_once(void **state)
{
    struct desk *desk = *state;
    jj_spec specs[MANY];
    jj_receipt receipts[MANY];

    for (size_t i = 0; i < MANY; i++)
        specs[i] = (jj_spec){.name = "mail"};
    assert_int_equal(jj_enqueue_many(desk->asker, specs, MANY, receipts, NULL, NULL), JJ_OK);
    desk_expect_state(desk, receipts[MANY - 1].id, JJ_PENDING);
    for (size_t i = 0; i < MANY; i++)
        desk_expect_state(desk, receipts[i].id, JJ_PENDING);
}

static void the_first_job_of_a_unique_key_is_found_by_its_duplicate(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .unique_key = "k"};
    jj_client *other = desk_client(desk, NULL);
    jj_receipt first, second;

    assert_int_equal(jj_enqueue(other, &spec, &first, NULL), JJ_OK);
    assert_int_equal(jj_enqueue(desk->asker, &spec, &second, NULL), JJ_OK);
    assert_true(second.duplicate);
    assert_string_equal(second.id, first.id);
    desk_expect_state(desk, second.id, JJ_PENDING);
    jj_close(other);
}

static void what_is_not_known_is_not_found(void **state)
{
    struct desk *desk = *state;
    jj_job *job = NULL;
    jj_lines *lines = NULL;
    jj_error err;

    assert_int_equal(jj_get(desk->asker, "nobody", &job, &err), JJ_ERR_NOT_FOUND);
    assert_string_equal(err.text, "job 'nobody' is not known");
    assert_int_equal(jj_wait(desk->asker, "nobody", WAIT_MS, &job, &err), JJ_ERR_NOT_FOUND);
    assert_int_equal(jj_logs(desk->asker, "nobody", 0, &lines, &err), JJ_ERR_NOT_FOUND);
    assert_int_equal(jj_cancel(desk->asker, "nobody", &err), JJ_ERR_NOT_FOUND);
    assert_int_equal(jj_redrive(desk->asker, "nobody", &err), JJ_ERR_NOT_FOUND);
    assert_null(job);
    assert_null(lines);
}

static void wrong_arguments_are_refused_and_named(void **state)
{
    struct desk *desk = *state;
    jj_client *client = desk->asker;
    const jj_query queries[] = {
        {.name = NULL},
        {.name = "a.b"},
        {.name = "mail", .limit = 1001},
        {.name = "mail", .state = (jj_state)77},
        {.name = "mail", .cursor = "not one"},
    };
    jj_job *job = NULL;
    jj_page *page = NULL;
    jj_lines *lines = NULL;
    jj_error err;

    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
        assert_int_equal(jj_get_by_name(client, &queries[i], &page, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_get_by_name(client, NULL, &page, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_get(client, NULL, &job, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_get(client, "a b", &job, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "job id 'a b'"));
    assert_int_equal(jj_cancel(client, "", &err), JJ_ERR_INVALID);
    assert_int_equal(jj_redrive(client, "*", &err), JJ_ERR_INVALID);
    assert_int_equal(jj_wait(client, ">", 1, &job, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_wait(client, "a", -1, &job, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_logs(client, "a\r\nb", 0, &lines, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_logs(client, "a", 2002, &lines, &err), JJ_ERR_INVALID);
}

static void pages_go_from_the_newest_to_the_oldest(void **state)
{
    struct desk *desk = *state;
    char ids[7][JJ_NAME_SIZE];
    jj_query query = {.name = "mail", .limit = 3};
    jj_page *page = NULL;
    size_t seen = 0;

    desk_enqueue(desk, "other", NULL, NULL);
    for (size_t i = 0; i < 7; i++)
        snprintf(ids[i], JJ_NAME_SIZE, "%s", desk_enqueue(desk, "mail", NULL, NULL));
    do {
        jj_page *before = page;
        assert_int_equal(jj_get_by_name(desk->asker, &query, &page, NULL), JJ_OK);
        jj_page_free(before);
        for (size_t i = 0; i < jj_page_count(page); i++)
            assert_string_equal(jj_job_id(jj_page_job(page, i)), ids[6 - seen++]);
        query.cursor = jj_page_cursor(page);
    } while (query.cursor != NULL);
    jj_page_free(page);
    assert_int_equal(seen, 7);
}

static void pages_can_be_of_one_state(void **state)
{
    struct desk *desk = *state;
    const jj_query cancelled = {.name = "mail", .state = JJ_CANCELLED};
    const jj_query none = {.name = "nothing"};
    jj_page *page = NULL;

    desk_enqueue(desk, "mail", "a", NULL);
    desk_enqueue(desk, "mail", "b", NULL);
    assert_int_equal(jj_cancel(desk->asker, "a", NULL), JJ_OK);
    assert_int_equal(jj_get_by_name(desk->asker, &cancelled, &page, NULL), JJ_OK);
    assert_int_equal(jj_page_count(page), 1);
    assert_string_equal(jj_job_id(jj_page_job(page, 0)), "a");
    jj_page_free(page);
    assert_int_equal(jj_get_by_name(desk->asker, &none, &page, NULL), JJ_OK);
    assert_int_equal(jj_page_count(page), 0);
    assert_null(jj_page_cursor(page));
    jj_page_free(page);
}

/* On a handler's thread no test can be failed. */
static void assert_or_abort(jj_status s)
{
    if (s != JJ_OK)
        abort();
}

static jj_verdict answer_with_logs(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    assert_or_abort(jj_log(attempt, JJ_LOG_WARN, "{\"ms\":7}", "slow"));
    assert_or_abort(jj_log(attempt, JJ_LOG_INFO, NULL, "done"));
    return jj_done(attempt, "{\"ok\":true}", 11);
}

static void the_end_of_a_job_is_waited_for(void **state)
{
    struct desk *desk = *state;
    jj_job *job = NULL;
    size_t len = 0;
    jj_error err;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", crew_pass, NULL);
    crew_close_gate(desk->crew);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "slow", NULL);
    assert_true(crew_wait_running(desk->crew, 1));
    assert_int_equal(jj_wait(desk->asker, "slow", 0, &job, &err), JJ_ERR_TIMEOUT);
    assert_int_equal(jj_wait(desk->asker, "slow", 30, &job, &err), JJ_ERR_TIMEOUT);
    assert_null(job);
    crew_open_gate(desk->crew);
    assert_int_equal(jj_wait(desk->asker, "slow", WAIT_MS, &job, &err), JJ_OK);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_null(jj_job_result(job, &len));
    jj_job_free(job);
    desk_expect_end(desk, "slow", JJ_COMPLETED); /* over already */
}

static void what_a_handler_logged_can_be_read(void **state)
{
    struct desk *desk = *state;
    jj_lines *lines = NULL;
    jj_error err;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", answer_with_logs, NULL);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "talks", NULL);
    desk_expect_end(desk, "talks", JJ_COMPLETED);
    if (jj_logs(desk->asker, "talks", 0, &lines, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_int_equal(jj_lines_count(lines), 2);
    assert_string_equal(jj_lines_get(lines, 0)->message, "slow");
    assert_string_equal(jj_lines_get(lines, 0)->data, "{\"ms\":7}");
    assert_int_equal(jj_lines_get(lines, 0)->level, JJ_LOG_WARN);
    assert_int_equal(jj_lines_get(lines, 0)->attempt, 1);
    assert_string_equal(jj_lines_get(lines, 1)->message, "done");
    jj_lines_free(lines);
    assert_int_equal(jj_logs(desk->asker, "talks", 1, &lines, &err), JJ_OK);
    assert_int_equal(jj_lines_count(lines), 1);
    jj_lines_free(lines);
    desk_enqueue(desk, "silent", "waits", NULL);
    assert_int_equal(jj_logs(desk->asker, "waits", 0, &lines, &err), JJ_OK);
    assert_int_equal(jj_lines_count(lines), 0);
    jj_lines_free(lines);
}

#define EVENTS 1003 /* more than are kept */

static jj_verdict tell_of_everything(struct crew *crew, jj_attempt *attempt)
{
    (void)crew;
    assert_or_abort(jj_log(attempt, JJ_LOG_INFO, NULL, "begin"));
    assert_or_abort(jj_emit(attempt, "half way", "[1,\"two\"]"));
    assert_or_abort(jj_progress(attempt, 50, "half"));
    assert_or_abort(jj_log(attempt, JJ_LOG_INFO, NULL, "end"));
    for (int i = 1; i < EVENTS; i++)
        assert_or_abort(jj_emit(attempt, "more", NULL));
    assert_or_abort(jj_log(attempt, JJ_LOG_INFO, NULL, "over"));
    return jj_done(attempt, NULL, 0);
}

/* The custom event, or log line, of that number among them. */
static const jj_log_line *find_line(const jj_lines *lines, bool event, size_t number)
{
    for (size_t i = 0; i < jj_lines_count(lines); i++) {
        const jj_log_line *line = jj_lines_get(lines, i);
        if ((line->event != NULL) == event && number-- == 0)
            return line;
    }
    fail_msg("too few");
    return NULL;
}

static void expect_event(const jj_log_line *line, const char *event, const char *data)
{
    assert_string_equal(line->event, event);
    assert_string_equal(line->message, "");
    assert_int_equal(line->attempt, 1);
    assert_true(line->time_ms > 0);
    assert_int_equal(line->data == NULL, data == NULL);
    if (data != NULL)
        assert_string_equal(line->data, data);
}

/* Lines and events come to the broker in messages of their own: only each kind has an order. */
static void expect_history(struct desk *desk)
{
    jj_lines *lines = NULL;
    jj_error err;

    if (jj_history(desk->asker, "talks", 0, &lines, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_int_equal(jj_lines_count(lines), 1004);
    expect_event(find_line(lines, true, 0), "half way", "[1,\"two\"]");
    expect_event(find_line(lines, true, 1), "more", NULL);
    expect_event(find_line(lines, true, 999), "more", NULL);
    assert_string_equal(find_line(lines, false, 0)->message, "begin");
    assert_string_equal(find_line(lines, false, 1)->message, "end");
    assert_string_equal(find_line(lines, false, 2)->message, "over");
    assert_string_equal(jj_lines_get(lines, 1003)->message, "3 more events were not kept");
    assert_null(jj_lines_get(lines, 1003)->event);
    jj_lines_free(lines);

    assert_int_equal(jj_history(desk->asker, "talks", 1003, &lines, &err), JJ_OK);
    assert_int_equal(jj_lines_count(lines), 1003);
    jj_lines_free(lines);

    assert_int_equal(jj_logs(desk->asker, "talks", 2, &lines, &err), JJ_OK);
    assert_int_equal(jj_lines_count(lines), 2);
    assert_string_equal(jj_lines_get(lines, 1)->message, "end");
    jj_lines_free(lines);
    assert_int_equal(jj_logs(desk->asker, "talks", 0, &lines, &err), JJ_OK);
    assert_int_equal(jj_lines_count(lines), 3);
    assert_string_equal(jj_lines_get(lines, 2)->message, "over");
    jj_lines_free(lines);

    jj_job *job = desk_get(desk, "talks");
    assert_int_equal(jj_job_progress(job), 50);
    jj_job_free(job);
}

static void custom_events_are_kept_and_found_by_an_index_built_anew(void **state)
{
    struct desk *desk = *state;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", tell_of_everything, NULL);
    crew_start(desk->crew);
    desk_enqueue(desk, "mail", "talks", NULL);
    desk_expect_end(desk, "talks", JJ_COMPLETED);
    expect_history(desk);

    desk_close_keeper(desk);
    temp_dir_remove(desk->dir);
    temp_dir_make(desk->dir);
    desk_open_keeper(desk);
    desk_wait_known(desk, "talks");
    desk_wait_state(desk, "talks", JJ_COMPLETED);
    expect_history(desk);
}

static void stats_count_by_name_and_state(void **state)
{
    struct desk *desk = *state;
    jj_stats *stats = NULL;
    jj_error err;

    desk_enqueue(desk, "b", "b1", NULL);
    desk_enqueue(desk, "a", "a1", NULL);
    desk_enqueue(desk, "a", "a2", NULL);
    assert_int_equal(jj_cancel(desk->asker, "a2", NULL), JJ_OK);
    if (jj_stats_get(desk->asker, &stats, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_int_equal(jj_stats_count(stats), 2);
    assert_string_equal(jj_stats_name(stats, 0)->name, "a");
    assert_int_equal(jj_stats_name(stats, 0)->counts[JJ_PENDING], 1);
    assert_int_equal(jj_stats_name(stats, 0)->counts[JJ_CANCELLED], 1);
    assert_string_equal(jj_stats_name(stats, 1)->name, "b");
    assert_int_equal(jj_stats_name(stats, 1)->counts[JJ_PENDING], 1);
    jj_stats_free(stats);
}

/* ---- services that come and go ---- */

static void without_a_service_a_question_says_so(void **state)
{
    struct desk *desk = *state;
    jj_job *job = NULL;
    jj_error err;

    desk_close_keeper(desk);
    assert_int_equal(jj_get(desk->asker, "a", &job, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no index service answers"));
    assert_int_equal(jj_serve(desk->asker, &err), JJ_ERR_STATE);
    desk_open_keeper(desk);
}

struct asking {
    struct desk *desk;
    jj_status status;
    jj_state state;
    pthread_t thread;
};

static void *wait_for_end(void *arg)
{
    struct asking *asking = arg;
    jj_job *job = NULL;

    asking->status = jj_wait(asking->desk->asker, "orphan", WAIT_MS, &job, NULL);
    if (asking->status == JJ_OK)
        asking->state = jj_job_state(job);
    jj_job_free(job);
    return NULL;
}

static void who_waits_for_a_job_outlives_the_service(void **state)
{
    struct desk *desk = *state;
    struct asking asking = {.desk = desk};
    struct listener *heard = nats_client_listen(desk->crew->stranger, "jobs.get", NULL);

    desk_enqueue(desk, "mail", "orphan", NULL);
    assert_int_equal(pthread_create(&asking.thread, NULL, wait_for_end, &asking), 0);
    assert_true(listener_wait(heard, 1));
    desk_close_keeper(desk);
    desk_open_keeper(desk);
    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "mail", NULL, NULL);
    crew_start(desk->crew);
    pthread_join(asking.thread, NULL);
    assert_int_equal(asking.status, JJ_OK);
    assert_int_equal(asking.state, JJ_COMPLETED);
    listener_close(heard);
}

static void questions_survive_a_restart_of_the_broker(void **state)
{
    struct desk *desk = *state;

    desk_enqueue(desk, "mail", "stays", NULL);
    server_kill(&desk->crew->server);
    server_restart(&desk->crew->server);
    desk_expect_state(desk, "stays", JJ_PENDING);
    assert_int_equal(jj_cancel(desk->asker, "stays", NULL), JJ_OK);
    desk_expect_state(desk, "stays", JJ_CANCELLED);
}

static void two_services_share_the_questions(void **state)
{
    struct desk *desk = *state;
    jj_client *second = desk_client(desk, &(jj_options){.adapter = &jj_adapter_memory});

    assert_int_equal(jj_serve(second, NULL), JJ_OK);
    assert_int_equal(jj_serve(second, NULL), JJ_OK); /* again does nothing */
    for (int i = 0; i < 50; i++) {
        const char *id = desk_enqueue(desk, "mail", NULL, NULL);
        desk_expect_state(desk, id, JJ_PENDING);
        assert_int_equal(jj_cancel(desk->asker, id, NULL), JJ_OK);
        desk_expect_state(desk, id, JJ_CANCELLED);
        assert_int_equal(jj_redrive(desk->asker, id, NULL), JJ_OK);
        desk_expect_state(desk, id, JJ_PENDING);
    }
    jj_close(second);
}

/* No worker runs: the service's own mover enqueues it. */
static void a_service_moves_what_is_due(void **state)
{
    struct desk *desk = *state;
    const jj_spec spec = {.name = "mail", .id = "due"};

    assert_int_equal(jj_schedule(desk->asker, &spec, jj__clock_wall_ms() + 100, NULL, NULL), JJ_OK);
    assert_true(crew_wait_backlog(desk->crew, 1));
}

/* ---- options ---- */

static void an_unfit_adapter_is_refused(void **state)
{
    struct desk *desk = *state;
    jj_adapter old = jj_adapter_memory, half = jj_adapter_memory;
    jj_options options = {.url = desk->crew->server.url, .adapter = &old};
    jj_client *client = NULL;
    jj_error err;

    old.version = JJ_ADAPTER_VERSION + 1;
    assert_int_equal(jj_open(&options, &client, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "adapter has version"));
    half.get_counts = NULL;
    options.adapter = &half;
    assert_int_equal(jj_open(&options, &client, &err), JJ_ERR_INVALID);
    options.adapter = &jj_adapter_sqlite;
    assert_int_equal(jj_open(&options, &client, &err), JJ_ERR_INVALID);
    assert_non_null(strstr(err.text, "index_path"));
    assert_null(client);
}

static void a_file_that_another_client_has_open_is_refused(void **state)
{
    struct desk *desk = *state;
    char path[TEMP_PATH_SIZE + 16];
    jj_client *client = NULL;
    jj_error err;

    snprintf(path, sizeof(path), "%s/index", desk->dir);
    const jj_options options = {.url = desk->crew->server.url, .index_path = path};
    assert_int_equal(jj_open(&options, &client, &err), JJ_ERR_STATE);
    assert_null(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TESTS(an_enqueued_job_is_found_at_once),
        DESK_TESTS(a_scheduled_job_is_found_at_once),
        DESK_TESTS(each_job_of_a_batch_is_found_at_once),
        DESK_TESTS(the_first_job_of_a_unique_key_is_found_by_its_duplicate),
        DESK_TESTS(what_is_not_known_is_not_found),
        DESK_TESTS(wrong_arguments_are_refused_and_named),
        DESK_TESTS(pages_go_from_the_newest_to_the_oldest),
        DESK_TESTS(pages_can_be_of_one_state),
        DESK_TESTS(the_end_of_a_job_is_waited_for),
        DESK_TESTS(what_a_handler_logged_can_be_read),
        DESK_TESTS(custom_events_are_kept_and_found_by_an_index_built_anew),
        DESK_TESTS(stats_count_by_name_and_state),
        DESK_TEST(without_a_service_a_question_says_so, DESK_REMOTE_MEMORY),
        DESK_TEST(who_waits_for_a_job_outlives_the_service, DESK_REMOTE_MEMORY),
        DESK_TEST(who_waits_for_a_job_outlives_the_service, DESK_REMOTE_SQLITE),
        DESK_TESTS(questions_survive_a_restart_of_the_broker),
        DESK_TEST(two_services_share_the_questions, DESK_REMOTE_MEMORY),
        DESK_TEST(a_service_moves_what_is_due, DESK_REMOTE_MEMORY),
        DESK_TEST(an_unfit_adapter_is_refused, DESK_REMOTE_MEMORY),
        DESK_TEST(a_file_that_another_client_has_open_is_refused, DESK_OWN_SQLITE),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

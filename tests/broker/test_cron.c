/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of recurring schedules: added, added again, listed, removed; and no tick runs twice. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "desk.h"
#include "keeper.h"
#include "rfc3339.h"

static jj_cron_change add(jj_client *client, const jj_cron *cron)
{
    jj_cron_change change;
    jj_error err;

    if (jj_cron_add(client, cron, &change, &err) != JJ_OK)
        fail_msg("jj_cron_add: %s", err.text);
    return change;
}

static jj_crons *list(jj_client *client, const char *name)
{
    jj_crons *crons = NULL;
    jj_error err;

    if (jj_cron_list(client, name, &crons, &err) != JJ_OK)
        fail_msg("jj_cron_list: %s", err.text);
    return crons;
}

/* One that does not fire while the test runs. */
static jj_cron rare(const char *id)
{
    return (jj_cron){.id = id, .spec = "0 0 6 1 1 *", .job = {.name = "report"}};
}

static bool ids_are_distinct(struct crew *crew, const char *name)
{
    size_t count = crew_runs(crew, NULL);

    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            struct run one = crew_run(crew, i), other = crew_run(crew, j);
            if (strcmp(one.name, name) == 0 && strcmp(one.id, other.id) == 0) {
                print_message("%s ran twice\n", one.id);
                return false;
            }
        }
    return true;
}

/* ---- add, list, remove ---- */

static void what_was_added_is_listed(void **state)
{
    struct crew *crew = *state;
    static const jj_header own = {"X-Tenant", "acme"};
    const jj_cron weekly = {.id = "weekly",
                            .spec = "0 0 6 * * mon",
                            .time_zone = "Europe/Berlin",
                            .job = {.name = "report",
                                    .data = "{\"kind\":1}",
                                    .data_len = 10,
                                    .content_type = "application/json",
                                    .max_attempts = 5,
                                    .timeout_ms = 60000,
                                    .headers = &own,
                                    .header_count = 1}};
    const jj_cron daily = {.id = "daily", .spec = "@daily", .job = {.name = "sweep"}};
    const jj_spec later = {.name = "report"};

    crew_open(crew, NULL);
    assert_int_equal(add(crew->client, &weekly), JJ_CRON_ADDED);
    assert_int_equal(add(crew->client, &daily), JJ_CRON_ADDED);
    assert_int_equal(jj_schedule(crew->client, &later, jj__clock_wall_ms() + 3600000, NULL, NULL),
                     JJ_OK); /* is none */
    jj_crons *crons = list(crew->client, NULL);
    assert_int_equal(jj_crons_count(crons), 2);
    const jj_cron_entry *first = jj_crons_get(crons, 0), *second = jj_crons_get(crons, 1);
    assert_string_equal(first->cron.id, "daily");
    assert_string_equal(first->cron.spec, "@daily");
    assert_string_equal(first->cron.job.name, "sweep");
    assert_null(first->cron.time_zone);
    assert_int_equal(first->cron.job.data_len, 0);
    assert_int_equal(first->next_at_ms % 86400000, 0);
    assert_in_range(first->next_at_ms - first->added_at_ms, 0, 2 * 86400000);
    assert_in_range(jj__clock_wall_ms() - first->added_at_ms, 0, WAIT_MS);
    assert_string_equal(second->cron.id, "weekly");
    assert_string_equal(second->cron.time_zone, "Europe/Berlin");
    assert_int_equal(second->next_at_ms, 0);
    assert_memory_equal(second->cron.job.data, "{\"kind\":1}", 10);
    assert_string_equal(second->cron.job.content_type, "application/json");
    assert_int_equal(second->cron.job.max_attempts, 5);
    assert_int_equal(second->cron.job.timeout_ms, 60000);
    assert_int_equal(second->cron.job.header_count, 1);
    assert_string_equal(second->cron.job.headers[0].value, "acme");
    assert_int_equal(add(crew->client, &second->cron), JJ_CRON_UNCHANGED);
    jj_crons_free(crons);
    crons = list(crew->client, "sweep");
    assert_int_equal(jj_crons_count(crons), 1);
    jj_crons_free(crons);
    crons = list(crew->client, "nobody");
    assert_int_equal(jj_crons_count(crons), 0);
    jj_crons_free(crons);
    jj_crons_free(NULL);
}

static void adding_the_same_again_changes_nothing(void **state)
{
    struct crew *crew = *state;
    jj_cron cron = rare("x");

    crew_open(crew, NULL);
    cron.job.data = "a";
    cron.job.data_len = 1;
    assert_int_equal(add(crew->client, &cron), JJ_CRON_ADDED);
    assert_int_equal(add(crew->client, &cron), JJ_CRON_UNCHANGED);
    cron.job.data = "b";
    assert_int_equal(add(crew->client, &cron), JJ_CRON_REPLACED);
    cron.spec = "0 0 7 1 1 *";
    assert_int_equal(add(crew->client, &cron), JJ_CRON_REPLACED);
    cron.time_zone = "UTC";
    assert_int_equal(add(crew->client, &cron), JJ_CRON_REPLACED);
    cron.job.max_attempts = 2;
    assert_int_equal(add(crew->client, &cron), JJ_CRON_REPLACED);
    assert_int_equal(add(crew->client, &cron), JJ_CRON_UNCHANGED);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 1);
}

static void what_was_removed_is_gone(void **state)
{
    struct crew *crew = *state;
    const jj_cron cron = rare("x"), other = rare("y");
    const jj_spec later = {.name = "report", .id = "job-1"};
    jj_error err;

    crew_open(crew, NULL);
    add(crew->client, &cron);
    add(crew->client, &other);
    assert_int_equal(jj_schedule(crew->client, &later, jj__clock_wall_ms() + 3600000, NULL, NULL),
                     JJ_OK);
    assert_int_equal(jj_cron_remove(crew->client, "x", &err), JJ_OK);
    assert_int_equal(jj_cron_remove(crew->client, "x", &err), JJ_ERR_NOT_FOUND);
    assert_string_equal(err.text, "there is no recurring schedule 'x'");
    assert_int_equal(jj_cron_remove(crew->client, "job-1", NULL), JJ_ERR_NOT_FOUND);
    assert_int_equal(jj_cron_remove(crew->client, "a.>", NULL), JJ_ERR_INVALID);
    jj_crons *crons = list(crew->client, NULL);
    assert_int_equal(jj_crons_count(crons), 1);
    jj_crons_free(crons);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 2);
}

static void an_id_that_is_taken_is_refused(void **state)
{
    struct crew *crew = *state;
    jj_cron cron = rare("x");
    const jj_spec later = {.name = "report", .id = "job-1"};
    jj_error err;

    crew_open(crew, NULL);
    add(crew->client, &cron);
    cron.job.name = "other";
    assert_int_equal(jj_cron_add(crew->client, &cron, NULL, &err), JJ_ERR_EXISTS);
    assert_non_null(strstr(err.text, "a schedule of 'report'"));
    assert_int_equal(jj_schedule(crew->client, &later, jj__clock_wall_ms() + 3600000, NULL, NULL),
                     JJ_OK);
    cron = rare("job-1");
    assert_int_equal(jj_cron_add(crew->client, &cron, NULL, &err), JJ_ERR_EXISTS);
    assert_non_null(strstr(err.text, "a job for later"));
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct crew *crew = *state;
    static const char long_id[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const struct {
        jj_cron cron;
        const char *text;
    } cases[] = {
        {{.spec = "@daily", .job = {.name = "a"}}, "schedule id is missing"},
        {{.id = "a.b", .spec = "@daily", .job = {.name = "a"}}, "schedule id 'a.b'"},
        {{.id = long_id, .spec = "@daily", .job = {.name = "a"}}, "has 51 characters"},
        {{.id = "a", .job = {.name = "a"}}, "the schedule is missing"},
        {{.id = "a", .spec = "0 0 25 * * *", .job = {.name = "a"}}, "hour '25'"},
        {{.id = "a", .spec = "@daily"}, "job name is missing"},
        {{.id = "a", .spec = "@daily", .job = {.name = "a b"}}, "job name 'a b'"},
        {{.id = "a", .spec = "@daily", .job = {.name = "a", .id = "b"}}, "neither id nor"},
        {{.id = "a", .spec = "@daily", .job = {.name = "a", .unique_key = "b"}}, "neither id nor"},
        {{.id = "a", .spec = "@daily", .time_zone = "No/Where", .job = {.name = "a"}},
         "does not know the time zone (10223)"},
        {{.id = "a", .spec = "@daily", .time_zone = "a b", .job = {.name = "a"}},
         "time zone 'a b'"},
    };
    jj_error err;

    crew_open(crew, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(jj_cron_add(crew->client, &cases[i].cron, NULL, &err), JJ_ERR_INVALID);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("'%s' is not in: %s", cases[i].text, err.text);
    }
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE"), 0);
}

/* Between jobs for later, and more than a batch. */
static void thousands_are_listed(void **state)
{
    struct crew *crew = *state;
    const jj_header headers[] = {{"Nats-Schedule", "0 0 6 1 1 *"},
                                 {"Nats-Schedule-Target", "jobs.due.many"}};
    const jj_header once[] = {{"Nats-Schedule", "@at 2099-01-01T00:00:00Z"},
                              {"Nats-Schedule-Target", "jobs.due.many"}};
    char subject[64];

    crew_open(crew, NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(subject, sizeof(subject), "jobs.schedule.many.s%04d", i);
        nats_client_send(crew->stranger, &(struct note){.subject = subject,
                                                        .headers = i % 3 == 0 ? once : headers,
                                                        .header_count = 2,
                                                        .data = "x"});
    }
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 3000));
    jj_crons *crons = list(crew->client, NULL);
    assert_int_equal(jj_crons_count(crons), 2000);
    assert_string_equal(jj_crons_get(crons, 0)->cron.id, "s0001");
    assert_string_equal(jj_crons_get(crons, 1999)->cron.id, "s2999");
    jj_crons_free(crons);
}

#define PRODUCER                                                                                   \
    "authorization { users: [ { user: boss, password: x },"                                        \
    "{ user: bob, password: x, permissions: { publish: [\"jobs.schedule.mine\"],"                  \
    " subscribe: [\"_INBOX.>\"] } } ] }"

/* Who may not write to JOBS_SCHEDULE asks a service. */
static void a_client_with_few_rights_asks_a_service(void **state)
{
    struct world *world = *state;
    char url[128], boss_url[128];
    jj_client *client = NULL, *service = NULL;
    jj_crons *crons = NULL;
    jj_error err;
    jj_cron cron = rare("x");

    world_serve(world, PRODUCER, "boss:x");
    server_url_of(&world->server, "boss:x", boss_url);
    server_url_of(&world->server, "bob:x", url);
    const jj_options serving = {.url = boss_url, .adapter = &jj_adapter_memory};
    const jj_options asking = {.url = url, .timeout_ms = WAIT_MS, .no_provision = true};
    assert_int_equal(jj_open(&serving, &service, &err), JJ_OK);
    assert_int_equal(jj_open(&asking, &client, &err), JJ_OK);
    cron.job.name = "mine";
    assert_int_equal(jj_cron_add(client, &cron, NULL, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "may not write to JOBS_SCHEDULE, and no index service"));
    assert_int_equal(jj_serve(service, &err), JJ_OK);
    assert_int_equal(add(client, &cron), JJ_CRON_ADDED);
    assert_int_equal(add(client, &cron), JJ_CRON_UNCHANGED);
    cron.job.name = "others";
    assert_int_equal(jj_cron_add(client, &cron, NULL, &err), JJ_ERR_NOT_PERMITTED);
    assert_int_equal(jj_cron_list(client, NULL, &crons, &err), JJ_ERR_NOT_PERMITTED);
    assert_int_equal(jj_cron_remove(client, "x", &err), JJ_ERR_NOT_PERMITTED);
    crons = list(service, "mine");
    assert_int_equal(jj_crons_count(crons), 1);
    jj_crons_free(crons);
    jj_close(client);
    jj_close(service);
}

/* ---- ticks ---- */

static void each_tick_is_a_job_with_the_schedules_id(void **state)
{
    struct desk *desk = *state;
    const jj_cron cron = {.id = "pulse",
                          .spec = "* * * * * *",
                          .job = {.name = "beat", .data = "x", .data_len = 1, .max_attempts = 2}};
    jj_job *job = NULL;
    jj_error err;

    crew_open(desk->crew, NULL);
    crew_register(desk->crew, "beat", NULL, NULL);
    crew_start(desk->crew);
    add(desk->asker, &cron);
    assert_true(crew_wait_runs(desk->crew, "beat", 2));
    struct run run = crew_run(desk->crew, 0);
    assert_memory_equal(run.id, "pulse-", 6);
    assert_string_equal(run.data, "x");
    assert_int_equal(run.max_attempts, 2);
    if (jj_wait(desk->asker, run.id, WAIT_MS, &job, &err) != JJ_OK)
        fail_msg("%s: %s", run.id, err.text);
    assert_string_equal(jj_job_schedule_id(job), "pulse");
    jj_job_free(job);
    assert_int_equal(jj_cron_remove(desk->asker, "pulse", &err), JJ_OK);
    assert_true(ids_are_distinct(desk->crew, "beat"));
}

static bool scheduled_ones_are_moved(void *ctx)
{
    struct crew *crew = ctx;

    return nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE") == 0 &&
           nats_client_stream_messages(crew->stranger, "JOBS") == 0;
}

/* A worker and an index service, each with a mover; two clients that add it all the time. */
static void ticks_run_once_with_several_movers_and_re_adds(void **state)
{
    struct crew *crew = *state;
    const jj_cron cron = {.id = "pulse", .spec = "* * * * * *", .job = {.name = "beat"}};
    jj_client *second = NULL;
    jj_error err;

    struct keeper *keeper = keeper_begin(crew);
    assert_int_equal(jj_serve(keeper->client, &err), JJ_OK);
    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    const jj_options options = {.url = crew->server.url};
    assert_int_equal(jj_open(&options, &second, &err), JJ_OK);
    jj_cron changing = cron;
    for (int i = 0; i < 300; i++) {
        changing.job.data = i % 2 == 0 ? "a" : "b";
        changing.job.data_len = 1;
        add(i % 3 == 0 ? second : crew->client, i % 5 == 0 ? &changing : &cron);
    }
    assert_true(crew_wait_runs(crew, "beat", 3));
    assert_int_equal(jj_cron_remove(second, "pulse", &err), JJ_OK);
    assert_true(wait_until(scheduled_ones_are_moved, crew, WAIT_MS));
    assert_true(ids_are_distinct(crew, "beat"));
    jj_close(second);
}

/* The server forgets in its last minutes what it has fired, and which ids it has seen. */
static void ticks_run_once_although_the_broker_is_killed(void **state)
{
    struct crew *crew = *state;
    const jj_cron cron = {.id = "pulse", .spec = "*/2 * * * * *", .job = {.name = "beat"}};
    jj_error err;

    struct keeper *keeper = keeper_begin(crew);
    assert_int_equal(jj_serve(keeper->client, &err), JJ_OK);
    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    add(crew->client, &cron);
    for (size_t round = 1; round <= 3; round++) {
        assert_true(crew_wait_runs(crew, "beat", crew_runs(crew, "beat") + 1));
        if (round == 2)
            server_stop(&crew->server); /* with what it has fired so far written down */
        else
            server_kill(&crew->server);
        server_restart(&crew->server);
    }
    assert_true(crew_wait_runs(crew, "beat", crew_runs(crew, "beat") + 2));
    assert_true(ids_are_distinct(crew, "beat"));
}

static bool a_tick_was_dropped(void *ctx)
{
    struct crew *crew = ctx;

    return log_book_has(&crew->book, JJ_LOG_INFO, "the broker fired twice for pulse-");
}

/* As above, but for sure: the jobs of the next ticks have run already. */
static void a_tick_whose_job_has_run_is_dropped(void **state)
{
    struct crew *crew = *state;
    enum { TICKS = 120 };
    const jj_cron cron = {.id = "pulse", .spec = "* * * * * *", .job = {.name = "beat"}};
    int64_t now_s = jj__clock_wall_ms() / 1000;
    char ids[TICKS][JJ_NAME_SIZE];
    jj_spec specs[TICKS];
    jj_error err;

    struct keeper *keeper = keeper_begin(crew);
    assert_int_equal(jj_serve(keeper->client, &err), JJ_OK);
    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    for (int i = 0; i < TICKS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "pulse-%lld", (long long)(now_s + i) * 1000);
        specs[i] = (jj_spec){.name = "beat", .id = ids[i]};
    }
    assert_int_equal(jj_enqueue_many(crew->client, specs, TICKS, NULL, NULL, &err), JJ_OK);
    assert_true(crew_wait_runs(crew, "beat", TICKS));
    add(crew->client, &cron);
    assert_true(wait_until(a_tick_was_dropped, crew, WAIT_MS));
    assert_int_equal(jj_cron_remove(crew->client, "pulse", &err), JJ_OK);
    assert_true(wait_until(scheduled_ones_are_moved, crew, WAIT_MS));
    assert_true(ids_are_distinct(crew, "beat"));
}

static void without_an_index_ticks_run_nevertheless(void **state)
{
    struct crew *crew = *state;
    const jj_cron cron = {.id = "pulse", .spec = "@every 1s", .job = {.name = "beat"}};

    crew_open(crew, NULL);
    crew_register(crew, "beat", NULL, NULL);
    crew_start(crew);
    add(crew->client, &cron);
    assert_true(crew_wait_runs(crew, "beat", 2));
}

#define STORY(test)  cmocka_unit_test_setup_teardown(test, crew_begin, crew_end)
#define KEEPER(test) cmocka_unit_test_setup_teardown(test, crew_begin, keepers_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_was_added_is_listed),
        STORY(adding_the_same_again_changes_nothing),
        STORY(what_was_removed_is_gone),
        STORY(an_id_that_is_taken_is_refused),
        STORY(what_makes_no_sense_is_refused),
        STORY(thousands_are_listed),
        cmocka_unit_test_setup_teardown(a_client_with_few_rights_asks_a_service, world_begin_empty,
                                        world_end),
        DESK_TEST(each_tick_is_a_job_with_the_schedules_id, DESK_REMOTE_SQLITE),
        KEEPER(ticks_run_once_with_several_movers_and_re_adds),
        KEEPER(ticks_run_once_although_the_broker_is_killed),
        KEEPER(a_tick_whose_job_has_run_is_dropped),
        STORY(without_an_index_ticks_run_nevertheless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

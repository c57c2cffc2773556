/* SPDX-License-Identifier: Apache-2.0 */

#include "keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"

#define KEEPERS 3

/* ---- a client with an index ---- */

/* Those of the present test; what is left of them is ended with it. */
static struct keeper keepers[KEEPERS];

void keeper_open(struct crew *crew, struct keeper *keeper)
{
    const jj_options options = {.url = crew->server.url,
                                .index_path = keeper->path,
                                .timeout_ms = 20000,
                                .poll_interval_ms = 200,
                                .log = log_book_sink,
                                .log_user = &crew->book};
    jj_error err;

    if (jj_open(&options, &keeper->client, &err) != JJ_OK)
        fail_msg("jj_open: %s", err.text);
}

struct keeper *keeper_begin(struct crew *crew)
{
    struct keeper *keeper = keepers;

    while (keeper < keepers + KEEPERS && keeper->dir[0] != '\0')
        keeper++;
    assert_true(keeper < keepers + KEEPERS);
    temp_dir_make(keeper->dir);
    snprintf(keeper->path, sizeof(keeper->path), "%s/index.db", keeper->dir);
    keeper_open(crew, keeper);
    return keeper;
}

void keeper_close(struct keeper *keeper)
{
    jj_close(keeper->client);
    keeper->client = NULL;
}

int keepers_end(void **state)
{
    for (size_t i = 0; i < KEEPERS; i++) {
        keeper_close(&keepers[i]);
        if (keepers[i].dir[0] != '\0')
            temp_dir_remove(keepers[i].dir);
        keepers[i].dir[0] = '\0';
    }
    return crew_end(state);
}

jj_job *keeper_get(struct keeper *keeper, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_get(keeper->client, id, &job, &err) != JJ_OK)
        fail_msg("jj_get(%s): %s", id, err.text);
    return job;
}

void keeper_wait_state(struct keeper *keeper, const char *id, jj_state wanted)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_job *job = NULL;
    bool so = false;

    while (!so && jj__clock_mono_ms() < until_ms) {
        if (jj_get(keeper->client, id, &job, NULL) == JJ_OK) { /* another client enqueued it */
            so = jj_job_state(job) == wanted;
            jj_job_free(job);
        }
        wait_a_moment();
    }
    assert_true(so);
}

jj_job *keeper_wait_over(struct keeper *keeper, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_wait(keeper->client, id, WAIT_MS, &job, &err) != JJ_OK)
        fail_msg("jj_wait(%s): %s", id, err.text);
    return job;
}

/* ---- all rows as text, to be compared ---- */

static void write_job(struct buf *out, const jj_job *job)
{
    const char *texts[] = {jj_job_id(job),
                           jj_job_name(job),
                           jj_state_text(jj_job_state(job)),
                           jj_job_error(job),
                           jj_job_worker(job),
                           jj_job_schedule_id(job),
                           jj_job_header(job, "Content-Type"),
                           jj_job_header(job, "X-Own")};
    const int64_t numbers[] = {jj_job_created_at_ms(job), jj_job_run_at_ms(job),
                               jj_job_started_at_ms(job), jj_job_completed_at_ms(job),
                               jj_job_attempts(job),      jj_job_max_attempts(job),
                               jj_job_lost(job),          jj_job_redrives(job),
                               jj_job_progress(job),      jj_job_data_known(job)};
    size_t data_len = 0, result_len = 0;
    const void *data = jj_job_data(job, &data_len);
    const void *result = jj_job_result(job, &result_len);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        jj__buf_str(out, texts[i] == NULL ? "-" : texts[i]);
        jj__buf_char(out, ' ');
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        jj__buf_i64(out, numbers[i]);
        jj__buf_char(out, ' ');
    }
    jj__buf_add(out, data, data_len);
    jj__buf_char(out, ' ');
    jj__buf_add(out, result, result_len);
    jj__buf_char(out, '\n');
}

static char *all_jobs(struct keeper *keeper, const char *name)
{
    struct buf out = {0};
    char cursor[256] = "";
    jj_page *page = NULL;
    jj_error err;

    do {
        const jj_query query = {
            .name = name, .limit = 37, .cursor = cursor[0] == '\0' ? NULL : cursor};
        jj_page_free(page);
        if (jj_get_by_name(keeper->client, &query, &page, &err) != JJ_OK)
            fail_msg("jj_get_by_name: %s", err.text);
        for (size_t i = 0; i < jj_page_count(page); i++)
            write_job(&out, jj_page_job(page, i));
        snprintf(cursor, sizeof(cursor), "%s",
                 jj_page_cursor(page) == NULL ? "" : jj_page_cursor(page));
    } while (cursor[0] != '\0');
    jj_page_free(page);
    jj__buf_char(&out, '\0');
    assert_false(out.failed);
    return out.data;
}

void keepers_expect_same(struct keeper *one, struct keeper *other, const char *name)
{
    char *a = all_jobs(one, name);
    char *b = all_jobs(other, name);

    assert_string_equal(a, b);
    assert_true(strlen(a) > 0);
    free(a);
    free(b);
}

jj_verdict keeper_act(struct crew *crew, jj_attempt *attempt)
{
    const char *data = jj_attempt_data(attempt, NULL);

    (void)crew;
    jj__ignore(jj_log(attempt, JJ_LOG_INFO, NULL, "attempt %u", jj_attempt_number(attempt)),
               "told if it can be");
    switch (data[0]) {
    case 'f':
        return jj_fail(attempt, "no use");
    case 'r':
        return jj_attempt_number(attempt) < 3
                   ? jj_retry_in(attempt, data[1] == '0' ? 0 : 30, "again")
                   : jj_done(attempt, "3", 1);
    default:
        return jj_done(attempt, data, 2);
    }
}

/* Jobs of all kinds; returns when they are over. */
void keeper_run_all_kinds(struct crew *crew, struct keeper *keeper, size_t count)
{
    static const char *const kinds[] = {"d0", "f0", "r0", "r1", "d1"};
    const jj_header own = {"X-Own", "yes"};
    jj_receipt *receipts = calloc(count, sizeof(*receipts));
    jj_error err;

    assert_non_null(receipts);
    for (size_t i = 0; i < count; i++) {
        const jj_spec spec = {.name = "mixed",
                              .data = kinds[i % 5],
                              .data_len = 2,
                              .content_type = i % 2 == 0 ? "text/plain" : NULL,
                              .headers = &own,
                              .header_count = i % 3 == 0 ? 1 : 0};
        jj_status s = i % 7 == 0 ? jj_schedule(keeper->client, &spec, jj__clock_wall_ms() + 300,
                                               &receipts[i], &err)
                                 : jj_enqueue(keeper->client, &spec, &receipts[i], &err);
        if (s != JJ_OK)
            fail_msg("%s", err.text);
        if (i % 11 == 0)
            jj__ignore(jj_cancel(keeper->client, receipts[i].id, NULL), "it may run already");
    }
    for (size_t i = 0; i < count; i++) {
        jj_job *job = keeper_wait_over(keeper, receipts[i].id);
        bool revive = i % 10 == 1;
        jj_job_free(job);
        if (revive && jj_redrive(keeper->client, receipts[i].id, &err) != JJ_OK)
            fail_msg("%s", err.text);
        if (revive)
            jj_job_free(keeper_wait_over(keeper, receipts[i].id));
    }
    free(receipts);
    assert_true(crew_wait_over(crew));
}

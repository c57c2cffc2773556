/* SPDX-License-Identifier: Apache-2.0 */

#include "workshop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "shortage.h"

struct workshop workshop;

void workshop_must(jj_status s, const jj_error *err)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err->text);
}

int workshop_begin(void **state)
{
    jj_options options = {.concurrency = 1,
                          .ack_wait_ms = 2000,
                          .poll_interval_ms = 200,
                          .backoff_initial_ms = 10,
                          .backoff_max_ms = 10};
    jj_error err;

    stage_begin(state);
    workshop.stage = *state;
    stage_configure(workshop.stage, "index: { path: index.db }\n");
    workshop.stage->process = stage_start(workshop.stage, "serve", NULL);
    shortage_spare(true);
    options.url = workshop.stage->url;
    workshop_must(jj_open(&options, &workshop.client, &err), &err);
    return 0;
}

int workshop_end(void **state)
{
    jj_close(workshop.client);
    return stage_end(state);
}

void workshop_register(const char *name, jj_handler run)
{
    jj_error err;

    workshop_must(jj_register(workshop.client, name, run, NULL, NULL, &err), &err);
}

void workshop_start(void)
{
    jj_error err;

    workshop_must(jj_start(workshop.client, &err), &err);
}

/* ---- jobs ---- */

void workshop_enqueue(const char *name, const char *id, const char *max_attempts)
{
    char subject[128];
    const jj_header headers[] = {{"Job-Id", id}, {"Job-Max-Attempts", max_attempts}};

    snprintf(subject, sizeof(subject), "jobs.enqueue.%s", name);
    const struct note note = {.subject = subject,
                              .headers = headers,
                              .header_count = max_attempts == NULL ? 1 : 2,
                              .data = "{}"};
    nats_client_store(workshop.stage->stranger, &note);
}

void workshop_wait_empty(void)
{
    assert_true(nats_client_wait_messages(workshop.stage->stranger, "JOBS", 0));
}

jj_job *workshop_wait_over(const char *id)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_job *job = NULL;
    jj_status s;
    jj_error err;

    do {
        wait_a_moment();
        s = jj_wait(workshop.client, id, WAIT_MS, &job, &err);
    } while (s != JJ_OK && jj__clock_mono_ms() < until_ms);
    workshop_must(s, &err);
    return job;
}

void workshop_expect_result(const char *id, const char *result)
{
    jj_job *job = workshop_wait_over(id);
    size_t len = 0;
    const void *bytes = jj_job_result(job, &len);

    if (jj_job_state(job) != JJ_COMPLETED)
        fail_msg("job %s: %s", id, jj_job_error(job));
    assert_int_equal(len, strlen(result));
    assert_memory_equal(bytes, result, len);
    jj_job_free(job);
}

void workshop_try_jobs(const char *name, void (*judge)(const char *id))
{
    char id[JJ_NAME_SIZE];
    bool some = true;
    int n = 0;

    for (; some; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        snprintf(id, sizeof(id), "%s-%d", name, n);
        shortage_begin(n, SHORT_ONCE);
        workshop_enqueue(name, id, NULL);
        workshop_wait_empty();
        some = shortage_end();
        judge(id);
    }
    print_message("%d allocations\n", n - 1);
}

size_t workshop_count_lines(const char *id)
{
    jj_lines *lines = NULL;
    jj_error err;

    workshop_must(jj_history(workshop.client, id, 0, &lines, &err), &err);
    size_t count = jj_lines_count(lines);
    jj_lines_free(lines);
    return count;
}

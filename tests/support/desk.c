/* SPDX-License-Identifier: Apache-2.0 */

#include "desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "clock.h"
#include "wait.h"

const enum desk_kind desk_kinds[4] = {DESK_OWN_MEMORY, DESK_OWN_SQLITE, DESK_REMOTE_MEMORY,
                                      DESK_REMOTE_SQLITE};

jj_client *desk_client(struct desk *desk, const jj_options *options)
{
    jj_options with = {.backoff_initial_ms = 50, .timeout_ms = 20000};
    jj_client *client = NULL;
    jj_error err;

    if (options != NULL)
        with = *options;
    with.url = desk->crew->server.url;
    with.log = log_book_sink;
    with.log_user = &desk->crew->book;
    if (jj_open(&with, &client, &err) != JJ_OK)
        fail_msg("jj_open: %s", err.text);
    return client;
}

static bool is_remote(const struct desk *desk)
{
    return desk->kind == DESK_REMOTE_MEMORY || desk->kind == DESK_REMOTE_SQLITE;
}

void desk_open_keeper(struct desk *desk)
{
    char path[TEMP_PATH_SIZE + 16];
    jj_options options = {.timeout_ms = 20000};
    jj_error err;

    snprintf(path, sizeof(path), "%s/index", desk->dir);
    if (desk->kind == DESK_OWN_SQLITE || desk->kind == DESK_REMOTE_SQLITE)
        options.index_path = path;
    else
        options.adapter = &jj_adapter_memory;
    desk->keeper = desk_client(desk, &options);
    if (!is_remote(desk))
        desk->asker = desk->keeper;
    else if (jj_serve(desk->keeper, &err) != JJ_OK)
        fail_msg("jj_serve: %s", err.text);
}

void desk_close_keeper(struct desk *desk)
{
    if (!is_remote(desk))
        desk->asker = NULL;
    jj_close(desk->keeper);
    desk->keeper = NULL;
}

int desk_begin(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    const enum desk_kind *kind = *state;
    void *crew = NULL;

    assert_non_null(desk);
    desk->kind = kind == NULL ? DESK_REMOTE_MEMORY : *kind;
    crew_begin(&crew);
    desk->crew = crew;
    temp_dir_make(desk->dir);
    desk_open_keeper(desk);
    if (is_remote(desk))
        desk->asker = desk_client(desk, NULL);
    *state = desk;
    return 0;
}

int desk_end(void **state)
{
    struct desk *desk = *state;
    void *crew = desk->crew;

    if (is_remote(desk))
        jj_close(desk->asker);
    desk_close_keeper(desk);
    crew_end(&crew);
    temp_dir_remove(desk->dir);
    free(desk);
    return 0;
}

/* ---- asking with the library ---- */

const char *desk_enqueue(struct desk *desk, const char *name, const char *id, const char *data)
{
    static jj_receipt receipt;
    const jj_spec spec = {
        .name = name, .id = id, .data = data, .data_len = data == NULL ? 0 : strlen(data)};
    jj_error err;

    if (jj_enqueue(desk->asker, &spec, &receipt, &err) != JJ_OK)
        fail_msg("jj_enqueue: %s", err.text);
    return receipt.id;
}

jj_job *desk_get(struct desk *desk, const char *id)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_get(desk->asker, id, &job, &err) != JJ_OK)
        fail_msg("jj_get %s: %s", id, err.text);
    assert_string_equal(jj_job_id(job), id);
    return job;
}

static void expect(jj_job *job, jj_state state)
{
    if (jj_job_state(job) != state)
        fail_msg("job %s is %s, not %s", jj_job_id(job), jj_state_text(jj_job_state(job)),
                 jj_state_text(state));
    jj_job_free(job);
}

void desk_expect_state(struct desk *desk, const char *id, jj_state state)
{
    expect(desk_get(desk, id), state);
}

void desk_wait_known(struct desk *desk, const char *id)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    jj_job *job = NULL;

    while (jj_get(desk->asker, id, &job, NULL) == JJ_ERR_NOT_FOUND &&
           jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_non_null(job);
    jj_job_free(job);
}

void desk_wait_state(struct desk *desk, const char *id, jj_state state)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
    bool so = false;

    while (!so && jj__clock_mono_ms() < until_ms) {
        jj_job *job = desk_get(desk, id);
        so = jj_job_state(job) == state;
        jj_job_free(job);
        wait_a_moment();
    }
    assert_true(so);
}

void desk_expect_end(struct desk *desk, const char *id, jj_state state)
{
    jj_job *job = NULL;
    jj_error err;

    if (jj_wait(desk->asker, id, WAIT_MS, &job, &err) != JJ_OK)
        fail_msg("jj_wait %s: %s", id, err.text);
    expect(job, state);
}

/* ---- asking as a stranger ---- */

void desk_expect_answer(struct desk *desk, const char *subject, const char *request,
                        const char *answer)
{
    const struct note note = {.subject = subject, .data = request};
    struct heard *heard = nats_client_request(desk->crew->stranger, &note);

    assert_non_null(heard);
    assert_string_equal(heard->data, answer);
    heard_free(heard);
}

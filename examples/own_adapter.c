/* SPDX-License-Identifier: Apache-2.0 */

/* An index with an adapter of one's own: the one in memory, and besides it counts how jobs end.
 *
 *     NATS_URL=nats://127.0.0.1:4222 own_adapter
 *
 * A transaction may be rolled back, and then the same comes again: so what it brings counts once it
 * is committed, and not before. An index in memory reads the whole history at each start, so the
 * jobs of earlier runs count, too; one that keeps its rows would have to keep the counts there. */

#include <jetjobs/jetjobs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the adapter; only the index's own writing thread comes here ---- */

static unsigned fresh[JJ_STATES]; /* jobs that came into a state in this transaction */
static unsigned all[JJ_STATES];   /* in those that were committed */

static jj_status begin(void *rows, jj_error *err)
{
    memset(fresh, 0, sizeof(fresh));
    return jj_adapter_memory.begin(rows, err);
}

static bool take_state(void *ctx, const jj_record *record)
{
    *(jj_state *)ctx = record->state;
    return false;
}

static jj_status create(void *rows, const jj_record *record, jj_error *err)
{
    fresh[record->state]++;
    return jj_adapter_memory.create(rows, record, err);
}

static jj_status update(void *rows, const jj_record *record, bool with_content, jj_error *err)
{
    jj_state before = JJ_ANY_STATE;

    jj_status s = jj_adapter_memory.get(rows, record->id, take_state, &before, err);
    if (s != JJ_OK)
        return s;
    fresh[record->state] += record->state != before;
    return jj_adapter_memory.update(rows, record, with_content, err);
}

static jj_status commit(void *rows, const jj_offsets *offsets, jj_error *err)
{
    jj_status s = jj_adapter_memory.commit(rows, offsets, err);

    for (size_t i = 0; s == JJ_OK && i < JJ_STATES; i++)
        all[i] += fresh[i];
    return s;
}

static jj_adapter counting_adapter(void)
{
    jj_adapter adapter = jj_adapter_memory; /* all its functions but these */

    adapter.name = "counting";
    adapter.begin = begin;
    adapter.create = create;
    adapter.update = update;
    adapter.commit = commit;
    return adapter;
}

/* ---- the program: two jobs, the second of which fails ---- */

static jj_verdict greet(jj_attempt *attempt, void *user)
{
    size_t len;
    const void *who = jj_attempt_data(attempt, &len);

    (void)user;
    return len > 0 ? jj_done(attempt, who, len) : jj_fail(attempt, "nobody to greet");
}

/* Enqueue, and wait until the index has seen the end of it. */
static jj_status run(jj_client *client, const char *who, jj_error *err)
{
    const jj_spec spec = {.name = "greet", .data = who, .data_len = strlen(who)};
    jj_receipt receipt;
    jj_job *job = NULL;

    jj_status s = jj_enqueue(client, &spec, &receipt, err);
    if (s == JJ_OK)
        s = jj_wait(client, receipt.id, 30000, &job, err);
    jj_job_free(job);
    return s;
}

/* What the index knows, newest first. */
static jj_status print_jobs(jj_client *client, jj_error *err)
{
    const jj_query query = {.name = "greet"};
    jj_page *page = NULL;

    jj_status s = jj_get_by_name(client, &query, &page, err);
    for (size_t i = 0; s == JJ_OK && i < jj_page_count(page); i++) {
        const jj_job *job = jj_page_job(page, i);
        size_t len;
        const char *who = jj_job_data(job, &len), *error = jj_job_error(job);
        printf("greet '%.*s': %s%s%s\n", (int)len, who != NULL ? who : "",
               jj_state_text(jj_job_state(job)), error != NULL ? ", " : "",
               error != NULL ? error : "");
    }
    jj_page_free(page);
    return s;
}

int main(void)
{
    const jj_adapter adapter = counting_adapter();
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &adapter};
    jj_client *client = NULL;
    jj_error err;

    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "greet", greet, NULL, NULL, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = run(client, "world", &err);
    if (s == JJ_OK)
        s = run(client, "", &err);
    if (s == JJ_OK)
        s = print_jobs(client, &err);
    jj_close(client); /* from here on nobody counts any more */
    if (s != JJ_OK)
        fprintf(stderr, "own_adapter: %s\n", err.text);
    printf("%u completed, %u failed\n", all[JJ_COMPLETED], all[JJ_FAILED]);
    return s == JJ_OK ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The index of the run, that was killed, lost and damaged, against one that is new. */

#include "rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jetjobs/jetjobs.h>

#include "clock.h"
#include "plan.h"
#include "wait.h"

#define CATCH_UP_MS 300000

static jj_client *open_index(struct fleet *fleet, const char *name)
{
    char path[TEMP_PATH_SIZE + 32];
    const jj_options options = {.url = fleet->brokers[0].url,
                                .timeout_ms = 30000,
                                .replicas = fleet->broker_count,
                                .index_path = path};
    jj_client *client = NULL;
    jj_error err;

    fleet_path(fleet, name, path);
    if (jj_open(&options, &client, &err) != JJ_OK)
        fail_msg("index: %s", err.text);
    return client;
}

/* Wait until it has read all there is. */
static void catch_up(jj_client *client)
{
    int64_t until_ms = jj__clock_mono_ms() + CATCH_UP_MS;
    bool behind = true;

    while (behind) {
        jj_stats *stats = NULL;
        if (jj_stats_get(client, &stats, NULL) == JJ_OK)
            behind = jj_stats_lag_events(stats) > 0 || jj_stats_lag_jobs(stats) > 0;
        jj_stats_free(stats);
        if (behind && jj__clock_mono_ms() > until_ms)
            fail_msg("the index does not catch up");
        if (behind)
            wait_a_moment();
    }
}

/* What is said of a job, for two indexes to be compared: all but what nobody stored. FNV-1a. */
static uint64_t digest(const jj_job *job)
{
    char text[256];
    uint64_t hash = UINT64_C(14695981039346656037);
    size_t len = 0;

    jj_job_data(job, &len);
    snprintf(text, sizeof(text), "%d %u %u %u %u %lld %lld %lld %s %s %zu", (int)jj_job_state(job),
             jj_job_attempts(job), jj_job_lost(job), jj_job_redrives(job), jj_job_max_attempts(job),
             (long long)jj_job_created_at_ms(job), (long long)jj_job_started_at_ms(job),
             (long long)jj_job_completed_at_ms(job),
             jj_job_error(job) == NULL ? "-" : jj_job_error(job),
             jj_job_worker(job) == NULL ? "-" : jj_job_worker(job), len);
    for (const char *c = text; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return hash;
}

struct reading {
    struct trail *trail;
    uint64_t *digests[PRODUCERS];
    size_t count, strangers;
};

static void take_row(struct reading *reading, const jj_job *job, bool note)
{
    unsigned producer, n;

    if (sscanf(jj_job_id(job), "p%u-%u", &producer, &n) != 2 || producer >= PRODUCERS ||
        n >= reading->trail->jobs) {
        reading->strangers++;
        return;
    }
    reading->count++;
    reading->digests[producer][n] = digest(job);
    if (!note)
        return;
    struct fate *fate = &reading->trail->fates[producer][n];
    fate->state = jj_job_state(job);
    fate->attempts = jj_job_attempts(job);
    fate->over_at_ms = jj_job_completed_at_ms(job);
}

static void read_all(jj_client *client, struct reading *reading, bool note)
{
    char cursor[256] = "";
    jj_page *page = NULL;
    jj_error err;

    do {
        const jj_query query = {
            .name = PLAN_JOB, .limit = 1000, .cursor = cursor[0] == '\0' ? NULL : cursor};
        jj_page_free(page);
        if (jj_get_by_name(client, &query, &page, &err) != JJ_OK)
            fail_msg("jj_get_by_name: %s", err.text);
        for (size_t i = 0; i < jj_page_count(page); i++)
            take_row(reading, jj_page_job(page, i), note);
        snprintf(cursor, sizeof(cursor), "%s",
                 jj_page_cursor(page) == NULL ? "" : jj_page_cursor(page));
    } while (cursor[0] != '\0');
    jj_page_free(page);
}

static void read_index(struct fleet *fleet, const char *name, struct reading *reading, bool note)
{
    for (int i = 0; i < PRODUCERS; i++) {
        reading->digests[i] = calloc(reading->trail->jobs, sizeof(uint64_t));
        assert_non_null(reading->digests[i]);
    }
    jj_client *client = open_index(fleet, name);
    catch_up(client);
    read_all(client, reading, note);
    jj_close(client);
}

void rows_read(struct fleet *fleet, struct trail *trail, struct findings *findings)
{
    struct reading old = {.trail = trail}, anew = {.trail = trail};

    read_index(fleet, "index.db", &old, true);
    read_index(fleet, "anew.db", &anew, false);
    findings->rows_differ = old.strangers + anew.strangers;
    for (unsigned producer = 0; producer < PRODUCERS; producer++) {
        for (unsigned n = 0; n < trail->jobs; n++) {
            if (old.digests[producer][n] == anew.digests[producer][n])
                continue;
            if (findings->rows_differ++ < 10)
                print_error("  p%u-%u: another row in an index built anew\n", producer, n);
        }
        free(old.digests[producer]);
        free(anew.digests[producer]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Two jobs that add an amount to an account, each of which is run twice. One of them can stand it.
 *
 *     NATS_URL=nats://127.0.0.1:4222 idempotent
 *
 * A job can run again after it did its work: its worker dies before the broker knows, or what it
 * did is reported as failed by mistake, as here. So the work and the note that it was done belong
 * into one transaction, with the job's id as the key:
 *
 *     once for a job          the key is jj_attempt_id()
 *     once for each attempt   the key is that and jj_attempt_number(); a lost worker's attempt is
 *                             run again under the same number
 *
 * Where there is no transaction, hand the key to whoever does the work (as api_call.c does), or
 * make the work such that once more changes nothing: "set to shipped where it is processing". */

#include <jetjobs/jetjobs.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/jobs.h"

/* Run one statement whose parameter ?1 is the job's id, as far as it has one; false: it failed. */
static bool run_sql(sqlite3 *db, const char *sql, const char *id)
{
    sqlite3_stmt *statement = NULL;
    bool done = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK;

    if (done && sqlite3_bind_parameter_count(statement) == 1)
        done = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC) == SQLITE_OK;
    done = done && sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return done;
}

/* The first run ends as if the network had failed after the work. */
static jj_verdict report(jj_attempt *attempt)
{
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 0, "the work is done, but the connection broke");
    return jj_done(attempt, NULL, 0);
}

static jj_verdict deposit_badly(jj_attempt *attempt, void *db)
{
    if (!run_sql(db, "UPDATE accounts SET balance = balance + 10 WHERE name = 'bad'", NULL))
        return jj_retry(attempt, "%s", sqlite3_errmsg(db));
    return report(attempt);
}

static jj_verdict deposit_well(jj_attempt *attempt, void *db)
{
    const char *id = jj_attempt_id(attempt);
    bool is_new = false;

    bool done = run_sql(db, "BEGIN IMMEDIATE", id);
    if (done)
        done = run_sql(db, "INSERT INTO deposits (job_id) VALUES (?1) ON CONFLICT DO NOTHING", id);
    if (done)
        is_new = sqlite3_changes(db) == 1;
    if (done && is_new)
        done = run_sql(db, "UPDATE accounts SET balance = balance + 10 WHERE name = 'good'", id);
    if (done)
        done = run_sql(db, "COMMIT", id);
    if (!done) {
        run_sql(db, "ROLLBACK", id);
        return jj_retry(attempt, "the database did not take it");
    }
    return report(attempt);
}

static int print_account(void *user, int columns, char **values, char **names)
{
    (void)user, (void)columns, (void)names;
    printf("account '%s': one job of 10, and its balance is %s\n", values[0], values[1]);
    return 0;
}

static jj_status deposit(jj_client *client, const char *name, jj_error *err)
{
    const jj_spec spec = {.name = name};
    jj_receipt receipt;

    jj_status s = jj_enqueue(client, &spec, &receipt, err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, err);
    return s;
}

int main(void)
{
    /* One connection to the database: so one handler at a time. */
    const jj_options options = {
        .url = getenv("NATS_URL"), .adapter = &jj_adapter_memory, .concurrency = 1};
    jj_client *client = NULL;
    sqlite3 *db = NULL;
    jj_error err = {.text = "can't make the database"};
    jj_status s = JJ_ERR_STORAGE;

    if (sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_exec(db,
                     "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER);"
                     "CREATE TABLE deposits (job_id TEXT PRIMARY KEY);"
                     "INSERT INTO accounts VALUES ('bad', 0), ('good', 0)",
                     NULL, NULL, NULL) == SQLITE_OK)
        s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "depositBadly", deposit_badly, NULL, db, &err);
    if (s == JJ_OK)
        s = jj_register(client, "depositWell", deposit_well, NULL, db, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = deposit(client, "depositBadly", &err);
    if (s == JJ_OK)
        s = deposit(client, "depositWell", &err);
    if (s != JJ_OK)
        fprintf(stderr, "idempotent: %s\n", err.text);
    jj_close(client);
    sqlite3_exec(db, "SELECT name, balance FROM accounts", print_account, NULL, NULL);
    sqlite3_close(db);
    return s == JJ_OK ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Users of a server in operator mode, who have a file of credentials: a JWT and a seed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"
#include "realm.h"

#define LOG_SIZE (1 << 20)

struct office {
    struct realm realm;
    struct server server;
    char path[TEMP_PATH_SIZE + 16]; /* of the file of credentials that is used next */
    struct log_book book;           /* of all clients */
    jj_client *clients[4];
    size_t client_count;
    struct key_pair keys; /* of the last user */
    char *secrets[16];    /* what no text may tell */
    size_t secret_count;
};

/* ---- files ---- */

static void keep_secret(struct office *office, const char *text)
{
    assert_true(office->secret_count < 16);
    office->secrets[office->secret_count++] = strdup(text);
}

/* As a whole, from one moment to the next: it may be read at any time. */
static void write_file(struct office *office, const char *text)
{
    char next[TEMP_PATH_SIZE + 32];

    snprintf(next, sizeof(next), "%s.next", office->path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(next, 0600), 0);
    assert_int_equal(rename(next, office->path), 0);
}

/* The credentials of a user, with the seed of the same, or of another. */
static void write_creds(struct office *office, struct realm_user user, const char *other_seed)
{
    key_pair_make(KEY_OF_USER, &office->keys);
    user.keys = &office->keys;
    char *jwt = realm_jwt(&office->realm, &user);
    char *text = realm_creds(jwt, other_seed == NULL ? office->keys.seed : other_seed);

    keep_secret(office, office->keys.seed + 2);
    keep_secret(office, strrchr(jwt, '.'));
    keep_secret(office, strchr(jwt, '.'));
    write_file(office, text);
    free(text);
    free(jwt);
}

/* ---- setup and teardown ---- */

static int begin(void **state)
{
    struct office *office = calloc(1, sizeof(*office));

    assert_non_null(office);
    pthread_mutex_init(&office->book.lock, NULL);
    realm_make(&office->realm);
    server_start(&office->server, &(struct server_options){.config = office->realm.config});
    snprintf(office->path, sizeof(office->path), "%s/user.creds", office->server.dir);
    *state = office;
    return 0;
}

static void assert_untold(struct office *office, const char *text)
{
    for (size_t i = 0; i < office->secret_count; i++) {
        /* neither a secret nor its beginning */
        char part[9] = {0};
        memcpy(part, office->secrets[i], 8);
        if (strstr(text, part) != NULL)
            fail_msg("this tells a secret: %s", text);
    }
}

/* Whatever the story was: no secret is in a log. */
static int end(void **state)
{
    struct office *office = *state;

    for (size_t i = 0; i < office->client_count; i++)
        jj_close(office->clients[i]);
    if (office->book.text != NULL)
        assert_untold(office, office->book.text);
    server_done(&office->server);
    for (size_t i = 0; i < office->secret_count; i++)
        free(office->secrets[i]);
    free(office->book.text);
    pthread_mutex_destroy(&office->book.lock);
    free(office);
    return 0;
}

/* ---- clients ---- */

static jj_status try_enter(struct office *office, jj_options options, jj_client **client_out,
                           jj_error *err)
{
    options.url = office->server.url;
    options.credentials = office->path;
    options.timeout_ms = WAIT_MS;
    options.log = log_book_sink;
    options.log_user = &office->book;
    return jj_open(&options, client_out, err);
}

static jj_client *enter(struct office *office, jj_options options)
{
    jj_error err = {0};
    jj_client **client = &office->clients[office->client_count];

    if (try_enter(office, options, client, &err) != JJ_OK)
        fail_msg("%s", err.text);
    office->client_count++;
    return *client;
}

static void assert_refused(struct office *office, jj_status status, const char *why)
{
    jj_client *client = NULL;
    jj_error err = {0};

    assert_int_equal(try_enter(office, (jj_options){0}, &client, &err), status);
    if (strstr(err.text, why) == NULL || strstr(err.text, office->path) == NULL)
        fail_msg("not '%s', nor where, is in: %s", why, err.text);
    assert_untold(office, err.text);
}

static void must(jj_status s, const jj_error *err)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err->text);
}

static jj_verdict act(jj_attempt *attempt, void *user)
{
    (void)user;
    jj_log(attempt, JJ_LOG_INFO, NULL, "attempt %u", jj_attempt_number(attempt));
    return jj_attempt_number(attempt) == 1 ? jj_retry_in(attempt, 10, "later")
                                           : jj_done(attempt, "1", 1);
}

static void assert_runs(jj_client *client, const char *name)
{
    jj_error err = {0};
    jj_receipt receipt;
    jj_job *job = NULL;

    must(jj_enqueue(client, &(jj_spec){.name = name}, &receipt, &err), &err);
    must(jj_wait(client, receipt.id, WAIT_MS, &job, &err), &err);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 2);
    jj_job_free(job);
}

/* ---- those who are let in ---- */

static void a_user_with_credentials_has_its_jobs_run(void **state)
{
    struct office *office = *state;
    jj_error err = {0};

    write_creds(office, (struct realm_user){0}, NULL);
    jj_client *client = enter(office, (jj_options){.adapter = &jj_adapter_memory});
    must(jj_register(client, "mail", act, NULL, NULL, &err), &err);
    must(jj_start(client, &err), &err);
    assert_runs(client, "mail");
    assert_int_equal(log_book_count(&office->book, JJ_LOG_WARN), 0);
}

/* The user of that name in broker/permissions.conf, with what it may in its JWT. */
static jj_client *enter_as(struct office *office, const char *user, jj_options options)
{
    char inbox[64];

    snprintf(inbox, sizeof(inbox), "_INBOX_%s", user);
    options.inbox_prefix = inbox;
    snprintf(office->path, sizeof(office->path), "%s/%s.creds", office->server.dir, user);
    write_creds(office, (struct realm_user){.conf_user = user}, NULL);
    return enter(office, options);
}

static void permissions_hold_in_a_jwt_as_well(void **state)
{
    struct office *office = *state;
    jj_error err = {0};
    jj_receipt receipt;

    jj_client *provisioner = enter_as(office, "provisioner", (jj_options){0});
    must(jj_register(provisioner, "mail", act, NULL, NULL, &err), &err);
    jj__ignore(jj_start(provisioner, &err), "it may not work, but has made what that needs");
    jj_client *service = enter_as(office, "service", (jj_options){.adapter = &jj_adapter_memory});
    must(jj_serve(service, &err), &err);
    jj_client *worker = enter_as(office, "mail_worker", (jj_options){0});
    must(jj_register(worker, "mail", act, NULL, NULL, &err), &err);
    must(jj_start(worker, &err), &err);
    jj_client *producer = enter_as(office, "mail_producer", (jj_options){.only_name = "mail"});

    assert_runs(producer, "mail");
    assert_int_equal(jj_enqueue(producer, &(jj_spec){.name = "other"}, &receipt, &err),
                     JJ_ERR_NOT_PERMITTED);
    assert_non_null(strstr(err.text, "jobs.enqueue.other"));
    assert_non_null(strstr(err.text, "not permitted"));
    must(jj_enqueue(producer, &(jj_spec){.name = "mail"}, &receipt, &err), &err);
}

static void credentials_do_no_harm_where_nobody_asks_for_them(void **state)
{
    struct office *office = *state;

    server_restart_with(&office->server, &(struct server_options){0});
    write_creds(office, (struct realm_user){0}, NULL);
    enter(office, (jj_options){0});
}

static void lines_may_end_as_in_windows(void **state)
{
    struct office *office = *state;
    char bytes[4096], text[8192];
    size_t len = 0;

    write_creds(office, (struct realm_user){0}, NULL);
    FILE *file = fopen(office->path, "r");
    assert_non_null(file);
    bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = '\0';
    fclose(file);
    for (const char *at = bytes; *at != '\0'; at++) {
        if (*at == '\n')
            text[len++] = '\r';
        text[len++] = *at;
    }
    text[len] = '\0';
    write_file(office, text);
    enter(office, (jj_options){0});
}

/* ---- those who are not ---- */

static void an_expired_user_is_told_since_when(void **state)
{
    struct office *office = *state;

    write_creds(office, (struct realm_user){.expires_at_s = 1767225599}, NULL);
    assert_refused(office, JJ_ERR_NOT_PERMITTED, "the JWT expired at 2025-12-31T23:59:59.000Z");
}

static void the_seed_of_another_user_is_seen(void **state)
{
    struct office *office = *state;
    struct key_pair other;

    key_pair_make(KEY_OF_USER, &other);
    keep_secret(office, other.seed + 2);
    write_creds(office, (struct realm_user){0}, other.seed);
    assert_refused(office, JJ_ERR_NOT_PERMITTED, "the seed is of another user than the JWT");
}

static void an_unknown_account_may_be_the_reason(void **state)
{
    struct office *office = *state;
    struct key_pair unknown;

    key_pair_make(KEY_OF_ACCOUNT, &unknown);
    write_creds(office, (struct realm_user){.account = &unknown}, NULL);
    assert_refused(office, JJ_ERR_NOT_PERMITTED, "the server does not know the account");
}

/* The client library would send what it does not understand, and with it the seed. */
static void a_file_without_a_jwt_is_an_invalid_option(void **state)
{
    struct office *office = *state;

    write_creds(office, (struct realm_user){0}, NULL);
    write_file(office, office->keys.seed);
    assert_refused(office, JJ_ERR_INVALID, "has no JWT of a user: a line eyJ...");
    write_file(office, "");
    assert_refused(office, JJ_ERR_INVALID, "has no JWT of a user: a line eyJ...");
}

static void a_jwt_without_a_seed_is_one_too(void **state)
{
    struct office *office = *state;

    write_creds(office, (struct realm_user){0}, "SU");
    assert_refused(office, JJ_ERR_INVALID, "has no seed of a user's nkey: a line SU...");
}

static void a_file_that_all_users_can_read_is_warned_of(void **state)
{
    struct office *office = *state;

    write_creds(office, (struct realm_user){0}, NULL);
    assert_int_equal(chmod(office->path, 0644), 0);
    enter(office, (jj_options){0});
    assert_true(log_book_has(&office->book, JJ_LOG_WARN,
                             "user.creds holds a secret and is open to all users: chmod 600"));
}

/* ---- those who were ---- */

static bool wait_log(struct office *office, jj_log_level level, const char *text)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (!log_book_has(&office->book, level, text) && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    return log_book_has(&office->book, level, text);
}

/* How often the server has refused somebody, by its log. */
static size_t count_refusals(const struct server *server)
{
    char path[TEMP_PATH_SIZE + 16];
    static char text[LOG_SIZE];
    size_t count = 0;

    snprintf(path, sizeof(path), "%s/log", server->dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    for (const char *at = text; (at = strstr(at, "authentication error")) != NULL; at++)
        count++;
    return count;
}

static void wait_refusals(const struct server *server, size_t count)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    while (count_refusals(server) < count) {
        if (jj__clock_mono_ms() > until_ms)
            fail_msg("no %zu refusals, but %zu", count, count_refusals(server));
        wait_a_moment();
    }
}

static void who_expires_comes_back_with_a_fresh_file(void **state)
{
    struct office *office = *state;
    jj_error err = {0};
    jj_receipt receipt;
    jj_job *job = NULL;

    int64_t end_s = time(NULL) + 5;
    write_creds(office, (struct realm_user){.expires_at_s = end_s}, NULL);
    jj_client *client = enter(office, (jj_options){0});
    must(jj_enqueue(client, &(jj_spec){.name = "mail"}, &receipt, &err), &err);

    assert_true(wait_log(office, JJ_LOG_WARN, "User Authentication Expired"));
    assert_true(wait_log(office, JJ_LOG_WARN, "the JWT expired at 20"));
    wait_refusals(&office->server, 6);
    /* 50 + 100 + ... + 800 ms lie between them. */
    assert_true(jj__clock_wall_ms() > end_s * 1000 + 1500);
    if (log_book_count(&office->book, JJ_LOG_WARN) > 25)
        fail_msg("%s", office->book.text);

    assert_int_equal(jj_get(client, receipt.id, &job, &err), JJ_ERR_NOT_PERMITTED);
    assert_non_null(strstr(err.text, "the JWT expired at 20"));

    write_creds(office, (struct realm_user){0}, NULL);
    must(jj_enqueue(client, &(jj_spec){.name = "mail"}, &receipt, &err), &err);
    assert_int_equal(receipt.seq, 2);
}

/* What is replaced in two steps is not there in between. */
static void a_file_that_is_gone_is_named_and_looked_for(void **state)
{
    struct office *office = *state;
    jj_error err = {0};
    jj_receipt receipt;

    write_creds(office, (struct realm_user){0}, NULL);
    jj_client *client = enter(office, (jj_options){0});
    assert_int_equal(remove(office->path), 0);
    server_restart(&office->server);
    assert_true(wait_log(office, JJ_LOG_WARN, "user.creds: No such file"));
    write_file(office, "half of");
    assert_true(wait_log(office, JJ_LOG_WARN, "user.creds: has no JWT of a user"));
    write_creds(office, (struct realm_user){0}, NULL);
    must(jj_enqueue(client, &(jj_spec){.name = "mail"}, &receipt, &err), &err);
}

static void a_jwt_that_is_too_long_for_the_server_is_said_to_be(void **state)
{
    struct office *office = *state;

    write_creds(office, (struct realm_user){0}, NULL);
    enter(office, (jj_options){0});
    write_creds(office, (struct realm_user){.ballast = 4000}, NULL);
    server_restart(&office->server);
    assert_true(
        wait_log(office, JJ_LOG_WARN, "the server's max_control_line is less than the JWT"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        STORY(a_user_with_credentials_has_its_jobs_run),
        STORY(permissions_hold_in_a_jwt_as_well),
        STORY(credentials_do_no_harm_where_nobody_asks_for_them),
        STORY(lines_may_end_as_in_windows),
        STORY(an_expired_user_is_told_since_when),
        STORY(the_seed_of_another_user_is_seen),
        STORY(an_unknown_account_may_be_the_reason),
        STORY(a_file_without_a_jwt_is_an_invalid_option),
        STORY(a_jwt_without_a_seed_is_one_too),
        STORY(a_file_that_all_users_can_read_is_warned_of),
        STORY(a_jwt_that_is_too_long_for_the_server_is_said_to_be),
        STORY(who_expires_comes_back_with_a_fresh_file),
        STORY(a_file_that_is_gone_is_named_and_looked_for),
    };

    return cmocka_run_group_tests_name("creds", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The program with users of its own: they get in, see only what is theirs, and no text tells how.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cli.h"
#include "program.h"
#include "realm.h"
#include "server.h"
#include "temp.h"

#define SEED   "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

/* May receive in an inbox of its own only. */
#define SERVER                                                                                     \
    "authorization { users: [\n"                                                                   \
    "    { nkey: " PUBLIC ", permissions: { publish: \">\", subscribe: {\n"                        \
    "        allow: [ \"_INBOX_me.>\", \"jobs.>\" ] } } },\n"                                      \
    "    { user: bob, password: s3cret }\n"                                                        \
    "] }\n"

struct safe {
    struct server server;
    struct realm realm; /* of those who have credentials */
    char config[TEMP_PATH_SIZE + 32];
};

static void write_file(const struct safe *safe, const char *name, const char *text,
                       char path[TEMP_PATH_SIZE + 32])
{
    snprintf(path, TEMP_PATH_SIZE + 32, "%s/%s", safe->server.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int begin(void **state)
{
    struct safe *safe = calloc(1, sizeof(*safe));
    char seed[TEMP_PATH_SIZE + 32];

    assert_non_null(safe);
    server_start(&safe->server, &(struct server_options){.config = SERVER});
    write_file(safe, "user.nk", SEED "\n", seed);
    write_file(safe, "jetjobs.yaml", "nats: { nkey: user.nk, inbox_prefix: _INBOX_me }\n",
               safe->config);
    *state = safe;
    return 0;
}

static int end(void **state)
{
    struct safe *safe = *state;

    server_done(&safe->server);
    free(safe);
    return 0;
}

static void an_nkey_of_the_configuration_opens(void **state)
{
    struct safe *safe = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = safe->server.url};

    cli_output(&cli, CLI_ARGS("--config", safe->config, "provision"), ENDING_DONE);
    cli_output(&cli, CLI_ARGS("--config", safe->config, "enqueue", "mail", "1"), ENDING_DONE);
    cli_output(&cli, CLI_ARGS("--config", safe->config, "bench", "-n", "10"), ENDING_DONE);
}

static void write_creds(struct safe *safe, const char *name, const char *conf_user,
                        int64_t expires_at_s)
{
    struct key_pair keys;
    char path[TEMP_PATH_SIZE + 32];

    key_pair_make(KEY_OF_USER, &keys);
    const struct realm_user user = {
        .keys = &keys, .conf_user = conf_user, .expires_at_s = expires_at_s};
    char *jwt = realm_jwt(&safe->realm, &user);
    char *text = realm_creds(jwt, keys.seed);
    write_file(safe, name, text, path);
    free(text);
    free(jwt);
}

#define CREDS_CONFIG                                                                               \
    "nats: { creds: all.creds }\n"                                                                 \
    "index: { path: all.db }\n"                                                                    \
    "handlers: [ { name: mail, exec: [/bin/cat] } ]\n"

static void credentials_of_the_configuration_open(void **state)
{
    struct safe *safe = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = safe->server.url};
    char all[TEMP_PATH_SIZE + 32], mail[TEMP_PATH_SIZE + 32];

    realm_make(&safe->realm);
    server_restart_with(&safe->server, &(struct server_options){.config = safe->realm.config});
    write_creds(safe, "all.creds", NULL, 0);
    write_creds(safe, "mail.creds", "mail_producer", 0);
    write_file(safe, "all.yaml", CREDS_CONFIG, all);
    write_file(safe, "mail.yaml",
               "nats: { creds: mail.creds, inbox_prefix: _INBOX_mail_producer, only_name: mail }\n",
               mail);
    struct process *up = cli_start(&cli, CLI_ARGS("--config", all, "up"));
    assert_true(process_wait_errors(up, "up: broker"));
    const char *job =
        cli_output(&cli, CLI_ARGS("--config", mail, "enqueue", "mail", "[1]", "--wait"), 0);
    assert_non_null(strstr(job, "\nresult\t[1]\n"));
    const char *errors =
        cli_errors(&cli, CLI_ARGS("--config", mail, "enqueue", "other", "1"), ENDING_FAILED);
    assert_non_null(strstr(errors, "not permitted"));
    cli_output(&cli, CLI_ARGS("--config", all, "bench", "-n", "10"), ENDING_DONE);
    process_signal(up, SIGTERM);
    process_wait(up, 0);
    process_free(up);

    write_creds(safe, "mail.creds", "mail_producer", 1767225599);
    errors = cli_errors(&cli, CLI_ARGS("--config", mail, "enqueue", "mail"), ENDING_FAILED);
    assert_non_null(strstr(errors, "the JWT expired at 2025-12-31T23:59:59.000Z"));
}

static void creds_and_nkey_exclude_each_other(void **state)
{
    struct safe *safe = *state;
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = safe->server.url};
    char path[TEMP_PATH_SIZE + 32];

    write_file(safe, "both.yaml", "nats:\n  nkey: user.nk\n  creds: user.nk\n", path);
    const char *errors = cli_errors(&cli, CLI_ARGS("--config", path, "stats"), ENDING_USAGE);
    assert_non_null(strstr(errors, "both.yaml:2: nats.nkey: creds is there, too: name one"));
}

/* Nothing may be printed of it, whatever is asked and however it fails. */
static void assert_untold(const char *url, const char *const args[])
{
    const struct cli cli = {.program = JETJOBS_PROGRAM};
    const char *all[8] = {"--url", url};
    struct process *process;

    for (size_t i = 0; args[i] != NULL && i < 5; i++)
        all[2 + i] = args[i];
    assert_int_not_equal(cli_run(&cli, all, &process), ENDING_DONE);
    assert_null(strstr(process_output(process), "s3cr"));
    if (strstr(process_errors(process), "s3cr") != NULL)
        fail_msg("this tells the secret: %s", process_errors(process));
    assert_int_not_equal(strlen(process_errors(process)), 0);
    process_free(process);
}

static void no_command_tells_a_password(void **state)
{
    const char *const *const commands[] = {
        CLI_ARGS("doctor"), CLI_ARGS("--json", "doctor"),     CLI_ARGS("provision"),
        CLI_ARGS("bench"),  CLI_ARGS("enqueue", "mail", "1"), CLI_ARGS("get", "x"),
        CLI_ARGS("events"), CLI_ARGS("cron", "list"),
    };
    struct safe *safe = *state;
    char url[128];

    server_url_of(&safe->server, "bob:s3crit", url);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        assert_untold(url, commands[i]);
}

static void no_form_of_a_url_tells_its_password(void **state)
{
    static const char *const urls[] = {
        "nats://bob:s3cret@127.0.0.1:1",
        "nats://bob:s3cret@127.0.0.1:port",
        "nats://bob:s3cret://x@127.0.0.1:1",
        "nats://bob:s3cret/x@127.0.0.1:1",
        "nats://bob:s3cret@",
        "bob:s3cret@127.0.0.1:1",
        "nats://127.0.0.1:1, bob:s3cret@::1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_untold(urls[i], CLI_ARGS("doctor"));
}

static void a_service_warns_of_a_password_that_all_may_read(void **state)
{
    struct safe *safe = *state;
    char url[128], text[256], path[TEMP_PATH_SIZE + 32];
    const char *const argv[] = {JETJOBS_PROGRAM, "--config", path, "serve", NULL};

    server_url_of(&safe->server, "bob:s3cret", url);
    snprintf(text, sizeof(text), "nats: { url: '%s' }\n", url);
    write_file(safe, "open.yaml", text, path);
    assert_int_equal(chmod(path, 0644), 0);
    struct process *process = process_start(argv, NULL);
    assert_true(process_wait_errors(
        process, "open.yaml holds a secret in nats.url and is open to all users: chmod 600"));
    process_signal(process, SIGTERM);
    process_wait(process, 0);
    assert_null(strstr(process_errors(process), "s3cr"));
    process_free(process);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_nkey_of_the_configuration_opens),
        TEST(credentials_of_the_configuration_open),
        TEST(creds_and_nkey_exclude_each_other),
        TEST(no_command_tells_a_password),
        TEST(a_service_warns_of_a_password_that_all_may_read),
        cmocka_unit_test(no_form_of_a_url_tells_its_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file: what is read from it, and what is said about wrong ones. Tests stand in a
 * folder of their own, so that the file's name is short. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "process.h"
#include "spec.h"
#include "temp.h"

#define NAME "jetjobs.yaml"

static char dir[TEMP_PATH_SIZE];
static char before[4096];

static void write_file(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Read text as a file; it must be right. */
static struct config *config_of(const char *text)
{
    struct config *config = NULL;
    jj_error err = {0};

    write_file(NAME, text, strlen(text));
    if (config_load(NAME, &config, &err) != JJ_OK)
        fail_msg("%s", err.text);
    return config;
}

/* Read bytes as a file; it must be wrong, and this is said of it. */
static void assert_wrong(const void *bytes, size_t len, const char *said)
{
    struct config *config = NULL;
    jj_error err = {0};

    write_file(NAME, bytes, len);
    if (config_load(NAME, &config, &err) == JJ_OK)
        fail_msg("taken, instead of: %s", said);
    assert_string_equal(err.text, said);
    assert_int_equal(err.status, JJ_ERR_INVALID);
    assert_null(config);
}

/* ---- right files ---- */

static void assert_defaults(const struct config *config)
{
    jj_options expected, effective;

    assert_int_equal(jj__options_resolve(NULL, &expected, NULL), JJ_OK);
    assert_int_equal(jj__options_resolve(&config->options, &effective, NULL), JJ_OK);
    assert_string_equal(effective.url, expected.url);
    effective.url = expected.url;
    assert_memory_equal(&effective, &expected, sizeof(expected));
    assert_int_equal(config->log_level, JJ_LOG_INFO);
    assert_false(config->log_json);
    assert_int_equal(config->handler_count, 0);
}

static void without_a_file_all_is_default(void **state)
{
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_load(NULL, &config, NULL), JJ_OK);
    assert_defaults(config);
    assert_string_equal(config->index_path, "jetjobs.db");
    assert_false(config->index_path_said);
    assert_null(config->file);
    config_free(config);
}

static void a_file_that_says_nothing_is_default(void **state)
{
    static const char *const texts[] = {
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "\xEF\xBB\xBF# with a byte order mark\n",
        "{}\n",
        "nats:\nworker:\nindex:\nstreams:\nlog:\nhandlers:\n",
        "nats: { url: , creds: ~, tls: }\nworker: { concurrency: null }\nhandlers: []\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *config = config_of(texts[i]);
        assert_defaults(config);
        config_free(config);
    }
}

/* It is that path in the folder of the test. */
static void assert_in_folder(const char *path, const char *expected)
{
    char whole[2 * TEMP_PATH_SIZE];

    snprintf(whole, sizeof(whole), "%s/%s", dir, expected);
    assert_string_equal(path, whole);
}

static void every_value_arrives(void **state)
{
    static const char *const files[] = {"user.creds", "ca.pem", "cert.pem", "key.pem"};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        write_file(files[i], "", 0);
    struct config *config = config_of(
        "nats:\n"
        "  url: nats://a:4222,nats://b:4222\n"
        "  creds: user.creds\n"
        "  inbox_prefix: _INBOX_me\n"
        "  only_name: mail\n"
        "  tls: { ca: ca.pem, cert: cert.pem, key: ./key.pem }\n"
        "worker: { concurrency: 7, poll_interval: 2s, max_attempts: 4, ack_wait: 20s,\n"
        "          shutdown_grace: 1m, max_lost: 5, backoff: { initial: 10ms, max: 1h } }\n"
        "index: { path: data/jobs.db, history: 2d, history_bytes: 64KiB }\n"
        "streams: { replicas: 3, max_bytes: 1GiB }\n"
        "log: { level: warn, format: json }\n");
    const jj_options *options = &config->options;

    (void)state;
    assert_string_equal(options->url, "nats://a:4222,nats://b:4222");
    assert_in_folder(options->credentials, "user.creds");
    assert_string_equal(options->inbox_prefix, "_INBOX_me");
    assert_string_equal(options->only_name, "mail");
    assert_in_folder(options->tls_ca, "ca.pem");
    assert_in_folder(options->tls_cert, "cert.pem");
    assert_in_folder(options->tls_key, "./key.pem");
    assert_int_equal(options->concurrency, 7);
    assert_int_equal(options->poll_interval_ms, 2000);
    assert_int_equal(options->max_attempts, 4);
    assert_int_equal(options->ack_wait_ms, 20000);
    assert_int_equal(options->shutdown_grace_ms, 60000);
    assert_int_equal(options->max_lost, 5);
    assert_int_equal(options->backoff_initial_ms, 10);
    assert_int_equal(options->backoff_max_ms, 3600000);
    assert_null(options->index_path);
    assert_in_folder(config->index_path, "data/jobs.db");
    assert_true(config->index_path_said);
    assert_int_equal(options->history_ms, 2 * 86400000);
    assert_int_equal(options->history_bytes, 65536);
    assert_int_equal(options->replicas, 3);
    assert_int_equal(options->jobs_bytes, 1 << 30);
    assert_int_equal(config->log_level, JJ_LOG_WARN);
    assert_true(config->log_json);
    config_free(config);
}

static void handlers_arrive_in_order(void **state)
{
    struct config *config = config_of("handlers:\n"
                                      "  - name: sendEmail\n"
                                      "    exec: [./send email.sh, --fast, \"\"]\n"
                                      "    concurrency: 2\n"
                                      "    fleet_concurrency: 20\n"
                                      "    timeout: 90s\n"
                                      "    max_attempts: 8\n"
                                      "    backoff: { initial: 5s, max: 2m }\n"
                                      "  - { name: resize, request: svc.resize }\n"
                                      "\n"
                                      "  - plugin: ./handlers.so\n");

    (void)state;
    assert_int_equal(config->handler_count, 3);
    const struct handler_config *handler = &config->handlers[0];
    assert_int_equal(handler->kind, HANDLER_EXEC);
    assert_string_equal(handler->name, "sendEmail");
    assert_in_folder(handler->exec.argv[0], "./send email.sh");
    assert_string_equal(handler->exec.argv[1], "--fast");
    assert_string_equal(handler->exec.argv[2], "");
    assert_null(handler->exec.argv[3]);
    assert_int_equal(handler->options.concurrency, 2);
    assert_int_equal(handler->options.fleet_concurrency, 20);
    assert_int_equal(handler->options.timeout_ms, 90000);
    assert_int_equal(handler->options.max_attempts, 8);
    assert_int_equal(handler->options.backoff_initial_ms, 5000);
    assert_int_equal(handler->options.backoff_max_ms, 120000);
    assert_int_equal(handler->line, 2);
    assert_int_equal(config->handlers[1].kind, HANDLER_REQUEST);
    assert_string_equal(config->handlers[1].request, "svc.resize");
    assert_int_equal(config->handlers[1].line, 9);
    assert_int_equal(config->handlers[2].kind, HANDLER_PLUGIN);
    assert_in_folder(config->handlers[2].plugin, "./handlers.so");
    assert_null(config->handlers[2].name);
    assert_int_equal(config->handlers[2].line, 11);
    config_free(config);
}

static void settings_of_a_program_arrive(void **state)
{
    struct config *config = config_of("handlers:\n"
                                      "- name: a\n"
                                      "  exec: [run]\n"
                                      "  dir: work\n"
                                      "  env: [TOKEN, MODE=fast]\n"
                                      "  user: nobody\n"
                                      "  limits: { memory: 1GiB, cpu: 1m, open_files: 64,\n"
                                      "            processes: 20, file_size: 10MiB }\n"
                                      "- { name: b, exec: [run] }\n");
    const jj_exec_options *exec = &config->handlers[0].exec;

    (void)state;
    assert_in_folder(exec->dir, "work");
    assert_string_equal(exec->env[0], "TOKEN");
    assert_string_equal(exec->env[1], "MODE=fast");
    assert_null(exec->env[2]);
    assert_string_equal(exec->user, "nobody");
    assert_int_equal(exec->memory_bytes, 1 << 30);
    assert_int_equal(exec->cpu_seconds, 60);
    assert_int_equal(exec->open_files, 64);
    assert_int_equal(exec->processes, 20);
    assert_int_equal(exec->file_bytes, 10 << 20);
    exec = &config->handlers[1].exec;
    assert_string_equal(exec->dir, dir);
    assert_null(exec->env[0]);
    assert_null(exec->user);
    config_free(config);
}

static void paths_are_relative_to_the_file(void **state)
{
    static const char text[] = "nats: { creds: a.creds, tls: { ca: /dev/null } }\n"
                               "index: { path: jobs.db }\n"
                               "handlers:\n"
                               "  - { name: a, exec: [./run.sh, ./x] }\n"
                               "  - { name: b, exec: [bin/run.sh] }\n"
                               "  - { name: c, exec: [cat] }\n"
                               "  - { plugin: p.so }\n";
    struct config *config = NULL;

    (void)state;
    assert_int_equal(mkdir("etc", 0700), 0);
    write_file("etc/" NAME, text, strlen(text));
    write_file("etc/a.creds", "", 0);
    assert_int_equal(config_load("etc/" NAME, &config, NULL), JJ_OK);
    assert_in_folder(config->folder, "etc");
    assert_in_folder(config->options.credentials, "etc/a.creds");
    assert_string_equal(config->options.tls_ca, "/dev/null");
    assert_in_folder(config->index_path, "etc/jobs.db");
    assert_in_folder(config->handlers[0].exec.argv[0], "etc/./run.sh");
    assert_string_equal(config->handlers[0].exec.argv[1], "./x");
    assert_in_folder(config->handlers[1].exec.argv[0], "etc/bin/run.sh");
    assert_string_equal(config->handlers[2].exec.argv[0], "cat");
    assert_in_folder(config->handlers[3].plugin, "etc/p.so");
    config_free(config);
}

/* Every key, with its default, as it is in the file that comes with the program. */
static void the_file_that_shows_all_keys_is_default(void **state)
{
    struct config *config = NULL;
    jj_error err = {0};

    (void)state;
    if (config_load(JETJOBS_SOURCE "/config/jetjobs.yaml", &config, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_defaults(config);
    assert_string_equal(config->index_path, JETJOBS_SOURCE "/config/jetjobs.db");
    config_free(config);
}

static void a_file_that_anybody_may_write_is_noticed(void **state)
{
    struct config *config = config_of("");

    (void)state;
    assert_false(config->open_to_all);
    config_free(config);
    assert_int_equal(chmod(NAME, 0666), 0);
    assert_int_equal(config_load(NAME, &config, NULL), JJ_OK);
    assert_true(config->open_to_all);
    config_free(config);
}

static bool tells_secret(const char *text, mode_t mode)
{
    struct config *config = config_of(text);

    config_free(config);
    assert_int_equal(chmod(NAME, mode), 0);
    assert_int_equal(config_load(NAME, &config, NULL), JJ_OK);
    bool tells = config->tells_secret;
    config_free(config);
    return tells;
}

static void a_password_that_anybody_may_read_is_noticed(void **state)
{
    (void)state;
    assert_true(tells_secret("nats: { url: 'nats://bob:x@127.0.0.1' }", 0644));
    assert_true(tells_secret("nats: { url: 'nats://token@127.0.0.1' }", 0604));
    assert_false(tells_secret("nats: { url: 'nats://bob:x@127.0.0.1' }", 0640));
    assert_false(tells_secret("nats: { url: 'nats://127.0.0.1' }", 0644));
    assert_false(tells_secret("", 0644));
}

/* ---- wrong files ---- */

#define TOP "nats, worker, index, streams, log, handlers"
#define WORKER                                                                                     \
    "concurrency, poll_interval, max_attempts, ack_wait, shutdown_grace, max_lost, backoff"
#define HANDLER                                                                                    \
    "name, exec, request, plugin, dir, env, user, limits, concurrency, fleet_concurrency, "        \
    "timeout, max_attempts, backoff"

static void what_is_wrong_is_said_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } files[] = {
        {"wroker: 1", NAME ":1: wroker: unknown key: allowed are " TOP},
        {"worker:\n  concurency: 5",
         NAME ":2: worker.concurency: unknown key: allowed are " WORKER},
        {"worker:\n  concurrency: many",
         NAME ":2: worker.concurrency: 'many' is not a number: 1 to 10000"},
        {"worker: { concurrency: 0 }",
         NAME ":1: worker.concurrency: 0 is out of range: 1 to 10000"},
        {"worker: { concurrency: 10001 }",
         NAME ":1: worker.concurrency: 10001 is out of range: 1 to 10000"},
        {"worker: { concurrency: 99999999999999999999999999 }",
         NAME ":1: worker.concurrency: 99999999999999999999999999 is out of range: 1 to 10000"},
        {"worker: { concurrency: -1 }",
         NAME ":1: worker.concurrency: '-1' is not a number: 1 to 10000"},
        {"worker: { concurrency: 5.5 }",
         NAME ":1: worker.concurrency: '5.5' is not a number: 1 to 10000"},
        {"worker: { concurrency: [5] }", NAME ":1: worker.concurrency: not a single value"},
        {"worker: { concurrency: { a: b } }", NAME ":1: worker.concurrency: not a single value"},
        {"worker: 5", NAME ":1: worker: not a section: allowed in it are " WORKER},
        {"worker: [5]", NAME ":1: worker: not a section: allowed in it are " WORKER},
        {"- a", NAME ":1: the file: not a section: allowed in it are " TOP},
        {"just text", NAME ":1: the file: not a section: allowed in it are " TOP},
        {"handlers: x",
         NAME ":1: handlers: not a list: [one, two], or each in a line after \"- \""},
        {"handlers: { a: b }",
         NAME ":1: handlers: not a list: [one, two], or each in a line after \"- \""},
        {"handlers:\n - x", NAME ":2: handlers[0]: not a section: allowed in it are " HANDLER},
        {"handlers:\n- name: a\n  exec: ./run.sh --fast",
         NAME ":3: handlers[0].exec: not a list: [one, two], or each in a line after \"- \""},
        {"handlers:\n- name: a\n  exec: []",
         NAME ":2: handlers[0]: nothing to run: one of exec, request and plugin"},
        {"handlers:\n- name: a\n  exec: [\"\"]",
         NAME ":3: handlers[0].exec: no program: the program, then its arguments"},
        {"handlers:\n- name: a\n  exec: [[a]]", NAME ":3: handlers[0].exec[0]: not a single value"},
        {"handlers:\n- name: a\n",
         NAME ":2: handlers[0]: nothing to run: one of exec, request and plugin"},
        {"handlers:\n- exec: [a]\n",
         NAME ":2: handlers[0]: no name: the name of the jobs that it runs"},
        {"handlers:\n- name: a\n  exec: [x]\n  request: y",
         NAME ":2: handlers[0]: more than one thing to run: one of exec, request and plugin"},
        {"handlers:\n- { name: a, request: svc resize }",
         NAME ":2: handlers[0].request: subject 'svc resize' is not 1 to 255 bytes of tokens with "
              "dots between, without wildcards and spaces"},
        {"handlers:\n- name: a\n  plugin: x",
         NAME ":2: handlers[0].name: not with a plugin, which says this of each handler itself"},
        {"handlers:\n- name: a b\n  exec: [x]",
         NAME ":2: handlers[0].name: 'a b' is not allowed: 1 to 64 of A-Z a-z 0-9 _ -"},
        {"handlers:\n- name: a\n  exec: [x]\n- name: a\n  request: b",
         NAME ":4: handlers[1].name: 'a' is the name of the handler in line 2 already"},
        {"handlers:\n- name: a\n  exec: [x]\n  concurrency: 6",
         NAME ":4: handlers[0].concurrency: 6 is more than worker.concurrency: 1 to 5"},
        {"handlers:\n- name: a\n  exec: [x]\n  timeout: 5", NAME
         ":4: handlers[0].timeout: '5' is not a duration: as in 500ms, 15s, 5m, 2h, 7d or 1h30m"},
        {"handlers:\n- name: a\n  exec: [x]\n  timeout: 0s",
         NAME ":4: handlers[0].timeout: 0s is too short: 1ms or more"},
        {"worker:\n  ack_wait: 100ms", NAME ":2: worker.ack_wait: 100ms is too short: 1s or more"},
        {"worker: { poll_interval: 1 day }",
         NAME ":1: worker.poll_interval: '1 day' is not a duration: as in 500ms, 15s, 5m, 2h, 7d "
              "or 1h30m"},
        {"worker: { poll_interval: 200000d }",
         NAME ":1: worker.poll_interval: '200000d' is not a duration: as in 500ms, 15s, 5m, 2h, 7d "
              "or 1h30m"},
        {"index: { history_bytes: 8GB }", NAME ":1: index.history_bytes: '8GB' is not a size: "
                                               "bytes as 65536, or 64KiB, 8MiB, 8GiB or 1TiB"},
        {"index: { history_bytes: 0 }", NAME ":1: index.history_bytes: 0 is too small: 1 or more"},
        {"streams: { replicas: 6 }", NAME ":1: streams.replicas: 6 is out of range: 1 to 5"},
        {"log: { level: verbose }",
         NAME ":1: log.level: 'verbose' is none of debug, info, warn, error"},
        {"log: { format: xml }", NAME ":1: log.format: 'xml' is none of text, json"},
        {"worker: { backoff: { initial: 10m } }",
         NAME ":1: worker.backoff: initial is 10m and max is 5m: max must be as long or longer"},
        {"worker: { backoff: { initial: 10s, max: 1s } }",
         NAME ":1: worker.backoff: initial is 10s and max is 1s: max must be as long or longer"},
        {"worker: { backoff: { initial: 2m } }\nhandlers:\n- name: a\n  exec: [x]\n  backoff: { "
         "max: 1m }",
         NAME
         ":5: handlers[0].backoff: initial is 2m and max is 1m: max must be as long or longer"},
        {"nats: { creds: /none/user.creds }",
         NAME ":1: nats.creds: /none/user.creds: No such file or directory"},
        {"nats: { tls: { key: /none/key.pem } }",
         NAME ":1: nats.tls.key: /none/key.pem: No such file or directory"},
        {"nats: { tls: { cert: /dev/null } }",
         NAME ":1: nats.tls: cert and key go together: name both, or none"},
        {"handlers:\n- { name: a, request: b, dir: c }",
         NAME ":2: handlers[0].dir: only for handlers with exec"},
        {"handlers:\n- { plugin: b, timeout: 1s }",
         NAME ":2: handlers[0].timeout: not with a plugin, which says this of each handler itself"},
        {"handlers:\n- { plugin: b, limits: { cpu: 1s } }",
         NAME ":2: handlers[0].limits: only for handlers with exec"},
        {"handlers:\n- { name: a, exec: [b], limits: { cpu: 10ms } }",
         NAME ":2: handlers[0].limits.cpu: 10ms is too short: 1s or more"},
        {"handlers:\n- { name: a, exec: [b], env: TOKEN }",
         NAME ":2: handlers[0].env: not a list: [one, two], or each in a line after \"- \""},
        {"a: &x 1", NAME ":1: a: unknown key: allowed are " TOP},
        {"nats: &x\n  url: *x", NAME ":1: anchors (&), aliases (*) and tags (!) are not used here"},
        {"nats: { url: !!str x }",
         NAME ":1: anchors (&), aliases (*) and tags (!) are not used here"},
        {"nats:\n\turl: x", NAME ":2: not YAML: indented with a tab: only spaces do"},
        {"nats: { url: x",
         NAME ":2: not YAML: did not find expected ',' or '}' while parsing a flow mapping"},
        {"nats: }",
         NAME ":1: not YAML: did not find expected node content while parsing a block node"},
        {"nats: \"x",
         NAME ":1: not YAML: found unexpected end of stream while scanning a quoted scalar"},
        {"nats: {}\nnats: {}", NAME ":2: nats: is there twice"},
        {"nats: { url: a, url: b }", NAME ":1: nats.url: is there twice"},
        {"---\nnats:\n---\nnats:", NAME ":3: a second document begins: one is allowed"},
        {"? [a]\n: b", NAME ":1: the file: a key must be a word"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[", NAME ":1: the file: not a section: allowed in it are " TOP},
        {"nats: { url: \"a\\0b\" }", NAME ":1: a NUL character is in the text"},
        {"%YAML 9.9\n---\n", NAME ":1: not YAML: found incompatible YAML document"},
        {"<<: a", NAME ":1: <<: unknown key: allowed are " TOP},
        {"handlers:\n-\n", NAME ":2: handlers[0]: not a section: allowed in it are " HANDLER},
        {"handlers:\n- \n", NAME ":2: handlers[0]: not a section: allowed in it are " HANDLER},
        {"nats: {url: a}}",
         NAME ":1: not YAML: did not find expected key while parsing a block mapping"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_wrong(files[i].text, strlen(files[i].text), files[i].said);
}

static void what_is_no_text_is_refused(void **state)
{
    (void)state;
    assert_wrong("nats:\n\xff\xfe", 8, NAME ":2: not text in UTF-8");
    assert_wrong("\xff\xfen\0", 4, NAME ":1: not text in UTF-8");
    assert_wrong("nats:\n\n# \xc3", 10, NAME ":3: not text in UTF-8");
    assert_wrong("nats:\0", 6, NAME ":1: a control character (0x00)");
    assert_wrong("# \x1b[2J\n", 7, NAME ":1: a control character (0x1b)");
}

static void what_is_quoted_is_made_printable(void **state)
{
    static const char text[] = "log: { level: \"\\e[2Jx\\ny\" }\n";

    (void)state;
    assert_wrong(text, strlen(text),
                 NAME ":1: log.level: '?[2Jx?y' is none of debug, info, warn, error");
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    size_t len = 1024 * 1024 + 1;
    char *text = malloc(len);

    (void)state;
    assert_non_null(text);
    memset(text, '\n', len);
    assert_wrong(text, len, NAME ": too large: at most 1048576 bytes");
    write_file(NAME, text, len - 1);
    struct config *config = NULL;
    assert_int_equal(config_load(NAME, &config, NULL), JJ_OK);
    config_free(config);
    free(text);
}

/* As many handlers and arguments as fit into a file: bounded in time and memory. */
static void many_handlers_are_taken_and_too_many_refused(void **state)
{
    static char text[200 * 1024];
    size_t len = (size_t)snprintf(text, sizeof(text), "handlers:\n");

    (void)state;
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "- { name: job%d, exec: [a, b, c, d] }\n", i);
    struct config *config = config_of(text);
    assert_int_equal(config->handler_count, 1000);
    assert_int_equal(config->handlers[999].line, 1001);
    config_free(config);
    snprintf(text + len, sizeof(text) - len, "- { name: more, exec: [a] }\n");
    assert_wrong(text, strlen(text), NAME ":1002: handlers: more than 1000 of them");
}

static void depth_is_bounded_by_the_schema(void **state)
{
    size_t len = 500000;
    char *text = malloc(len);

    (void)state;
    assert_non_null(text);
    memset(text, '[', len);
    assert_wrong(text, len, NAME ":1: the file: not a section: allowed in it are " TOP);
    memcpy(text, "nats: {tls: ", 12);
    assert_wrong(text, len, NAME ":1: nats.tls: not a section: allowed in it are ca, cert, key");
    free(text);
}

static void a_file_that_can_t_be_read_is_named(void **state)
{
    struct config *config = NULL;
    jj_error err = {0};

    (void)state;
    assert_int_equal(config_load("none.yaml", &config, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, "none.yaml: No such file or directory");
    assert_int_equal(config_load(".", &config, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, ".: Is a directory");
    write_file(NAME, "", 0);
    assert_int_equal(config_load(NAME "/x", &config, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, NAME "/x: Not a directory");
    if (geteuid() == 0)
        return; /* who may read anything */
    assert_int_equal(chmod(NAME, 0), 0);
    assert_int_equal(config_load(NAME, &config, &err), JJ_ERR_INVALID);
    assert_string_equal(err.text, NAME ": Permission denied");
}

static void the_program_says_what_is_wrong(void **state)
{
    const char *const argv[] = {JETJOBS_PROGRAM, "--config", NAME, "provision", NULL};
    struct process *process;

    (void)state;
    write_file(NAME, "nats: 5\n", 8);
    assert_int_equal(process_run(argv, &process), 2);
    assert_string_equal(process_errors(process),
                        "jetjobs: " NAME ":1: nats: not a section: allowed in it are url, creds, "
                        "nkey, inbox_prefix, only_name, tls\n");
    assert_string_equal(process_output(process), "");
    process_free(process);
}

/* ---- its folder ---- */

static int enter_folder(void **state)
{
    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    temp_dir_make(dir);
    if (chdir(dir) != 0 || getcwd(dir, sizeof(dir)) == NULL)
        return -1;
    return 0;
}

static int leave_folder(void **state)
{
    (void)state;
    int failed = chdir(before);
    temp_dir_remove(dir);
    return failed;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_all_is_default),
        TEST(a_file_that_says_nothing_is_default),
        TEST(every_value_arrives),
        TEST(handlers_arrive_in_order),
        TEST(settings_of_a_program_arrive),
        TEST(paths_are_relative_to_the_file),
        TEST(the_file_that_shows_all_keys_is_default),
        TEST(a_file_that_anybody_may_write_is_noticed),
        TEST(a_password_that_anybody_may_read_is_noticed),
        TEST(what_is_wrong_is_said_with_its_line),
        TEST(what_is_no_text_is_refused),
        TEST(what_is_quoted_is_made_printable),
        TEST(a_file_that_is_too_large_is_refused),
        TEST(many_handlers_are_taken_and_too_many_refused),
        TEST(depth_is_bounded_by_the_schema),
        TEST(a_file_that_can_t_be_read_is_named),
        TEST(the_program_says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

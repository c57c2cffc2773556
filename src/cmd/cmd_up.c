/* SPDX-License-Identifier: Apache-2.0 */

/* All in one process: the broker that is there or a private one, an index service, a worker. */

#define _XOPEN_SOURCE 700 /* realpath */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "clock.h"
#include "commands.h"
#include "daemon.h"
#include "data_folder.h"
#include "private_server.h"
#include "status.h"
#include "up_text.h"
#include "work.h"

#define DATA_NAME        "jetjobs-data"
#define CONFIG_NAME      "jetjobs.yaml"
#define DEFAULT_URL      "nats://127.0.0.1:4222"
#define PROBE_MS         2000
#define LOOK_MS          50
#define SAY_IT_STARTS_MS 3000

static const char *data_option;
static bool fast_option;

static const struct cmd_option options[] = {
    {"data", '\0', "DIR", "the folder for streams and index; else jetjobs-data", OPTION_TEXT,
     .to = &data_option},
    {"fast", '\0', NULL, "a private nats-server accepts jobs before they are on disk", OPTION_FLAG,
     .to = &fast_option},
    {0},
};

struct up {
    struct daemon daemon;
    struct private_server server; /* pid 0: there was a broker */
    bool is_private;
    char *dir; /* absolute */
    int lock_fd;
    char url[64]; /* of the private one */
    char index[DATA_PATH_SIZE];
};

/* ---- the folder ---- */

static jj_status take_folder(struct up *up, jj_error *err)
{
    const struct config *config = up->daemon.config;
    char dir[DATA_PATH_SIZE];

    if (data_option != NULL)
        snprintf(dir, sizeof(dir), "%.4000s", data_option);
    else
        data_folder_path(config->folder, DATA_NAME, dir);
    jj_status s = data_folder_take(dir, &up->lock_fd, err);
    if (s != JJ_OK)
        return s;
    up->dir = realpath(dir, NULL);
    if (up->dir == NULL)
        return jj__fail_errno(err, JJ_ERR_STORAGE, errno, dir);
    data_folder_end_server(up->dir);
    if (config->index_path_said)
        snprintf(up->index, sizeof(up->index), "%.4000s", config->index_path);
    else
        data_folder_path(up->dir, "jetjobs.db", up->index);
    return JJ_OK;
}

/* ---- the broker ---- */

/* The port of a url of this machine, where a server of ours may be; 0: it is none. */
static int port_of(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    const char *host = strncmp(url, "nats://", 7) == 0 ? url + 7 : url;
    const char *user_end = strrchr(host, '@');

    if (strchr(url, ',') != NULL || (host == url && strstr(url, "://") != NULL))
        return 0;
    if (user_end != NULL)
        host = user_end + 1;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(host, hosts[i], len) != 0)
            continue;
        if (host[len] == '\0' || strcmp(host + len, "/") == 0)
            return PRIVATE_SERVER_PORT;
        long port = host[len] == ':' ? strtol(host + len + 1, NULL, 10) : 0;
        return port > 0 && port < 65536 ? (int)port : 0;
    }
    return 0;
}

static const char *url_of(const struct up *up)
{
    return up->daemon.url != NULL ? up->daemon.url : up->daemon.config->options.url;
}

/* Will the one that is there do? */
static jj_status probe(const struct up *up, jj_error *err)
{
    jj_options said = up->daemon.config->options;
    jj_client *client = NULL;

    said.url = url_of(up);
    said.connect_timeout_ms = PROBE_MS;
    jj_status s = jj_open(&said, &client, err);
    if (s == JJ_OK)
        jj_close(client);
    return s;
}

/* Wait until the private server takes connections; false: it does not, or a signal came. */
static bool wait_for_server(struct up *up)
{
    struct daemon *daemon = &up->daemon;
    int64_t say_at_ms = jj__clock_mono_ms() + SAY_IT_STARTS_MS;
    jj_error err = {0};

    while (!private_server_greets(up->server.port)) {
        if (private_server_has_ended(&up->server, &err)) {
            daemon->ending = program_fail(&err);
            return false;
        }
        int number = daemon_next_signal(LOOK_MS);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP)
            return false;
        if (jj__clock_mono_ms() > say_at_ms) {
            logger_say(&daemon->logger, JJ_LOG_INFO, "nats-server reads its store");
            say_at_ms = INT64_MAX;
        }
    }
    return true;
}

static bool start_server(struct up *up, int port)
{
    const struct private_server_setup setup = {.dir = up->dir, .port = port, .fast = fast_option};
    jj_error err = {0};

    up->is_private = true;
    if (private_server_start(&up->server, &setup, &err) != JJ_OK) {
        up->daemon.ending = program_fail(&err);
        return false;
    }
    snprintf(up->url, sizeof(up->url), "nats://127.0.0.1:%d", up->server.port);
    up->daemon.url = up->url;
    return wait_for_server(up);
}

/* Who named a broker gets that one: if nobody is there, a private one in its place, but only where
 * its url can be: on this machine. A broker on the usual port that will not do is left alone. */
static bool have_broker(struct up *up)
{
    const jj_options *said = &up->daemon.config->options;
    const char *url = url_of(up);
    bool plain = said->tls_ca == NULL && said->tls_cert == NULL;
    int port = plain ? port_of(url != NULL ? url : DEFAULT_URL) : 0;
    jj_error err = {0};

    if (port != 0 && !private_server_greets(port))
        return start_server(up, url == NULL ? 0 : port);
    if (probe(up, &err) == JJ_OK)
        return true;
    if (url != NULL) {
        up->daemon.ending = program_fail(&err);
        return false;
    }
    logger_say(&up->daemon.logger, JJ_LOG_WARN, DEFAULT_URL " is of no use: %s", err.text);
    return start_server(up, 0);
}

/* It has ended without being asked to: start it again. */
static bool child_ended(void *ctx)
{
    struct up *up = ctx;
    jj_error err = {0};

    if (!up->is_private || !private_server_has_ended(&up->server, &err))
        return true;
    logger_say(&up->daemon.logger, JJ_LOG_ERROR, "%s", err.text);
    if (private_server_restart(&up->server, &err) == JJ_OK) {
        logger_say(&up->daemon.logger, JJ_LOG_WARN, "nats-server is started again");
        return true;
    }
    logger_say(&up->daemon.logger, JJ_LOG_ERROR, "%s", err.text);
    return false;
}

/* ---- what is said ---- */

static const char *first_name(const struct config *config)
{
    for (size_t i = 0; i < config->handler_count; i++)
        if (config->handlers[i].name != NULL)
            return config->handlers[i].name;
    return "hello";
}

/* A file that looks as if it were meant. */
static const char *unused_config(const struct config *config)
{
    return config->file == NULL && access(CONFIG_NAME, F_OK) == 0 ? CONFIG_NAME : NULL;
}

/* Do clients need the configuration, to find the broker or to be let in? */
static bool names_broker(const struct config *config)
{
    const jj_options *said = &config->options;

    return said->url != NULL || said->credentials != NULL || said->nkey != NULL ||
           said->tls_ca != NULL || said->tls_cert != NULL || said->inbox_prefix != NULL;
}

static void say_ready(void *ctx)
{
    struct up *up = ctx;
    const struct config *config = up->daemon.config;
    const char *url = url_of(up) != NULL ? url_of(up) : DEFAULT_URL;
    char names[WORK_NAMES_SIZE], server[80], program[UP_WORD_SIZE], config_file[DATA_PATH_SIZE];
    char *shown = jj__broker_without_secrets(url);

    work_names(config, names);
    up_text_program(program);
    if (config->file != NULL) {
        const char *slash = strrchr(config->file, '/');
        data_folder_path(config->folder, slash == NULL ? config->file : slash + 1, config_file);
    }
    snprintf(server, sizeof(server), "nats-server %s, pid %ld", up->server.found.version,
             (long)up->server.pid);
    const struct up_text text = {.url = shown == NULL ? "" : shown,
                                 .server = up->is_private ? server : NULL,
                                 .dir = up->dir,
                                 .index = up->index,
                                 .names = names,
                                 .unused_config = unused_config(config),
                                 .job = first_name(config),
                                 .program = program,
                                 .config = names_broker(config) ? config_file : NULL,
                                 .export_url = up->daemon.url != NULL && strchr(url, '@') == NULL &&
                                               strcmp(url, DEFAULT_URL) != 0};
    if (isatty(STDERR_FILENO) && !up->daemon.logger.json)
        up_text_write(stderr, &text);
    else
        logger_say(&up->daemon.logger, JJ_LOG_INFO, "up: broker %s, data in %s, handlers: %s",
                   text.url, up->dir, names[0] == '\0' ? "none" : names);
    free(shown);
}

/* ---- the command ---- */

static void run_all(struct up *up)
{
    struct daemon *daemon = &up->daemon;
    jj_error err = {0};

    daemon->ready = say_ready;
    daemon->child_ended = child_ended;
    daemon->ctx = up;
    daemon->may_work = true;
    if (take_folder(up, &err) != JJ_OK) {
        daemon->ending = program_fail(&err);
        return;
    }
    if (have_broker(up) && daemon_add_index(daemon, up->index) &&
        (daemon->config->handler_count == 0 || daemon_add_worker(daemon)))
        daemon_run(daemon);
    private_server_stop(&up->server);
}

static int run(const struct program *program, int argc, char **argv)
{
    struct up up = {.lock_fd = -1};

    (void)argc;
    (void)argv;
    if (!daemon_init(&up.daemon, program))
        return (int)up.daemon.ending;
    run_all(&up);
    daemon_done(&up.daemon);
    free(up.dir);
    if (up.lock_fd >= 0)
        close(up.lock_fd);
    return (int)up.daemon.ending;
}

const struct command cmd_up = {
    .name = "up",
    .arguments = "",
    .summary = "Run all that is needed in one process: broker, index, worker",
    .help =
        "Uses the broker at --url if one answers. Else it starts a nats-server of its own, which\n"
        "takes connections from this machine only, has its streams in the data folder, and\n"
        "ends with this command. NATS_SERVER names its binary; else PATH and ~/.cache/jetjobs\n"
        "are looked through. The data folder is beside the configuration, or here.\n"
        "\n"
        "Handlers are those of the configuration. Without one, jobs are kept until there is a\n"
        "worker for them. Runs until Ctrl-C or SIGTERM, as 'jetjobs worker' does.\n",
    .options = options,
    .run = run,
};

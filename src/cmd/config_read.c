/* SPDX-License-Identifier: Apache-2.0 */

/* What the values of a file mean, section by section. The library checks its options again, but
 * can't name a line. */

#include "config_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spec.h"
#include "status.h"
#include "subject.h"
#include "units.h"

#define KEY_SIZE         128
#define CONCURRENCY_MAX  10000
#define MAX_ATTEMPTS_MAX 1000
#define MAX_LOST_MAX     1000
#define REPLICAS_MAX     5
#define MS_PER_SECOND    1000
#define ACK_WAIT_MIN_MS  MS_PER_SECOND

/* What is being read. The first error is kept, and ends it: later calls do nothing. */
struct reader {
    struct config *config;
    struct arena *arena;
    const struct config_scan *scan;
    char section[KEY_SIZE]; /* what the keys that are read begin with, as "worker." */
    jj_options worker;      /* what holds where a handler does not say */
    jj_status status;
    jj_error *err;
};

/* ---- errors ---- */

/* At a key of the section, or the section itself for key "". */
static void JJ_PRINTF(3, 4) wrong(struct reader *reader, const char *key, const char *format, ...)
{
    char whole[2 * KEY_SIZE];
    char text[JJ_ERROR_TEXT_SIZE];
    va_list args;

    if (reader->status != JJ_OK)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s%s", reader->section, key);
    if (key[0] == '\0')
        whole[strlen(whole) - 1] = '\0'; /* the dot */
    reader->status = jj__fail(reader->err, JJ_ERR_INVALID, "%s:%u: %s: %s", reader->config->file,
                              config_scan_line(reader->scan, whole), whole, text);
}

static void out_of_memory(struct reader *reader)
{
    if (reader->status == JJ_OK)
        reader->status = jj__fail(reader->err, JJ_ERR_NO_MEMORY, "configuration");
}

static void enter(struct reader *reader, const char *section)
{
    snprintf(reader->section, sizeof(reader->section), "%s.", section);
}

/* ---- values; text NULL: the file does not say ---- */

static void read_number(struct reader *reader, const char *key, const char *text, uint32_t max,
                        uint32_t *number_out)
{
    char *end;

    if (text == NULL)
        return;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0')
        wrong(reader, key, "'%.40s' is not a number: 1 to %" PRIu32, text, max);
    else if (errno != 0 || number < 1 || number > max)
        wrong(reader, key, "%.40s is out of range: 1 to %" PRIu32, text, max);
    else
        *number_out = (uint32_t)number;
}

static void read_duration(struct reader *reader, const char *key, const char *text, int64_t min_ms,
                          int64_t *ms_out)
{
    char min[UNITS_DURATION_SIZE];

    if (text == NULL)
        return;
    units_write_duration(min_ms, min);
    if (!units_read_duration(text, ms_out))
        wrong(reader, key, "'%.40s' is not a duration: as in %s", text, UNITS_DURATIONS);
    else if (*ms_out < min_ms)
        wrong(reader, key, "%.40s is too short: %s or more", text, min);
}

static void read_size(struct reader *reader, const char *key, const char *text, int64_t min,
                      int64_t *bytes_out)
{
    if (text == NULL)
        return;
    if (!units_read_size(text, bytes_out))
        wrong(reader, key, "'%.40s' is not a size: %s", text, UNITS_SIZES);
    else if (*bytes_out < min)
        wrong(reader, key, "%.40s is too small: %" PRId64 " or more", text, min);
}

/* One of some words; its place among them. */
static void read_word(struct reader *reader, const char *key, const char *text,
                      const char *const words[], size_t count, size_t *at_out)
{
    char allowed[64];
    size_t len = 0;

    for (size_t at = 0; text != NULL && at < count; at++) {
        if (strcmp(text, words[at]) == 0) {
            *at_out = at;
            return;
        }
        len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s", at == 0 ? "" : ", ",
                                words[at]);
    }
    if (text != NULL)
        wrong(reader, key, "'%.40s' is none of %s", text, allowed);
}

/* A path as seen from the folder of the file. */
static const char *path_of(struct reader *reader, const char *path)
{
    if (path == NULL)
        return NULL;
    const char *joined = config_path(reader->config, path, reader->arena);
    if (joined == NULL)
        out_of_memory(reader);
    return joined;
}

/* The longest delay must not be shorter than the first one; either may be the worker's. */
static void read_backoff(struct reader *reader, const struct file_backoff *backoff,
                         int64_t *initial_ms, int64_t *max_ms)
{
    char initial[UNITS_DURATION_SIZE];
    char max[UNITS_DURATION_SIZE];

    if (backoff == NULL)
        return;
    read_duration(reader, "backoff.initial", backoff->initial, 1, initial_ms);
    read_duration(reader, "backoff.max", backoff->max, 1, max_ms);
    int64_t first_ms = *initial_ms > 0 ? *initial_ms : reader->worker.backoff_initial_ms;
    int64_t longest_ms = *max_ms > 0 ? *max_ms : reader->worker.backoff_max_ms;
    units_write_duration(first_ms, initial);
    units_write_duration(longest_ms, max);
    if (longest_ms < first_ms)
        wrong(reader, "backoff", "initial is %s and max is %s: max must be as long or longer",
              initial, max);
}

/* ---- sections ---- */

/* A file that must be there by now: the library would wait for its broker without it. */
static const char *read_file_name(struct reader *reader, const char *key, const char *path)
{
    const char *whole = path_of(reader, path);

    if (whole != NULL && access(whole, R_OK) != 0)
        wrong(reader, key, "%.160s: %s", whole, strerror(errno));
    return whole;
}

static void read_nats(struct reader *reader, const struct file_nats *nats, jj_options *options)
{
    static const struct file_tls no_tls = {0};

    if (nats == NULL)
        return;
    const struct file_tls *tls = nats->tls == NULL ? &no_tls : nats->tls;
    enter(reader, "nats");
    options->url = nats->url;
    options->credentials = read_file_name(reader, "creds", nats->creds);
    options->nkey = read_file_name(reader, "nkey", nats->nkey);
    options->inbox_prefix = nats->inbox_prefix;
    options->only_name = nats->only_name;
    options->tls_ca = read_file_name(reader, "tls.ca", tls->ca);
    options->tls_cert = read_file_name(reader, "tls.cert", tls->cert);
    options->tls_key = read_file_name(reader, "tls.key", tls->key);
    if (nats->creds != NULL && nats->nkey != NULL)
        wrong(reader, "nkey", "creds is there, too: name one of them");
    if ((tls->cert == NULL) != (tls->key == NULL))
        wrong(reader, "tls", "cert and key go together: name both, or none");
}

static void read_worker(struct reader *reader, const struct file_worker *worker,
                        jj_options *options)
{
    if (worker == NULL)
        return;
    enter(reader, "worker");
    read_number(reader, "concurrency", worker->concurrency, CONCURRENCY_MAX, &options->concurrency);
    read_duration(reader, "poll_interval", worker->poll_interval, 1, &options->poll_interval_ms);
    read_number(reader, "max_attempts", worker->max_attempts, MAX_ATTEMPTS_MAX,
                &options->max_attempts);
    read_duration(reader, "ack_wait", worker->ack_wait, ACK_WAIT_MIN_MS, &options->ack_wait_ms);
    read_duration(reader, "shutdown_grace", worker->shutdown_grace, 1, &options->shutdown_grace_ms);
    read_number(reader, "max_lost", worker->max_lost, MAX_LOST_MAX, &options->max_lost);
    read_backoff(reader, worker->backoff, &options->backoff_initial_ms, &options->backoff_max_ms);
    if (reader->status == JJ_OK)
        reader->status = jj__options_resolve(options, &reader->worker, reader->err);
}

static void read_index(struct reader *reader, const struct file_index *index)
{
    struct config *config = reader->config;

    if (index == NULL)
        return;
    enter(reader, "index");
    if (index->path != NULL) {
        config->index_path = path_of(reader, index->path);
        config->index_path_said = true;
    }
    read_duration(reader, "history", index->history, 1, &config->options.history_ms);
    read_size(reader, "history_bytes", index->history_bytes, 1, &config->options.history_bytes);
}

static void read_streams(struct reader *reader, const struct file_streams *streams,
                         jj_options *options)
{
    if (streams == NULL)
        return;
    enter(reader, "streams");
    read_number(reader, "replicas", streams->replicas, REPLICAS_MAX, &options->replicas);
    read_size(reader, "max_bytes", streams->max_bytes, 0, &options->jobs_bytes);
}

static void read_log(struct reader *reader, const struct file_log *log)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    static const char *const formats[] = {"text", "json"};
    size_t level = JJ_LOG_INFO;
    size_t format = 0;

    if (log == NULL)
        return;
    enter(reader, "log");
    read_word(reader, "level", log->level, levels, 4, &level);
    read_word(reader, "format", log->format, formats, 2, &format);
    reader->config->log_level = (jj_log_level)level;
    reader->config->log_json = format == 1;
}

/* ---- handlers ---- */

/* A list as execv() wants it, ended by NULL; all of it NULL if there is no memory. */
static const char **list_of(struct reader *reader, char *const texts[], unsigned count)
{
    const char **list = jj__arena_array(reader->arena, count + 1, sizeof(*list));

    if (list == NULL)
        out_of_memory(reader);
    for (unsigned i = 0; list != NULL && i < count; i++)
        list[i] = texts[i];
    return list;
}

static void read_limits(struct reader *reader, const struct file_limits *limits,
                        jj_exec_options *exec)
{
    uint32_t open_files = 0, processes = 0;
    int64_t cpu_ms = 0;

    if (limits == NULL)
        return;
    read_size(reader, "limits.memory", limits->memory, 1, &exec->memory_bytes);
    read_duration(reader, "limits.cpu", limits->cpu, MS_PER_SECOND, &cpu_ms);
    read_number(reader, "limits.open_files", limits->open_files, UINT32_MAX, &open_files);
    read_number(reader, "limits.processes", limits->processes, UINT32_MAX, &processes);
    read_size(reader, "limits.file_size", limits->file_size, 1, &exec->file_bytes);
    exec->cpu_seconds = cpu_ms / MS_PER_SECOND;
    exec->open_files = open_files;
    exec->processes = processes;
}

static void read_exec(struct reader *reader, const struct file_handler *from, jj_exec_options *exec)
{
    const char **argv = list_of(reader, from->exec, from->exec_count);

    if (argv == NULL)
        return;
    if (argv[0] == NULL || argv[0][0] == '\0')
        wrong(reader, "exec", "no program: the program, then its arguments");
    else if (strchr(argv[0], '/') != NULL)
        argv[0] = path_of(reader, argv[0]);
    exec->argv = argv;
    exec->dir = from->dir == NULL ? reader->config->folder : path_of(reader, from->dir);
    exec->env = list_of(reader, from->env, from->env_count);
    exec->user = from->user;
    read_limits(reader, from->limits, exec);
}

static void refuse_exec_keys(struct reader *reader, const struct file_handler *from)
{
    const struct {
        const char *key;
        bool said;
    } keys[] = {{"dir", from->dir != NULL},
                {"env", from->env != NULL},
                {"user", from->user != NULL},
                {"limits", from->limits != NULL}};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].said)
            wrong(reader, keys[i].key, "only for handlers with exec");
}

static void refuse_plugin_keys(struct reader *reader, const struct file_handler *from)
{
    const struct {
        const char *key;
        bool said;
    } keys[] = {{"name", from->name != NULL},
                {"concurrency", from->concurrency != NULL},
                {"fleet_concurrency", from->fleet_concurrency != NULL},
                {"timeout", from->timeout != NULL},
                {"max_attempts", from->max_attempts != NULL},
                {"backoff", from->backoff != NULL}};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].said)
            wrong(reader, keys[i].key, "not with a plugin, which says this of each handler itself");
}

static const char *subject_of(struct reader *reader, const char *subject)
{
    jj_error err;

    if (subject != NULL && jj__subject_check("subject", subject, &err) != JJ_OK)
        wrong(reader, "request", "%s", err.text);
    return subject;
}

static void read_what_runs(struct reader *reader, const struct file_handler *from,
                           struct handler_config *handler)
{
    int ways = (from->exec != NULL) + (from->request != NULL) + (from->plugin != NULL);

    if (ways != 1) {
        wrong(reader, "", "%s: one of exec, request and plugin",
              ways == 0 ? "nothing to run" : "more than one thing to run");
        return;
    }
    handler->request = subject_of(reader, from->request);
    handler->plugin = path_of(reader, from->plugin);
    if (from->exec != NULL)
        read_exec(reader, from, &handler->exec);
    else
        refuse_exec_keys(reader, from);
    handler->kind = from->exec != NULL      ? HANDLER_EXEC
                    : from->request != NULL ? HANDLER_REQUEST
                                            : HANDLER_PLUGIN;
}

static void read_name(struct reader *reader, const struct file_handler *from,
                      struct handler_config *handler)
{
    const struct handler_config *handlers = reader->config->handlers;

    handler->name = from->name;
    if (from->name == NULL)
        wrong(reader, "", "no name: the name of the jobs that it runs");
    else if (!jj__token_valid(from->name))
        wrong(reader, "name", "'%.80s' is not allowed: 1 to 64 of A-Z a-z 0-9 _ -", from->name);
    for (size_t i = 0; from->name != NULL && &handlers[i] != handler; i++)
        if (handlers[i].name != NULL && strcmp(handlers[i].name, from->name) == 0)
            wrong(reader, "name", "'%s' is the name of the handler in line %u already", from->name,
                  handlers[i].line);
}

static void read_handler(struct reader *reader, const struct file_handler *from,
                         struct handler_config *handler)
{
    jj_handler_options *options = &handler->options;

    read_what_runs(reader, from, handler);
    if (handler->kind == HANDLER_PLUGIN) {
        refuse_plugin_keys(reader, from);
        return;
    }
    read_name(reader, from, handler);
    read_number(reader, "concurrency", from->concurrency, CONCURRENCY_MAX, &options->concurrency);
    if (options->concurrency > reader->worker.concurrency)
        wrong(reader, "concurrency", "%" PRIu32 " is more than worker.concurrency: 1 to %" PRIu32,
              options->concurrency, reader->worker.concurrency);
    read_number(reader, "fleet_concurrency", from->fleet_concurrency, UINT32_MAX,
                &options->fleet_concurrency);
    read_duration(reader, "timeout", from->timeout, 1, &options->timeout_ms);
    read_number(reader, "max_attempts", from->max_attempts, MAX_ATTEMPTS_MAX,
                &options->max_attempts);
    read_backoff(reader, from->backoff, &options->backoff_initial_ms, &options->backoff_max_ms);
}

static void read_handlers(struct reader *reader, const struct file *file)
{
    struct config *config = reader->config;
    struct handler_config *handlers =
        jj__arena_array(reader->arena, file->handlers_count, sizeof(*handlers));

    if (handlers == NULL) {
        out_of_memory(reader);
        return;
    }
    config->handlers = handlers;
    for (unsigned i = 0; i < file->handlers_count && reader->status == JJ_OK; i++) {
        char section[KEY_SIZE / 2];
        snprintf(section, sizeof(section), "handlers[%u]", i);
        handlers[i].line = config_scan_line(reader->scan, section);
        enter(reader, section);
        read_handler(reader, &file->handlers[i], &handlers[i]);
        config->handler_count++;
    }
}

jj_status config_read(const struct file *file, const struct config_scan *scan, struct arena *arena,
                      struct config *config, jj_error *err)
{
    struct reader reader = {.config = config, .arena = arena, .scan = scan, .err = err};

    reader.status = jj__options_resolve(NULL, &reader.worker, err);
    read_nats(&reader, file->nats, &config->options);
    read_worker(&reader, file->worker, &config->options);
    read_index(&reader, file->index);
    read_streams(&reader, file->streams, &config->options);
    read_log(&reader, file->log);
    read_handlers(&reader, file);
    return reader.status;
}

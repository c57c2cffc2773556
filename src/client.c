/* SPDX-License-Identifier: Apache-2.0 */

/* The public client: its options, its handlers, and the one worker that runs on it at a time.
 *
 * No lock is held while the broker is asked: a state says what is under way, and others wait for it
 * to change. A worker that was stopped is kept until the client is closed, as what it published may
 * still call back. */

#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "broker_provision.h"
#include "clock.h"
#include "serve.h"
#include "spec.h"
#include "subject.h"

/* ---- open and close ---- */

static jj_status keep_strings(jj_client *client, jj_error *err)
{
    jj_options *options = &client->options;

    options->url = NULL;
    options->credentials = options->nkey = NULL;
    options->tls_ca = options->tls_cert = options->tls_key = NULL;
    options->inbox_prefix = NULL;
    options->index_path = NULL;
    bool has_worker = options->worker != NULL, has_only_name = options->only_name != NULL;
    options->worker = has_worker ? strdup(options->worker) : NULL;
    options->only_name = has_only_name ? strdup(options->only_name) : NULL;
    if ((has_worker && options->worker == NULL) || (has_only_name && options->only_name == NULL))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "options");
    return JJ_OK;
}

static void free_client(jj_client *client)
{
    while (client->handlers != NULL) {
        struct handler *handler = client->handlers;
        client->handlers = handler->next;
        if (handler->free_user != NULL)
            handler->free_user(handler->user);
        free(handler);
    }
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free((char *)client->options.worker);
    free((char *)client->options.only_name);
    free(client);
}

static jj_status provision(jj_client *client, const jj_options *said, jj_error *err)
{
    const struct stream_settings settings = {
        .replicas = said == NULL ? 0 : said->replicas,
        .history_ms = said == NULL ? 0 : said->history_ms,
        .history_bytes = said == NULL ? 0 : said->history_bytes,
        .jobs_bytes = said == NULL ? 0 : said->jobs_bytes,
    };

    if (client->options.no_provision)
        return JJ_OK;
    return jj__provision_streams(client->broker, &client->log, &settings,
                                 jj__clock_mono_ms() + client->options.timeout_ms, err);
}

/* path is the caller's. */
static jj_status open_index(jj_client *client, const char *path, jj_error *err)
{
    const struct index_setup setup = {.broker = client->broker,
                                      .log = client->log,
                                      .adapter = client->options.adapter,
                                      .location = path,
                                      .poll_interval_ms = client->options.poll_interval_ms,
                                      .history_ms = client->options.history_ms,
                                      .timeout_ms = client->options.timeout_ms};

    if (client->options.adapter == NULL)
        return JJ_OK;
    return jj__index_open(&setup, &client->index, err);
}

jj_status jj_open(const jj_options *options, jj_client **client_out, jj_error *err)
{
    jj_options resolved;
    jj_status s = jj__options_resolve(options, &resolved, err);
    if (s != JJ_OK)
        return s;
    jj_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "client");

    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    client->options = resolved;
    client->ack_wait_ms = options == NULL ? 0 : options->ack_wait_ms;
    client->log = (struct log){.sink = resolved.log, .user = resolved.log_user};
    s = keep_strings(client, err);
    if (s == JJ_OK)
        s = jj__broker_open(&resolved, &client->log, &client->broker, err);
    if (s == JJ_OK)
        s = provision(client, options, err);
    if (s == JJ_OK)
        s = open_index(client, resolved.index_path, err);
    if (s != JJ_OK) {
        if (client->index != NULL)
            jj__index_close(client->index);
        jj__broker_close(client->broker);
        jj__index_free(client->index);
        free_client(client);
        return s;
    }
    *client_out = client;
    return JJ_OK;
}

void jj_close(jj_client *client)
{
    if (client == NULL)
        return;
    jj__ignore(jj_stop(client, NULL), "jobs given back are the others' now");
    for (struct worker *worker = client->worker; worker != NULL; worker = worker->retired_next)
        jj__worker_join(worker);
    jj__service_stop(client->service);
    if (client->index != NULL)
        jj__index_close(client->index);
    jj__broker_close(client->broker);
    jj__index_free(client->index);
    jj__service_free(client->service);
    while (client->worker != NULL) {
        struct worker *worker = client->worker;
        client->worker = worker->retired_next;
        jj__worker_free(worker);
    }
    free_client(client);
}

/* ---- handlers ---- */

static struct handler **find_handler(jj_client *client, const char *name)
{
    struct handler **link = &client->handlers;

    while (*link != NULL && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

bool jj__client_has_handler(jj_client *client, const char *name)
{
    pthread_mutex_lock(&client->lock);
    bool found = *find_handler(client, name) != NULL;
    pthread_mutex_unlock(&client->lock);
    return found;
}

/* Put it at the end of the list. Clears *handler if it was kept. */
static jj_status add_handler(jj_client *client, struct handler **handler, jj_error *err)
{
    jj_status s = JJ_OK;

    pthread_mutex_lock(&client->lock);
    struct handler **link = find_handler(client, (*handler)->name);
    if (client->state != CLIENT_IDLE) {
        s = jj__fail(err, JJ_ERR_STATE, "handler '%s': the client has been started",
                     (*handler)->name);
    } else if (*link != NULL) {
        s = jj__fail(err, JJ_ERR_EXISTS, "handler '%s' is registered already", (*handler)->name);
    } else {
        *link = *handler;
        *handler = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    return s;
}

jj_status jj__client_register(jj_client *client, const struct registration *registration,
                              jj_error *err)
{
    const char *name = registration->name;
    jj_handler_options resolved;
    jj_status s = jj__token_check("job name", name, err);

    if (s == JJ_OK && registration->run == NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "handler '%s' is NULL", name);
    if (s == JJ_OK)
        s = jj__handler_options_resolve(registration->options, &client->options, &resolved, err);
    if (s != JJ_OK)
        return s;
    struct handler *handler = calloc(1, sizeof(*handler));
    if (handler == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "handler '%s'", name);
    strncpy(handler->name, name, sizeof(handler->name) - 1);
    handler->run = registration->run;
    handler->user = registration->user;
    handler->free_user = registration->free_user;
    handler->options = resolved;
    handler->policy = (struct retry_policy){.max_attempts = resolved.max_attempts,
                                            .initial_ms = resolved.backoff_initial_ms,
                                            .max_ms = resolved.backoff_max_ms};
    s = add_handler(client, &handler, err);
    free(handler);
    return s;
}

jj_status jj_register(jj_client *client, const char *name, jj_handler run,
                      const jj_handler_options *options, void *user, jj_error *err)
{
    const struct registration registration = {
        .name = name, .run = run, .options = options, .user = user};

    return jj__client_register(client, &registration, err);
}

/* ---- start and stop ---- */

static void set_state(jj_client *client, enum client_state state)
{
    pthread_mutex_lock(&client->lock);
    client->state = state;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* Does a handler of a worker that was stopped still run? */
static bool handlers_run(const jj_client *client)
{
    bool run = false;

    for (struct worker *worker = client->worker; worker != NULL; worker = worker->retired_next) {
        pthread_mutex_lock(&worker->lock);
        run |= worker->running > 0;
        pthread_mutex_unlock(&worker->lock);
    }
    return run;
}

/* May a worker be started? Then nobody registers a handler until it is. Lock: client->lock. */
static jj_status begin_start(jj_client *client, jj_error *err)
{
    if (client->state == CLIENT_STOPPING)
        return jj__fail(err, JJ_ERR_STATE, "the client is stopping");
    if (client->handlers == NULL)
        return jj__fail(err, JJ_ERR_STATE, "no handler is registered");
    if (handlers_run(client))
        return jj__fail(err, JJ_ERR_STATE, "a handler still runs since the client was stopped");
    client->state = CLIENT_STARTING;
    return JJ_OK;
}

jj_status jj_start(jj_client *client, jj_error *err)
{
    struct worker *worker = NULL;
    jj_status s = JJ_OK;

    pthread_mutex_lock(&client->lock);
    while (client->state == CLIENT_STARTING)
        pthread_cond_wait(&client->changed, &client->lock);
    bool running = client->state == CLIENT_RUNNING;
    if (!running)
        s = begin_start(client, err);
    const struct worker_setup setup = {.broker = client->broker,
                                       .options = &client->options,
                                       .ack_wait_ms = client->ack_wait_ms,
                                       .log = client->log,
                                       .handlers = client->handlers};
    pthread_mutex_unlock(&client->lock);

    if (running || s != JJ_OK)
        return s;
    s = jj__worker_start(&setup, &worker, err);
    if (s == JJ_OK) {
        worker->retired_next = client->worker;
        client->worker = worker;
    }
    set_state(client, s == JJ_OK ? CLIENT_RUNNING : CLIENT_IDLE);
    return s;
}

jj_status jj_stop_within(jj_client *client, int64_t grace_ms, jj_error *err)
{
    if (grace_ms < -1 || grace_ms > JJ__TIME_MAX_MS)
        return jj__fail(err, JJ_ERR_INVALID, "grace_ms is %lld: allowed is -1 to %lld",
                        (long long)grace_ms, (long long)JJ__TIME_MAX_MS);
    pthread_mutex_lock(&client->lock);
    while (client->state == CLIENT_STARTING)
        pthread_cond_wait(&client->changed, &client->lock);
    enum client_state before = client->state;
    struct worker *worker = client->worker;
    if (before == CLIENT_RUNNING)
        client->state = CLIENT_STOPPING;
    pthread_mutex_unlock(&client->lock);

    if (before == CLIENT_IDLE)
        return JJ_OK;
    jj_status s = jj__worker_stop(worker, grace_ms < 0 ? JJ__TIME_MAX_MS : grace_ms, err);
    if (before == CLIENT_RUNNING)
        set_state(client, CLIENT_IDLE);
    return s;
}

jj_status jj_stop(jj_client *client, jj_error *err)
{
    return jj_stop_within(client, client->options.shutdown_grace_ms, err);
}

/* ---- serve ---- */

static jj_status start_service(jj_client *client, jj_error *err)
{
    const struct service_setup setup = {.broker = client->broker,
                                        .index = client->index,
                                        .options = &client->options,
                                        .log = client->log};

    if (client->service == NULL)
        client->service = jj__service_new(&setup);
    if (client->service == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "service");
    return jj__service_start(client->service, err);
}

jj_status jj_serve(jj_client *client, jj_error *err)
{
    if (client->index == NULL)
        return jj__fail(err, JJ_ERR_STATE,
                        "the client has no index: its options name neither index_path nor adapter");
    pthread_mutex_lock(&client->lock);
    while (client->serves == CLIENT_STARTING)
        pthread_cond_wait(&client->changed, &client->lock);
    bool serves = client->serves == CLIENT_RUNNING;
    if (!serves)
        client->serves = CLIENT_STARTING;
    pthread_mutex_unlock(&client->lock);

    if (serves)
        return JJ_OK;
    jj_status s = start_service(client, err);
    pthread_mutex_lock(&client->lock);
    client->serves = s == JJ_OK ? CLIENT_RUNNING : CLIENT_IDLE;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    return s;
}

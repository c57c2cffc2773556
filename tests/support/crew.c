/* SPDX-License-Identifier: Apache-2.0 */

#include "crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "clock.h"
#include "codec_pb.h"
#include "subject.h"

/* A handler's user data. */
struct post {
    struct crew *crew;
    crew_act act;
    struct post *next;
};

static struct post *posts;

int crew_begin(void **state)
{
    struct crew *crew = calloc(1, sizeof(*crew));

    assert_non_null(crew);
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    pthread_mutex_init(&crew->book.lock, NULL);
    server_start(&crew->server, NULL);
    crew->stranger = nats_client_open(crew->server.url);
    *state = crew;
    return 0;
}

int crew_end(void **state)
{
    struct crew *crew = *state;

    crew_open_gate(crew);
    crew_close(crew);
    nats_client_close(crew->stranger);
    server_done(&crew->server);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    pthread_mutex_destroy(&crew->book.lock);
    while (posts != NULL) {
        struct post *post = posts;
        posts = post->next;
        free(post);
    }
    free(crew->book.text);
    free(crew->runs);
    free(crew);
    return 0;
}

void crew_open(struct crew *crew, const jj_options *options)
{
    jj_options with = {.backoff_initial_ms = 50, .shutdown_grace_ms = 20000};
    jj_error err;

    if (options != NULL)
        with = *options;
    with.url = crew->server.url;
    with.log = log_book_sink;
    with.log_user = &crew->book;
    if (jj_open(&with, &crew->client, &err) != JJ_OK)
        fail_msg("jj_open: %s", err.text);
}

void crew_close(struct crew *crew)
{
    jj_close(crew->client);
    crew->client = NULL;
}

static void write_down(struct crew *crew, const jj_attempt *attempt)
{
    size_t len = 0;
    const void *data = jj_attempt_data(attempt, &len);
    struct run run = {.attempt = jj_attempt_number(attempt),
                      .max_attempts = jj_attempt_max(attempt),
                      .lost = jj_attempt_lost(attempt),
                      .run_at_ms = jj_attempt_run_at_ms(attempt),
                      .started_at_ms = jj__clock_wall_ms(),
                      .started_ms = jj__clock_mono_ms()};

    snprintf(run.name, sizeof(run.name), "%s", jj_attempt_name(attempt));
    snprintf(run.id, sizeof(run.id), "%s", jj_attempt_id(attempt));
    snprintf(run.data, sizeof(run.data), "%.*s", (int)len, len == 0 ? "" : (const char *)data);
    pthread_mutex_lock(&crew->lock);
    if (crew->run_count == crew->run_room) {
        crew->run_room = crew->run_room == 0 ? 256 : crew->run_room * 2;
        crew->runs = realloc(crew->runs, crew->run_room * sizeof(*crew->runs));
        if (crew->runs == NULL)
            abort();
    }
    crew->runs[crew->run_count++] = run;
    crew->running++;
    if (crew->running > crew->most)
        crew->most = crew->running;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

static jj_verdict serve(jj_attempt *attempt, void *user)
{
    struct post *post = user;
    struct crew *crew = post->crew;

    write_down(crew, attempt);
    jj_verdict verdict = post->act == NULL ? jj_done(attempt, NULL, 0) : post->act(crew, attempt);
    pthread_mutex_lock(&crew->lock);
    crew->running--;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    return verdict;
}

void crew_register(struct crew *crew, const char *name, crew_act act,
                   const jj_handler_options *options)
{
    struct post *post = calloc(1, sizeof(*post));
    jj_error err;

    assert_non_null(post);
    *post = (struct post){.crew = crew, .act = act, .next = posts};
    posts = post;
    if (jj_register(crew->client, name, serve, options, post, &err) != JJ_OK)
        fail_msg("jj_register: %s", err.text);
}

void crew_start(struct crew *crew)
{
    jj_error err;

    if (jj_start(crew->client, &err) != JJ_OK)
        fail_msg("jj_start: %s", err.text);
}

const char *crew_enqueue(struct crew *crew, const char *name, const char *data)
{
    static jj_receipt receipt;
    const jj_spec spec = {.name = name, .data = data, .data_len = data == NULL ? 0 : strlen(data)};
    jj_error err;

    if (jj_enqueue(crew->client, &spec, &receipt, &err) != JJ_OK)
        fail_msg("jj_enqueue: %s", err.text);
    return receipt.id;
}

jj_receipt crew_enqueue_spec(struct crew *crew, const jj_spec *spec)
{
    jj_receipt receipt;
    jj_error err;

    if (jj_enqueue(crew->client, spec, &receipt, &err) != JJ_OK)
        fail_msg("jj_enqueue: %s", err.text);
    return receipt;
}

size_t crew_runs(struct crew *crew, const char *name)
{
    size_t count = 0;

    pthread_mutex_lock(&crew->lock);
    for (size_t i = 0; i < crew->run_count; i++)
        if (name == NULL || strcmp(crew->runs[i].name, name) == 0)
            count++;
    pthread_mutex_unlock(&crew->lock);
    return count;
}

struct counted {
    struct crew *crew;
    const char *name;
    size_t count;
};

static bool enough_runs(void *ctx)
{
    struct counted *counted = ctx;

    return crew_runs(counted->crew, counted->name) >= counted->count;
}

bool crew_wait_runs(struct crew *crew, const char *name, size_t count)
{
    struct counted counted = {crew, name, count};

    return wait_until(enough_runs, &counted, WAIT_MS);
}

struct run crew_run(struct crew *crew, size_t index)
{
    pthread_mutex_lock(&crew->lock);
    assert_true(index < crew->run_count);
    struct run run = crew->runs[index];
    pthread_mutex_unlock(&crew->lock);
    return run;
}

size_t crew_running(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    size_t running = crew->running;
    pthread_mutex_unlock(&crew->lock);
    return running;
}

static bool so_many_run(void *ctx)
{
    struct counted *counted = ctx;

    return crew_running(counted->crew) == counted->count;
}

bool crew_wait_running(struct crew *crew, size_t count)
{
    struct counted counted = {crew, NULL, count};

    return wait_until(so_many_run, &counted, WAIT_MS);
}

jj_verdict crew_pass(struct crew *crew, jj_attempt *attempt)
{
    pthread_mutex_lock(&crew->lock);
    while (crew->gate_closed && !jj_attempt_stopping(attempt)) {
        pthread_mutex_unlock(&crew->lock);
        wait_a_moment();
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
    return jj_done(attempt, NULL, 0);
}

void crew_close_gate(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->gate_closed = true;
    pthread_mutex_unlock(&crew->lock);
}

void crew_open_gate(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->gate_closed = false;
    pthread_mutex_unlock(&crew->lock);
}

bool crew_wait_backlog(struct crew *crew, size_t count)
{
    return nats_client_wait_messages(crew->stranger, "JOBS", count);
}

bool crew_wait_over(struct crew *crew)
{
    int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;

    /* A retry is stored for later before it leaves JOBS: so JOBS_SCHEDULE is asked on both sides.
     */
    while (nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE") > 0 ||
           nats_client_stream_messages(crew->stranger, "JOBS") > 0 ||
           nats_client_stream_messages(crew->stranger, "JOBS_SCHEDULE") > 0) {
        if (jj__clock_mono_ms() >= until_ms)
            return false;
        wait_a_moment();
    }
    return true;
}

/* ---- history ---- */

/* A message of JOBS_EVENTS, decoded. */
struct page {
    struct page *next;
    struct heard *heard;
    struct pb_claims claims;
    struct pb_events events;
    char name[JJ_NAME_SIZE];
};

static void add_entry(struct history *history, struct entry entry)
{
    history->entries = realloc(history->entries, (history->count + 1) * sizeof(*history->entries));
    if (history->entries == NULL)
        abort();
    history->entries[history->count++] = entry;
}

static void add_events(struct history *history, struct page *page, uint64_t seq, const char *type)
{
    struct pb_events *events = &page->events;
    jj_error err;

    if (jj__pb_read_events(page->heard->data, page->heard->len, events, &err) != JJ_OK)
        fail_msg("message %llu: %s", (unsigned long long)seq, err.text);
    for (size_t i = 0; i < events->count; i++) {
        events->events[i].name = page->name;
        events->events[i].type = jj__event_type_read(type);
        add_entry(history, (struct entry){
                               .seq = seq, .worker = events->worker, .event = &events->events[i]});
    }
}

static void add_claims(struct history *history, struct page *page, uint64_t seq)
{
    struct pb_claims *claims = &page->claims;
    jj_error err;

    if (jj__pb_read_claims(page->heard->data, page->heard->len, claims, &err) != JJ_OK)
        fail_msg("message %llu: %s", (unsigned long long)seq, err.text);
    for (size_t i = 0; i < claims->count; i++)
        add_entry(history, (struct entry){
                               .seq = seq, .worker = claims->worker, .claim = &claims->claims[i]});
    history->claim_messages++;
}

struct history *crew_read_history(struct crew *crew)
{
    struct history *history = calloc(1, sizeof(*history));
    char type[JJ_NAME_SIZE];

    assert_non_null(history);
    history->messages = nats_client_stream_messages(crew->stranger, "JOBS_EVENTS");
    for (uint64_t seq = 1; seq <= history->messages; seq++) {
        struct page *page = calloc(1, sizeof(*page));
        assert_non_null(page);
        page->next = history->pages;
        history->pages = page;
        page->heard = nats_client_get(crew->stranger, "JOBS_EVENTS", seq);
        assert_non_null(page->heard);
        if (jj__subject_read_claims(page->heard->subject, type))
            add_claims(history, page, seq);
        else if (jj__subject_read_events(page->heard->subject, page->name, type))
            add_events(history, page, seq, type);
        else
            fail_msg("%s is in JOBS_EVENTS", page->heard->subject);
    }
    return history;
}

void history_free(struct history *history)
{
    while (history->pages != NULL) {
        struct page *page = history->pages;
        history->pages = page->next;
        jj__pb_claims_free(&page->claims);
        jj__pb_events_free(&page->events);
        heard_free(page->heard);
        free(page);
    }
    free(history->entries);
    free(history);
}

static bool is_event(const struct entry *entry, const char *id, enum event_type type)
{
    return entry->event != NULL && entry->event->type == type &&
           (id == NULL || strcmp(entry->event->id, id) == 0);
}

const struct entry *history_event(const struct history *history, const char *id,
                                  enum event_type type)
{
    for (size_t i = 0; i < history->count; i++)
        if (is_event(&history->entries[i], id, type))
            return &history->entries[i];
    return NULL;
}

size_t history_events(const struct history *history, const char *id, enum event_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < history->count; i++)
        count += is_event(&history->entries[i], id, type);
    return count;
}

const struct entry *history_claim(const struct history *history, const char *id, uint32_t attempt)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct claim *claim = history->entries[i].claim;
        if (claim != NULL && claim->attempt == attempt && strcmp(claim->job->id, id) == 0)
            return &history->entries[i];
    }
    return NULL;
}

const char *event_member(const struct heard *heard, const char *key)
{
    static char text[1024];
    json_t *event = json_loads(heard->data, 0, NULL);
    json_t *value = json_object_get(event, key);

    text[0] = '\0';
    if (json_is_string(value))
        snprintf(text, sizeof(text), "%s", json_string_value(value));
    else if (value != NULL) {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(text, sizeof(text), "%s", dumped);
        free(dumped);
    }
    json_decref(event);
    return text;
}

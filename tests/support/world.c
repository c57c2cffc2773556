/* SPDX-License-Identifier: Apache-2.0 */

/* What stories about the broker layer share. Log book and bag are written by the client's threads
 * and read by the test, so each has its lock; a test's own asserts stay on its own thread. */

#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"

/* ---- log book ---- */

void log_book_sink(jj_log_level level, const char *line, void *ctx)
{
    struct log_book *book = ctx;
    size_t len = strlen(line);

    pthread_mutex_lock(&book->lock);
    char *text = realloc(book->text, book->len + len + 4);
    if (text == NULL)
        abort();
    book->text = text;
    snprintf(text + book->len, len + 4, "%d %s\n", (int)level, line);
    if (book->len == 0)
        book->first = pthread_self();
    book->several |= pthread_equal(book->first, pthread_self()) == 0;
    book->len += len + 3;
    pthread_mutex_unlock(&book->lock);
}

/* Lines of that level or a worse one that hold text. Lock: book->lock held. */
static size_t lines_with(struct log_book *book, jj_log_level level, const char *text)
{
    size_t count = 0;

    for (char *line = book->text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        *end = '\0';
        if (line[0] - '0' >= (int)level && strstr(line + 2, text) != NULL)
            count++;
        *end = '\n';
        line = end + 1;
    }
    return count;
}

bool log_book_has(struct log_book *book, jj_log_level level, const char *text)
{
    pthread_mutex_lock(&book->lock);
    size_t count = lines_with(book, level, text);
    pthread_mutex_unlock(&book->lock);
    return count > 0;
}

size_t log_book_count(struct log_book *book, jj_log_level level)
{
    pthread_mutex_lock(&book->lock);
    size_t count = lines_with(book, level, "");
    pthread_mutex_unlock(&book->lock);
    return count;
}

/* ---- bag ---- */

void bag_put(struct bag *bag, uint64_t number)
{
    pthread_mutex_lock(&bag->lock);
    if (bag->count == bag->room) {
        bag->room = bag->room == 0 ? 1024 : bag->room * 2;
        uint64_t *numbers = realloc(bag->numbers, bag->room * sizeof(*numbers));
        if (numbers == NULL)
            abort();
        bag->numbers = numbers;
    }
    bag->numbers[bag->count++] = number;
    pthread_cond_broadcast(&bag->changed);
    pthread_mutex_unlock(&bag->lock);
}

size_t bag_count(struct bag *bag)
{
    pthread_mutex_lock(&bag->lock);
    size_t count = bag->count;
    pthread_mutex_unlock(&bag->lock);
    return count;
}

uint64_t bag_get(struct bag *bag, size_t index)
{
    pthread_mutex_lock(&bag->lock);
    uint64_t number = index < bag->count ? bag->numbers[index] : 0;
    bool there = index < bag->count;
    pthread_mutex_unlock(&bag->lock);
    if (!there)
        fail_msg("there is no number %zu in the bag", index);
    return number;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

/* How many there are, and how many different ones. */
static size_t count_distinct(struct bag *bag, size_t *count_out)
{
    pthread_mutex_lock(&bag->lock);
    size_t count = bag->count, distinct = 0;
    uint64_t *sorted = calloc(count + 1, sizeof(*sorted));
    if (sorted == NULL)
        abort();
    if (count > 0)
        memcpy(sorted, bag->numbers, count * sizeof(*sorted));
    pthread_mutex_unlock(&bag->lock);

    qsort(sorted, count, sizeof(*sorted), compare);
    for (size_t i = 0; i < count; i++)
        distinct += i == 0 || sorted[i] != sorted[i - 1];
    free(sorted);
    *count_out = count;
    return distinct;
}

size_t bag_distinct(struct bag *bag)
{
    size_t count;

    return count_distinct(bag, &count);
}

bool bag_rises(struct bag *bag)
{
    bool rises = true;

    pthread_mutex_lock(&bag->lock);
    for (size_t i = 1; i < bag->count; i++)
        rises &= bag->numbers[i] > bag->numbers[i - 1];
    pthread_mutex_unlock(&bag->lock);
    return rises;
}

bool bag_wait(struct bag *bag, size_t count)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&bag->lock);
    int failed = 0;
    while (bag->count < count && failed == 0)
        failed = pthread_cond_timedwait(&bag->changed, &bag->lock, &until);
    bool enough = bag->count >= count;
    pthread_mutex_unlock(&bag->lock);
    return enough;
}

bool bag_wait_distinct(struct bag *bag, size_t count)
{
    size_t needed = count;

    while (bag_wait(bag, needed)) {
        size_t present;
        if (count_distinct(bag, &present) >= count)
            return true;
        needed = present + 1;
    }
    return false;
}

/* ---- world ---- */

int world_begin_empty(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    pthread_condattr_t attr;

    if (world == NULL)
        return -1;
    pthread_mutex_init(&world->book.lock, NULL);
    pthread_mutex_init(&world->bag.lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&world->bag.changed, &attr);
    pthread_condattr_destroy(&attr);
    *state = world;
    return 0;
}

int world_begin(void **state)
{
    if (world_begin_empty(state) != 0)
        return -1;
    world_serve(*state, NULL, NULL);
    return 0;
}

void world_serve(struct world *world, const char *config, const char *stranger)
{
    char url[128];

    server_start(&world->server, &(struct server_options){.config = config});
    if (stranger == NULL)
        snprintf(url, sizeof(url), "%s", world->server.url);
    else
        server_url_of(&world->server, stranger, url);
    world->stranger = nats_client_open(url);
}

int world_end(void **state)
{
    struct world *world = *state;

    world_disconnect(world);
    nats_client_close(world->stranger);
    server_done(&world->server);
    free(world->bag.numbers);
    pthread_cond_destroy(&world->bag.changed);
    pthread_mutex_destroy(&world->bag.lock);
    free(world->book.text);
    pthread_mutex_destroy(&world->book.lock);
    free(world);
    return 0;
}

jj_options world_options(const char *url)
{
    return (jj_options){.url = url, .timeout_ms = 5000, .connect_timeout_ms = WAIT_MS};
}

struct log world_log(struct world *world)
{
    return (struct log){.sink = log_book_sink, .user = &world->book};
}

void world_connect(struct world *world, const char *user)
{
    char url[128];
    jj_error err;

    snprintf(url, sizeof(url), "%s", world->server.url);
    if (user != NULL)
        server_url_of(&world->server, user, url);
    const jj_options options = world_options(url);
    const struct log log = world_log(world);
    if (jj__broker_open(&options, &log, &world->broker, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

void world_disconnect(struct world *world)
{
    jj__broker_close(world->broker);
    world->broker = NULL;
}

void world_stream(struct world *world, const char *stream, const char *subject, const char *more)
{
    char what[128];
    json_t *config = more == NULL ? json_object() : json_loads(more, 0, NULL);

    assert_non_null(config);
    json_object_set_new(config, "name", json_string(stream));
    json_object_set_new(config, "subjects", json_pack("[s]", subject));
    snprintf(what, sizeof(what), "STREAM.CREATE.%s", stream);
    json_decref(nats_client_api(world->stranger, what, config));
}

void world_fill(struct world *world, const char *subject, size_t count)
{
    char text[24];

    nats_client_settle(world->stranger);
    /* Only the last one is waited for: they are stored in the order in which they were sent. */
    for (size_t i = 1; i <= count; i++) {
        snprintf(text, sizeof(text), "%zu", i);
        if (i < count)
            nats_client_send(world->stranger, &(struct note){.subject = subject, .data = text});
        else
            nats_client_store_text(world->stranger, subject, text);
    }
}

int64_t world_deadline(void)
{
    return jj__clock_mono_ms() + WAIT_MS;
}

struct publish_result world_publish(struct world *world, const char *subject, const char *msg_id,
                                    int64_t deadline_ms)
{
    const jj_header header = {.name = "Nats-Msg-Id", .value = msg_id};
    const struct outgoing message = {.subject = subject,
                                     .headers = &header,
                                     .header_count = msg_id == NULL ? 0 : 1,
                                     .data = "data",
                                     .len = 4};
    struct publication publication = {.messages = &message, .count = 1, .deadline_ms = deadline_ms};
    struct publish_result result;

    jj__broker_publish_wait(world->broker, &publication, &result);
    return result;
}

bool world_wait_connected(struct world *world, bool connected)
{
    int64_t until_ms = world_deadline();

    while (jj__broker_connected(world->broker) != connected) {
        if (jj__clock_mono_ms() >= until_ms)
            return false;
        wait_a_moment();
    }
    return true;
}

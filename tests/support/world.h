/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_WORLD_H
#define JJ_TESTS_SUPPORT_WORLD_H

/* What a story about the broker layer needs: a server, a stranger, our own connection, its log, and
 * a bag for what it receives. As setup and teardown of a cmocka test. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>

#include "broker.h"
#include "nats_client.h"
#include "server.h"
#include "wait.h"

/* Log lines, from any thread. */
struct log_book {
    pthread_mutex_t lock;
    char *text;      /* guarded by lock: "<level> <line>\n" and so on */
    size_t len;      /* guarded by lock */
    pthread_t first; /* guarded by lock: who wrote the first line */
    bool several;    /* guarded by lock: it was not the same thread always */
};
void log_book_sink(jj_log_level level, const char *line, void *book);
/* Does a line of that level or a worse one hold text? */
bool log_book_has(struct log_book *book, jj_log_level level, const char *text);
/* How many lines are of that level or a worse one? */
size_t log_book_count(struct log_book *book, jj_log_level level);

/* Numbers, put in on the broker thread and counted by the test. */
struct bag {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t *numbers; /* guarded by lock */
    size_t count;      /* guarded by lock */
    size_t room;       /* guarded by lock */
};
void bag_put(struct bag *bag, uint64_t number);
size_t bag_count(struct bag *bag);
uint64_t bag_get(struct bag *bag, size_t index);
/* How many different ones there are. */
size_t bag_distinct(struct bag *bag);
/* Each greater than the one before it? */
bool bag_rises(struct bag *bag);
/* Wait until there are so many; false after WAIT_MS. */
bool bag_wait(struct bag *bag, size_t count);
bool bag_wait_distinct(struct bag *bag, size_t count);

struct world {
    struct server server;
    struct nats_client *stranger;
    struct broker *broker; /* NULL until world_connect() */
    struct log_book book;
    struct bag bag;
};

/* A server with JetStream, and the stranger on it. */
int world_begin(void **state);
/* Nothing but an empty world: the test starts its server itself. */
int world_begin_empty(void **state);
int world_end(void **state);

/* A server with this configuration, and the stranger as one of its users (NULL: none). */
void world_serve(struct world *world, const char *config, const char *stranger);

/* Options as jj__broker_open() wants them, and log to go with them. */
jj_options world_options(const char *url);
struct log world_log(struct world *world);

/* Connect, as a user ("name:password") or NULL. */
void world_connect(struct world *world, const char *user);

/* Close our connection now; world_end() does it, too. */
void world_disconnect(struct world *world);

/* A stream with one subject, as the stranger makes it. more: NULL or more settings (JSON). */
void world_stream(struct world *world, const char *stream, const char *subject, const char *more);

/* Store count messages on a subject of a stream, fast: "1" to "<count>". */
void world_fill(struct world *world, const char *subject, size_t count);

/* A message that is on its way for so long that something is wrong. */
int64_t world_deadline(void);

/* Publish with a message id (NULL: none) and wait. */
struct publish_result world_publish(struct world *world, const char *subject, const char *msg_id,
                                    int64_t deadline_ms);

bool world_wait_connected(struct world *world, bool connected);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_NATS_H
#define JJ_SRC_BROKER_NATS_H

/* Private to src/broker*.c: the inside of struct broker. */

#include <pthread.h>
#include <stdatomic.h>

#include <nats/nats.h>

#include "broker.h"
#include "broker_signer.h"

struct asked;
struct call;
struct complaint;
struct news;
struct sent;

struct port {
    struct port *next;
    struct broker *broker;
    natsSubscription *sub; /* NULL while disconnected */
    char *subject;
    char *queue; /* NULL: none */
    void (*take)(void *ctx, struct broker_msg *msg);
    void *ctx;
    bool closed; /* to be freed when no drain is under way */
};

/* Publications that wait to be sent or acknowledged. Its own part of the broker thread's work;
 * broker_publish.c. */
struct publisher {
    struct port *port;
    char inbox[JJ__INBOX_SIZE];
    struct sent *first, *last; /* in order of their numbers */
    struct sent **slots;       /* number & (slot_count - 1) */
    size_t slot_count;
    size_t waiting;
    size_t unanswered; /* sendings on this connection */
    bool nobody;       /* one of them found nobody */
    atomic_uint_least64_t next_number;
    int64_t check_ms; /* when to look for overdue ones */
};

#define JJ__CONNECT_TEXT_SIZE 240

struct broker {
    jj_options options; /* strings are copies */
    char *shown_url;    /* without passwords, for texts */
    struct log log;
    char inbox[JJ__INBOX_SIZE - 40];
    uint64_t next_inbox;

    pthread_t thread;
    pthread_t self; /* the thread's own note of itself, set before it connects */
    int wake_fds[2];
    atomic_bool asleep; /* in poll: a wake needs a byte in the pipe */
    atomic_bool work;   /* something waits: don't sleep */
    atomic_bool stopping;

    /* Broker thread only. */
    natsConnection *nc;
    natsOptions *nats_options;
    struct signer signer; /* for these; if there are credentials */
    struct port *ports;
    bool draining, ports_closed;
    struct broker_member *members;
    struct broker_member *next_member; /* of the walk that is under way */
    struct asked *asked;               /* questions without answer */
    struct publisher publisher;
    int64_t connected_at_ms; /* the last time */
    int64_t connect_at_ms;   /* next try while disconnected */
    int64_t connect_delay_ms;
    unsigned refusals; /* of our credentials, since we were connected */
    char **servers;    /* known from the last connection */
    int server_count;

    /* Set by the client library from its threads. */
    atomic_int fd; /* -1: none */
    atomic_bool want_write;

    atomic_bool connected;
    atomic_size_t max_payload;

    pthread_mutex_t lock;
    pthread_cond_t changed;   /* connected or given up */
    struct call *calls;       /* guarded by lock: run these on the broker thread, in order */
    struct call **calls_end;  /* guarded by lock */
    struct sent *outbox;      /* guarded by lock: publish these */
    struct sent **outbox_end; /* guarded by lock */
    bool refused;             /* guarded by lock: it was the credentials */
    char connect_text[JJ__CONNECT_TEXT_SIZE]; /* guarded by lock */
    struct complaint *complaints;             /* guarded by lock: what the server says of its own */
    struct complaint **complaints_end;        /* guarded by lock */
    struct news *news;                        /* what the client library's threads know of us */
};

#define JJ__RECONNECT_FIRST_MS 50

/* broker.c */
bool jj__broker_on_thread(const struct broker *broker);

/* Map a status of the client library; what names the thing that failed. */
jj_status jj__fail_nats(jj_error *err, natsStatus status, const char *what);

void jj__broker_tell_members(struct broker *broker, bool connected);

/* broker_connect.c */
jj_status jj__connect_options(struct broker *broker, jj_error *err);
void jj__connect_try(struct broker *broker);
/* Close what is left of a connection. */
void jj__connect_end(struct broker *broker);
void jj__connect_forget_servers(struct broker *broker);
const char *jj__broker_last_error(natsStatus status);

/* broker_auth.c: the part of these options that has to do with users, secrets and trust */
jj_status jj__auth_options(struct broker *broker, jj_error *err);

/* broker_port.c */
natsStatus jj__port_subscribe(struct port *port);
void jj__ports_drain(struct broker *broker);

/* broker_news.c */
jj_status jj__news_open(struct broker *broker, jj_error *err);
void jj__news_hold(struct news *news);
void jj__news_release(struct news *news);
void jj__news_take(struct broker *broker);
/* NULL inside is fine. */
void jj__news_close(struct broker *broker);
/* Callbacks of the client library; closure: the news. */
void jj__news_on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure);
void jj__news_on_closed(natsConnection *nc, void *closure);

/* broker_msg.c */
/* What the broker thread is done with, until the end of its turn. */
void jj__trash_open(void);
void jj__trash_empty(void);
void jj__trash_close(void);
/* Destroy a message, now or soon. NULL is fine. Thread: any. */
void jj__trash_put(natsMsg *msg);
/* Make a message to send; headers are checked again for what would break the protocol. */
jj_status jj__broker_make(const struct outgoing *message, const char *reply, natsMsg **msg_out,
                          jj_error *err);

/* broker_publish.c, all on the broker thread unless noted. */
/* As jj__broker_publish(), telling its number. Thread: any. */
jj_status jj__publisher_publish(struct broker *broker, const struct publication *publication,
                                uint64_t *number_out, jj_error *err);
jj_status jj__publisher_open(struct broker *broker, jj_error *err);
void jj__publisher_take_outbox(struct broker *broker);
/* Send the rest of a publication that is held, by deadline_ms; or drop it. Fine for one that is
 * over. */
void jj__publisher_let_go(struct broker *broker, uint64_t number, int64_t deadline_ms);
void jj__publisher_drop(struct broker *broker, uint64_t number);
void jj__publisher_reconnected(struct broker *broker);
int64_t jj__publisher_turn(struct broker *broker, int64_t now_ms);
/* True if it was one of ours, and whoever waits for it has been told. */
bool jj__publisher_denied(struct broker *broker, const char *text);
/* True if the server's text about permissions speaks of that subject; what: "Publish" or
 * "Subscription". */
bool jj__broker_denies(const char *text, const char *what, const char *subject);
/* broker_request.c; likewise */
bool jj__request_denied(struct broker *broker, const char *text);
/* Fail what waits. */
void jj__publisher_close(struct broker *broker);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_H
#define JJ_SRC_BROKER_H

/* The connection to NATS and the thread that owns it: the broker thread.
 *
 * Everything that comes from the broker is handed out on that thread, by callbacks that must not
 * block: so whoever works there needs no locks of its own. Other threads send through it: what they
 * publish is queued, and jj__broker_call() runs a function there.
 *
 * The connection mends itself. After each connect the subscriptions of all ports are made again,
 * publications without an acknowledgement are sent again, and members are told. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>

#include "log.h"
#include "status.h"

struct broker;

/* Connect and start the broker thread. options are resolved ones; strings are copied.
 * UNAVAILABLE: no broker within connect_timeout_ms, or it refused the credentials. */
jj_status jj__broker_open(const jj_options *options, const struct log *log,
                          struct broker **broker_out, jj_error *err);

/* Flush what has been sent (bounded by 2 s), end the thread, fail what waits, free all. Ports and
 * members must be gone. Thread: any but the broker's. */
void jj__broker_close(struct broker *broker);

/* Largest payload with headers that the server takes; after jj__broker_open() never 0. Thread: any.
 */
size_t jj__broker_max_payload(const struct broker *broker);

/* True while connected. Thread: any. */
bool jj__broker_connected(const struct broker *broker);

/* Wait until it is connected. UNAVAILABLE: it is not by deadline_ms (steady clock; INT64_MAX: no
 * deadline), or the broker refused the credentials. Thread: any but the broker's. */
jj_status jj__broker_wait_connected(struct broker *broker, int64_t deadline_ms, jj_error *err);

/* Run fn(ctx) on the broker thread and wait for its end. Thread: any, the broker's too. */
void jj__broker_call(struct broker *broker, void (*fn)(void *ctx), void *ctx);

/* Make the broker thread take a turn soon. Thread: any; cheap when it is awake anyway. */
void jj__broker_wake(struct broker *broker);

/* ---- messages that came in ---- */

struct broker_msg;

const char *jj__msg_subject(const struct broker_msg *msg);
const char *jj__msg_reply(const struct broker_msg *msg); /* NULL: none */
const void *jj__msg_data(const struct broker_msg *msg);
size_t jj__msg_len(const struct broker_msg *msg);

/* The first value of a header, or NULL. Valid as long as the message. */
const char *jj__msg_header(struct broker_msg *msg, const char *name);

/* All headers, one entry for each value, but of Job-* and Nats-* the first value only; the array is
 * the caller's to free(), strings the message's. None gives NULL and 0. */
jj_status jj__msg_headers(struct broker_msg *msg, jj_header **headers_out, size_t *count_out,
                          jj_error *err);

/* The status of a message from the server itself, such as 404; 0 for one with data or without
 * status. */
int jj__msg_status(struct broker_msg *msg);

void jj__msg_free(struct broker_msg *msg);

/* ---- sending ---- */

struct outgoing {
    const char *subject;
    const char *reply; /* NULL: none */
    const jj_header *headers;
    size_t header_count;
    const void *data;
    size_t len;
};

/* Send without acknowledgement; lost if the connection is. False: not sent. Thread: broker. */
bool jj__broker_send(struct broker *broker, const struct outgoing *message);

/* The server has not got all of a batch. */
#define JJ__ERR_BATCH_INCOMPLETE 10176

/* What came of a publication. */
struct publish_result {
    jj_status status; /* OK; TIMEOUT: unknown; UNAVAILABLE: refused, not stored; NO_MEMORY;
                         TOO_LARGE; PROTOCOL: an answer that is none */
    uint64_t seq;
    bool duplicate;
    int err_code; /* of the server, such as 10077; 0: none */
    jj_error err; /* filled unless OK */
};

struct publication {
    const struct outgoing *messages; /* several: an atomic batch, the last one is acknowledged */
    size_t count;
    int64_t deadline_ms; /* steady clock; INT64_MAX: never */
    bool once; /* don't send again after a reconnect or silence: done(TIMEOUT) then; for batches */
    bool hold; /* not the last message, before jj__broker_let_go(): of a batch nothing is stored
                  without it. Lost connections end it: UNAVAILABLE with JJ__ERR_BATCH_INCOMPLETE */
    void (*done)(void *ctx, const struct publish_result *result); /* on the broker thread, once */
    void *ctx;
};

/* Publish to a stream and call done when its acknowledgement, an error or the deadline comes.
 * Unless once, messages must carry a Nats-Msg-Id: they are sent again after a reconnect, after 2 s
 * of silence, and after the server said that it is too busy (10167) or a stream has no leader
 * (503). On failure done is not called. Thread: any. */
jj_status jj__broker_publish(struct broker *broker, const struct publication *publication,
                             jj_error *err);

/* The same in two steps: begin it, and wait for the result. A held one is let go, or dropped, in
 * between. publishing stays where it is until jj__broker_publish_end(), which has to be called.
 * Thread: any but the broker's. */
struct publishing {
    struct broker *broker;
    uint64_t number;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;                /* guarded by lock */
    struct publish_result result; /* guarded by lock */
};
void jj__broker_publish_begin(struct broker *broker, struct publication *publication,
                              struct publishing *publishing);
void jj__broker_let_go(struct publishing *publishing, int64_t deadline_ms);
void jj__broker_drop(struct publishing *publishing);
void jj__broker_publish_end(struct publishing *publishing, struct publish_result *result_out);

/* Both at once. */
void jj__broker_publish_wait(struct broker *broker, struct publication *publication,
                             struct publish_result *result_out);

/* Ask a service; a message without subject comes back as its own answer. answer is called once, on
 * the broker thread: with the answer (free it), or with NULL and UNAVAILABLE (nobody answers to
 * that subject), NOT_PERMITTED, STATE (the connection was lost) or TIMEOUT. Thread: broker. On
 * failure answer is not called. */
struct question {
    struct outgoing message;
    int64_t deadline_ms; /* steady clock; INT64_MAX: none */
    bool patient;        /* a lost connection does not end it: the answer may come after it */
    void (*answer)(void *ctx, struct broker_msg *msg, jj_status status);
    void *ctx;
};
jj_status jj__broker_ask(struct broker *broker, const struct question *question, jj_error *err);

/* Forget the question with that ctx, if it has not been answered: answer will not be called.
 * Thread: broker. */
void jj__broker_unask(struct broker *broker, const void *ctx);

/* The same, waiting also for the connection; asked again when that was lost: a request must bear
 * it. *answer_out is the caller's. Thread: any but the broker's. */
jj_status jj__broker_request(struct broker *broker, const struct outgoing *message,
                             int64_t deadline_ms, struct broker_msg **answer_out, jj_error *err);

/* Wait until the server has read all that was sent, limit_ms at most. Thread: any but the broker's.
 */
void jj__broker_flush(struct broker *broker, int64_t limit_ms);

/* ---- receiving ---- */

/* A subscription. Its messages, free with jj__msg_free(), come in order to take(); msg NULL means
 * that something which was sent with this port's subject as reply found nobody there. */
struct port;
struct port_options {
    const char *subject;
    const char *queue; /* group; NULL: none */
    void (*take)(void *ctx, struct broker_msg *msg);
    void *ctx;
};
/* Thread: broker. */
jj_status jj__broker_port_open(struct broker *broker, const struct port_options *options,
                               struct port **port_out, jj_error *err);
/* True if the last thing that went wrong is that the server does not permit that subscription: to
 * be asked when an answer to something sent later has come. Thread: broker. */
bool jj__broker_port_denied(const struct port *port);
/* Tell the server to send nothing more to it; what is on its way still comes. Thread: broker. */
void jj__broker_port_drain(struct port *port);
/* Thread: broker; also from within take(). NULL is fine. */
void jj__broker_port_close(struct port *port);

/* A new subject under this client's inbox, of the form <inbox>.<kind><number>. */
#define JJ__INBOX_SIZE 128
void jj__broker_inbox(struct broker *broker, const char *kind, char out[JJ__INBOX_SIZE]);

/* Somebody who works on the broker thread. The struct is the member's own, filled by it. */
struct broker_member {
    /* After each round of input and whenever a returned time (steady clock, ms) has come: do what
     * is due, return when to be called at the latest; INT64_MAX: no wish. */
    int64_t (*turn)(void *ctx, int64_t now_ms);
    /* NULL, or told of each connect and disconnect. */
    void (*connected)(void *ctx, bool connected);
    /* NULL, or told what the server does not permit, in its words; true: this was the member's. */
    bool (*denied)(void *ctx, const char *text);
    void *ctx;
    struct broker_member *next; /* the broker's */
};
/* Thread: broker. */
void jj__broker_member_add(struct broker *broker, struct broker_member *member);
void jj__broker_member_remove(struct broker *broker, struct broker_member *member);

/* Free what the client library keeps for this thread: last call of each thread that used it. */
void jj__broker_thread_done(void);

/* The urls as they may be shown: what stands before "@" is hidden. NULL: no memory. */
char *jj__broker_without_secrets(const char *url);

#endif

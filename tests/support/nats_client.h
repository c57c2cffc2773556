/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_NATS_CLIENT_H
#define JJ_TESTS_SUPPORT_NATS_CLIENT_H

/* The stranger: a client of NATS that knows nothing of jetjobs, to play the other side and to look
 * at what is stored. What should never fail fails the test, so call it on the test's own thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <jetjobs/job.h>

struct nats_client;

struct nats_client *nats_client_open(const char *url);
void nats_client_close(struct nats_client *client);

/* Wait until the server has read all that was sent, through a restart if need be. Asking does that
 * by itself. */
void nats_client_settle(struct nats_client *client);

/* What to send. Zero means none. */
struct note {
    const char *subject;
    const char *reply;
    const jj_header *headers;
    size_t header_count;
    const void *data;
    size_t len; /* 0: data is text */
};

/* Send it; what is sent leaves in that order. */
void nats_client_send(struct nats_client *client, const struct note *note);

/* Send it and wait until the server has read it. */
void nats_client_publish(struct nats_client *client, const struct note *note);

/* Send it to a stream: its sequence there. */
uint64_t nats_client_store(struct nats_client *client, const struct note *note);

/* The same with nothing but a subject and text. */
uint64_t nats_client_store_text(struct nats_client *client, const char *subject, const char *text);

/* Ask: the answer as JSON, to be released with json_decref(), or NULL if there was none. */
json_t *nats_client_ask(struct nats_client *client, const struct note *note);

/* Ask the JetStream API: $JS.API.<what>. The request, NULL or JSON, is released here, so that it
 * can be made in the call. An answer with "error" in it fails the test. */
json_t *nats_client_api(struct nats_client *client, const char *what, json_t *request);

/* The same, but an error is fine: its err_code; 0 is success. */
int nats_client_api_error(struct nats_client *client, const char *what, json_t *request);

/* How many messages are in a stream; its configuration (release it). */
uint64_t nats_client_stream_messages(struct nats_client *client, const char *stream);
json_t *nats_client_stream_config(struct nats_client *client, const char *stream);

/* A number out of a consumer's INFO: "num_pending", "num_ack_pending", "num_waiting",
 * "num_redelivered"; -1 if there is no such consumer. */
int64_t nats_client_consumer_number(struct nats_client *client, const char *stream,
                                    const char *consumer, const char *key);

/* Wait until that number is so; false after WAIT_MS. */
bool nats_client_wait_consumer(struct nats_client *client, const char *stream, const char *consumer,
                               const char *key, int64_t number);
bool nats_client_wait_messages(struct nats_client *client, const char *stream, uint64_t count);

/* A message that was stored or heard. Strings live as long as what it came from. */
struct heard {
    char *subject;
    char *reply; /* NULL: none */
    char *data;  /* with a NUL behind it */
    size_t len;
    jj_header *headers; /* one for each value */
    size_t header_count;
    int64_t at_ms; /* when it was heard; steady clock */
};

/* The first value of a header, or NULL. */
const char *heard_header(const struct heard *heard, const char *name);

/* A stored message; NULL: no such sequence. Free it with heard_free(). */
struct heard *nats_client_get(struct nats_client *client, const char *stream, uint64_t seq);
void heard_free(struct heard *heard);

/* Ask: the answer as it came; NULL: nobody listens. Free it with heard_free(). */
struct heard *nats_client_request(struct nats_client *client, const struct note *note);

/* Listens to a subject and keeps all that comes. */
struct listener;

/* When it returns, the server knows of it. answer: NULL, or what each message with a reply subject
 * is answered with. */
struct listener *nats_client_listen(struct nats_client *client, const char *subject,
                                    const char *answer);
size_t listener_count(struct listener *listener);

/* Wait until there are count of them; false after WAIT_MS. */
bool listener_wait(struct listener *listener, size_t count);

/* One of them, in the order in which they came; index must be below the count. It stays valid until
 * the listener is closed. */
const struct heard *listener_get(struct listener *listener, size_t index);

/* Before its client. */
void listener_close(struct listener *listener);

#endif

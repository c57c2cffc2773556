/* SPDX-License-Identifier: Apache-2.0 */

/* The job apiCall: POST something over HTTP, and decide what a failure means.
 *
 *     NATS_URL=nats://127.0.0.1:4222 api_call
 *
 *     2xx              done; the answer is the result
 *     5xx              their mistake: try again, after "Retry-After" if they say so
 *     4xx              our mistake: trying again can't help, the job fails for good
 *     no answer        the network: try again, with the usual growing delay
 *
 * The other side is a server of the example's own (support/http_stub.c). */

#include <curl/curl.h>
#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/http.h"
#include "support/http_stub.h"
#include "support/jobs.h"

static jj_verdict judge(jj_attempt *attempt, const char *failure, const struct http_answer *answer)
{
    uint32_t number = jj_attempt_number(attempt);

    if (failure != NULL) {
        printf("attempt %u: no answer\n", number);
        return jj_retry(attempt, "%s", failure);
    }
    if (answer->status >= 500 && answer->retry_after_ms > 0) {
        printf("attempt %u: server error %d, asked to wait %d s\n", number, answer->status,
               (int)(answer->retry_after_ms / 1000));
        return jj_retry_in(attempt, answer->retry_after_ms, "server error %d", answer->status);
    }
    if (answer->status >= 500) {
        printf("attempt %u: server error %d\n", number, answer->status);
        return jj_retry(attempt, "server error %d", answer->status);
    }
    if (answer->status >= 300)
        return jj_fail(attempt, "client error %d", answer->status);
    return jj_done(attempt, answer->body, answer->len);
}

static jj_verdict api_call(jj_attempt *attempt, void *user)
{
    struct http_answer answer = {0};
    const char *url = NULL;
    json_t *payload = NULL, *data = job_data(attempt);
    jj_verdict verdict;

    (void)user;
    if (json_unpack(data, "{s:s, s:o}", "url", &url, "payload", &payload) == 0) {
        char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
        /* The job's id goes along as a key: a server that knows it does nothing twice. */
        const char *failure =
            text != NULL ? http_post(url, text, jj_attempt_id(attempt), &answer) : "no memory";
        verdict = judge(attempt, failure, &answer);
        free(text);
    } else {
        verdict = jj_fail(attempt, "data is not {\"url\", \"payload\"}");
    }
    json_decref(data);
    return verdict;
}

/* Call a path of the server, and see what becomes of it. */
static jj_status call(jj_client *client, unsigned port, const char *path, jj_error *err)
{
    const jj_spec spec = {.name = "apiCall", .max_attempts = 5};
    jj_receipt receipt;
    char url[64];

    printf("-- %s\n", path);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    jj_status s =
        job_enqueue(client, &spec, json_pack("{s:s, s:{s:i}}", "url", url, "payload", "amount", 12),
                    &receipt, err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, err);
    return s;
}

int main(void)
{
    static const char *const paths[] = {"/ok", "/busy", "/hang-up", "/nowhere"};
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &jj_adapter_memory};
    const jj_handler_options handling = {.backoff_initial_ms = 100, .timeout_ms = 15000};
    jj_client *client = NULL;
    jj_error err = {.text = "can't start the HTTP server"};
    jj_status s = JJ_ERR_UNAVAILABLE;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct http_stub *stub = http_stub_start();
    if (stub != NULL)
        s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "apiCall", api_call, &handling, NULL, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    for (size_t i = 0; s == JJ_OK && i < sizeof(paths) / sizeof(paths[0]); i++)
        s = call(client, http_stub_port(stub), paths[i], &err);
    if (s != JJ_OK)
        fprintf(stderr, "api_call: %s\n", err.text);
    jj_close(client);
    http_stub_stop(stub);
    curl_global_cleanup();
    return s == JJ_OK ? 0 : 1;
}

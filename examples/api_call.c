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
#include <string.h>

#include "support/http_stub.h"
#include "support/jobs.h"

struct answer {
    long status;
    curl_off_t retry_after_s; /* 0: not said */
    char body[4096];
    size_t len;
};

static size_t keep_body(char *data, size_t size, size_t count, void *user)
{
    struct answer *answer = user;

    if (size * count > sizeof(answer->body) - answer->len)
        return 0; /* more than we want to know: curl makes an error of this */
    memcpy(answer->body + answer->len, data, size * count);
    answer->len += size * count;
    return size * count;
}

/* The job's id goes along as a key: a server that knows it does nothing twice. */
static CURLcode post(const char *url, const char *payload, const char *id, struct answer *answer)
{
    char key[JJ_NAME_SIZE + 32];
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return CURLE_OUT_OF_MEMORY;

    snprintf(key, sizeof(key), "Idempotency-Key: %s", id);
    struct curl_slist *headers = curl_slist_append(NULL, key);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* it is on this machine */
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, payload);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L);
    CURLcode error = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &answer->retry_after_s);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return error;
}

static jj_verdict judge(jj_attempt *attempt, CURLcode error, const struct answer *answer)
{
    uint32_t number = jj_attempt_number(attempt);

    if (error != CURLE_OK) {
        printf("attempt %u: no answer\n", number);
        return jj_retry(attempt, "%s", curl_easy_strerror(error));
    }
    if (answer->status >= 500 && answer->retry_after_s > 0) {
        printf("attempt %u: server error %ld, asked to wait %d s\n", number, answer->status,
               (int)answer->retry_after_s);
        return jj_retry_in(attempt, answer->retry_after_s * 1000, "server error %ld",
                           answer->status);
    }
    if (answer->status >= 500) {
        printf("attempt %u: server error %ld\n", number, answer->status);
        return jj_retry(attempt, "server error %ld", answer->status);
    }
    if (answer->status >= 300)
        return jj_fail(attempt, "client error %ld", answer->status);
    return jj_done(attempt, answer->body, answer->len);
}

static jj_verdict api_call(jj_attempt *attempt, void *user)
{
    struct answer answer = {0};
    const char *url = NULL;
    json_t *payload = NULL, *data = job_data(attempt);
    jj_verdict verdict;

    (void)user;
    if (json_unpack(data, "{s:s, s:o}", "url", &url, "payload", &payload) == 0) {
        char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
        CURLcode error =
            text != NULL ? post(url, text, jj_attempt_id(attempt), &answer) : CURLE_OUT_OF_MEMORY;
        verdict = judge(attempt, error, &answer);
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

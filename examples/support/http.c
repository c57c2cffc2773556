/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#define TIMEOUT_MS 10000L

static size_t keep_body(char *data, size_t size, size_t count, void *user)
{
    struct http_answer *answer = user;

    if (size * count > sizeof(answer->body) - answer->len)
        return 0; /* more than we want to know: curl makes an error of this */
    memcpy(answer->body + answer->len, data, size * count);
    answer->len += size * count;
    return size * count;
}

const char *http_post(const char *url, const char *payload, const char *key,
                      struct http_answer *answer)
{
    char header[128];
    long status = 0;
    curl_off_t retry_after_s = 0;
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return curl_easy_strerror(CURLE_OUT_OF_MEMORY);

    snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* it is on this machine */
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, payload);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    CURLcode error = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer->status = (int)status;
    answer->retry_after_ms = retry_after_s * 1000;
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return error == CURLE_OK ? NULL : curl_easy_strerror(error);
}

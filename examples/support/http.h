/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_HTTP_H
#define EXAMPLES_SUPPORT_HTTP_H

/* POST JSON over HTTP, with libcurl. curl_global_init() is the caller's. */

#include <stddef.h>
#include <stdint.h>

struct http_answer {
    int status;
    int64_t retry_after_ms; /* 0: not said */
    char body[4096];
    size_t len;
};

/* NULL; or why there was no answer, or none that fits. key: the header Idempotency-Key, by which a
 * server knows what it has done already. */
const char *http_post(const char *url, const char *payload, const char *key,
                      struct http_answer *answer);

#endif

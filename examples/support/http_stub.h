/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_HTTP_STUB_H
#define EXAMPLES_SUPPORT_HTTP_STUB_H

/* An HTTP server with a few paths, each of which behaves in its own way:
 *
 *     /ok         200, with what was posted
 *     /busy       503 with "Retry-After: 1" the first time, 500 the second, then as /ok
 *     /hang-up    no answer the first time, but the end of the connection; then as /ok
 *     others      404 */

struct http_stub;

struct http_stub *http_stub_start(void); /* NULL: it can't */
unsigned http_stub_port(const struct http_stub *stub);
void http_stub_stop(struct http_stub *stub); /* NULL is fine */

#endif

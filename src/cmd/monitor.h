/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_MONITOR_H
#define JJ_CMD_MONITOR_H

/* The monitoring of nats-server, which is plain HTTP: what it tells of itself, and no client. */

#include <jansson.h>

#include <jetjobs/status.h>

/* Get <url>/<what>, such as "jsz", whose answer has a text of that key; url is
 * http://HOST[:PORT][/PATH]. Free it with json_decref(). INVALID: that is no such url. UNAVAILABLE:
 * nobody answers there. PROTOCOL: somebody else does. */
JJ_MUST_CHECK jj_status monitor_get(const char *url, const char *what, const char *key,
                                    json_t **answer_out, jj_error *err);

#endif

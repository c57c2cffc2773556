/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_RELAY_H
#define JJ_TESTS_RELAY_H

/* The way of a job in plain nats.c, with nothing of ours on it: stored in one stream, fetched from
 * a work queue, stored in a second stream as a claim is, and pushed back from there. What a job
 * takes longer than this is ours. */

#include <stddef.h>
#include <stdint.h>

struct relay;

/* Make both streams, and start who fetches. End it with relay_end(); the streams stay. */
struct relay *relay_begin(const char *url);
void relay_end(struct relay *relay);

/* Send one and wait until it came back: how long that took. */
int64_t relay_us(struct relay *relay, size_t payload_len);

#endif

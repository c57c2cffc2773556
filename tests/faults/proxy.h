/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_PROXY_H
#define JJ_TESTS_FAULTS_PROXY_H

/* A link that can be disturbed: a TCP proxy between one client and the brokers, with a thread of
 * its own. A new connection goes to the next broker that takes it. */

struct proxy;

enum proxy_mode {
    PROXY_PASS,
    PROXY_HOLD,      /* nothing passes, connections stay: half-open */
    PROXY_HOLD_UP,   /* nothing passes to the broker */
    PROXY_HOLD_DOWN, /* nothing passes from it */
    PROXY_SLOW       /* all that passes is late */
};

#define PROXY_SLOW_MS 150

/* Fails the test if it can't be. ports: of the brokers, on the loopback. */
struct proxy *proxy_start(const int ports[], int count);
int proxy_port(const struct proxy *proxy);
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
/* Break all its connections. */
void proxy_cut(struct proxy *proxy);
void proxy_stop(struct proxy *proxy);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_CONFORMANCE_WIRE_H
#define JJ_TESTS_CONFORMANCE_WIRE_H

#include <nats/nats.h>
#include <stddef.h>

#include <jetjobs/job.h>

/* A message with its headers as the judges look at them: one for each value. */
struct heard {
    const char *subject, *reply; /* reply NULL: none */
    const void *data;
    size_t len;
    jj_header *headers;
    size_t header_count;
};

/* Strings are the message's own. False: no memory. */
bool heard_read(natsMsg *msg, struct heard *heard);
void heard_done(struct heard *heard);

/* The first value of a header, or NULL. */
const char *heard_header(const struct heard *heard, const char *name);

#endif

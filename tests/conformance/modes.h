/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_CONFORMANCE_MODES_H
#define JJ_TESTS_CONFORMANCE_MODES_H

#include <nats/nats.h>
#include <stdint.h>

#include "report.h"

/* What can be judged. Zero was replaced by its default. */
struct task {
    natsConnection *nc;
    const char *what;   /* name of the jobs; subject of the handler */
    const char *data;   /* NULL, or good data for that handler */
    int64_t count;      /* messages to judge */
    int64_t timeout_ms; /* to wait for all of them; for an answer */
};

/* Each prints what it finds, and fills the report. False, with a text on stderr: it could not. */
bool listen_to_producer(const struct task *task, struct report *report);
bool ask_handler(const struct task *task, struct report *report);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_SERVE_H
#define JJ_SRC_SERVE_H

#include "broker.h"
#include "index.h"

/* An index service: it answers requests, and moves jobs that are due. */
struct service;

struct service_setup {
    struct broker *broker;
    struct index *index;
    const jj_options *options; /* resolved; must outlive the service */
    struct log log;
};

/* NULL: no memory. */
struct service *jj__service_new(const struct service_setup *setup);

/* Begin; may be tried again after a failure. Thread: any but the broker's. */
jj_status jj__service_start(struct service *service, jj_error *err);

/* Take nothing more, finish what is in hand. Before the index is closed. NULL is fine.
 * Thread: any but the broker's. */
void jj__service_stop(struct service *service);

/* When index and broker are closed. NULL is fine. */
void jj__service_free(struct service *service);

#endif

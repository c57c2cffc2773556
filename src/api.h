/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_API_H
#define JJ_SRC_API_H

/* Answering requests (broker/README.md, "Requests"). */

#include "broker.h"
#include "index.h"

struct api;

struct api_setup {
    struct broker *broker;
    struct index *index;
    struct log log;
};

/* Thread: any but the broker's. */
jj_status jj__api_open(const struct api_setup *setup, struct api **api_out, jj_error *err);

/* Let others have the requests that come, and answer those in hand; those that still wait for the
 * index are answered when it is closed. NULL is fine. Thread: any but the broker's. */
void jj__api_stop(struct api *api);

/* When index and broker are closed. NULL is fine. */
void jj__api_free(struct api *api);

#endif

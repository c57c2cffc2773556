/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CLIENT_ASK_H
#define JJ_SRC_CLIENT_ASK_H

#include "client.h"

/* Ask an index service (client_ask_remote.c). */
struct remote_question {
    const struct request *request;
    int64_t deadline_ms; /* steady clock: for the answer */
    int64_t wait_ms;     /* verb get: answer when the job is over, or after that; 0: at once */
};

/* UNAVAILABLE: no service answers; TIMEOUT; and what the service says. *answer is empty on failure.
 * Thread: any but the broker's. */
jj_status jj__ask_remote(jj_client *client, const struct remote_question *question,
                         struct answer *answer, jj_error *err);

/* JJ_OK unless a service answered that it can't, and why. */
jj_status jj__ask_refused(struct broker_msg *msg, jj_error *err);

#endif

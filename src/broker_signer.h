/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_SIGNER_H
#define JJ_SRC_BROKER_SIGNER_H

/* Private to broker*.c: credentials (JWT and seed) for the client library. */

#include <nats/nats.h>

#include "nkey.h"

/* Outlives the options and connections that it was set for. */
struct signer {
    const char *path;         /* outlives it */
    char seed[JJ__SEED_SIZE]; /* while it connects */
};

/* Have the connections of these options show the JWT of a file and sign with the seed in it. It is
 * read anew for each connection. */
natsStatus jj__signer_set(natsOptions *nats, struct signer *signer, const char *path);

#endif

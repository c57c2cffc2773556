/* SPDX-License-Identifier: Apache-2.0 */

/* Credentials, given to the client library when it asks.
 *
 * It could read the file itself. But what it finds no frames in, such as a file whose lines end in
 * CR LF, it takes for a JWT as a whole (3.4.1, conn.c: _getJwtOrSeed) and sends it: seed and all.
 * And it reads JWT and seed one after the other, when the file may have been replaced in between.
 */

#include "broker_signer.h"

#include <stdlib.h>
#include <string.h>

#include "creds.h"

static natsStatus give_jwt(char **jwt_out, char **why_out, void *ctx)
{
    struct signer *signer = ctx;
    struct creds creds;
    jj_error err;

    jj_status s = jj__creds_read(signer->path, &creds, &err);
    if (s == JJ_OK) {
        memcpy(signer->seed, creds.seed, sizeof(creds.seed));
        *jwt_out = strdup(creds.jwt);
    } else {
        *why_out = strdup(err.text);
    }
    jj__secret_wipe(&creds, sizeof(creds));
    if (s != JJ_OK)
        return NATS_ERR;
    if (*jwt_out != NULL)
        return NATS_OK;
    jj__secret_wipe(signer->seed, sizeof(signer->seed));
    return NATS_NO_MEMORY;
}

/* A server that wants nobody's signature sends nothing to sign. */
static natsStatus sign(char **why_out, unsigned char **signature_out, int *len_out,
                       const char *nonce, void *ctx)
{
    struct signer *signer = ctx;
    natsStatus s = NATS_OK;

    (void)why_out;
    if (nonce != NULL && nonce[0] != '\0')
        s = nats_Sign(signer->seed, nonce, signature_out, len_out);
    jj__secret_wipe(signer->seed, sizeof(signer->seed));
    return s;
}

natsStatus jj__signer_set(natsOptions *nats, struct signer *signer, const char *path)
{
    signer->path = path;
    return natsOptions_SetUserCredentialsCallbacks(nats, give_jwt, signer, sign, signer);
}

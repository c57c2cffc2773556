/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CREDS_H
#define JJ_SRC_CREDS_H

#include <stddef.h>
#include <stdint.h>

#include <jetjobs/status.h>

#include "nkey.h"

/* A file of credentials: a JWT, "eyJ...", in which an account says who the user is and what it may
 * do, and the seed of the nkey that it names, each on a line of its own. */
struct creds {
    char jwt[JJ__SECRET_SIZE];
    char seed[JJ__SEED_SIZE];
};

/* To be wiped (jj__secret_wipe), also on failure. INVALID: no such file, or it lacks one of them;
 * the text tells nothing of what is in it. */
jj_status jj__creds_read(const char *path, struct creds *creds, jj_error *err);

/* Why a server may have refused what is in that file, in our own view; never empty. */
void jj__creds_doubt(const char *path, int64_t now_ms, char *out, size_t size);

#endif

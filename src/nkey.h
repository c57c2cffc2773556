/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_NKEY_H
#define JJ_SRC_NKEY_H

#include <stdbool.h>
#include <stddef.h>

#include <jetjobs/status.h>

/* An nkey is a pair of Ed25519 keys. Its secret half, the seed, is written as "SU..." and kept in a
 * file; by its public half, "U...", the server knows the user. */

#define JJ__NKEY_SIZE 57 /* of a public key, with NUL */
#define JJ__SEED_SIZE 59 /* likewise */

/* The first line of a text that is a user's seed; false: none is. */
bool jj__nkey_find_seed(const char *text, char seed[JJ__SEED_SIZE]);
bool jj__nkey_public_of(const char *seed, char out[JJ__NKEY_SIZE]);

/* The public key that belongs to the seed in a file, alone on a line of it. INVALID: no such file,
 * or no user's seed in it; the text tells nothing of what is in it. */
jj_status jj__nkey_public(const char *path, char out[JJ__NKEY_SIZE], jj_error *err);

/* What is in a file with a secret, as far as there is room; and to be wiped, also on failure. */
#define JJ__SECRET_SIZE  16384
#define JJ__SECRET_SPACE " \t\r\n"
jj_status jj__secret_read(const char *path, char text[JJ__SECRET_SIZE], jj_error *err);
void jj__secret_wipe(void *data, size_t len);

/* With an nkey or a credentials file, so many refusals make one. nats.c (3.4.1 to 3.9.3, util.c:
 * _base64Encode) takes a signature whose first byte is 0 for none, and doesn't send it: one in 256,
 * and the next attempt has another to sign. */
#define JJ__SIGNED_TRIES 3

#endif

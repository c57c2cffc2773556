/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_REALM_H
#define JJ_TESTS_SUPPORT_REALM_H

/* A server in operator mode trusts an operator, who signs accounts, which sign users: each is a JWT
 * about somebody's public key, signed with somebody's seed. A realm is an operator with two
 * accounts, the system's and one for jobs, which may use JetStream. All is made anew, with random
 * keys. What fails here fails the test. */

#include <stddef.h>
#include <stdint.h>

#define KEY_LEN         32
#define PUBLIC_KEY_SIZE 57
#define SEED_SIZE       59

enum key_kind { KEY_OF_OPERATOR, KEY_OF_ACCOUNT, KEY_OF_USER };

struct key_pair {
    unsigned char secret[KEY_LEN];
    char public[PUBLIC_KEY_SIZE]; /* "O...", "A...", "U..." */
    char seed[SEED_SIZE];         /* "SO...", "SA...", "SU..." */
};
void key_pair_make(enum key_kind kind, struct key_pair *out);

struct realm {
    struct key_pair root, system, jobs; /* the root is the operator */
    char config[8192];                  /* for the server */
};
void realm_make(struct realm *realm);

struct realm_user {
    const struct key_pair *keys;
    const struct key_pair *account; /* who signs; NULL: that of jobs */
    const char *conf_user; /* may do what this user of broker/permissions.conf may; NULL: all */
    int64_t expires_at_s;  /* 0: never */
    size_t ballast;        /* so many bytes more */
};

/* Their JWT, to be freed. */
char *realm_jwt(const struct realm *realm, const struct realm_user *user);

/* A file of credentials as nsc writes it, to be freed. */
char *realm_creds(const char *jwt, const char *seed);

#endif

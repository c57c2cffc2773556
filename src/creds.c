/* SPDX-License-Identifier: Apache-2.0 */

/* Files of credentials (JWT and seed). Who may do what is the server's to judge: it checks the
 * signature, and this only looks for what it would not tell. */

#include "creds.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base64.h"
#include "rfc3339.h"
#include "status.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* Three parts in base64url with dots between, of which the first is JSON: {"... */
static bool is_jwt(const char *word, size_t len)
{
    size_t at = strspn(word, LETTERS);

    for (int part = 1; part < 3; part++) {
        if (word[at] != '.')
            return false;
        at += 1 + strspn(word + at + 1, LETTERS);
    }
    return at == len && strncmp(word, "eyJ", 3) == 0;
}

static bool find_jwt(const char *text, char *jwt)
{
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, JJ__SECRET_SPACE);
        if (is_jwt(word, len)) {
            memcpy(jwt, word, len);
            jwt[len] = '\0';
            return true;
        }
        word += len;
        word += strspn(word, JJ__SECRET_SPACE);
    }
    return false;
}

jj_status jj__creds_read(const char *path, struct creds *creds, jj_error *err)
{
    char text[JJ__SECRET_SIZE];

    jj_status s = jj__secret_read(path, text, err);
    if (s == JJ_OK && !find_jwt(text, creds->jwt))
        s = jj__fail(err, JJ_ERR_INVALID, "%s: has no JWT of a user: a line eyJ...", path);
    else if (s == JJ_OK && !jj__nkey_find_seed(text, creds->seed))
        s = jj__fail(err, JJ_ERR_INVALID, "%s: has no seed of a user's nkey: a line SU...", path);
    jj__secret_wipe(text, sizeof(text));
    return s;
}

/* What the JWT claims, its second part; NULL: it can't be read. Cuts it up. */
static json_t *read_claims(char *jwt)
{
    char *part = strchr(jwt, '.') + 1;
    size_t len = strcspn(part, ".");

    for (size_t i = 0; i < len; i++)
        part[i] = (char)(part[i] == '-' ? '+' : part[i] == '_' ? '/' : part[i]);
    /* Bytes never get ahead of the characters that they are made of. */
    return jj__base64_read(part, len, part, &len) ? json_loadb(part, len, 0, NULL) : NULL;
}

static void doubt_claims(const json_t *claims, const struct creds *creds, int64_t now_ms, char *out,
                         size_t size)
{
    const char *user = json_string_value(json_object_get(claims, "sub"));
    int64_t end_s = json_integer_value(json_object_get(claims, "exp"));
    char public[JJ__NKEY_SIZE] = "", end[JJ__RFC3339_SIZE];

    if (user == NULL)
        snprintf(out, size, "the JWT can't be read");
    else if (!jj__nkey_public_of(creds->seed, public) || strcmp(public, user) != 0)
        snprintf(out, size, "the seed is of another user than the JWT");
    else if (end_s > 0 && end_s <= now_ms / 1000) {
        jj__rfc3339_write(end_s * 1000, end);
        snprintf(out, size, "the JWT expired at %s", end);
    } else
        snprintf(out, size, "the server does not know the account, or no longer takes this user");
}

void jj__creds_doubt(const char *path, int64_t now_ms, char *out, size_t size)
{
    struct creds creds;
    jj_error err;

    if (jj__creds_read(path, &creds, &err) != JJ_OK) {
        snprintf(out, size, "%s", err.text);
    } else {
        json_t *claims = read_claims(creds.jwt);
        doubt_claims(claims, &creds, now_ms, out, size);
        json_decref(claims);
        size_t len = strlen(out);
        snprintf(out + len, size - len, " (%s)", path);
    }
    jj__secret_wipe(&creds, sizeof(creds));
}

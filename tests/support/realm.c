/* SPDX-License-Identifier: Apache-2.0 */

/* Keys and tokens of NATS (JWT of version 2), as nsc makes them. */

#include "realm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "base64.h"
#include "buf.h"

#define SIGNATURE_LEN 64
#define HEADER        "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}"

/* What stands before a key, in the upper five bits of a byte: its letter. */
#define KIND_SEED (18u << 3)
static const unsigned kinds[] = {
    [KEY_OF_OPERATOR] = 14u << 3, [KEY_OF_ACCOUNT] = 0, [KEY_OF_USER] = 20u << 3};

/* ---- keys ---- */

static void write_base32(const unsigned char *data, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned bits = 0, bit_count = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | data[i]) & 0xFFFu;
        for (bit_count += 8; bit_count >= 5; bit_count -= 5)
            *out++ = digits[bits >> (bit_count - 5) & 31u];
    }
    if (bit_count > 0)
        *out++ = digits[bits << (5 - bit_count) & 31u];
    *out = '\0';
}

/* The last two bytes are the checksum of those before (CRC-16/XMODEM). */
static void seal(unsigned char *data, size_t len)
{
    unsigned crc = 0;

    for (size_t i = 0; i < (len - 2) * 8; i++) {
        unsigned bit = (unsigned)data[i / 8] >> (7 - i % 8) & 1u;
        bool carry = (crc >> 15 ^ bit) != 0;
        crc = (crc << 1 & 0xFFFFu) ^ (carry ? 0x1021u : 0);
    }
    data[len - 2] = (unsigned char)(crc & 0xFFu);
    data[len - 1] = (unsigned char)(crc >> 8);
}

void key_pair_make(enum key_kind kind, struct key_pair *out)
{
    unsigned char public[1 + KEY_LEN + 2] = {(unsigned char)kinds[kind]};
    unsigned char seed[2 + KEY_LEN + 2] = {(unsigned char)(KIND_SEED | kinds[kind] >> 5),
                                           (unsigned char)((kinds[kind] & 31u) << 3)};
    size_t len = KEY_LEN;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_raw_private_key(key, out->secret, &len), 1);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, public + 1, &len), 1);
    EVP_PKEY_free(key);
    memcpy(seed + 2, out->secret, KEY_LEN);
    seal(public, sizeof(public));
    seal(seed, sizeof(seed));
    write_base32(public, sizeof(public), out->public);
    write_base32(seed, sizeof(seed), out->seed);
}

/* ---- tokens ---- */

static void add_base64url(struct buf *out, const void *data, size_t len)
{
    char *to = jj__buf_reserve(out, JJ__BASE64_SIZE(len));

    assert_non_null(to);
    size_t written = jj__base64_write(to, data, len);
    while (to[written - 1] == '=')
        written--;
    for (size_t i = 0; i < written; i++)
        to[i] = to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i];
    out->len += written;
}

static void sign(const struct key_pair *signer, const void *data, size_t len,
                 unsigned char out[SIGNATURE_LEN])
{
    size_t written = SIGNATURE_LEN;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, signer->secret, KEY_LEN);

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, out, &written, data, len), 1);
    EVP_PKEY_free(key);
    EVP_MD_CTX_free(ctx);
}

/* What signer says of a public key; takes claims, the part that is NATS's own. */
static char *make_jwt(const struct key_pair *signer, const char *subject, json_t *claims,
                      int64_t expires_at_s)
{
    struct buf jwt = {0};
    unsigned char signature[SIGNATURE_LEN];
    json_t *all =
        json_pack("{ss, sI, ss, ss, ss, so}", "jti", subject, "iat", (json_int_t)time(NULL), "iss",
                  signer->public, "name", "test", "sub", subject, "nats", claims);

    assert_non_null(all);
    if (expires_at_s != 0)
        json_object_set_new(all, "exp", json_integer(expires_at_s));
    json_object_set_new(claims, "version", json_integer(2));
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    add_base64url(&jwt, HEADER, strlen(HEADER));
    jj__buf_char(&jwt, '.');
    add_base64url(&jwt, text, strlen(text));
    free(text);
    sign(signer, jwt.data, jwt.len, signature);
    jj__buf_char(&jwt, '.');
    add_base64url(&jwt, signature, sizeof(signature));
    jj__buf_char(&jwt, '\0');
    assert_false(jwt.failed);
    return jwt.data;
}

/* JetStream for all that fits; everything else without limit, too. */
static json_t *account_claims(bool jetstream)
{
    json_int_t storage = jetstream ? -1 : 0;

    return json_pack("{ss, s{sI, sI, sI, sI, sI, sb, sI, sI, sI, sI, sI, sI}}", "type", "account",
                     "limits", "subs", (json_int_t)-1, "data", (json_int_t)-1, "payload",
                     (json_int_t)-1, "imports", (json_int_t)-1, "exports", (json_int_t)-1,
                     "wildcards", 1, "conn", (json_int_t)-1, "leaf", (json_int_t)-1, "mem_storage",
                     storage, "disk_storage", storage, "streams", storage, "consumer", storage);
}

/* ---- the realm ---- */

void realm_make(struct realm *realm)
{
    key_pair_make(KEY_OF_OPERATOR, &realm->root);
    key_pair_make(KEY_OF_ACCOUNT, &realm->system);
    key_pair_make(KEY_OF_ACCOUNT, &realm->jobs);
    char *root = make_jwt(
        &realm->root, realm->root.public,
        json_pack("{ss, ss}", "type", "operator", "system_account", realm->system.public), 0);
    char *system = make_jwt(&realm->root, realm->system.public, account_claims(false), 0);
    char *jobs = make_jwt(&realm->root, realm->jobs.public, account_claims(true), 0);
    int len = snprintf(realm->config, sizeof(realm->config),
                       "operator: %s\nsystem_account: %s\nresolver: MEMORY\n"
                       "resolver_preload: {\n    %s: %s\n    %s: %s\n}\n",
                       root, realm->system.public, realm->system.public, system, realm->jobs.public,
                       jobs);
    assert_true(len > 0 && (size_t)len < sizeof(realm->config));
    free(root);
    free(system);
    free(jobs);
}

/* ---- users ---- */

/* The strings of the list behind key, at or after text. */
static json_t *read_list(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    json_t *list = json_array();

    assert_non_null(at);
    while (*at != ']') {
        if (*at == '#')
            at += strcspn(at, "\n");
        if (*at++ != '"')
            continue;
        size_t len = strcspn(at, "\"");
        json_array_append_new(list, json_stringn(at, len));
        at += len + 1;
    }
    return list;
}

static char *read_permissions(void)
{
    static char text[16384];
    FILE *file = fopen(JETJOBS_SOURCE "/broker/permissions.conf", "r");

    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    assert_true(len < sizeof(text) - 1);
    text[len] = '\0';
    return text;
}

/* What the user of broker/permissions.conf may, as a JWT says it. */
static void add_permissions(json_t *claims, const char *name)
{
    char head[64];

    snprintf(head, sizeof(head), "user: %s,", name);
    char *user = strstr(read_permissions(), head);
    assert_non_null(user);
    char *next = strstr(user + 1, "user: ");
    if (next != NULL)
        *next = '\0';
    json_object_set_new(claims, "pub", json_pack("{so}", "allow", read_list(user, "publish:")));
    json_object_set_new(claims, "sub", json_pack("{so}", "allow", read_list(user, "subscribe:")));
    if (strstr(user, "allow_responses: { max: 1, expires: \"2m\" }") != NULL)
        json_object_set_new(claims, "resp",
                            json_pack("{si, sI}", "max", 1, "ttl", (json_int_t)120000000000));
}

static json_t *make_ballast(size_t len)
{
    static char bytes[8192];

    assert_true(len < sizeof(bytes));
    memset(bytes, 'x', len);
    return json_stringn(bytes, len);
}

char *realm_jwt(const struct realm *realm, const struct realm_user *user)
{
    json_t *claims = json_pack("{ss, sI, sI, sI}", "type", "user", "subs", (json_int_t)-1, "data",
                               (json_int_t)-1, "payload", (json_int_t)-1);

    assert_non_null(claims);
    if (user->conf_user != NULL)
        add_permissions(claims, user->conf_user);
    json_object_set_new(claims, "tags", json_pack("[o]", make_ballast(user->ballast)));
    return make_jwt(user->account == NULL ? &realm->jobs : user->account, user->keys->public,
                    claims, user->expires_at_s);
}

char *realm_creds(const char *jwt, const char *seed)
{
    static const char *const frame[] = {
        "-----BEGIN NATS USER JWT-----\n", "\n------END NATS USER JWT------\n\n",
        "-----BEGIN USER NKEY SEED-----\n", "\n------END USER NKEY SEED------\n"};
    struct buf text = {0};

    jj__buf_str(&text, frame[0]);
    jj__buf_str(&text, jwt);
    jj__buf_str(&text, frame[1]);
    jj__buf_str(&text, frame[2]);
    jj__buf_str(&text, seed);
    jj__buf_str(&text, frame[3]);
    jj__buf_char(&text, '\0');
    assert_false(text.failed);
    return text.data;
}

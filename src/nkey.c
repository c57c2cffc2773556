/* SPDX-License-Identifier: Apache-2.0 */

/* The public key of an nkey, from its seed.
 *
 * nats.c can sign with a seed, but wants to be told the public key. Both are written as RFC 4648's
 * base32 of: what kind of key it is, the key, and a checksum. What was read is wiped. */

#include "nkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "status.h"

#define KIND_SEED 0x90 /* the letter S; the kind of its key stands across two bytes */
#define KIND_USER 0xA0 /* the letter U */
#define KEY_LEN   32
#define SEED_LEN  (2 + KEY_LEN + 2)
#define SEED_TEXT (JJ__SEED_SIZE - 1)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16/XMODEM, as nkeys have it. */
static unsigned checksum(const unsigned char *data, size_t len)
{
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000u) != 0 ? (crc << 1 ^ 0x1021u) & 0xFFFFu : crc << 1;
    }
    return crc;
}

/* SEED_TEXT characters; false: they are no base32. */
static bool read_base32(const char *text, unsigned char out[SEED_LEN])
{
    unsigned bits = 0, bit_count = 0;
    size_t len = 0;

    for (size_t i = 0; i < SEED_TEXT; i++) {
        const char *digit = memchr(digits, text[i], sizeof(digits) - 1);
        if (digit == NULL)
            return false;
        bits = (bits << 5 | (unsigned)(digit - digits)) & 0xFFFu;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[len++] = (unsigned char)(bits >> bit_count & 0xFFu);
        }
    }
    return true;
}

static void write_base32(char out[JJ__NKEY_SIZE], const unsigned char *data, size_t len)
{
    unsigned bits = 0, bit_count = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | data[i]) & 0xFFFu;
        for (bit_count += 8; bit_count >= 5; bit_count -= 5)
            *out++ = digits[bits >> (bit_count - 5) & 0x1Fu];
    }
    *out = '\0';
}

static bool is_user_seed(const unsigned char raw[SEED_LEN])
{
    unsigned kind = (raw[0] & 0x07u) << 5 | (raw[1] & 0xF8u) >> 3;
    unsigned sum = (unsigned)raw[SEED_LEN - 1] << 8 | raw[SEED_LEN - 2];

    return (raw[0] & 0xF8u) == KIND_SEED && kind == KIND_USER && checksum(raw, SEED_LEN - 2) == sum;
}

bool jj__nkey_find_seed(const char *text, char seed[JJ__SEED_SIZE])
{
    unsigned char raw[SEED_LEN];
    bool found = false;

    for (const char *line = text; *line != '\0' && !found;) {
        size_t len = strcspn(line, JJ__SECRET_SPACE);
        found = len == SEED_TEXT && read_base32(line, raw) && is_user_seed(raw);
        if (found) {
            memcpy(seed, line, len);
            seed[len] = '\0';
        }
        line += len;
        line += strspn(line, JJ__SECRET_SPACE);
    }
    jj__secret_wipe(raw, sizeof(raw));
    return found;
}

static bool make_public(const unsigned char raw[SEED_LEN], char out[JJ__NKEY_SIZE])
{
    unsigned char public[1 + KEY_LEN + 2] = {KIND_USER};
    size_t len = KEY_LEN;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw + 2, KEY_LEN);
    bool made = key != NULL && EVP_PKEY_get_raw_public_key(key, public + 1, &len) == 1;

    EVP_PKEY_free(key);
    unsigned sum = checksum(public, 1 + KEY_LEN);
    public[1 + KEY_LEN] = (unsigned char)(sum & 0xFFu);
    public[2 + KEY_LEN] = (unsigned char)(sum >> 8);
    write_base32(out, public, sizeof(public));
    return made;
}

bool jj__nkey_public_of(const char *seed, char out[JJ__NKEY_SIZE])
{
    unsigned char raw[SEED_LEN];
    bool made = strlen(seed) == SEED_TEXT && read_base32(seed, raw) && make_public(raw, out);

    jj__secret_wipe(raw, sizeof(raw));
    return made;
}

jj_status jj__nkey_public(const char *path, char out[JJ__NKEY_SIZE], jj_error *err)
{
    char text[JJ__SECRET_SIZE];
    char seed[JJ__SEED_SIZE];

    jj_status s = jj__secret_read(path, text, err);
    if (s == JJ_OK && !jj__nkey_find_seed(text, seed))
        s = jj__fail(err, JJ_ERR_INVALID, "%s: has no seed of a user's nkey: a line SU...", path);
    else if (s == JJ_OK && !jj__nkey_public_of(seed, out))
        s = jj__fail(err, JJ_ERR_INTERNAL, "%s: its public key can't be computed", path);
    jj__secret_wipe(text, sizeof(text));
    jj__secret_wipe(seed, sizeof(seed));
    return s;
}

/* ---- secrets ---- */

void jj__secret_wipe(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}

jj_status jj__secret_read(const char *path, char text[JJ__SECRET_SIZE], jj_error *err)
{
    size_t len = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    text[0] = '\0';
    if (fd < 0)
        return jj__fail_errno(err, JJ_ERR_INVALID, errno, path);
    while (got > 0 && len < JJ__SECRET_SIZE - 1) {
        got = read(fd, text + len, JJ__SECRET_SIZE - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int failure = errno;
    close(fd);
    text[len] = '\0';
    if (len == JJ__SECRET_SIZE - 1) {
        jj__secret_wipe(text, JJ__SECRET_SIZE);
        return jj__fail(err, JJ_ERR_INVALID, "%s: is longer than %d bytes", path,
                        JJ__SECRET_SIZE - 2);
    }
    return got < 0 ? jj__fail_errno(err, JJ_ERR_INVALID, failure, path) : JJ_OK;
}

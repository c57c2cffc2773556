/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and random names. Randomness comes from the kernel, in blocks, so that one system call serves
 * many ids; and one mutex guards the block and the counter, since ids that a process makes in a row
 * are to sort in that order.
 *
 * A child of fork() would go on with the same block and make the same ids as its parent. So fork
 * waits for the mutex, and the child starts afresh.
 *
 * Within a millisecond ids count up by a random step and not by one: whoever has seen an id must
 * not be able to enqueue something under the next. */

#include "id.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK_BYTES 1024

#define TIME_MAX_MS ((INT64_C(1) << 48) - 1)

/* The 74 bits of the counter, in two parts as a UUID has room for them. They start below half of
 * what they can be, and a step is 2^32 at most: 2^41 ids would have to be made before time goes on
 * for them to overflow. */
#define HIGH_START_MASK 0x7FF
#define LOW_MASK        ((UINT64_C(1) << 62) - 1)

struct counter {
    int64_t unix_ms;
    uint64_t high; /* 12 bits */
    uint64_t low;  /* 62 bits */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool fork_handled;                /* guarded by lock */
static unsigned char block[BLOCK_BYTES]; /* guarded by lock */
static size_t block_left;                /* guarded by lock: bytes at its end that were not used */
static struct counter last = {.unix_ms = -1}; /* guarded by lock */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    block_left = 0;
    last.unix_ms = -1;
    pthread_mutex_unlock(&lock);
}

/* Lock: held. */
static jj_status handle_fork(jj_error *err)
{
    if (fork_handled)
        return JJ_OK;

    int failed = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (failed != 0)
        return jj__fail_errno(err, JJ_ERR_NO_MEMORY, failed, "pthread_atfork");
    fork_handled = true;
    return JJ_OK;
}

/* Lock: held. */
static jj_status fill_block(jj_error *err)
{
    size_t len = 0;

    while (len < BLOCK_BYTES) {
        ssize_t got = getrandom(block + len, BLOCK_BYTES - len, 0);
        if (got < 0 && errno != EINTR)
            return jj__fail_errno(err, JJ_ERR_UNAVAILABLE, errno, "getrandom");
        if (got > 0)
            len += (size_t)got;
    }
    block_left = BLOCK_BYTES;
    return JJ_OK;
}

/* Take random bytes, at most BLOCK_BYTES. Lock: held. */
static jj_status take(void *out, size_t len, jj_error *err)
{
    jj_status s = handle_fork(err);

    if (s == JJ_OK && block_left < len)
        s = fill_block(err);
    if (s != JJ_OK)
        return s;
    memcpy(out, block + BLOCK_BYTES - block_left, len);
    block_left -= len;
    return JJ_OK;
}

/* The first id of a millisecond. Lock: held. */
static jj_status start(int64_t unix_ms, jj_error *err)
{
    uint64_t random[2];

    jj_status s = take(random, sizeof(random), err);
    if (s != JJ_OK)
        return s;
    last = (struct counter){
        .unix_ms = unix_ms,
        .high = random[0] & HIGH_START_MASK,
        .low = random[1] & LOW_MASK,
    };
    return JJ_OK;
}

/* The next id of a millisecond, or of one that has passed already. Lock: held. */
static jj_status step(jj_error *err)
{
    uint32_t random;

    jj_status s = take(&random, sizeof(random), err);
    if (s != JJ_OK)
        return s;
    last.low += UINT64_C(1) + random;
    last.high += last.low >> 62;
    last.low &= LOW_MASK;
    return JJ_OK;
}

/* Write the lowest digits * 4 bits of number in hexadecimal. */
static char *put_hex(char *at, uint64_t number, int digits)
{
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[number >> shift & 0xF];
    return at;
}

/* Time, version 7 and the high bits of the counter, variant 2 and the low ones. */
static void write_uuid(const struct counter *counter, char out[JJ__ID_SIZE])
{
    uint64_t unix_ms = (uint64_t)counter->unix_ms;

    char *at = put_hex(out, unix_ms >> 16, 8);
    *at++ = '-';
    at = put_hex(at, unix_ms, 4);
    *at++ = '-';
    at = put_hex(at, 0x7000 | counter->high, 4);
    *at++ = '-';
    at = put_hex(at, 0x8000 | counter->low >> 48, 4);
    *at++ = '-';
    at = put_hex(at, counter->low, 12);
    *at = '\0';
}

jj_status jj__id_new(int64_t unix_ms, char out[JJ__ID_SIZE], jj_error *err)
{
    if (unix_ms < 0)
        unix_ms = 0;
    if (unix_ms > TIME_MAX_MS)
        unix_ms = TIME_MAX_MS;

    pthread_mutex_lock(&lock);
    jj_status s = unix_ms > last.unix_ms ? start(unix_ms, err) : step(err);
    struct counter mine = last;
    pthread_mutex_unlock(&lock);

    if (s != JJ_OK)
        return s;
    write_uuid(&mine, out);
    return JJ_OK;
}

jj_status jj__id_random(char *out, size_t len, jj_error *err)
{
    jj_status s = JJ_OK;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < len && s == JJ_OK; i++) {
        unsigned char random = 0;
        s = take(&random, 1, err);
        out[i] = "abcdefghijklmnopqrstuvwxyz234567"[random & 0x1F];
    }
    pthread_mutex_unlock(&lock);
    out[len] = '\0';
    return s;
}

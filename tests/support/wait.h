/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_WAIT_H
#define JJ_TESTS_SUPPORT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* How long a test waits for what must come. Generous: it is only used up when something is wrong,
 * and a loaded machine under a sanitizer is slow. */
#define WAIT_MS 30000

/* Ask condition(ctx) every millisecond until it is true. False: it was not within limit_ms. */
bool wait_until(bool (*condition)(void *ctx), void *ctx, int64_t limit_ms);

/* Let a millisecond pass, for loops that look at several things and know their own deadline. */
void wait_a_moment(void);

#endif

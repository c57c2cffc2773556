/* SPDX-License-Identifier: Apache-2.0 */

/* Waiting for a condition with a deadline, which is the only way in which tests wait. */

#include "wait.h"

#include <poll.h>
#include <stddef.h>

#include "clock.h"

void wait_a_moment(void)
{
    poll(NULL, 0, 1);
}

bool wait_until(bool (*condition)(void *ctx), void *ctx, int64_t limit_ms)
{
    int64_t until_ms = jj__clock_mono_ms() + limit_ms;

    while (!condition(ctx)) {
        if (jj__clock_mono_ms() >= until_ms)
            return condition(ctx);
        wait_a_moment();
    }
    return true;
}

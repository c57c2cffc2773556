/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks. A test replaces this file to hold time in its hand. */

#include "clock.h"

#include <time.h>

#include "fault.h"

static int64_t now_us(clockid_t clock)
{
    struct timespec now = {0};

    clock_gettime(clock, &now); /* fails for clocks that do not exist only; POSIX has both */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t jj__clock_wall_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000 + jj__fault_clock_ms();
}

int64_t jj__clock_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t jj__clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

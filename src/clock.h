/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CLOCK_H
#define JJ_SRC_CLOCK_H

#include <stdint.h>

/* Unix time, for what others read. It may jump. */
int64_t jj__clock_wall_ms(void);

/* Steady time since some start, for deadlines and durations. */
int64_t jj__clock_mono_ms(void);
int64_t jj__clock_mono_us(void);

#endif

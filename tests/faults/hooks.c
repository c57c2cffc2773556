/* SPDX-License-Identifier: Apache-2.0 */

/* The other side of src/fault.h. */

#include "hooks.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "fault.h"

static const char *die_at;
static unsigned die_at_pass;
static atomic_uint passes;
static int64_t shift_ms;
static bool acks_first;

void hooks_die_at(const char *point, unsigned nth)
{
    die_at = point;
    die_at_pass = nth;
}

void hooks_shift_clock(int64_t ms)
{
    shift_ms = ms;
}

void hooks_ack_first(void)
{
    acks_first = true;
}

bool jj__fault_acks_first(void)
{
    return acks_first;
}

void jj__fault_point(const char *name)
{
    if (die_at != NULL && strcmp(name, die_at) == 0 &&
        atomic_fetch_add(&passes, 1) + 1 == die_at_pass)
        raise(SIGKILL);
}

int64_t jj__fault_clock_ms(void)
{
    return shift_ms;
}

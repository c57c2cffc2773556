/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a job, their names, and the steps between them (broker/README.md, "States"). The
 * table is all there is to it: what has no row in it can't happen. */

#include "state.h"

#include <string.h>

static const char *const texts[JJ_STATES] = {
    [JJ_ANY_STATE] = "",         [JJ_PENDING] = "pending",     [JJ_SCHEDULED] = "scheduled",
    [JJ_RUNNING] = "running",    [JJ_COMPLETED] = "completed", [JJ_FAILED] = "failed",
    [JJ_CANCELLED] = "cancelled"};

#define TO(state) (1u << (state))

/* A job that was not known may turn up in any state: history is shortened at its old end. */
static const unsigned next_states[JJ_STATES] = {
    [JJ_ANY_STATE] = TO(JJ_PENDING) | TO(JJ_SCHEDULED) | TO(JJ_RUNNING) | TO(JJ_COMPLETED) |
                     TO(JJ_FAILED) | TO(JJ_CANCELLED),
    [JJ_PENDING] = TO(JJ_RUNNING) | TO(JJ_FAILED) | TO(JJ_CANCELLED),
    [JJ_SCHEDULED] = TO(JJ_PENDING) | TO(JJ_CANCELLED),
    [JJ_RUNNING] =
        TO(JJ_RUNNING) | TO(JJ_PENDING) | TO(JJ_SCHEDULED) | TO(JJ_COMPLETED) | TO(JJ_FAILED),
    [JJ_FAILED] = TO(JJ_PENDING), /* a redrive, as from cancelled */
    [JJ_CANCELLED] = TO(JJ_PENDING),
};

static bool is_state(jj_state state)
{
    return (unsigned)state < JJ_STATES;
}

const char *jj_state_text(jj_state state)
{
    return is_state(state) ? texts[state] : "";
}

jj_state jj__state_read(const char *text)
{
    for (jj_state state = JJ_PENDING; state < JJ_STATES; state++)
        if (strcmp(texts[state], text) == 0)
            return state;
    return JJ_ANY_STATE;
}

bool jj__state_is_final(jj_state state)
{
    return state == JJ_COMPLETED || state == JJ_FAILED || state == JJ_CANCELLED;
}

bool jj__state_can_become(jj_state from, jj_state to)
{
    return is_state(from) && is_state(to) && (next_states[from] & TO(to)) != 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "step.h"

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

struct step jj__step_of(const struct job *job)
{
    return (struct step){
        .redrives = job->redrives, .attempts = job->attempts, .snoozes = job->snoozes};
}

uint64_t jj__generation(uint32_t attempts, uint32_t snoozes)
{
    return (uint64_t)attempts + snoozes;
}

int jj__step_compare(const struct step *a, const struct step *b)
{
    uint64_t a_generation = jj__generation(a->attempts, a->snoozes);
    uint64_t b_generation = jj__generation(b->attempts, b->snoozes);

    if (a->redrives != b->redrives)
        return COMPARE(a->redrives, b->redrives);
    if (a_generation != b_generation)
        return COMPARE(a_generation, b_generation);
    return COMPARE(a->attempts, b->attempts);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_STEP_H
#define JJ_SRC_STEP_H

#include <stdint.h>

#include "job.h"

/* Each message of a job is one step of its life. Two workers that each held the job may make steps
 * that don't follow each other; still all are in one order: by redrives, then by generation, then
 * by attempts, as of two in one generation the one that was run counts and not the one put off. */
struct step {
    uint32_t redrives;
    uint32_t attempts; /* finished ones */
    uint32_t snoozes;
};

/* The step that a job's message is. */
struct step jj__step_of(const struct job *job);

/* Finished attempts and snoozes. */
uint64_t jj__generation(uint32_t attempts, uint32_t snoozes);

/* Above 0: a is later than b; 0: they are the same; else below 0. */
int jj__step_compare(const struct step *a, const struct step *b);

#endif

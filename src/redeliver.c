/* SPDX-License-Identifier: Apache-2.0 */

/* A message that is delivered again: compared with what the index knows of its job.
 * Each of a job's messages is one step of its life. */

#include "redeliver.h"

#include <string.h>

#include "step.h"

static bool is_final(const struct job_facts *facts)
{
    return strcmp(facts->status, "completed") == 0 || strcmp(facts->status, "failed") == 0 ||
           strcmp(facts->status, "cancelled") == 0;
}

/* The step that the index is at: of a job that runs, the message that it runs from. */
static struct step step_of_facts(const struct job_facts *facts)
{
    bool runs = strcmp(facts->status, "running") == 0 && facts->attempts > 0;

    return (struct step){.redrives = facts->redrives,
                         .attempts = facts->attempts - (runs ? 1 : 0),
                         .snoozes = facts->snoozes};
}

bool jj__redeliver_is_over(const struct job_facts *facts, const struct job *job)
{
    if (!facts->found || facts->redrives < job->redrives)
        return false;
    if (is_final(facts))
        return true;
    const struct step there = step_of_facts(facts), here = jj__step_of(job);

    return jj__step_compare(&there, &here) > 0;
}

uint32_t jj__redeliver_lost(const struct job_facts *facts, const struct job *job)
{
    if (!facts->found || facts->redrives != job->redrives || facts->snoozes != job->snoozes)
        return 0;
    if (strcmp(facts->status, "running") != 0 || facts->attempts != job->attempts + 1)
        return 0;
    return facts->lost + 1;
}

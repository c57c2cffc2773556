/* SPDX-License-Identifier: Apache-2.0 */

/* A message that is delivered again: compared with what the index knows of its job. A job's
 * messages follow each other by redrives, then attempts and snoozes; each of them is one step. */

#include "redeliver.h"

#include <string.h>

static bool is_final(const struct job_facts *facts)
{
    return strcmp(facts->status, "completed") == 0 || strcmp(facts->status, "failed") == 0 ||
           strcmp(facts->status, "cancelled") == 0;
}

bool jj__redeliver_is_over(const struct job_facts *facts, const struct job *job)
{
    if (!facts->found || facts->redrives < job->redrives)
        return false;
    if (facts->redrives > job->redrives || is_final(facts))
        return true;
    if (strcmp(facts->status, "running") == 0)
        return facts->attempts > job->attempts + 1 || facts->snoozes > job->snoozes;
    return facts->attempts > job->attempts || facts->snoozes > job->snoozes;
}

uint32_t jj__redeliver_lost(const struct job_facts *facts, const struct job *job)
{
    if (!facts->found || facts->redrives != job->redrives || facts->snoozes != job->snoozes)
        return 0;
    if (strcmp(facts->status, "running") != 0 || facts->attempts != job->attempts + 1)
        return 0;
    return facts->lost + 1;
}

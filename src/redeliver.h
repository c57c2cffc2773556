/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_REDELIVER_H
#define JJ_SRC_REDELIVER_H

#include "job.h"

/* What an index knows of a job. */
struct job_facts {
    bool found;
    char status[16];   /* as in JSON, cut */
    uint32_t attempts; /* started, the running one included */
    uint32_t redrives;
    uint32_t snoozes;
    uint32_t lost; /* of the running attempt */
};

/* True if the message that brought the job has been overtaken: the job is final, or what it asks
 * for was run and led to a later message. Such a message is to be acknowledged and dropped. */
bool jj__redeliver_is_over(const struct job_facts *facts, const struct job *job);

/* How often the attempt that the job's message asks for was claimed before. */
uint32_t jj__redeliver_lost(const struct job_facts *facts, const struct job *job);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_RECORD_H
#define JJ_SRC_RECORD_H

#include <jetjobs/adapter.h>

#include "status.h"

/* The inside of jj_job: a row with copies of all that it points to, in one piece of memory. */
struct jj_job {
    jj_record record;
};

/* Copy a row; free with jj_job_free(). */
jj_status jj__record_copy(const jj_record *record, jj_job **job_out, jj_error *err);

#endif

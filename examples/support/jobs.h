/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_JOBS_H
#define EXAMPLES_SUPPORT_JOBS_H

/* What several examples do alike: jobs whose data and results are JSON, and how they ended. */

#include <jansson.h>
#include <jetjobs/jetjobs.h>

/* A job's data as JSON; NULL: it is not. Release it with json_decref(). */
json_t *job_data(const jj_attempt *attempt);

/* The verdict "done" with this result, which is released here. */
jj_verdict job_done(jj_attempt *attempt, json_t *result);

/* Enqueue what is in spec, with this data, which is released here. */
jj_status job_enqueue(jj_client *client, const jj_spec *spec, json_t *data, jj_receipt *receipt_out,
                      jj_error *err);

/* Wait until a job is over, and print a line: its name, how it ended, its result or error. The
 * client needs an index. */
jj_status job_print_end(jj_client *client, const char *id, jj_error *err);

#endif

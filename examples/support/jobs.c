/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

json_t *job_data(const jj_attempt *attempt)
{
    size_t len;
    const char *data = jj_attempt_data(attempt, &len);

    return json_loadb(data, len, 0, NULL);
}

jj_verdict job_done(jj_attempt *attempt, json_t *result)
{
    char *text = json_dumps(result, JSON_COMPACT);
    jj_verdict verdict = text != NULL ? jj_done(attempt, text, strlen(text))
                                      : jj_retry(attempt, "no memory for the result");

    free(text);
    json_decref(result);
    return verdict;
}

jj_status job_enqueue(jj_client *client, const jj_spec *spec, json_t *data, jj_receipt *receipt_out,
                      jj_error *err)
{
    char *text = json_dumps(data, JSON_COMPACT);
    jj_spec filled = *spec;

    filled.data = text;
    filled.data_len = text != NULL ? strlen(text) : 0;
    jj_status s = jj_enqueue(client, &filled, receipt_out, err);

    free(text);
    json_decref(data);
    return s;
}

jj_status job_print_end(jj_client *client, const char *id, jj_error *err)
{
    jj_job *job = NULL;

    jj_status s = jj_wait(client, id, WAIT_MS, &job, err);
    if (s != JJ_OK)
        return s;

    size_t len = 0;
    const char *result = jj_job_result(job, &len);
    if (jj_job_state(job) != JJ_COMPLETED) {
        result = jj_job_error(job);
        len = result != NULL ? strlen(result) : 0;
    }
    printf("%s: %s, attempts %u of %u%s%.*s\n", jj_job_name(job), jj_state_text(jj_job_state(job)),
           jj_job_attempts(job), jj_job_max_attempts(job), len > 0 ? ": " : "", (int)len,
           result != NULL ? result : "");
    jj_job_free(job);
    return JJ_OK;
}

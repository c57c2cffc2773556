/* SPDX-License-Identifier: Apache-2.0 */

/* A task that often fails, and gets more attempts than usual for it.
 *
 *     NATS_URL=nats://127.0.0.1:4222 flaky_task [SEED]
 *
 * Each attempt has one chance in two. How many attempts a job has is the enqueuer's word; how long
 * they wait for one another is the handler's: here 50 ms, then twice as long each time. With a SEED
 * the same attempts fail each time. */

#include <jetjobs/jetjobs.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/jobs.h"

/* user: the state of rand_r(). One handler at a time touches it, as the job's concurrency is 1. */
static jj_verdict flaky_task(jj_attempt *attempt, void *user)
{
    double drawn = rand_r(user) / (double)RAND_MAX;

    printf("attempt %u of %u: drew %.2f\n", jj_attempt_number(attempt), jj_attempt_max(attempt),
           drawn);
    if (drawn < 0.5)
        return jj_retry(attempt, "drew %.2f, and needs 0.50", drawn);
    return job_done(attempt, json_pack("{s:b}", "success", 1));
}

int main(int argc, char **argv)
{
    unsigned seed = (unsigned)(argc > 1 ? strtol(argv[1], NULL, 10) : (long)time(NULL));
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &jj_adapter_memory};
    const jj_handler_options handling = {.concurrency = 1, .backoff_initial_ms = 50};
    const jj_spec spec = {.name = "flakyTask", .max_attempts = 5};
    jj_client *client = NULL;
    jj_receipt receipt;
    jj_error err;

    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "flakyTask", flaky_task, &handling, &seed, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = jj_enqueue(client, &spec, &receipt, &err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, &err);
    if (s != JJ_OK)
        fprintf(stderr, "flaky_task: %s\n", err.text);
    jj_close(client);
    return s == JJ_OK ? 0 : 1;
}

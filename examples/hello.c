/* SPDX-License-Identifier: Apache-2.0 */

/* The smallest whole program: it enqueues a job, and is the worker that runs it.
 *
 *     NATS_URL=nats://127.0.0.1:4222 hello
 *
 * Who enqueues and who works are mostly different programs; here they share a client. So start one
 * at a time: of two, either might run the other's job. */

#include <jetjobs/jetjobs.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

static jj_verdict greet(jj_attempt *attempt, void *user)
{
    size_t len;
    const char *who = jj_attempt_data(attempt, &len);

    printf("hello, %.*s\n", (int)len, who);
    sem_post(user);
    return jj_done(attempt, NULL, 0);
}

int main(void)
{
    const jj_options options = {.url = getenv("NATS_URL")}; /* NULL: nats://127.0.0.1:4222 */
    const jj_spec spec = {.name = "greet", .data = "world", .data_len = 5};
    jj_client *client = NULL;
    jj_error err;
    sem_t greeted;

    sem_init(&greeted, 0, 0);
    jj_status s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "greet", greet, NULL, &greeted, &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = jj_enqueue(client, &spec, NULL, &err); /* JJ_OK: the broker has stored it */
    if (s == JJ_OK)
        sem_wait(&greeted);
    else
        fprintf(stderr, "hello: %s\n", err.text);
    jj_close(client); /* waits for the handler, and until its result is stored */
    sem_destroy(&greeted);
    return s == JJ_OK ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Asks the broker how far its streams go. */

#include "catch_up.h"

#include <jansson.h>

#include "broker.h"
#include "client.h"
#include "clock.h"
#include "subject.h"

#define WAIT_MS 2000

/* False: a client with few permissions may not know. */
static bool last_seq(jj_client *client, const char *subject, uint64_t *seq_out)
{
    const struct outgoing question = {.subject = subject};
    struct broker_msg *msg = NULL;

    if (jj__broker_request(client->broker, &question, jj__clock_mono_ms() + WAIT_MS, &msg, NULL) !=
        JJ_OK)
        return false;
    json_t *answer = json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    const json_t *seq = json_object_get(json_object_get(answer, "state"), "last_seq");
    bool known = json_is_integer(seq);
    if (known)
        *seq_out = (uint64_t)json_integer_value(seq);
    json_decref(answer);
    jj__msg_free(msg);
    return known;
}

bool catch_up(jj_client *client)
{
    struct seqs seqs;

    if (!last_seq(client, "$JS.API.STREAM.INFO." JJ__STREAM_JOBS, &seqs.jobs) ||
        !last_seq(client, "$JS.API.STREAM.INFO." JJ__STREAM_SCHEDULE, &seqs.schedule) ||
        !last_seq(client, "$JS.API.STREAM.INFO." JJ__STREAM_EVENTS, &seqs.events))
        return false;
    jj__client_saw(client, &seqs);
    return true;
}

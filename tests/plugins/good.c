/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as it should be: its handler gives back what it gets. */

#include <jetjobs/jetjobs.h>

static jj_verdict echo(jj_attempt *attempt, void *user)
{
    size_t len = 0;
    const void *data = jj_attempt_data(attempt, &len);

    (void)user;
    jj_progress(attempt, 50, "half");
    return jj_done(attempt, data, len);
}

static jj_status start(jj_client *client, jj_error *err)
{
    return jj_register(client, "echo", echo, NULL, NULL, err);
}

const jj_plugin *jetjobs_plugin(void)
{
    static const jj_plugin plugin = JJ_PLUGIN(start);
    return &plugin;
}

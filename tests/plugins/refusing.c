/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that can't start. */

#include <stdio.h>

#include <jetjobs/jetjobs.h>

static jj_status start(jj_client *client, jj_error *err)
{
    (void)client;
    snprintf(err->text, sizeof(err->text), "no licence");
    return JJ_ERR_STATE;
}

const jj_plugin *jetjobs_plugin(void)
{
    static const jj_plugin plugin = JJ_PLUGIN(start);
    return &plugin;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that needs what nobody has. */

#include <jetjobs/jetjobs.h>

void jj_not_yet_invented(void);

static jj_status start(jj_client *client, jj_error *err)
{
    (void)client;
    (void)err;
    jj_not_yet_invented();
    return JJ_OK;
}

const jj_plugin *jetjobs_plugin(void)
{
    static const jj_plugin plugin = JJ_PLUGIN(start);
    return &plugin;
}

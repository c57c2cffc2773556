/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin of another time. */

#include <jetjobs/jetjobs.h>

const jj_plugin *jetjobs_plugin(void)
{
    static const jj_plugin plugin = {.version = JJ_PLUGIN_VERSION + 1};
    return &plugin;
}

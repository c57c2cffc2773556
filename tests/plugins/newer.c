/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that was built with headers of a later version. */

#include <jetjobs/jetjobs.h>

const jj_plugin *jetjobs_plugin(void)
{
    static const jj_plugin plugin = {
        .version = JJ_PLUGIN_VERSION, .built_with = "99.0.0", .library = jj_version};
    return &plugin;
}

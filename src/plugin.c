/* SPDX-License-Identifier: Apache-2.0 */

/* Plugins: shared objects that register handlers.
 *
 * A plugin must use the one copy of the library that made the client: with a second one in the
 * process, structs of one would reach the code of the other. Which copy it uses is decided by the
 * dynamic linker, so the plugin tells the address of a function of it, and that must be ours. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jetjobs/jetjobs.h>

#include "status.h"

#define ENTRY "jetjobs_plugin"

typedef const jj_plugin *(*plugin_entry)(void);

/* dlerror() names the file again. */
static const char *reason(const char *path)
{
    const char *text = dlerror();
    size_t len = strlen(path);

    if (text == NULL)
        return "no reason is known";
    if (strncmp(text, path, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        return text + len + 2;
    return text;
}

/* Without a slash, the dynamic linker would look for it where libraries are. */
static char *path_of(const char *path)
{
    size_t size = strlen(path) + 3;
    char *result = malloc(size);

    if (result != NULL)
        snprintf(result, size, "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
    return result;
}

static jj_status find_entry(const char *path, plugin_entry *entry_out, jj_error *err)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "plugin %.100s can't be loaded: %.180s", path,
                        reason(path));
    void *symbol = dlsym(object, ENTRY);
    if (symbol == NULL) {
        dlclose(object);
        return jj__fail(err, JJ_ERR_INVALID, "plugin %.100s has no function " ENTRY "()", path);
    }
    memcpy(entry_out, &symbol, sizeof(symbol)); /* a function: no cast makes it one */
    return JJ_OK;
}

/* major.minor.patch as one number; 0: it is no version. */
static unsigned long version_number(const char *text)
{
    unsigned major, minor, patch;

    if (text == NULL || sscanf(text, "%u.%u.%u", &major, &minor, &patch) != 3)
        return 0;
    return (major * 1000ul + minor) * 1000ul + patch;
}

static jj_status check(const char *path, const jj_plugin *plugin, jj_error *err)
{
    if (plugin == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "plugin %.100s: " ENTRY "() gives NULL", path);
    if (plugin->version != JJ_PLUGIN_VERSION)
        return jj__fail(err, JJ_ERR_INVALID,
                        "plugin %.100s has plugin version %u: allowed is %d, so build it anew",
                        path, plugin->version, JJ_PLUGIN_VERSION);
    if (version_number(plugin->built_with) > version_number(JJ_VERSION))
        return jj__fail(err, JJ_ERR_INVALID,
                        "plugin %.100s was built with jetjobs %.20s: this is the older %s", path,
                        plugin->built_with, JJ_VERSION);
    if (plugin->library != jj_version)
        return jj__fail(err, JJ_ERR_INVALID,
                        "plugin %.100s uses another copy of libjetjobs than this program: build it "
                        "without linking that, or let both use the shared one",
                        path);
    if (plugin->start == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "plugin %.100s has no start()", path);
    return JJ_OK;
}

static jj_status start(jj_client *client, const char *path, const jj_plugin *plugin, jj_error *err)
{
    jj_error why = {.text = "it gave no reason"};
    jj_status s = plugin->start(client, &why);

    return s == JJ_OK ? JJ_OK : jj__fail(err, s, "plugin %.80s: %.200s", path, why.text);
}

jj_status jj_load_plugin(jj_client *client, const char *path, jj_error *err)
{
    plugin_entry entry = NULL;

    if (path == NULL || path[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "path of a plugin is missing");
    char *full = path_of(path);
    if (full == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "plugin");
    jj_status s = find_entry(full, &entry, err);
    if (s == JJ_OK) {
        const jj_plugin *plugin = entry();
        s = check(path, plugin, err);
        if (s == JJ_OK)
            s = start(client, path, plugin, err);
    }
    free(full);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* From the handlers of a configuration to those of a client. */

#include "work.h"

#include <stdio.h>
#include <string.h>

#include <jetjobs/handlers.h>

#include "status.h"

static jj_status register_one(jj_client *client, const struct handler_config *handler,
                              jj_error *err)
{
    switch (handler->kind) {
    case HANDLER_EXEC:
        return jj_register_exec(client, handler->name, &handler->exec, &handler->options, err);
    case HANDLER_PLUGIN:
        return jj_load_plugin(client, handler->plugin, err);
    case HANDLER_REQUEST:
        return jj_register_request(client, handler->name, handler->request, &handler->options, err);
    }
    return jj__fail(err, JJ_ERR_INTERNAL, "handler of kind %d", (int)handler->kind);
}

jj_status work_begin(jj_client *client, void *ctx, jj_error *err)
{
    const struct config *config = ctx;
    jj_error why = {0};

    for (size_t i = 0; i < config->handler_count; i++) {
        const struct handler_config *handler = &config->handlers[i];
        jj_status s = register_one(client, handler, &why);
        if (s != JJ_OK)
            return jj__fail(err, s, "%s:%u: %s", config->file, handler->line, why.text);
    }
    return jj_start(client, err);
}

static const char *name_of(const struct handler_config *handler)
{
    if (handler->name != NULL)
        return handler->name;
    const char *slash = strrchr(handler->plugin, '/');
    return slash == NULL ? handler->plugin : slash + 1;
}

void work_names(const struct config *config, char out[WORK_NAMES_SIZE])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < config->handler_count && len < WORK_NAMES_SIZE; i++)
        len += (size_t)snprintf(out + len, WORK_NAMES_SIZE - len, "%s%s", i == 0 ? "" : ", ",
                                name_of(&config->handlers[i]));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: one is read, or refused with a line that says where and why. What was read
 * is in order, and a client could be opened with it. */
#include "fuzz.h"

#include <string.h>

#include "config.h"
#include "spec.h"
#include "subject.h"

static void check_handler(const struct handler_config *handler)
{
    must(handler->line > 0);
    must(handler->kind == HANDLER_PLUGIN || jj__token_valid(handler->name));
    must(handler->kind != HANDLER_PLUGIN || handler->plugin[0] != '\0');
    must(handler->kind != HANDLER_EXEC || handler->exec.argv[0][0] != '\0');
    must(handler->kind != HANDLER_REQUEST || strpbrk(handler->request, " \t\r\n*>") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = file_of(data, size);
    struct config *config;
    jj_options resolved;
    jj_error err = {0};

    if (config_load(path, &config, &err) != JJ_OK) {
        must_be_line(&err);
        must(strncmp(err.text, path, strlen(path)) == 0);
        return 0;
    }
    if (jj__options_resolve(&config->options, &resolved, &err) != JJ_OK)
        must_be_line(&err);
    for (size_t i = 0; i < config->handler_count; i++)
        check_handler(&config->handlers[i]);
    config_free(config);
    return 0;
}

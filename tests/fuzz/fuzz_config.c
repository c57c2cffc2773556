/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: one is read, or refused with a line that says where and why. What was read
 * is in order, and a client could be opened with it. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "spec.h"
#include "subject.h"

/* A file without a name, and a name by which it can be opened all the same. */
static int file = -1;
static char path[32];

static void write_file(const uint8_t *data, size_t size)
{
    if (file < 0) {
        char name[] = "/tmp/jetjobs-fuzz-XXXXXX";
        file = mkstemp(name);
        must(file >= 0 && unlink(name) == 0);
        snprintf(path, sizeof(path), "/dev/fd/%d", file);
    }
    must(ftruncate(file, 0) == 0);
    must(size == 0 || pwrite(file, data, size, 0) == (ssize_t)size);
}

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
    struct config *config;
    jj_options resolved;
    jj_error err = {0};

    write_file(data, size);
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

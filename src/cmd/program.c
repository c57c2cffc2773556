/* SPDX-License-Identifier: Apache-2.0 */

/* What all subcommands share. */

#include "program.h"

#include <stdarg.h>
#include <stdio.h>

#include "client.h"
#include "config.h"
#include "help.h"
#include "utf8.h"

/* Somebody waits at the terminal for it. */
#define CONNECT_TIMEOUT_MS 3000

#define TEXT_SIZE 512

/* What others said may be in it. */
static void say(char *text)
{
    jj__utf8_printable(text);
    fprintf(stderr, "jetjobs: %s\n", text);
}

enum ending program_ending(jj_status status)
{
    switch (status) {
    case JJ_ERR_INVALID:
        return ENDING_USAGE;
    case JJ_ERR_NOT_FOUND:
        return ENDING_NOT_FOUND;
    case JJ_ERR_UNAVAILABLE:
        return ENDING_NO_BROKER;
    default:
        return ENDING_FAILED;
    }
}

int program_fail(const jj_error *err)
{
    jj_error copy = *err;

    say(copy.text);
    return program_ending(err->status);
}

int program_failed(const jj_client *client, const jj_error *err)
{
    int ending = program_fail(err);

    if (ending != ENDING_NO_BROKER && err->status != JJ_ERR_TIMEOUT)
        return ending;
    return jj__broker_connected(client->broker) ? ENDING_FAILED : ENDING_NO_BROKER;
}

void program_only_asks(jj_options *options)
{
    options->no_provision = true;
}

int program_usage(const struct command *command, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say(text);
    help_usage(stderr, command);
    fprintf(stderr, "Try 'jetjobs%s%s --help'.\n", command == NULL ? "" : " ",
            command == NULL ? "" : command->name);
    return ENDING_USAGE;
}

jj_client *program_open(const jj_options *options, int *ending_out)
{
    jj_client *client = NULL;
    jj_error err = {0};

    if (jj_open(options, &client, &err) == JJ_OK)
        return client;
    *ending_out = program_fail(&err);
    return NULL;
}

/* The configuration is freed after this: the client keeps nothing of it. */
static jj_client *connect_by(const struct program *program, const struct config *config,
                             void (*more)(jj_options *options), int *ending_out)
{
    jj_options options = config->options;

    options.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (program->url != NULL)
        options.url = program->url;
    if (more != NULL)
        more(&options);
    return program_open(&options, ending_out);
}

jj_client *program_connect(const struct program *program, void (*more)(jj_options *options),
                           int *ending_out)
{
    struct config *config = NULL;
    jj_error err = {0};

    if (config_load(program->config_path, &config, &err) != JJ_OK) {
        *ending_out = program_fail(&err);
        return NULL;
    }
    jj_client *client = connect_by(program, config, more, ending_out);
    config_free(config);
    return client;
}

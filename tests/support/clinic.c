/* SPDX-License-Identifier: Apache-2.0 */

#include "clinic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"

int clinic_begin_empty(void **state)
{
    const struct server_options *options = *state;
    struct clinic *clinic = calloc(1, sizeof(*clinic));

    assert_non_null(clinic);
    server_start(&clinic->server, options);
    snprintf(clinic->url, sizeof(clinic->url), "%s", clinic->server.url);
    clinic->stranger = nats_client_open(clinic->url);
    *state = clinic;
    return 0;
}

int clinic_begin_healthy(void **state)
{
    clinic_begin_empty(state);
    clinic_open_keeper(*state, &jj_adapter_memory);
    return 0;
}

int clinic_end(void **state)
{
    struct clinic *clinic = *state;

    jj_close(clinic->keeper);
    nats_client_close(clinic->stranger);
    server_done(&clinic->server);
    free(clinic);
    return 0;
}

void clinic_provision(struct clinic *clinic)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->url};

    assert_int_equal(cli_run(&cli, CLI_ARGS("provision"), NULL), 0);
}

void clinic_open_keeper(struct clinic *clinic, const jj_adapter *adapter)
{
    const jj_options options = {
        .url = clinic->url, .adapter = adapter, .timeout_ms = WAIT_MS, .history_bytes = 1 << 20};
    jj_error err;

    if (jj_open(&options, &clinic->keeper, &err) != JJ_OK ||
        jj_serve(clinic->keeper, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

const char *clinic_doctor(struct clinic *clinic, int status)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = clinic->url};

    return cli_output(&cli, CLI_ARGS("doctor"), status);
}

void clinic_expect(struct clinic *clinic, const char *line)
{
    const char *output = clinic_doctor(clinic, 1);

    if (strstr(output, line) == NULL)
        fail_msg("\"%s\" is not in:\n%s", line, output);
}

void clinic_make(struct clinic *clinic, const char *what, const char *json)
{
    json_t *request = json_loads(json, 0, NULL);

    assert_non_null(request);
    json_decref(nats_client_api(clinic->stranger, what, request));
}

/* SPDX-License-Identifier: Apache-2.0 */

/* A server, a folder, and programs of ours. */

#include "stage.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

void stage_path(const struct stage *stage, const char *name, char out[STAGE_PATH_SIZE])
{
    snprintf(out, STAGE_PATH_SIZE, "%s/%s", stage->dir, name);
}

void stage_write(struct stage *stage, const char *name, const char *text, mode_t mode)
{
    char path[STAGE_PATH_SIZE];

    stage_path(stage, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

void stage_configure(struct stage *stage, const char *text)
{
    stage_write(stage, "jetjobs.yaml", text, 0644);
}

struct process *stage_start(struct stage *stage, const char *command,
                            const struct process_options *options)
{
    const char *const argv[] = {JETJOBS_PROGRAM, "--config", stage->config, "--url",
                                stage->url,      command,    NULL};

    return process_start(argv, options);
}

int stage_stop(struct process *process)
{
    process_signal(process, SIGTERM);
    return process_wait(process, 0);
}

void stage_enqueue(struct stage *stage, const char *name, const char *data)
{
    char subject[128];

    snprintf(subject, sizeof(subject), "jobs.enqueue.%s", name);
    nats_client_store_text(stage->stranger, subject, data);
}

void stage_add_gate(struct stage *stage)
{
    char path[STAGE_PATH_SIZE];

    stage_path(stage, "gate", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    stage_write(stage, "wait.sh", "#!/bin/sh\nread -r line < gate\necho \"$1 $line\"\n", 0755);
}

void stage_open_gate(struct stage *stage, const char *line)
{
    char path[STAGE_PATH_SIZE];

    stage_path(stage, "gate", path);
    FILE *gate = fopen(path, "w");
    assert_non_null(gate);
    fprintf(gate, "%s\n", line);
    assert_int_equal(fclose(gate), 0);
}

int stage_begin(void **state)
{
    static struct stage stage;

    stage = (struct stage){0};
    *state = &stage;
    server_start(&stage.server, NULL);
    stage.stranger = nats_client_open(stage.server.url);
    temp_dir_make(stage.dir);
    stage_path(&stage, "jetjobs.yaml", stage.config);
    snprintf(stage.url, sizeof(stage.url), "%s", stage.server.url);
    return 0;
}

int stage_end(void **state)
{
    struct stage *stage = *state;

    process_free(stage->process);
    nats_client_close(stage->stranger);
    server_done(&stage->server);
    temp_dir_remove(stage->dir);
    return 0;
}

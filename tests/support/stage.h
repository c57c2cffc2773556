/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_STAGE_H
#define JJ_TESTS_SUPPORT_STAGE_H

/* What a story about the program needs: a server, the stranger, and a folder with a configuration
 * and the programs that it names. */

#include <sys/stat.h>

#include "nats_client.h"
#include "process.h"
#include "server.h"
#include "wait.h"

#define STAGE_PATH_SIZE (2 * TEMP_PATH_SIZE)

struct stage {
    struct server server;
    struct nats_client *stranger;
    char dir[TEMP_PATH_SIZE];
    char config[STAGE_PATH_SIZE]; /* its jetjobs.yaml */
    char url[128];                /* the server's, for a program of ours; a test may change it */
    struct process *process;      /* the test's, freed at its end */
};

/* Setup and teardown of a test. */
int stage_begin(void **state);
int stage_end(void **state);

/* Write a file into the folder. */
void stage_write(struct stage *stage, const char *name, const char *text, mode_t mode);
void stage_configure(struct stage *stage, const char *text);
void stage_path(const struct stage *stage, const char *name, char out[STAGE_PATH_SIZE]);

/* Start "jetjobs --config FILE --url URL COMMAND"; options: NULL, or as for process_start(). */
struct process *stage_start(struct stage *stage, const char *command,
                            const struct process_options *options);

/* Send it SIGTERM; its exit status. */
int stage_stop(struct process *process);

/* As the stranger. */
void stage_enqueue(struct stage *stage, const char *name, const char *data);

/* A program wait.sh in the folder, for a handler's exec: waits for a line in a pipe, and says
 * "<its argument> <line>". And the line that goes into that pipe. */
void stage_add_gate(struct stage *stage);
void stage_open_gate(struct stage *stage, const char *line);

#endif

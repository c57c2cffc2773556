/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_CLINIC_H
#define JJ_TESTS_SUPPORT_CLINIC_H

/* What a story about "jetjobs doctor" needs: a server to be brought into a state that is wrong, the
 * stranger who does so, and the doctor. */

#include <jetjobs/jetjobs.h>

#include "nats_client.h"
#include "server.h"
#include "wait.h"

struct clinic {
    struct server server;
    struct nats_client *stranger;
    char url[128];     /* the doctor's */
    jj_client *keeper; /* an index service, which moves, too; NULL: none */
};

/* Setups of a test; the initial state is a const struct server_options *, or NULL. */
int clinic_begin_empty(void **state);
int clinic_begin_healthy(void **state); /* with a keeper, and so with streams */
/* Teardown of a test. */
int clinic_end(void **state);

/* Have the streams made. */
void clinic_provision(struct clinic *clinic);
/* The same, and a keeper. adapter: of its index. */
void clinic_open_keeper(struct clinic *clinic, const jj_adapter *adapter);

/* Run the doctor, which must end with that status: what it prints, in a static buffer. */
const char *clinic_doctor(struct clinic *clinic, int status);
/* The doctor finds something wrong, and says this. */
void clinic_expect(struct clinic *clinic, const char *line);

/* As the stranger: ask the JetStream API, $JS.API.<what>, with JSON; it must do it. */
void clinic_make(struct clinic *clinic, const char *what, const char *json);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_FOLLOW_H
#define JJ_CMD_FOLLOW_H

/* For commands that go on until somebody has had enough: by SIGINT, SIGTERM or SIGHUP (unless they
 * were ignored from the start, as nohup does), or by closing what stdout goes to. */

#include <stdbool.h>
#include <stdint.h>

#include <jetjobs/jetjobs.h>

/* Hold those signals from now on. Before any thread is started, so before connecting. */
void follow_hold(void);

/* Wait until then; false: it has not come within limit_ms. */
bool follow_wait(int64_t limit_ms);

/* End by the signal that was held, as if it had not been; after one has come. Returns if none has.
 */
void follow_die(void);

/* For program_connect(): only listens, makes no streams, and tells people what happens to the
 * connection. */
void follow_options(jj_options *options);

#endif

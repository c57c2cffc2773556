/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_CATCH_UP_H
#define JJ_CMD_CATCH_UP_H

#include <stdbool.h>

#include <jetjobs/jetjobs.h>

/* Whoever runs one command after the other is one person, but two clients: an index may answer the
 * second before it has read what the first one did. So when a job is not found, let the index read
 * as far as the streams go now, and ask once more. */

/* True: the next question of this client is answered by an index that has read all that was stored
 * before. False: the broker does not say how far that is. */
bool catch_up(jj_client *client);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_TELL_H
#define JJ_SRC_TELL_H

#include "broker.h"
#include "buf.h"
#include "event.h"

/* Send a live event, as JSON, to job.<type> and job.<name>.<type>; a custom event also to
 * job.<id>.event, a log line to log.job and log.job.<id>. What does not fit goes out without its
 * result. body is scratch. Thread: broker. */
void jj__tell(struct broker *broker, struct buf *body, const struct event *event);

#endif

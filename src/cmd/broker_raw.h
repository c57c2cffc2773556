/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_BROKER_RAW_H
#define JJ_CMD_BROKER_RAW_H

/* What plain JetStream does: the yardstick of the benchmarks. The same messages as jobs are, in a
 * stream that is defined as JOBS is, published and taken by nats.c's own JetStream calls.
 *
 * Thread: one at a time. */

#include <stddef.h>
#include <stdint.h>

#include <jetjobs/jetjobs.h>

struct raw;

/* Connect and make a stream, whose name begins so; it is there until raw_close(). Of options, those
 * of the connection are looked at. */
JJ_MUST_CHECK jj_status raw_open(const jj_options *options, const char *stream,
                                 struct raw **raw_out, jj_error *err);
/* Remove the stream. NULL is fine. */
void raw_close(struct raw *raw);

/* Store count messages of payload_len bytes, all acknowledged when it returns: as fast as nats.c
 * publishes asynchronously, in atomic batches of 1000, or one after the other, each waiting for its
 * acknowledgement; then us_out (NULL: not wanted) gets how long each took. */
JJ_MUST_CHECK jj_status raw_publish(struct raw *raw, size_t count, size_t payload_len,
                                    jj_error *err);
JJ_MUST_CHECK jj_status raw_publish_batches(struct raw *raw, size_t count, size_t payload_len,
                                            jj_error *err);
JJ_MUST_CHECK jj_status raw_publish_waiting(struct raw *raw, size_t count, size_t payload_len,
                                            int64_t *us_out, jj_error *err);

/* Take count messages, 500 at a time, and acknowledge them, until they are gone. */
JJ_MUST_CHECK jj_status raw_take(struct raw *raw, size_t count, jj_error *err);

/* Remove a consumer of any stream, if it is there, once its acknowledgements are counted. */
void raw_remove_consumer(struct raw *raw, const char *stream, const char *consumer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_BEANSTALK_H
#define JJ_TESTS_BEANSTALK_H

/* beanstalkd with its log on, a yardstick from another world: it keeps no state of a job that is
 * over, no result and no history. Its protocol is text; commands are pipelined. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;

/* Start one, with a log in that folder; fsync: after each write, or never. NULL: it is not
 * installed. End it with process_free(). */
struct process *beanstalk_start(const char *dir, bool fsync_always);

/* A connection to it. */
struct beanstalk {
    int fd;
    char *buffer; /* what came and was not read yet */
    size_t begin, end;
};
bool beanstalk_connect(struct beanstalk *beanstalk);
void beanstalk_hang_up(struct beanstalk *beanstalk);

/* Jobs a second: put count of them; reserve and delete them. */
double beanstalk_put(struct beanstalk *beanstalk, size_t count, size_t payload_len);
double beanstalk_drain(struct beanstalk *beanstalk, size_t count);

/* How long it takes, one job after the other, from its put to a worker that waits for it. */
void beanstalk_latency(struct beanstalk *worker, struct beanstalk *producer, size_t count,
                       size_t payload_len, int64_t *us_out);

#endif

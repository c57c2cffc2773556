/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_INDEX_READER_H
#define JJ_SRC_INDEX_READER_H

#include "broker.h"

/* Reads a work queue, which no second consumer may read, by batches of direct gets: in passes, each
 * of which reads on to the stream's end. All on the broker thread. */
struct reader;

struct reader_options {
    const char *stream;
    const char *wake_subject; /* plain messages there tell that there is more to read */
    uint64_t after_seq;
    int64_t poll_interval_ms; /* begin a pass at least so often */
    /* A message with its sequence; free it with jj__msg_free() in any case. False: there was no
     * memory for it; it is to come again. */
    bool (*take)(void *ctx, struct broker_msg *msg, uint64_t seq);
    void *ctx;
};

/* options is copied; its strings must outlive the reader. */
jj_status jj__reader_open(struct broker *broker, const struct log *log,
                          const struct reader_options *options, struct reader **reader_out,
                          jj_error *err);

/* Begin a pass now, or right behind the one that is under way. Returns its number: it is over when
 * jj__reader_ended() is not less. */
uint64_t jj__reader_pass(struct reader *reader);
uint64_t jj__reader_ended(const struct reader *reader);

/* The last sequence that was handed out; how many more the stream has, as far as is known. */
uint64_t jj__reader_seq(const struct reader *reader);
uint64_t jj__reader_pending(const struct reader *reader);

/* Ask for nothing more, for a while. */
void jj__reader_hold(struct reader *reader, bool hold);

void jj__reader_close(struct reader *reader);

#endif

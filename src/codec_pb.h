/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_PB_H
#define JJ_SRC_CODEC_PB_H

#include "buf.h"
#include "event.h"
#include "status.h"

/* Encode ClaimBatch / EventBatch (broker/jetjobs.proto), replacing what out holds; worker may be
 * NULL. Texts that are not UTF-8 are mended, since readers in other languages would refuse the
 * whole batch. On failure out is empty. NO_MEMORY; TOO_LARGE: beyond out->max. */
jj_status jj__pb_write_claims(struct buf *out, const char *worker, uint64_t number, int64_t time_ms,
                              const struct claim *claims, size_t count, jj_error *err);
jj_status jj__pb_write_events(struct buf *out, const char *worker, const struct event *events,
                              size_t count, jj_error *err);

/* How many bytes a claim or event adds to a batch, never less than the truth and some bytes more at
 * most: to cut batches. */
size_t jj__pb_claim_size(const struct claim *claim);
size_t jj__pb_event_size(const struct event *event);

/* Decoded batches: free with jj__pb_claims_free / jj__pb_events_free, all that they point to
 * included.
 *
 * Bytes that are no batch, or would take memory out of all proportion to their number, give
 * PROTOCOL. What is well formed but can't be used is left out, and the rest kept: claims and events
 * without a valid id (and name), attempts that count from 0, headers that could not be sent, data
 * that is not JSON, a worker or schedule that is no token. Empty texts become NULL, texts are
 * UTF-8, an unknown level becomes info, a percentage above 100 becomes 100.
 *
 * A claim's job has always id, name, attempts, redrives and snoozes, and what Job carried if
 * with_job; its timeout_ms is left to the headers. */
struct pb_claims {
    const char *worker; /* NULL: not said */
    uint64_t number;
    int64_t time_ms;
    struct claim *claims;
    size_t count;
    void *memory;
};
struct pb_events {
    const char *worker;   /* NULL: not said; that of each event, too */
    struct event *events; /* name and type are those of the batch's subject, filled by the caller */
    size_t count;
    void *memory;
};
jj_status jj__pb_read_claims(const void *data, size_t len, struct pb_claims *out, jj_error *err);
jj_status jj__pb_read_events(const void *data, size_t len, struct pb_events *out, jj_error *err);
void jj__pb_claims_free(struct pb_claims *claims);
void jj__pb_events_free(struct pb_events *events);

#endif

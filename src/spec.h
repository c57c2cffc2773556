/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_SPEC_H
#define JJ_SRC_SPEC_H

#include <jetjobs/client.h>
#include <jetjobs/worker.h>

#include "status.h"

/* What a message needs beside the job's data: max_payload less this is the most data. */
#define JJ__SPEC_OVERHEAD 4096

/* The longest time that an option may say, 100 years: in nanoseconds it still fits an int64_t. */
#define JJ__TIME_MAX_MS INT64_C(3155760000000)

/* Check what a caller wants to enqueue: name, id, key, numbers, headers (none that begins with
 * Nats- or Job- in any case, no CR LF NUL colon space in names, no CR LF in values, each name and
 * value not NULL, none that misleads), content_type and traceparent (no CR LF, at most 256 bytes),
 * data NULL only with data_len 0. TOO_LARGE if the data exceeds max_payload - JJ__SPEC_OVERHEAD, or
 * the headers together JJ__SPEC_OVERHEAD / 2. */
jj_status jj__spec_check(const jj_spec *spec, size_t max_payload, jj_error *err);

/* Write the headers of a job that a spec asks for, beside its id, key and schedule, into room for
 * JJ__SPEC_HEADERS and its own ones; returns how many. texts are numbers that they point to. */
#define JJ__SPEC_HEADERS 4
struct spec_texts {
    char max_attempts[12];
    char timeout[24];
};
size_t jj__spec_headers(const jj_spec *spec, struct spec_texts *texts, jj_header *headers);

/* Copy options with every zero replaced by its default, and check ranges: concurrency 1..10000,
 * max_attempts 1..1000, max_lost 0 means 3 and at most 1000, replicas 1..5, ack_wait_ms >= 1000,
 * times not negative (but connect_timeout_ms -1) and at most JJ__TIME_MAX_MS, worker a valid token
 * if given, backoff_max_ms >= backoff_initial_ms. An error names the field and what is allowed.
 * Strings stay borrowed; url becomes its default, the others may stay NULL. connect_timeout_ms 0
 * becomes timeout_ms. adapter becomes that of SQLite where there is an index_path; one of another
 * version, without some function, or SQLite without a path, is INVALID. options may be NULL. */
jj_status jj__options_resolve(const jj_options *options, jj_options *resolved_out, jj_error *err);

/* The same for a handler; zeros become the client's settings, fleet_concurrency and timeout_ms may
 * stay 0. concurrency at most the client's. options may be NULL. */
jj_status jj__handler_options_resolve(const jj_handler_options *options, const jj_options *client,
                                      jj_handler_options *resolved_out, jj_error *err);

#endif

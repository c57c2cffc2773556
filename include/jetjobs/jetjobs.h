/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_H
#define JETJOBS_H

/** @file
 *  jetjobs: background jobs on NATS JetStream. Include this one.
 *
 *  Errors: what can fail returns a jj_status and fills the jj_error that the caller passed last
 *  (or NULL). Nothing is printed, errno is not used, the library never exits.
 *
 *  Ownership: inputs are borrowed for the call. Out parameters end in _out and are set only on
 *  JJ_OK, unless their text says otherwise.
 *
 *  Threads: a jj_client may be used from any thread at once. A jj_attempt belongs to its handler.
 *
 *  Units: times are int64_t milliseconds; those that end in _at_ms count from 1970-01-01 UTC. */

#include <jetjobs/adapter.h>
#include <jetjobs/client.h>
#include <jetjobs/cron.h>
#include <jetjobs/events.h>
#include <jetjobs/handlers.h>
#include <jetjobs/index.h>
#include <jetjobs/job.h>
#include <jetjobs/status.h>
#include <jetjobs/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JJ_VERSION "0.1.0"

/** The version of the library that is running, as JJ_VERSION was when it was built. */
JJ_API const char *jj_version(void);

#ifdef __cplusplus
}
#endif

#endif

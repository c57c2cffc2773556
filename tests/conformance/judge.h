/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_CONFORMANCE_JUDGE_H
#define JJ_TESTS_CONFORMANCE_JUDGE_H

#include "report.h"
#include "wire.h"

/* Judge what a producer published: a job, or a job for later. max_payload: the server's. */
void judge_published(struct report *report, const struct heard *heard, size_t max_payload);

/* Judge the form of a handler's answer. */
void judge_answer(struct report *report, const struct heard *heard);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_LETTER_H
#define JJ_SRC_LETTER_H

/* What a caller wants enqueued or scheduled, as the message that will be sent. */

#include "broker.h"
#include "client.h"
#include "id.h"
#include "resend.h"
#include "rfc3339.h"
#include "spec.h"
#include "subject.h"

#define JJ__KEY_PREFIX "key:"
#define JJ__KEY_MAX    256

/* The strings live in it, or are the spec's own. */
struct letter {
    struct outgoing message;
    jj_header *headers;
    char id[JJ_NAME_SIZE];
    char subject[JJ__SUBJECT_SIZE];
    char msg_id[sizeof(JJ__KEY_PREFIX) + JJ__KEY_MAX];
    struct spec_texts texts;
    char at[JJ__AT_SIZE];
    char target[JJ__SUBJECT_SIZE];
    char run_at[JJ__RFC3339_SIZE];
    char created_at[JJ__RFC3339_SIZE];
    char batch_sequence[24];
};

/* Check the spec and write it; run_at_ms 0: to run now. Free with jj__letter_free(), whatever it
 * returned. */
jj_status jj__letter_write(jj_client *client, const jj_spec *spec, int64_t run_at_ms,
                           struct letter *letter, jj_error *err);
void jj__letter_free(struct letter *letter);

/* Add a header; there is room for those of a batch. */
void jj__letter_add(struct letter *letter, const char *name, const char *value);

#endif

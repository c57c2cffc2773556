/* SPDX-License-Identifier: Apache-2.0 */
/* Names and subjects: what is read from a subject makes that very subject again. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "subject.h"

static void check_token(const char *text)
{
    jj_error err = {0};
    size_t span = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    bool valid = span >= 1 && span <= JJ_NAME_MAX && text[span] == '\0';

    must(jj__token_valid(text) == valid);
    must((jj__token_check("job name", text, &err) == JJ_OK) == valid);
    if (!valid)
        must_be_line(&err);
}

/* What is built of a valid name fits, and has as many tokens as it should. */
static void check_built(const char *token)
{
    char out[JJ__SUBJECT_SIZE];

    if (!jj__token_valid(token))
        return;
    jj__subject_live_of(out, token, "completed");
    must(strlen(out) == strlen("job..completed") + strlen(token));
    jj__subject_log_of(out, token);
    must(strlen(out) == strlen("log.job.") + strlen(token));
    jj__subject_request(out, "getByName", token);
    must(strlen(out) == strlen("jobs.getByName.") + strlen(token));
}

/* Each form, and what builds it. */
static void check_one_token(const char *subject,
                            bool (*read)(const char *subject, char token_out[JJ_NAME_SIZE]),
                            void (*build)(char out[JJ__SUBJECT_SIZE], const char *token))
{
    char token[JJ_NAME_SIZE];
    char again[JJ__SUBJECT_SIZE];

    if (!read(subject, token))
        return;
    must(jj__token_valid(token));
    build(again, token);
    must(strcmp(again, subject) == 0);
}

static void check_two_tokens(const char *subject)
{
    char one[JJ_NAME_SIZE], other[JJ_NAME_SIZE];
    char again[JJ__SUBJECT_SIZE];

    if (jj__subject_read_schedule(subject, one, other)) {
        jj__subject_schedule(again, one, other);
        must(strcmp(again, subject) == 0);
    }
    if (jj__subject_read_events(subject, one, other)) {
        jj__subject_events(again, one, other);
        must(strcmp(again, subject) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    struct delivery delivery = {0};

    check_token(text);
    check_built(text);
    check_one_token(text, jj__subject_read_enqueue, jj__subject_enqueue);
    check_one_token(text, jj__subject_read_due, jj__subject_due);
    check_one_token(text, jj__subject_read_claims, jj__subject_claims);
    check_two_tokens(text);
    must(!jj__subject_read_ack(text, &delivery) || strncmp(text, "$JS.ACK.", 8) == 0);
    free(text);
    return 0;
}

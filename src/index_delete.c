/* SPDX-License-Identifier: Apache-2.0 */

/* Deleting the messages of jobs that are cancelled or over, many at once. Several indexes do the
 * same at the same time, and workers may have been first: a message that is gone is as good as one
 * deleted. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "index_inner.h"

#define AT_ONCE       256
#define ERR_NOT_FOUND 10043 /* JSSequenceNotFoundErrF */

struct deleting {
    struct index *index;
    const struct deletion *next;
    const struct deletion *end; /* behind the last of this part */
    int64_t deadline_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t open;      /* guarded by lock: without answer */
    jj_status status; /* guarded by lock: the first failure */
    char text[160];   /* guarded by lock */
};

static void finish_one(struct deleting *deleting, jj_status status, const char *text)
{
    pthread_mutex_lock(&deleting->lock);
    deleting->open--;
    if (status != JJ_OK && deleting->status == JJ_OK) {
        deleting->status = status;
        snprintf(deleting->text, sizeof(deleting->text), "%s", text);
    }
    pthread_cond_signal(&deleting->changed);
    pthread_mutex_unlock(&deleting->lock);
}

/* A sequence that is gone has a code of its own (10043), unless it was the last message: then, as
 * all failures of a deletion, it has 10057 with the text of the server's store. */
static bool is_gone(const json_t *error, const char *text)
{
    if (json_integer_value(json_object_get(error, "err_code")) == ERR_NOT_FOUND)
        return true;
    return text != NULL && (strcmp(text, "no message found") == 0 ||
                            strcmp(text, "deleted message") == 0 || strstr(text, "EOF") != NULL);
}

static void take_answer(void *ctx, struct broker_msg *msg, jj_status status)
{
    json_t *answer = msg == NULL ? NULL : json_loadb(jj__msg_data(msg), jj__msg_len(msg), 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "description"));

    if (status != JJ_OK)
        finish_one(ctx, status, jj_status_text(status));
    else if (answer != NULL && (error == NULL || is_gone(error, text)))
        finish_one(ctx, JJ_OK, "");
    else
        finish_one(ctx, JJ_ERR_UNAVAILABLE, text == NULL ? "unreadable answer" : text);
    json_decref(answer);
    jj__msg_free(msg);
}

static void ask_all(void *ctx)
{
    struct deleting *deleting = ctx;
    char subject[96];
    char body[64];

    for (const struct deletion *at = deleting->next; at != deleting->end; at = at->next) {
        snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.DELETE.%s",
                 jj__origin_stream(at->origin));
        int len = snprintf(body, sizeof(body), "{\"seq\":%llu,\"no_erase\":true}",
                           (unsigned long long)at->seq);
        const struct question question = {
            .message = {.subject = subject, .data = body, .len = (size_t)len},
            .deadline_ms = deleting->deadline_ms,
            .answer = take_answer,
            .ctx = deleting};
        jj_status s = jj__broker_ask(deleting->index->broker, &question, NULL);
        if (s != JJ_OK)
            finish_one(deleting, s, jj_status_text(s));
    }
}

static jj_status delete_part(struct deleting *deleting, size_t count, jj_error *err)
{
    struct index *index = deleting->index;

    deleting->open = count;
    deleting->status = JJ_OK;
    deleting->deadline_ms = jj__clock_mono_ms() + index->timeout_ms;
    jj__broker_call(index->broker, ask_all, deleting);
    pthread_mutex_lock(&deleting->lock);
    while (deleting->open > 0)
        pthread_cond_wait(&deleting->changed, &deleting->lock);
    pthread_mutex_unlock(&deleting->lock);
    if (deleting->status == JJ_ERR_NOT_PERMITTED)
        return jj__fail(err, JJ_ERR_NOT_PERMITTED, "deleting messages is not permitted");
    if (deleting->status != JJ_OK)
        return jj__fail(err, JJ_ERR_UNAVAILABLE,
                        "can't delete the message of a job that is over: %s", deleting->text);
    return JJ_OK;
}

jj_status jj__index_delete(struct index *index, const struct deletion *deletions, jj_error *err)
{
    struct deleting deleting = {.index = index, .end = deletions};
    jj_status s = JJ_OK;

    if (deletions == NULL)
        return JJ_OK;
    pthread_mutex_init(&deleting.lock, NULL);
    pthread_cond_init(&deleting.changed, NULL);
    while (s == JJ_OK && deleting.end != NULL) {
        size_t count = 0;
        deleting.next = deleting.end;
        for (; deleting.end != NULL && count < AT_ONCE; count++)
            deleting.end = deleting.end->next;
        s = delete_part(&deleting, count, err);
    }
    pthread_cond_destroy(&deleting.changed);
    pthread_mutex_destroy(&deleting.lock);
    return s;
}

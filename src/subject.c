/* SPDX-License-Identifier: Apache-2.0 */
/* Every subject is built and parsed here, and nowhere else. The NATS client sends whatever it is
 * given as a subject, line ends and all, so a token is looked at once more when it is copied: where
 * the assertion is compiled out, a wrong one leaves a subject that the server refuses.
 * Copied by hand and not by snprintf, because each job sends some four messages. */

#include "subject.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "utf8.h"

#include "event.h"

#define NS_PER_MS   UINT64_C(1000000)
#define SUBJECT_MAX 255

/* $JS.ACK, stream and consumer, then five numbers; the longer form has domain and account before
 * the stream, and perhaps more at its end. */
#define ACK_TOKENS      9
#define ACK_NUMBERS_AT  4
#define LONG_ACK_TOKENS 11
#define LONG_NUMBERS_AT 6

static bool token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
}

/* The length of the token that text begins with; 0 if there is none or it is too long. */
static size_t token_len(const char *text)
{
    size_t len = 0;

    while (len <= JJ_NAME_MAX && token_char(text[len]))
        len++;
    return len <= JJ_NAME_MAX ? len : 0;
}

#define KNOWN(name)                                                                                \
    {                                                                                              \
        name, sizeof(name) - 1                                                                     \
    }

const char *jj__header_known(const char *text, size_t len)
{
    static const struct {
        const char *text;
        size_t len;
    } names[] = {
        KNOWN(JJ__HEADER_ID),
        KNOWN(JJ__HEADER_MAX_ATTEMPTS),
        KNOWN(JJ__HEADER_ATTEMPTS),
        KNOWN(JJ__HEADER_REDRIVES),
        KNOWN(JJ__HEADER_SNOOZES),
        KNOWN(JJ__HEADER_PUT_OFFS),
        KNOWN(JJ__HEADER_RUN_AT),
        KNOWN(JJ__HEADER_TIMEOUT),
        KNOWN(JJ__HEADER_SCHEDULE_ID),
        KNOWN(JJ__HEADER_CREATED_AT),
        KNOWN(JJ__HEADER_KEY),
        KNOWN(JJ__HEADER_CONTENT_TYPE),
        KNOWN(JJ__HEADER_TRACEPARENT),
        KNOWN(JJ__HEADER_MSG_ID),
        KNOWN(JJ__HEADER_SCHEDULE),
        KNOWN(JJ__HEADER_TIME_ZONE),
        KNOWN(JJ__HEADER_SCHEDULE_TARGET),
        KNOWN(JJ__HEADER_SCHEDULE_NEXT),
        KNOWN(JJ__HEADER_SCHEDULER),
        KNOWN(JJ__HEADER_BATCH_ID),
        KNOWN(JJ__HEADER_BATCH_SEQUENCE),
        KNOWN(JJ__HEADER_BATCH_COMMIT),
        KNOWN(JJ__HEADER_ERROR),
        KNOWN(JJ__HEADER_ERROR_CODE),
        KNOWN(JJ__HEADER_JOBS_SEQ),
        KNOWN(JJ__HEADER_SCHEDULE_SEQ),
        KNOWN(JJ__HEADER_EVENTS_SEQ),
        KNOWN(JJ__HEADER_WAIT),
        KNOWN(JJ__HEADER_STREAM),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].len == len && memcmp(names[i].text, text, len) == 0)
            return names[i].text;
    return NULL;
}

bool jj__token_valid(const char *text)
{
    size_t len = token_len(text);

    return len != 0 && text[len] == '\0';
}

jj_status jj__token_check(const char *what, const char *text, jj_error *err)
{
    if (text == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "%s is missing", what);
    if (text[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "%s is empty", what);
    if (!jj__token_valid(text))
        return jj__fail(err, JJ_ERR_INVALID, "%s '%.80s' is not 1 to %d of A-Z a-z 0-9 _ -", what,
                        text, JJ_NAME_MAX);
    return JJ_OK;
}

static bool has_empty_token(const char *subject)
{
    size_t len = strlen(subject);

    return subject[0] == '.' || subject[len - 1] == '.' || strstr(subject, "..") != NULL;
}

jj_status jj__subject_check(const char *what, const char *subject, jj_error *err)
{
    size_t len = subject == NULL ? 0 : strlen(subject);
    size_t plain = 0;

    while (plain < len && (unsigned char)subject[plain] > ' ' && subject[plain] != 0x7F)
        plain++;
    if (len == 0)
        return jj__fail(err, JJ_ERR_INVALID, "%s is missing", what);
    if (len > SUBJECT_MAX || plain < len || strpbrk(subject, "*>") != NULL ||
        has_empty_token(subject) || !jj__utf8_valid(subject))
        return jj__fail(err, JJ_ERR_INVALID,
                        "%s '%.80s' is not 1 to %d bytes of tokens with dots between, without "
                        "wildcards and spaces",
                        what, subject, SUBJECT_MAX);
    return JJ_OK;
}

static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);

    memcpy(at, text, len + 1);
    return at + len;
}

static char *put_token(char *at, const char *token)
{
    assert(jj__token_valid(token));

    size_t len = jj__token_valid(token) ? strlen(token) : 0;
    memcpy(at, token, len);
    at[len] = '\0';
    return at + len;
}

/* <before><first>.<second> */
static void put_pair(char *at, const char *before, const char *first, const char *second)
{
    at = put_text(at, before);
    at = put_token(at, first);
    at = put_text(at, ".");
    put_token(at, second);
}

void jj__subject_enqueue(char out[JJ__SUBJECT_SIZE], const char *name)
{
    put_token(put_text(out, "jobs.enqueue."), name);
}

void jj__subject_schedule(char out[JJ__SUBJECT_SIZE], const char *name, const char *id)
{
    put_pair(out, "jobs.schedule.", name, id);
}

void jj__subject_due(char out[JJ__SUBJECT_SIZE], const char *name)
{
    put_token(put_text(out, "jobs.due."), name);
}

void jj__subject_claims(char out[JJ__SUBJECT_SIZE], const char *worker)
{
    put_token(put_text(out, "jobs.claims."), worker);
}

void jj__subject_events(char out[JJ__SUBJECT_SIZE], const char *name, const char *type)
{
    put_pair(out, "jobs.events.", name, type);
}

void jj__subject_live(char out[JJ__SUBJECT_SIZE], const char *type)
{
    put_token(put_text(out, "job."), type);
}

void jj__subject_live_of(char out[JJ__SUBJECT_SIZE], const char *name_or_id, const char *type)
{
    put_pair(out, "job.", name_or_id, type);
}

void jj__subject_log_of(char out[JJ__SUBJECT_SIZE], const char *id)
{
    put_token(put_text(out, JJ__SUBJECT_LOG "."), id);
}

/* The parsers below move *at past what they read, and stop at NUL. */

static bool read_text(const char **at, const char *text)
{
    size_t len = strlen(text);

    if (strncmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool read_token(const char **at, char out[JJ_NAME_SIZE])
{
    size_t len = token_len(*at);

    if (len == 0)
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len;
    return true;
}

/* <before><token> */
static bool read_one(const char *subject, const char *before, char out[JJ_NAME_SIZE])
{
    const char *at = subject;

    return read_text(&at, before) && read_token(&at, out) && *at == '\0';
}

/* <before><first>.<second> */
static bool read_pair(const char *subject, const char *before, char first_out[JJ_NAME_SIZE],
                      char second_out[JJ_NAME_SIZE])
{
    const char *at = subject;

    return read_text(&at, before) && read_token(&at, first_out) && read_text(&at, ".") &&
           read_token(&at, second_out) && *at == '\0';
}

bool jj__subject_read_enqueue(const char *subject, char name_out[JJ_NAME_SIZE])
{
    return read_one(subject, "jobs.enqueue.", name_out);
}

bool jj__subject_read_schedule(const char *subject, char name_out[JJ_NAME_SIZE],
                               char id_out[JJ_NAME_SIZE])
{
    return read_pair(subject, "jobs.schedule.", name_out, id_out);
}

bool jj__subject_read_due(const char *subject, char name_out[JJ_NAME_SIZE])
{
    return read_one(subject, "jobs.due.", name_out);
}

bool jj__subject_read_claims(const char *subject, char worker_out[JJ_NAME_SIZE])
{
    return read_one(subject, "jobs.claims.", worker_out);
}

bool jj__subject_read_events(const char *subject, char name_out[JJ_NAME_SIZE],
                             char type_out[JJ_NAME_SIZE])
{
    return read_pair(subject, "jobs.events.", name_out, type_out);
}

/* Note where the first max tokens begin; returns how many there are, 0 if one is empty. */
static size_t split(const char *subject, const char **tokens, size_t max)
{
    size_t count = 0;

    for (const char *at = subject;; at++) {
        size_t len = strcspn(at, ".");
        if (len == 0)
            return 0;
        if (count < max)
            tokens[count] = at;
        count++;
        at += len;
        if (*at == '\0')
            return count;
    }
}

/* A decimal number that ends with its token. */
static bool read_number(const char *at, uint64_t *number_out)
{
    uint64_t number = 0;

    for (; *at != '.' && *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        unsigned digit = (unsigned)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *number_out = number;
    return true;
}

bool jj__subject_read_ack(const char *reply, struct delivery *delivery_out)
{
    const char *tokens[LONG_ACK_TOKENS];
    struct delivery delivery = {0};
    uint64_t stored_at_ns = 0;

    if (reply == NULL || strncmp(reply, "$JS.ACK.", strlen("$JS.ACK.")) != 0)
        return false;
    size_t count = split(reply, tokens, LONG_ACK_TOKENS);
    if (count != ACK_TOKENS && count < LONG_ACK_TOKENS)
        return false;

    const char **numbers = tokens + (count == ACK_TOKENS ? ACK_NUMBERS_AT : LONG_NUMBERS_AT);
    if (!read_number(numbers[0], &delivery.delivered) || !read_number(numbers[1], &delivery.seq) ||
        !read_number(numbers[2], &delivery.consumer_seq) ||
        !read_number(numbers[3], &stored_at_ns) || !read_number(numbers[4], &delivery.pending))
        return false;
    delivery.stored_at_ms = (int64_t)(stored_at_ns / NS_PER_MS);
    *delivery_out = delivery;
    return true;
}

void jj__subject_request(char out[JJ__SUBJECT_SIZE], const char *verb, const char *name)
{
    char *at = put_text(out, "jobs.");

    at = put_text(at, verb);
    if (name == NULL)
        return;
    at = put_text(at, ".");
    put_token(at, name);
}

/* ---- what to listen to ---- */

static bool is_wildcard(const char *token)
{
    return strcmp(token, "*") == 0;
}

/* The last token of what begins with job. */
static bool may_be_type(const char *token)
{
    return is_wildcard(token) || jj__event_type_read(token) != EVENT_TYPES;
}

static bool may_be_name(const char *token)
{
    return is_wildcard(token) || jj__token_valid(token);
}

#define LIVE_TOKENS 3

static bool live_tokens_match(const char tokens[LIVE_TOKENS][JJ_NAME_SIZE], size_t count)
{
    bool rest = strcmp(tokens[count - 1], ">") == 0;

    if (strcmp(tokens[0], "log") == 0)
        return count >= 2 && strcmp(tokens[1], "job") == 0 &&
               (count == 2 || rest || may_be_name(tokens[2]));
    if (strcmp(tokens[0], "job") != 0 || count < 2)
        return false;
    if (count == 2)
        return rest || may_be_type(tokens[1]);
    return may_be_name(tokens[1]) && (rest || may_be_type(tokens[2]));
}

/* Cut a subject into its tokens; 0: there are too many, or one is empty or too long. */
static size_t copy_tokens(const char *subject, char tokens[LIVE_TOKENS][JJ_NAME_SIZE])
{
    const char *starts[LIVE_TOKENS];
    size_t count = split(subject, starts, LIVE_TOKENS);

    if (count > LIVE_TOKENS)
        return 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(starts[i], ".");
        if (len > JJ_NAME_MAX)
            return 0;
        memcpy(tokens[i], starts[i], len);
        tokens[i][len] = '\0';
    }
    return count;
}

jj_status jj__subject_live_check(const char *subject, jj_error *err)
{
    char tokens[LIVE_TOKENS][JJ_NAME_SIZE];

    if (subject == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "the subject to listen to is missing");
    size_t count = copy_tokens(subject, tokens);
    if (count == 0 || !live_tokens_match(tokens, count))
        return jj__fail(err, JJ_ERR_INVALID,
                        "'%.80s' is nothing to listen to: that is job.<type>, job.<name>.<type>, "
                        "log.job or log.job.<id>, where type is started, completed, failed, "
                        "retrying, cancelled, progress, event or log, and * or > may stand for any",
                        subject);
    return JJ_OK;
}

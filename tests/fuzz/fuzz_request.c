/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers of the index service. The first byte says which: verb times three and form.
 * What was read is sane, can be written, and reads as the same again. */
#include "fuzz.h"

#include <string.h>

#include "codec_pb_request.h"
#include "codec_request.h"
#include "json_write.h"
#include "subject.h"

enum form { JSON_REQUEST, PB_REQUEST, PB_ANSWER, FORMS };

static void check_request(const struct request *request)
{
    struct request again = {.verb = request->verb};
    struct buf out = {0};
    int64_t time_ms;
    char id[JJ_NAME_SIZE];

    must(request->limit >= 1 && request->limit <= JJ__LOGS_MAX);
    must(request->id[0] == '\0' || jj__token_valid(request->id));
    must(request->name[0] == '\0' || jj__token_valid(request->name));
    must(request->cursor[0] == '\0' || jj__cursor_read(request->cursor, &time_ms, id));
    must(jj__pb_write_request(&out, request, NULL) == JJ_OK);
    must(jj__pb_read_request(out.data, out.len, &again, NULL) == JJ_OK);
    must(strcmp(again.id, request->id) == 0 && strcmp(again.name, request->name) == 0);
    must(strcmp(again.cursor, request->cursor) == 0);
    must(again.state == request->state && again.limit == request->limit);
    jj__buf_done(&out);
}

static void check_answer(const struct answer *answer)
{
    struct answer again = {.verb = answer->verb};
    struct buf first = {0};
    struct buf second = {0};

    must(jj__json_write_answer(&first, answer, NULL) == JJ_OK);
    must(jj__json_valid(first.data, first.len));
    jj__buf_reset(&first);
    must(jj__pb_write_answer(&first, answer, NULL) == JJ_OK);
    must(jj__pb_read_answer(first.data, first.len, &again, NULL) == JJ_OK);
    must(jj__pb_write_answer(&second, &again, NULL) == JJ_OK);
    must_be_same(&first, &second);
    jj__answer_done(&again);
    jj__buf_done(&first);
    jj__buf_done(&second);
}

/* What is wrong with a request can be told in both forms. */
static void check_refusal(const jj_error *err)
{
    struct buf out = {0};

    must_be_line(err);
    must(jj__json_write_error(&out, "invalid_argument", err->text, NULL) == JJ_OK);
    must(jj__json_valid(out.data, out.len));
    jj__buf_reset(&out);
    must(jj__pb_write_error(&out, "invalid_argument", err->text, NULL) == JJ_OK);
    jj__buf_done(&out);
}

static void fuzz_request(enum verb verb, enum form form, const uint8_t *data, size_t size)
{
    struct request request = {.verb = verb};
    jj_error err = {0};

    jj_status s = form == JSON_REQUEST ? jj__json_read_request(data, size, &request, &err)
                                       : jj__pb_read_request(data, size, &request, &err);
    if (s == JJ_OK)
        check_request(&request);
    else
        check_refusal(&err);
}

static void fuzz_answer(enum verb verb, const uint8_t *data, size_t size)
{
    struct answer answer = {.verb = verb};
    struct job_facts facts;
    jj_error err = {0};

    if (jj__pb_read_facts(data, size, &facts, &err) == JJ_OK)
        must(memchr(facts.status, '\0', sizeof(facts.status)) != NULL);
    else
        must_be_line(&err);

    if (jj__pb_read_answer(data, size, &answer, &err) != JJ_OK) {
        must_be_line(&err);
        return;
    }
    check_answer(&answer);
    jj__answer_done(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;

    enum verb verb = (enum verb)(data[0] / FORMS % VERBS);
    enum form form = (enum form)(data[0] % FORMS);
    if (form == PB_ANSWER)
        fuzz_answer(verb, data + 1, size - 1);
    else
        fuzz_request(verb, form, data + 1, size - 1);
    return 0;
}

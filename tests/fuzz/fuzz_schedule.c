/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for schedules: whatever comes, the schedule that is published is of that name and does
 * no more than a schedule may. */
#include "fuzz.h"

#include <string.h>
#include <strings.h>

#include "json_write.h"
#include "schedule_request.h"

/* The headers that the server obeys, and which of them a schedule may have. */
static bool may_be_sent(const char *name)
{
    static const char *const allowed[] = {JJ__HEADER_SCHEDULE, JJ__HEADER_SCHEDULE_TARGET,
                                          JJ__HEADER_TIME_ZONE, JJ__HEADER_MSG_ID};

    if (strncasecmp(name, "Nats-", 5) != 0)
        return true;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (strcmp(name, allowed[i]) == 0)
            return true;
    return false;
}

static void check_headers(const struct schedule_plan *plan)
{
    size_t targets = 0, schedules = 0;

    for (size_t i = 0; i < plan->header_count; i++) {
        const jj_header *header = &plan->headers[i];
        must(jj__header_name_valid(header->name) && jj__header_value_valid(header->value));
        must(may_be_sent(header->name));
        schedules += strcmp(header->name, JJ__HEADER_SCHEDULE) == 0;
        if (strcmp(header->name, JJ__HEADER_SCHEDULE_TARGET) == 0) {
            must(strcmp(header->value, "jobs.due.mail") == 0);
            targets++;
        }
    }
    must(targets == 1 && schedules == 1);
}

static void check_plan(const struct schedule_plan *plan)
{
    char name[JJ_NAME_SIZE], id[JJ_NAME_SIZE];

    must(jj__subject_read_schedule(plan->subject, name, id));
    must(strcmp(name, "mail") == 0 && strcmp(id, plan->id) == 0);
    must(!plan->recurring || strlen(id) <= JJ__SCHEDULE_ID_MAX);
    must(plan->recurring || plan->msg_id != NULL);
    check_headers(plan);
}

static void check_answer(const struct schedule_plan *plan, uint64_t seq)
{
    const struct schedule_answer answer = {.id = plan->id, .seq = seq, .duplicate = seq % 2 == 0};
    struct buf out = {0};

    jj__schedule_write_json(&out, &answer);
    must(!out.failed && jj__json_valid(out.data, out.len));
    jj__buf_reset(&out);
    jj__pb_write_schedule_answer(&out, &answer);
    must(!out.failed && out.len > 0);
    jj__buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_message message;
    struct schedule_plan plan;
    jj_error err = {0};

    message_read(&message, data, size);
    const struct schedule_request request = {.name = "mail",
                                             .data = message.data,
                                             .data_len = message.data_len,
                                             .headers = message.headers,
                                             .header_count = message.header_count,
                                             .now_ms = INT64_C(1795472356245),
                                             .new_id = "new"};
    if (jj__schedule_plan(&request, &plan, &err) == JJ_OK) {
        check_plan(&plan);
        check_answer(&plan, size);
        jj__schedule_plan_done(&plan);
    } else {
        must_be_line(&err);
    }
    message_done(&message);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what happens to a job: tokens of subjects and members of live events. */

#include "event.h"

#include <string.h>

static const char *const texts[EVENT_TYPES] = {
    [EVENT_STARTED] = "started",     [EVENT_COMPLETED] = "completed",
    [EVENT_FAILED] = "failed",       [EVENT_RETRYING] = "retrying",
    [EVENT_CANCELLED] = "cancelled", [EVENT_PROGRESS] = "progress",
    [EVENT_EVENT] = "event",         [EVENT_LOG] = "log",
};

const char *jj__event_type_text(enum event_type type)
{
    return texts[type];
}

enum event_type jj__event_type_read(const char *text)
{
    enum event_type type = EVENT_STARTED;

    while (type < EVENT_TYPES && strcmp(texts[type], text) != 0)
        type++;
    return type;
}

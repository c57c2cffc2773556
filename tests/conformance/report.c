/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdarg.h>

static const struct {
    const char *name;
    const char *section; /* of broker/README.md */
    bool advice;         /* works without, but see the section */
    const char *demand;
} clauses[CLAUSES] = {
    [CLAUSE_SUBJECT] = {"subject", "Names and ids", false,
                        "jobs.enqueue.<name> or jobs.schedule.<name>.<id>, "
                        "each 1 to 64 of A-Z a-z 0-9 _ -"},
    [CLAUSE_ACKNOWLEDGED] = {"acknowledged", "jobs.enqueue.<name>: a job", false,
                             "a reply subject asks for the acknowledgement"},
    [CLAUSE_READABLE] = {"readable", "Headers of a job", false,
                         "a worker can read every header that is one of ours"},
    [CLAUSE_EXACT_NAMES] = {"exact-names", "Headers of a job", false,
                            "names of headers are written exactly so"},
    [CLAUSE_KNOWN_NAMES] = {"known-names", "Headers of a job", false,
                            "a producer's own headers do not begin with Job-"},
    [CLAUSE_SERVER_NAMES] = {"server-names", "Headers of a job", false,
                             "of Nats-* only what a job or schedule needs"},
    [CLAUSE_WORKER_NAMES] = {"worker-names", "Headers of a job", true,
                             "counters of attempts are left to the workers"},
    [CLAUSE_ONCE] = {"once", "Headers of a job", true, "each header stands once"},
    [CLAUSE_ID] = {"id", "Names and ids", true, "the producer chooses the Job-Id"},
    [CLAUSE_ID_NOT_NAME] = {"id-not-name", "Names and ids", false, "an id does not equal the name"},
    [CLAUSE_MESSAGE_ID] = {"message-id", "Message ids", false,
                           "Nats-Msg-Id is the id, or key:<Job-Key>"},
    [CLAUSE_REPEATABLE] = {"repeatable", "Message ids", true,
                           "a Nats-Msg-Id makes it safe to publish again"},
    [CLAUSE_KEY] = {"key", "Headers of a job", false,
                    "Job-Key is 1 to 256 printable ASCII characters without space"},
    [CLAUSE_CONTENT_TYPE] = {"content-type", "Headers of a job", false,
                             "what is called application/json is JSON"},
    [CLAUSE_DATA_SIZE] = {"data-size", "Limits", true, "data has at most max_payload less 4 KiB"},
    [CLAUSE_HEADER_SIZE] = {"header-size", "Limits", true,
                            "a producer's own headers have at most 2 KiB"},
    [CLAUSE_SCHEDULE] = {"schedule", "Schedules", false,
                         "Nats-Schedule is @at <RFC 3339>, six fields, @every or @daily and so on"},
    [CLAUSE_SCHEDULE_TARGET] = {"schedule-target", "Schedules", false,
                                "Nats-Schedule-Target is jobs.due.<the same name>"},
    [CLAUSE_SCHEDULE_ID] = {"schedule-id", "Schedules", false,
                            "Job-Id, or of a recurring one only Job-Schedule-Id with up to 50 "
                            "characters, is the subject's last token"},
    [CLAUSE_SCHEDULE_TIME] = {"schedule-time", "Schedules", false,
                              "Job-Run-At, with @at only, is not before it"},
    [CLAUSE_SCHEDULE_EARLY] = {"schedule-early", "Schedules", true,
                               "@at is 500 ms before Job-Run-At"},
    [CLAUSE_SCHEDULE_ZONE] = {"schedule-zone", "Schedules", false,
                              "no Nats-Schedule-Time-Zone with @at or @every"},
    [CLAUSE_SCHEDULE_CREATED] = {"schedule-created", "Schedules", true,
                                 "Job-Created-At says when it was enqueued"},
    [CLAUSE_ANSWERED] = {"answered", "Request handlers", false,
                         "each job is answered before its timeout"},
    [CLAUSE_ANSWERED_ONCE] = {"answered-once", "Request handlers", false,
                              "of all that listen one answers, once: a queue group"},
    [CLAUSE_ERROR_CODE] = {"error-code", "Request handlers", false,
                           "Nats-Service-Error-Code is 400 to 599, and there where there is a "
                           "Nats-Service-Error"},
    [CLAUSE_ERROR_TEXT] = {"error-text", "Request handlers", true,
                           "an error has a text, Nats-Service-Error"},
    [CLAUSE_DONE] = {"done", "Request handlers", false, "a job with good data is completed"},
};

bool report_judge(struct report *report, enum clause clause, bool holds, const char *format, ...)
{
    va_list args;

    if (holds) {
        report->held[clause]++;
        return true;
    }
    report->broken[clause]++;
    printf("  %s  %s: ", clauses[clause].advice ? "advice" : "BROKEN", clauses[clause].name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n          %s (%s)\n", clauses[clause].demand, clauses[clause].section);
    return false;
}

bool report_end(const struct report *report)
{
    unsigned judged = 0, broken = 0, advised = 0;

    for (int i = 0; i < CLAUSES; i++) {
        unsigned all = report->held[i] + report->broken[i];
        if (all == 0)
            continue;
        judged++;
        if (report->broken[i] > 0)
            *(clauses[i].advice ? &advised : &broken) += 1;
        printf("%-7s %-17s held %u of %u times\n",
               report->broken[i] == 0 ? "ok"
               : clauses[i].advice    ? "advice"
                                      : "BROKEN",
               clauses[i].name, report->held[i], all);
    }
    printf("%u clauses judged: %u broken, %u advised otherwise\n", judged, broken, advised);
    return judged > 0 && broken == 0;
}

void report_list(void)
{
    for (int i = 0; i < CLAUSES; i++)
        printf("%-17s %s%s (%s)\n", clauses[i].name, clauses[i].advice ? "advice: " : "",
               clauses[i].demand, clauses[i].section);
}

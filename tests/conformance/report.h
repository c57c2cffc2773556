/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_CONFORMANCE_REPORT_H
#define JJ_TESTS_CONFORMANCE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

/* What is demanded: a clause each, and where broker/README.md has it. */
enum clause {
    CLAUSE_SUBJECT,
    CLAUSE_ACKNOWLEDGED,
    CLAUSE_READABLE,
    CLAUSE_EXACT_NAMES,
    CLAUSE_KNOWN_NAMES,
    CLAUSE_SERVER_NAMES,
    CLAUSE_WORKER_NAMES,
    CLAUSE_ONCE,
    CLAUSE_ID,
    CLAUSE_ID_NOT_NAME,
    CLAUSE_MESSAGE_ID,
    CLAUSE_REPEATABLE,
    CLAUSE_KEY,
    CLAUSE_CONTENT_TYPE,
    CLAUSE_DATA_SIZE,
    CLAUSE_HEADER_SIZE,
    CLAUSE_SCHEDULE,
    CLAUSE_SCHEDULE_TARGET,
    CLAUSE_SCHEDULE_ID,
    CLAUSE_SCHEDULE_TIME,
    CLAUSE_SCHEDULE_EARLY,
    CLAUSE_SCHEDULE_ZONE,
    CLAUSE_SCHEDULE_CREATED,
    CLAUSE_ANSWERED,
    CLAUSE_ANSWERED_ONCE,
    CLAUSE_ERROR_CODE,
    CLAUSE_ERROR_TEXT,
    CLAUSE_DONE,
    CLAUSES
};

/* What was found: by clause, how often it held and how often not. */
struct report {
    unsigned held[CLAUSES];
    unsigned broken[CLAUSES];
};

/* Judge one clause of what is at hand, and return holds. If it does not hold, a line says why. */
bool report_judge(struct report *report, enum clause clause, bool holds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Print how each clause came off that was judged; true if none that has to hold was broken. */
bool report_end(const struct report *report);

/* Print all clauses. */
void report_list(void);

#endif

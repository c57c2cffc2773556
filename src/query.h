/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_QUERY_H
#define JJ_SRC_QUERY_H

#include <jetjobs/adapter.h>
#include <jetjobs/index.h>

#include "arena.h"
#include "job.h"
#include "status.h"

/* Answers, as the library hands them out; each owns all that it points to. */
struct jj_page {
    jj_job **jobs;
    size_t count;
    char *cursor; /* NULL: none */
};

struct jj_lines {
    struct arena arena;
    jj_log_line *lines;
    size_t count;
};

struct jj_stats {
    jj_name_stats *names; /* each name is a copy of its own */
    size_t count;
    uint64_t lag_jobs;
    uint64_t lag_events;
};

/* The verbs of requests: jobs.<verb>. */
enum verb { VERB_GET, VERB_GET_BY_NAME, VERB_CANCEL, VERB_RETRY, VERB_LOGS, VERB_STATS, VERBS };

/* "get" "getByName" "cancel" "retry" "logs" "stats" */
const char *jj__verb_text(enum verb verb);

/* A request, read and checked. Unused texts are empty. */
#define JJ__CURSOR_SIZE 128
struct request {
    enum verb verb;
    char id[JJ_NAME_SIZE];
    char name[JJ_NAME_SIZE];
    jj_state state;
    uint32_t limit; /* resolved: never 0 */
    bool events;    /* logs: custom events, too */
    char cursor[JJ__CURSOR_SIZE];
};

/* What a request says, in whatever form it came; NULL: it does not say. */
struct asked {
    const char *id;
    const char *name;
    const char *status;
    const char *cursor;
    const int64_t *limit;
    bool events;
};

/* Check what was asked against request->verb and fill in the rest. getByName: a name that is in
 * request already is what asked->name must be, if it is anything. INVALID: the text names what is
 * wrong, shows it and says what is allowed; request is then as it was. */
jj_status jj__request_fill(struct request *request, const struct asked *asked, jj_error *err);

/* INVALID with the text of jj__request_fill(): "<what> <value> is not <allowed>". */
jj_status jj__request_refuse(const char *what, const char *value, const char *allowed,
                             jj_error *err);
#define JJ__ALLOWED_TOKEN  "a string of 1 to 64 of A-Z a-z 0-9 _ -"
#define JJ__ALLOWED_STATUS "one of pending scheduled running completed failed cancelled"
#define JJ__ALLOWED_CURSOR "one that an answer gave"

/* "an integer from 1 to 1000" */
const char *jj__limit_allowed(enum verb verb);

/* An answer, of the kind that the request asks for. */
struct answer {
    enum verb verb;
    jj_job *job; /* NULL: no such job */
    jj_page *page;
    jj_lines *lines;
    jj_stats *stats;
    bool yes; /* cancelled, retried */
};
void jj__answer_done(struct answer *answer);

/* A page's cursor: where the next page begins, as text: "<created_at_ms>-<id>" in base64url. Opaque
 * to users. */
void jj__cursor_write(int64_t created_at_ms, const char *id, char out[JJ__CURSOR_SIZE]);
/* False: it is none. */
bool jj__cursor_read(const char *text, int64_t *created_at_ms_out, char id_out[JJ_NAME_SIZE]);

#define JJ__LIMIT_DEFAULT 100
#define JJ__LIMIT_MAX     1000
#define JJ__LOGS_MAX      2001 /* 1000 lines, 1000 events, and what was not kept */

#endif

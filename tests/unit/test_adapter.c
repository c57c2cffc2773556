/* SPDX-License-Identifier: Apache-2.0 */
/* What every adapter has to do. The same tests run for each; a new one is added in main(). */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "record.h"
#include "temp.h"

struct fixture {
    const jj_adapter *adapter;
    void *storage;
    char dir[TEMP_PATH_SIZE];
    uint64_t seed;
};

static jj_error err;

static void assert_ok(jj_status s)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err.text);
}

static int open_storage(void **state)
{
    struct fixture *fixture = *state;
    char path[TEMP_PATH_SIZE + 16];

    temp_dir_make(fixture->dir);
    snprintf(path, sizeof(path), "%s/index.db", fixture->dir);
    assert_ok(fixture->adapter->open(path, &fixture->storage, &err));
    return 0;
}

static int close_storage(void **state)
{
    struct fixture *fixture = *state;

    fixture->adapter->close(fixture->storage);
    temp_dir_remove(fixture->dir);
    return 0;
}

/* ---- writing ---- */

static const jj_offsets no_offsets;

static void begin(struct fixture *fixture)
{
    assert_ok(fixture->adapter->begin(fixture->storage, &err));
}

static void commit(struct fixture *fixture)
{
    assert_ok(fixture->adapter->commit(fixture->storage, &no_offsets, &err));
}

static jj_status create(struct fixture *fixture, const jj_record *record)
{
    return fixture->adapter->create(fixture->storage, record, &err);
}

static jj_status update(struct fixture *fixture, const jj_record *record, bool with_content)
{
    return fixture->adapter->update(fixture->storage, record, with_content, &err);
}

static jj_status remove_row(struct fixture *fixture, const char *id)
{
    return fixture->adapter->remove(fixture->storage, id, &err);
}

static jj_status add_line(struct fixture *fixture, const char *id, uint64_t place,
                          const char *message)
{
    const jj_line line = {.place = place,
                          .time_ms = (int64_t)place * 10,
                          .level = JJ_LOG_WARN,
                          .attempt = 2,
                          .message = message,
                          .data = place % 2 == 0 ? NULL : "{\"a\":1}"};

    return fixture->adapter->add_line(fixture->storage, id, &line, &err);
}

static jj_status add_event(struct fixture *fixture, const char *id, uint64_t place,
                           const char *event)
{
    const jj_line line = {.place = place,
                          .time_ms = (int64_t)place * 10,
                          .level = JJ_LOG_WARN,
                          .attempt = 2,
                          .message = "",
                          .data = place % 2 == 0 ? NULL : "{\"a\":1}",
                          .event = event};

    return fixture->adapter->add_line(fixture->storage, id, &line, &err);
}

static void store(struct fixture *fixture, const jj_record *record)
{
    begin(fixture);
    assert_ok(create(fixture, record));
    commit(fixture);
}

/* ---- reading ---- */

/* Rows that were handed out, in order. */
struct found {
    jj_job *jobs[4096];
    size_t count;
    size_t enough; /* 0: never */
};

static bool take(void *ctx, const jj_record *record)
{
    struct found *found = ctx;

    assert_true(found->count < 4096);
    assert_int_equal(jj__record_copy(record, &found->jobs[found->count++], &err), JJ_OK);
    return found->count != found->enough;
}

static void forget(struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        jj_job_free(found->jobs[i]);
    *found = (struct found){0};
}

/* The ids that were found, with a space behind each. */
static const char *ids_of(struct found *found)
{
    static char text[4096];

    text[0] = '\0';
    for (size_t i = 0, at = 0; i < found->count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s ", jj_job_id(found->jobs[i]));
    forget(found);
    return text;
}

static jj_job *get(struct fixture *fixture, const char *id)
{
    struct found found = {0};
    jj_status s = fixture->adapter->get(fixture->storage, id, take, &found, &err);

    if (s == JJ_ERR_NOT_FOUND) {
        assert_int_equal(found.count, 0);
        return NULL;
    }
    assert_ok(s);
    assert_int_equal(found.count, 1);
    return found.jobs[0];
}

static bool has(struct fixture *fixture, const char *id)
{
    jj_job *job = get(fixture, id);

    jj_job_free(job);
    return job != NULL;
}

static bool write_line(void *ctx, const jj_line *line)
{
    char *text = ctx;
    size_t at = strlen(text);

    assert_int_equal(line->time_ms, line->place * 10);
    assert_int_equal(line->level, JJ_LOG_WARN);
    assert_int_equal(line->attempt, 2);
    if (line->place % 2 == 0)
        assert_null(line->data);
    else
        assert_string_equal(line->data, "{\"a\":1}");
    if (line->event != NULL)
        assert_string_equal(line->message, "");
    snprintf(text + at, 1024 - at, "%llu:%s ", (unsigned long long)line->place,
             line->event != NULL ? line->event : line->message);
    return strcmp(line->message, "stop") != 0;
}

static const char *lines_of(struct fixture *fixture, const char *id, size_t limit)
{
    static char text[1024];

    text[0] = '\0';
    assert_ok(fixture->adapter->get_lines(fixture->storage, id, limit, write_line, text, &err));
    return text;
}

static bool write_count(void *ctx, const char *name, jj_state state, uint64_t count)
{
    char *text = ctx;
    size_t at = strlen(text);

    snprintf(text + at, 1024 - at, "%s:%s:%llu ", name, jj_state_text(state),
             (unsigned long long)count);
    return true;
}

static const char *counts(struct fixture *fixture)
{
    static char text[1024];

    text[0] = '\0';
    assert_ok(fixture->adapter->get_counts(fixture->storage, write_count, text, &err));
    return text;
}

static void assert_same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    assert_int_equal(a == NULL, b == NULL);
    assert_int_equal(a_len, b_len);
    if (a_len > 0)
        assert_memory_equal(a, b, a_len);
}

static void assert_same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void assert_same_row(const jj_record *a, const jj_record *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->created_at_ms, b->created_at_ms);
    assert_int_equal(a->run_at_ms, b->run_at_ms);
    assert_int_equal(a->started_at_ms, b->started_at_ms);
    assert_int_equal(a->completed_at_ms, b->completed_at_ms);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->max_attempts, b->max_attempts);
    assert_int_equal(a->lost, b->lost);
    assert_int_equal(a->redrives, b->redrives);
    assert_int_equal(a->snoozes, b->snoozes);
    assert_int_equal(a->progress, b->progress);
    assert_same_text(a->worker, b->worker);
    assert_same_text(a->schedule_id, b->schedule_id);
    assert_same_text(a->error, b->error);
    assert_same_bytes(a->result, a->result_len, b->result, b->result_len);
    assert_same_bytes(a->marks, a->marks_len, b->marks, b->marks_len);
    assert_int_equal(a->data_known, b->data_known);
    assert_same_bytes(a->data, a->data_len, b->data, b->data_len);
    assert_same_bytes(a->headers, a->headers_len, b->headers, b->headers_len);
}

static void assert_stored(struct fixture *fixture, const jj_record *record)
{
    jj_job *job = get(fixture, record->id);

    assert_non_null(job);
    assert_same_row(&job->record, record);
    jj_job_free(job);
}

/* A row of which as little is known as can be. */
static jj_record bare(const char *id, jj_state state)
{
    return (jj_record){.id = id, .name = "resize", .state = state, .progress = JJ_NO_PROGRESS};
}

/* One in which every field says something. */
static jj_record full(const char *id)
{
    return (jj_record){
        .id = id,
        .name = "sendEmail",
        .state = JJ_FAILED,
        .created_at_ms = INT64_C(1769904000123),
        .run_at_ms = INT64_C(1769904000124),
        .started_at_ms = INT64_C(1769904000125),
        .completed_at_ms = INT64_C(1769904000126),
        .attempts = 3,
        .max_attempts = 4,
        .lost = 5,
        .redrives = 6,
        .snoozes = 7,
        .progress = 88,
        .worker = "host-1-abc",
        .schedule_id = "nightly",
        .error = "caf\xc3\xa9 is closed",
        .result = "{\"r\":\0}",
        .result_len = 7,
        .marks = "\0\1\2\xff",
        .marks_len = 4,
        .data_known = true,
        .data = "\0some\xff data",
        .data_len = 11,
        .headers = "a\0b\0",
        .headers_len = 4,
    };
}

/* ---- rows ---- */

static void a_new_storage_is_empty(void **state)
{
    struct fixture *fixture = *state;
    const jj_selection selection = {.name = "resize", .limit = 10};
    struct found found = {0};
    jj_offsets offsets;

    assert_false(has(fixture, "a"));
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_ok(fixture->adapter->get_pending(fixture->storage, 10, take, &found, &err));
    assert_ok(fixture->adapter->get_finished(fixture->storage, INT64_MAX, 10, take, &found, &err));
    assert_ok(
        fixture->adapter->get_scheduled_ready(fixture->storage, INT64_MAX, take, &found, &err));
    assert_int_equal(found.count, 0);
    assert_string_equal(lines_of(fixture, "a", 10), "");
    assert_string_equal(counts(fixture), "");
    assert_ok(fixture->adapter->offsets(fixture->storage, &offsets, &err));
    assert_int_equal(offsets.jobs.seq + offsets.schedule.seq + offsets.events.seq, 0);
    assert_string_equal(offsets.events.created, "");
}

static void a_row_comes_back_as_it_was_stored(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("0199f0c2-7e5c-7000-8000-000000000001");

    store(fixture, &record);
    assert_stored(fixture, &record);
    record = bare("b", JJ_PENDING);
    store(fixture, &record);
    assert_stored(fixture, &record);
}

static void a_row_may_have_the_largest_values(void **state)
{
    struct fixture *fixture = *state;
    char name[JJ_NAME_SIZE], marks[JJ_MARKS_MAX];
    memset(name, 'z', JJ_NAME_MAX);
    name[JJ_NAME_MAX] = '\0';
    memset(marks, 0xff, sizeof(marks));
    jj_record record = full(name);

    record.name = name;
    record.schedule_id = name;
    record.created_at_ms = INT64_MAX;
    record.run_at_ms = INT64_MIN;
    record.started_at_ms = INT64_MIN;
    record.completed_at_ms = INT64_MAX;
    record.attempts = UINT32_MAX;
    record.max_attempts = UINT32_MAX;
    record.lost = UINT32_MAX;
    record.redrives = UINT32_MAX;
    record.snoozes = UINT32_MAX;
    record.progress = UINT32_MAX - 1;
    record.marks = marks;
    record.marks_len = sizeof(marks);
    store(fixture, &record);
    assert_stored(fixture, &record);
}

static void no_bytes_are_not_the_same_as_none(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = bare("a", JJ_COMPLETED);

    record.data_known = true;
    record.data = "x";
    record.result = "x";
    record.worker = "";
    record.error = "";
    store(fixture, &record);
    assert_stored(fixture, &record);
}

static void update_replaces_a_row_and_keeps_its_content(void **state)
{
    struct fixture *fixture = *state;
    jj_record stored = full("a"), record = bare("a", JJ_PENDING);

    record.name = stored.name;
    store(fixture, &stored);
    begin(fixture);
    assert_ok(update(fixture, &record, false));
    commit(fixture);
    record.data_known = stored.data_known;
    record.data = stored.data;
    record.data_len = stored.data_len;
    record.headers = stored.headers;
    record.headers_len = stored.headers_len;
    assert_stored(fixture, &record);
}

static void content_may_be_large_and_small_again(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0, 100, 1 << 20, 3 << 20, 511, 512, 513, 5000, 0, 70000};
    char *data = malloc(3 << 20);
    jj_record record = full("a"), other = full("b");
    assert_non_null(data);

    memset(data, 'd', 3 << 20);
    other.data = data;
    other.data_len = 1 << 20;
    store(fixture, &record);
    store(fixture, &other);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        record.data = data;
        record.data_len = sizes[i];
        data[0] = (char)i;
        record.data_known = i % 3 != 0;
        begin(fixture);
        assert_ok(update(fixture, &record, true));
        commit(fixture);
        assert_stored(fixture, &record);
        record.attempts++;
        begin(fixture);
        assert_ok(update(fixture, &record, false));
        commit(fixture);
        assert_stored(fixture, &record);
    }
    data[0] = 'd';
    assert_stored(fixture, &other);
    free(data);
}

static void a_removed_row_is_gone_with_its_lines(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a"), other = full("b");
    char large[2000] = "x";

    record.data = large;
    record.data_len = sizeof(large);
    store(fixture, &record);
    store(fixture, &other);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 1, "one"));
    assert_ok(add_line(fixture, "b", 2, "two"));
    commit(fixture);
    begin(fixture);
    assert_ok(remove_row(fixture, "a"));
    assert_ok(remove_row(fixture, "a"));
    assert_ok(remove_row(fixture, "never"));
    commit(fixture);
    assert_false(has(fixture, "a"));
    assert_string_equal(lines_of(fixture, "a", 10), "");
    assert_string_equal(lines_of(fixture, "b", 10), "2:two ");
    assert_string_equal(counts(fixture), "sendEmail:failed:1 ");

    record = bare("a", JJ_PENDING);
    store(fixture, &record);
    assert_stored(fixture, &record);
    assert_string_equal(lines_of(fixture, "a", 10), "");
}

static void a_row_can_be_removed_and_made_again_at_once(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a");

    store(fixture, &record);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 1, "one"));
    commit(fixture);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 2, "two"));
    assert_ok(remove_row(fixture, "a"));
    record.attempts = 99;
    assert_ok(create(fixture, &record));
    assert_ok(add_line(fixture, "a", 3, "three"));
    commit(fixture);
    assert_stored(fixture, &record);
    assert_string_equal(lines_of(fixture, "a", 10), "3:three ");
}

static void what_does_not_fit_the_rows_is_refused(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a"), missing = full("b");

    store(fixture, &record);
    begin(fixture);
    assert_int_equal(create(fixture, &record), JJ_ERR_EXISTS);
    assert_int_equal(update(fixture, &missing, true), JJ_ERR_NOT_FOUND);
    assert_int_equal(add_line(fixture, "b", 1, "one"), JJ_ERR_NOT_FOUND);
    assert_ok(create(fixture, &missing));
    assert_int_equal(create(fixture, &missing), JJ_ERR_EXISTS);
    assert_ok(update(fixture, &missing, false));
    assert_ok(remove_row(fixture, "a"));
    assert_int_equal(update(fixture, &record, true), JJ_ERR_NOT_FOUND);
    assert_int_equal(add_line(fixture, "a", 1, "one"), JJ_ERR_NOT_FOUND);
    commit(fixture);
    assert_stored(fixture, &missing);
    assert_false(has(fixture, "a"));
}

/* ---- transactions ---- */

static void rows_and_offsets_are_committed_together(void **state)
{
    struct fixture *fixture = *state;
    const jj_offsets offsets = {.jobs = {.seq = 1, .created = "2026-01-31T23:59:59.123456789Z"},
                                .schedule = {.seq = 2},
                                .events = {.seq = UINT64_MAX, .created = "x"}};
    jj_offsets now;
    jj_record record = full("a");

    begin(fixture);
    assert_ok(create(fixture, &record));
    assert_ok(fixture->adapter->commit(fixture->storage, &offsets, &err));
    assert_ok(fixture->adapter->offsets(fixture->storage, &now, &err));
    assert_memory_equal(&now, &offsets, sizeof(now));
}

static void rollback_undoes_all_of_it(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a"), other = full("b"), new = bare("c", JJ_PENDING);

    new.name = "neverSeen";
    store(fixture, &record);
    store(fixture, &other);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 1, "one"));
    commit(fixture);
    begin(fixture);
    jj_record changed = bare("a", JJ_PENDING);
    assert_ok(update(fixture, &changed, true));
    assert_ok(add_line(fixture, "a", 1, "other"));
    assert_ok(add_line(fixture, "a", 2, "two"));
    assert_ok(remove_row(fixture, "b"));
    assert_ok(create(fixture, &new));
    fixture->adapter->rollback(fixture->storage);

    assert_stored(fixture, &record);
    assert_stored(fixture, &other);
    assert_false(has(fixture, "c"));
    assert_string_equal(lines_of(fixture, "a", 10), "1:one ");
    assert_string_equal(counts(fixture), "sendEmail:failed:2 ");

    store(fixture, &new); /* its name and place were forgotten, too */
    begin(fixture);
    assert_ok(update(fixture, &changed, false));
    assert_ok(remove_row(fixture, "b"));
    commit(fixture);
    assert_string_equal(counts(fixture), "neverSeen:pending:1 sendEmail:pending:1 ");
}

static void nothing_is_written_outside_a_transaction(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a");

    assert_int_equal(create(fixture, &record), JJ_ERR_STORAGE);
    store(fixture, &record);
    record.attempts++;
    assert_int_equal(update(fixture, &record, false), JJ_ERR_STORAGE);
    assert_int_equal(remove_row(fixture, "a"), JJ_ERR_STORAGE);
    assert_int_equal(add_line(fixture, "a", 1, "one"), JJ_ERR_STORAGE);
    assert_int_equal(fixture->adapter->commit(fixture->storage, &no_offsets, &err), JJ_ERR_STORAGE);
    fixture->adapter->rollback(fixture->storage);
    fixture->adapter->rollback(fixture->storage);
    record.attempts--;
    assert_stored(fixture, &record);
}

struct looking {
    struct fixture *fixture;
    const char *id;
    bool found;
    char counts[128];
};

static bool stop(void *ctx, const jj_record *record)
{
    (void)record;
    *(bool *)ctx = true;
    return false;
}

static bool note_count(void *ctx, const char *name, jj_state state, uint64_t count)
{
    char *text = ctx;

    snprintf(text, 128, "%s:%s:%llu", name, jj_state_text(state), (unsigned long long)count);
    return true;
}

static void *look(void *ctx)
{
    struct looking *looking = ctx;
    const jj_adapter *adapter = looking->fixture->adapter;

    adapter->get(looking->fixture->storage, looking->id, stop, &looking->found, NULL);
    adapter->get_counts(looking->fixture->storage, note_count, looking->counts, NULL);
    return NULL;
}

static struct looking look_from_another_thread(struct fixture *fixture, const char *id)
{
    struct looking looking = {.fixture = fixture, .id = id};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, look, &looking), 0);
    pthread_join(thread, NULL);
    return looking;
}

static void others_see_nothing_before_commit(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a"), new = full("b");

    if (!fixture->adapter->concurrent_reads)
        skip();
    store(fixture, &record);
    assert_true(has(fixture, "a"));
    begin(fixture);
    assert_ok(create(fixture, &new));
    assert_ok(remove_row(fixture, "a"));
    assert_true(look_from_another_thread(fixture, "a").found);
    assert_false(look_from_another_thread(fixture, "b").found);
    assert_string_equal(look_from_another_thread(fixture, "b").counts, "sendEmail:failed:1");
    commit(fixture);
    assert_false(look_from_another_thread(fixture, "a").found);
    assert_true(look_from_another_thread(fixture, "b").found);
}

static void the_writer_sees_each_of_its_commits(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = bare("a", JJ_PENDING);

    store(fixture, &record);
    for (uint32_t i = 0; i < 50; i++) {
        assert_stored(fixture, &record);
        assert_false(has(fixture, "b"));
        record.attempts = i;
        record.state = i % 2 == 0 ? JJ_RUNNING : JJ_PENDING;
        begin(fixture);
        assert_ok(update(fixture, &record, false));
        commit(fixture);
    }
    assert_string_equal(counts(fixture), "resize:pending:1 ");
}

/* ---- lists ---- */

static void pending_rows_come_oldest_first(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *id, *name;
        jj_state state;
        int64_t created_at_ms;
    } rows[] = {
        {"d", "x", JJ_PENDING, 40}, {"a", "x", JJ_PENDING, 10},  {"b", "y", JJ_PENDING, 20},
        {"c", "z", JJ_PENDING, 30}, {"e", "y", JJ_RUNNING, 5},   {"f", "x", JJ_SCHEDULED, 6},
        {"g", "w", JJ_PENDING, 25}, {"h", "v", JJ_COMPLETED, 1},
    };
    struct found found = {0};

    begin(fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        jj_record record = bare(rows[i].id, rows[i].state);
        record.name = rows[i].name;
        record.created_at_ms = rows[i].created_at_ms;
        assert_ok(create(fixture, &record));
    }
    commit(fixture);
    assert_ok(fixture->adapter->get_pending(fixture->storage, 4, take, &found, &err));
    assert_string_equal(ids_of(&found), "a b g c ");
    assert_ok(fixture->adapter->get_pending(fixture->storage, SIZE_MAX, take, &found, &err));
    assert_string_equal(ids_of(&found), "a b g c d ");
    assert_ok(fixture->adapter->get_pending(fixture->storage, 0, take, &found, &err));
    assert_string_equal(ids_of(&found), "");
    found.enough = 2;
    assert_ok(fixture->adapter->get_pending(fixture->storage, 4, take, &found, &err));
    assert_string_equal(ids_of(&found), "a b ");
}

static void scheduled_rows_are_ready_when_their_time_has_come(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *id;
        jj_state state;
        int64_t run_at_ms;
    } rows[] = {
        {"d", JJ_SCHEDULED, 40}, {"a", JJ_SCHEDULED, 10}, {"c", JJ_SCHEDULED, 30},
        {"b", JJ_SCHEDULED, 20}, {"e", JJ_PENDING, 5},    {"f", JJ_SCHEDULED, 0},
    };
    struct found found = {0};

    begin(fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        jj_record record = bare(rows[i].id, rows[i].state);
        record.run_at_ms = rows[i].run_at_ms;
        assert_ok(create(fixture, &record));
    }
    commit(fixture);
    assert_ok(fixture->adapter->get_scheduled_ready(fixture->storage, 30, take, &found, &err));
    assert_string_equal(ids_of(&found), "f a b c ");
    found.enough = 1;
    assert_ok(fixture->adapter->get_scheduled_ready(fixture->storage, 30, take, &found, &err));
    assert_string_equal(ids_of(&found), "f ");
    jj_record record = bare("a", JJ_PENDING);
    record.run_at_ms = 10;
    begin(fixture);
    assert_ok(update(fixture, &record, false));
    commit(fixture);
    assert_ok(fixture->adapter->get_scheduled_ready(fixture->storage, 20, take, &found, &err));
    assert_string_equal(ids_of(&found), "f b ");
}

static void finished_rows_come_by_when_they_were(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *id;
        jj_state state;
        int64_t completed_at_ms;
    } rows[] = {
        {"c", JJ_CANCELLED, 30}, {"a", JJ_COMPLETED, 10}, {"b", JJ_FAILED, 20},
        {"e", JJ_RUNNING, 0},    {"d", JJ_COMPLETED, 40},
    };
    struct found found = {0};

    begin(fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        jj_record record = bare(rows[i].id, rows[i].state);
        record.completed_at_ms = rows[i].completed_at_ms;
        assert_ok(create(fixture, &record));
    }
    commit(fixture);
    assert_ok(fixture->adapter->get_finished(fixture->storage, 40, 10, take, &found, &err));
    assert_string_equal(ids_of(&found), "a b c ");
    assert_ok(fixture->adapter->get_finished(fixture->storage, 41, 2, take, &found, &err));
    assert_string_equal(ids_of(&found), "a b ");
}

static void pages_follow_each_other_through_equal_times(void **state)
{
    struct fixture *fixture = *state;
    struct found found = {0};
    static const char *const ids[] = {"A", "a", "-", "_", "9", "aa", "a-", "B0"};

    begin(fixture);
    for (size_t i = 0; i < 8; i++) {
        jj_record record = bare(ids[i], i % 2 == 0 ? JJ_PENDING : JJ_RUNNING);
        record.created_at_ms = 7;
        assert_ok(create(fixture, &record));
    }
    commit(fixture);
    jj_selection selection = {.name = "resize", .limit = 3};
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "aa a- a ");
    selection.before_created_at_ms = 7;
    selection.before_id = "a";
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "_ B0 A ");
    selection.before_id = "AA"; /* not there (any more): what would be behind it */
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "A 9 - ");
    selection.state = JJ_RUNNING;
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "");
    selection.before_id = NULL;
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "aa a _ ");
    selection.name = "resiz";
    assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
    assert_string_equal(ids_of(&found), "");
}

static void lines_come_by_their_places(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a");

    store(fixture, &record);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 30, "three"));
    assert_ok(add_line(fixture, "a", 10, "one"));
    commit(fixture);
    begin(fixture);
    assert_ok(add_line(fixture, "a", 20, "two"));
    assert_ok(add_line(fixture, "a", 41, "four"));
    assert_ok(add_line(fixture, "a", 10, "uno"));
    assert_ok(add_line(fixture, "a", 20, "due"));
    commit(fixture);
    assert_string_equal(lines_of(fixture, "a", 10), "10:uno 20:due 30:three 41:four ");
    assert_string_equal(lines_of(fixture, "a", 2), "10:uno 20:due ");
    begin(fixture);
    assert_ok(add_line(fixture, "a", 25, "stop"));
    commit(fixture);
    assert_string_equal(lines_of(fixture, "a", 10), "10:uno 20:due 25:stop ");
}

static void events_are_kept_among_the_lines(void **state)
{
    struct fixture *fixture = *state;
    jj_record record = full("a");

    store(fixture, &record);
    begin(fixture);
    assert_ok(add_event(fixture, "a", 11, "[ready]"));
    assert_ok(add_line(fixture, "a", 10, "one"));
    assert_ok(add_event(fixture, "a", 20, "[half]"));
    assert_ok(add_event(fixture, "a", 30, "[gone]"));
    assert_ok(add_line(fixture, "a", 30, "three"));
    commit(fixture);
    assert_string_equal(lines_of(fixture, "a", 10), "10:one 11:[ready] 20:[half] 30:three ");
    assert_string_equal(lines_of(fixture, "a", 2), "10:one 11:[ready] ");
}

static void counts_come_by_name_without_zeros(void **state)
{
    struct fixture *fixture = *state;
    char id[16];

    begin(fixture);
    for (int i = 0; i < 2000; i++) { /* more names than any table of them is likely to hold */
        char name[16];
        snprintf(id, sizeof(id), "i%d", i);
        snprintf(name, sizeof(name), "n%04d", i % 1500);
        jj_record record = bare(id, JJ_PENDING);
        record.name = name;
        assert_ok(create(fixture, &record));
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        jj_record record = bare(id, JJ_RUNNING);
        if (i % 1500 == 3)
            assert_ok(update(fixture, &record, false));
        else if (i != 7)
            assert_ok(remove_row(fixture, id));
    }
    commit(fixture);
    assert_string_equal(counts(fixture), "n0003:running:2 n0007:pending:1 ");
}

/* ---- against a model ---- */

#define MODEL_ROWS 60

struct model {
    jj_record rows[MODEL_ROWS]; /* id NULL: not there */
    char ids[MODEL_ROWS][16];
};

static uint64_t random_below(struct fixture *fixture, uint64_t limit)
{
    fixture->seed ^= fixture->seed << 13;
    fixture->seed ^= fixture->seed >> 7;
    fixture->seed ^= fixture->seed << 17;
    return fixture->seed % limit;
}

static void change_something(struct fixture *fixture, struct model *model)
{
    static const char *const names[] = {"x", "y", "z"};
    size_t i = (size_t)random_below(fixture, MODEL_ROWS);
    jj_record *row = &model->rows[i];
    jj_record record = bare(model->ids[i], (jj_state)(1 + random_below(fixture, 6)));

    if (row->id != NULL && random_below(fixture, 4) == 0) {
        assert_ok(remove_row(fixture, row->id));
        row->id = NULL;
        return;
    }
    record.name = row->id != NULL ? row->name : names[random_below(fixture, 3)];
    record.created_at_ms = (int64_t)random_below(fixture, 8);
    record.run_at_ms = (int64_t)random_below(fixture, 100);
    record.completed_at_ms =
        record.state >= JJ_COMPLETED ? 1 + (int64_t)random_below(fixture, 100) : 0;
    record.attempts = (uint32_t)random_below(fixture, 1000);
    if (row->id == NULL)
        assert_ok(create(fixture, &record));
    else
        assert_ok(update(fixture, &record, random_below(fixture, 2) == 0));
    *row = record;
}

static bool is_behind(const jj_record *row, const jj_record *other)
{
    if (row->created_at_ms != other->created_at_ms)
        return row->created_at_ms < other->created_at_ms;
    return strcmp(row->id, other->id) < 0;
}

/* Walk through all pages; each row must be the next one in the model. */
static void check_pages(struct fixture *fixture, const struct model *model, const char *name,
                        jj_state only)
{
    jj_selection selection = {
        .name = name, .state = only, .limit = 1 + (size_t)random_below(fixture, 9)};
    struct found found = {0};
    const jj_record *last = NULL;

    for (;;) {
        size_t before = found.count;
        assert_ok(fixture->adapter->get_by_name(fixture->storage, &selection, take, &found, &err));
        assert_true(found.count - before <= selection.limit);
        for (size_t at = before; at < found.count; at++) {
            const jj_record *next = NULL;
            for (size_t i = 0; i < MODEL_ROWS; i++) {
                const jj_record *row = &model->rows[i];
                if (row->id != NULL && strcmp(row->name, name) == 0 &&
                    (only == JJ_ANY_STATE || row->state == only) &&
                    (last == NULL || is_behind(row, last)) &&
                    (next == NULL || is_behind(next, row)))
                    next = row;
            }
            assert_non_null(next);
            assert_same_row(&found.jobs[at]->record, next);
            last = next;
        }
        if (found.count - before < selection.limit)
            break;
        selection.before_created_at_ms = last->created_at_ms;
        selection.before_id = last->id;
    }
    size_t expected = 0;
    for (size_t i = 0; i < MODEL_ROWS; i++)
        expected += model->rows[i].id != NULL && strcmp(model->rows[i].name, name) == 0 &&
                    (only == JJ_ANY_STATE || model->rows[i].state == only);
    assert_int_equal(found.count, expected);
    forget(&found);
}

static bool add_up(void *ctx, const char *name, jj_state state, uint64_t count)
{
    uint64_t *totals = ctx;

    assert_true(count > 0);
    totals[(size_t)(name[0] - 'x') * JJ_STATES + (size_t)state] = count;
    return true;
}

static void check_lists(struct fixture *fixture, const struct model *model)
{
    struct found pending = {0}, ready = {0}, finished = {0};
    uint64_t totals[3 * JJ_STATES] = {0}, expected[3 * JJ_STATES] = {0};
    size_t counts_of[3] = {0};

    for (size_t i = 0; i < MODEL_ROWS; i++) {
        const jj_record *row = &model->rows[i];
        if (row->id == NULL)
            continue;
        expected[(size_t)(row->name[0] - 'x') * JJ_STATES + (size_t)row->state]++;
        counts_of[0] += row->state == JJ_PENDING;
        counts_of[1] += row->state == JJ_SCHEDULED && row->run_at_ms <= 50;
        counts_of[2] += row->state >= JJ_COMPLETED && row->completed_at_ms < 50;
    }
    assert_ok(fixture->adapter->get_counts(fixture->storage, add_up, totals, &err));
    assert_memory_equal(totals, expected, sizeof(totals));
    assert_ok(fixture->adapter->get_pending(fixture->storage, 1000, take, &pending, &err));
    assert_ok(fixture->adapter->get_scheduled_ready(fixture->storage, 50, take, &ready, &err));
    assert_ok(fixture->adapter->get_finished(fixture->storage, 50, 1000, take, &finished, &err));
    assert_int_equal(pending.count, counts_of[0]);
    assert_int_equal(ready.count, counts_of[1]);
    assert_int_equal(finished.count, counts_of[2]);
    for (size_t i = 1; i < pending.count; i++)
        assert_true(pending.jobs[i - 1]->record.created_at_ms <=
                    pending.jobs[i]->record.created_at_ms);
    for (size_t i = 1; i < ready.count; i++)
        assert_true(ready.jobs[i - 1]->record.run_at_ms <= ready.jobs[i]->record.run_at_ms);
    for (size_t i = 1; i < finished.count; i++)
        assert_true(finished.jobs[i - 1]->record.completed_at_ms <=
                    finished.jobs[i]->record.completed_at_ms);
    forget(&pending);
    forget(&ready);
    forget(&finished);
}

static void check_model(struct fixture *fixture, const struct model *model)
{
    static const char *const names[] = {"x", "y", "z"};

    for (size_t i = 0; i < MODEL_ROWS; i++)
        if (model->rows[i].id != NULL)
            assert_stored(fixture, &model->rows[i]);
        else
            assert_false(has(fixture, model->ids[i]));
    for (size_t i = 0; i < 3; i++)
        for (int only = JJ_ANY_STATE; only < JJ_STATES; only++)
            check_pages(fixture, model, names[i], (jj_state)only);
    check_lists(fixture, model);
}

static void rows_and_lists_are_those_of_a_model(void **state)
{
    struct fixture *fixture = *state;
    struct model *model = calloc(2, sizeof(*model));
    assert_non_null(model);

    fixture->seed = (uint64_t)time(NULL) * 2654435761 + 1;
    print_message("seed %llu\n", (unsigned long long)fixture->seed);
    for (size_t i = 0; i < MODEL_ROWS; i++)
        snprintf(model->ids[i], sizeof(model->ids[i]), "id%zu", i * 7 % 64);
    for (int round = 0; round < 60; round++) {
        model[1] = model[0];
        begin(fixture);
        for (uint64_t i = random_below(fixture, 40); i > 0; i--)
            change_something(fixture, model);
        if (random_below(fixture, 4) == 0) {
            fixture->adapter->rollback(fixture->storage);
            model[0] = model[1];
        } else {
            commit(fixture);
        }
        check_model(fixture, model);
    }
    free(model);
}

/* ---- threads ---- */

#define ROUNDS        60
#define ROWS_OF_ROUND 20

struct crowd {
    struct fixture *fixture;
    uint64_t rows_seen;
    int wrong;
};

static bool add_count(void *ctx, const char *name, jj_state state, uint64_t count)
{
    (void)name;
    (void)state;
    *(uint64_t *)ctx += count;
    return true;
}

static bool note_rows(void *ctx, const jj_record *record)
{
    (void)record;
    ++*(uint64_t *)ctx;
    return true;
}

/* Every commit adds ROWS_OF_ROUND rows; a reader sees whole commits, and never goes back. */
static void *read_along(void *ctx)
{
    struct crowd *crowd = ctx;
    const jj_adapter *adapter = crowd->fixture->adapter;
    void *storage = crowd->fixture->storage;
    const jj_selection selection = {.name = "resize", .limit = SIZE_MAX};

    while (crowd->rows_seen < ROUNDS * ROWS_OF_ROUND && crowd->wrong == 0) {
        uint64_t rows = 0, listed = 0;
        jj_offsets offsets;
        crowd->wrong += adapter->offsets(storage, &offsets, NULL) != JJ_OK;
        crowd->wrong += adapter->get_counts(storage, add_count, &rows, NULL) != JJ_OK;
        crowd->wrong +=
            adapter->get_by_name(storage, &selection, note_rows, &listed, NULL) != JJ_OK;
        crowd->wrong += rows % ROWS_OF_ROUND != 0 || listed % ROWS_OF_ROUND != 0;
        crowd->wrong += rows < crowd->rows_seen || listed < rows || rows < offsets.jobs.seq;
        crowd->rows_seen = rows;
        bool found = false;
        jj_status s = adapter->get(storage, "r0n0", stop, &found, NULL);
        crowd->wrong += s != JJ_OK && s != JJ_ERR_NOT_FOUND;
    }
    return NULL;
}

static void readers_see_whole_commits_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowds[2] = {{.fixture = fixture}, {.fixture = fixture}};
    pthread_t threads[2];

    if (!fixture->adapter->concurrent_reads)
        skip();
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &crowds[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        begin(fixture);
        for (int n = 0; n < ROWS_OF_ROUND; n++) {
            char id[32];
            snprintf(id, sizeof(id), "r%dn%d", round, n);
            jj_record record = bare(id, JJ_PENDING);
            assert_int_equal(has(fixture, id), false);
            assert_ok(create(fixture, &record));
        }
        const jj_offsets offsets = {.jobs.seq = (uint64_t)(round + 1) * ROWS_OF_ROUND};
        assert_ok(fixture->adapter->commit(fixture->storage, &offsets, &err));
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowds[i].wrong, 0);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_storage, close_storage)

static struct fixture fixture_of_all;

static int use_sqlite(void **state)
{
    fixture_of_all = (struct fixture){.adapter = &jj_adapter_sqlite};
    *state = &fixture_of_all;
    return 0;
}

static int use_memory(void **state)
{
    fixture_of_all = (struct fixture){.adapter = &jj_adapter_memory};
    *state = &fixture_of_all;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_storage_is_empty),
        TEST(a_row_comes_back_as_it_was_stored),
        TEST(a_row_may_have_the_largest_values),
        TEST(no_bytes_are_not_the_same_as_none),
        TEST(update_replaces_a_row_and_keeps_its_content),
        TEST(content_may_be_large_and_small_again),
        TEST(a_removed_row_is_gone_with_its_lines),
        TEST(a_row_can_be_removed_and_made_again_at_once),
        TEST(what_does_not_fit_the_rows_is_refused),
        TEST(rows_and_offsets_are_committed_together),
        TEST(rollback_undoes_all_of_it),
        TEST(nothing_is_written_outside_a_transaction),
        TEST(others_see_nothing_before_commit),
        TEST(the_writer_sees_each_of_its_commits),
        TEST(pending_rows_come_oldest_first),
        TEST(scheduled_rows_are_ready_when_their_time_has_come),
        TEST(finished_rows_come_by_when_they_were),
        TEST(pages_follow_each_other_through_equal_times),
        TEST(lines_come_by_their_places),
        TEST(events_are_kept_among_the_lines),
        TEST(counts_come_by_name_without_zeros),
        TEST(rows_and_lists_are_those_of_a_model),
        TEST(readers_see_whole_commits_while_it_is_written),
    };

    return cmocka_run_group_tests_name("sqlite", tests, use_sqlite, NULL) +
           cmocka_run_group_tests_name("memory", tests, use_memory, NULL);
}

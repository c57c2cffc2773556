/* SPDX-License-Identifier: Apache-2.0 */
/* What jj_adapter_sqlite does with its file: who may open it, what it trusts, and how SQLite goes
 * about its statements. What it does when the disk fails is in test_adapter_sqlite_faults.c. */

#define _DEFAULT_SOURCE /* setgroups, mkfifo */

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapter_sqlite.h"
#include "temp.h"

#define PATH_SIZE (TEMP_PATH_SIZE + 64)

static const jj_adapter *const adapter = &jj_adapter_sqlite;
static char dir[TEMP_PATH_SIZE];
static char path[PATH_SIZE];
static jj_error err;

static int make_dir(void **state)
{
    (void)state;
    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    temp_dir_remove(dir);
    return 0;
}

static void assert_ok(jj_status s)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err.text);
}

static void *open_index(void)
{
    void *storage;

    assert_ok(adapter->open(path, &storage, &err));
    return storage;
}

static jj_status try_to_open(const char *location)
{
    void *storage = NULL;
    jj_status s = adapter->open(location, &storage, &err);

    if (s == JJ_OK)
        adapter->close(storage);
    else
        assert_null(storage);
    return s;
}

static void fill(void *storage, int from, int to)
{
    const jj_offsets offsets = {.jobs = {.seq = (uint64_t)to, .created = "then"}};
    char id[32], data[300];

    memset(data, 'd', sizeof(data));
    assert_ok(adapter->begin(storage, &err));
    for (int i = from; i < to; i++) {
        snprintf(id, sizeof(id), "job-%05d", i);
        const jj_record record = {.id = id,
                                  .name = i % 2 == 0 ? "even" : "odd",
                                  .state = (jj_state)(1 + i % 6),
                                  .created_at_ms = i,
                                  .attempts = (uint32_t)i,
                                  .data_known = true,
                                  .data = data,
                                  .data_len = sizeof(data)};
        assert_ok(adapter->create(storage, &record, &err));
    }
    assert_ok(adapter->commit(storage, &offsets, &err));
}

static bool check_row(void *ctx, const jj_record *record)
{
    int *good = ctx;
    int i = (int)record->attempts;
    char id[32];

    snprintf(id, sizeof(id), "job-%05d", i);
    assert_string_equal(record->id, id);
    assert_string_equal(record->name, i % 2 == 0 ? "even" : "odd");
    assert_int_equal(record->state, 1 + i % 6);
    assert_int_equal(record->created_at_ms, i);
    assert_int_equal(record->data_len, 300);
    ++*good;
    return true;
}

static uint64_t read_seq(void *storage)
{
    jj_offsets offsets;

    assert_ok(adapter->offsets(storage, &offsets, &err));
    return offsets.jobs.seq;
}

static int count_rows(void *storage, const char *name)
{
    int good = 0;
    const jj_selection selection = {.name = name, .limit = SIZE_MAX};

    assert_ok(adapter->get_by_name(storage, &selection, check_row, &good, &err));
    return good;
}

/* An index with 1000 rows, closed in order. */
static void make_index(void)
{
    void *storage = open_index();

    fill(storage, 0, 1000);
    adapter->close(storage);
}

/* Run a statement on the file, past the adapter. */
static void tamper(const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static bool exists(const char *suffix)
{
    char name[PATH_SIZE + 16];
    struct stat info;

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return lstat(name, &info) == 0;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

/* Open the index in a child that dies without closing it. */
static void open_and_die(int from, int to)
{
    pid_t child = fork();
    assert_true(child >= 0);

    if (child == 0) {
        void *storage = NULL;
        if (adapter->open(path, &storage, NULL) != JJ_OK)
            _exit(1);
        fill(storage, from, to);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- opening and closing ---- */

static void what_was_committed_is_there_when_opened_again(void **state)
{
    (void)state;
    make_index();
    assert_false(exists("-wal"));
    assert_false(exists("-shm"));
    void *storage = open_index();

    assert_int_equal(read_seq(storage), 1000);
    assert_int_equal(count_rows(storage, "even") + count_rows(storage, "odd"), 1000);
    fill(storage, 1000, 1100);
    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->remove(storage, "job-00000", &err)); /* not committed */
    adapter->close(storage);
    storage = open_index();
    assert_int_equal(count_rows(storage, "even") + count_rows(storage, "odd"), 1100);
    adapter->close(storage);
}

static void what_a_dead_process_committed_is_there(void **state)
{
    (void)state;
    open_and_die(0, 1000);
    assert_true(exists("-wal"));
    open_and_die(1000, 1500);
    void *storage = open_index();

    assert_int_equal(read_seq(storage), 1500);
    assert_int_equal(count_rows(storage, "even") + count_rows(storage, "odd"), 1500);
    adapter->close(storage);
}

static void nobody_else_can_read_its_files(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    mode_t mask = umask(0);
    void *storage = open_index();

    fill(storage, 0, 10);
    for (size_t i = 0; i < 4; i++) {
        char name[PATH_SIZE + 16];
        struct stat info;
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        assert_int_equal(lstat(name, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
    }
    umask(mask);
    adapter->close(storage);
}

static void only_one_index_has_it_open(void **state)
{
    (void)state;
    char pid[32];
    void *storage = open_index();

    snprintf(pid, sizeof(pid), "pid %ld on ", (long)getpid());
    assert_int_equal(try_to_open(path), JJ_ERR_STATE);
    assert_non_null(strstr(err.text, pid));
    assert_non_null(strstr(err.text, "index.db"));
    assert_int_equal(adapter->set_aside(path, NULL, 0, &err), JJ_ERR_STATE);

    pid_t child = fork();
    if (child == 0)
        _exit(try_to_open(path) == JJ_ERR_STATE && strstr(err.text, pid) != NULL ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    adapter->close(storage);
    assert_ok(try_to_open(path));
}

static void an_odd_path_is_just_a_path(void **state)
{
    (void)state;
    static const char *const names[] = {":memory:", "file:x?mode=memory", "a b'\"%s", "-"};
    char here[PATH_SIZE], name[2 * PATH_SIZE];

    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(dir), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct stat info;
        assert_ok(try_to_open(names[i]));
        snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
        assert_int_equal(lstat(name, &info), 0);
        assert_true(info.st_size > 0);
    }
    assert_int_equal(chdir(here), 0);
    assert_int_equal(try_to_open(NULL), JJ_ERR_INVALID);
    assert_int_equal(try_to_open(""), JJ_ERR_INVALID);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_not_equal(try_to_open(name), JJ_OK);
}

static void a_missing_folder_is_named(void **state)
{
    (void)state;
    char name[PATH_SIZE + 16];

    snprintf(name, sizeof(name), "%s/none/index.db", dir);
    assert_int_equal(try_to_open(name), JJ_ERR_STORAGE);
    assert_non_null(strstr(err.text, "/none' does not exist"));
}

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    char target[PATH_SIZE + 16];

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_STORAGE);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(adapter->set_aside(path, NULL, 0, &err), JJ_ERR_STORAGE);
    assert_int_equal(rmdir(path), 0);

    snprintf(target, sizeof(target), "%s/target", dir);
    write_file(target, "", 0);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_STORAGE);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_STORAGE);
    assert_int_equal(unlink(path), 0);

    snprintf(target, sizeof(target), "%s-lock", path);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(symlink("target", target), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_STORAGE);
}

/* Root may write to everything, so a child becomes somebody else. */
static void a_file_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    make_index();
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    char lock[PATH_SIZE + 16];
    snprintf(lock, sizeof(lock), "%s-lock", path);
    assert_int_equal(chmod(lock, 0666), 0);

    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        _exit(try_to_open(path) == JJ_ERR_STORAGE && strstr(err.text, "denied") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The number that a statement gives, run past the adapter. */
static int64_t number_of(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static void nothing_is_left_of_what_was_removed(void **state)
{
    (void)state;
    static char data[5000];
    const jj_offsets offsets = {0};
    const jj_line line = {.place = 1, .message = "line"};
    jj_record record = {
        .id = "a", .name = "x", .state = JJ_PENDING, .data = data, .data_len = sizeof(data)};
    void *storage = open_index();

    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->create(storage, &record, &err));
    assert_ok(adapter->add_line(storage, "a", &line, &err));
    record.id = "b";
    assert_ok(adapter->create(storage, &record, &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    assert_int_equal(number_of("SELECT count(*) FROM content"), 2);
    record.data_len = 1; /* it fits into its row now */
    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->update(storage, &record, true, &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    assert_int_equal(number_of("SELECT count(*) FROM content"), 1);
    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->remove(storage, "a", &err));
    assert_ok(adapter->remove(storage, "b", &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    assert_int_equal(number_of("SELECT count(*) FROM content"), 0);
    assert_int_equal(number_of("SELECT count(*) FROM line"), 0);
    adapter->close(storage);
    adapter->close(open_index()); /* tidies up */
    assert_int_equal(number_of("SELECT count(*) FROM name"), 0);
    assert_int_equal(number_of("SELECT count(*) FROM count"), 0);
}

/* ---- what is not to be trusted ---- */

static void other_files_are_not_taken_for_an_index(void **state)
{
    (void)state;
    char text[5000];

    memset(text, 'x', sizeof(text));
    write_file(path, text, sizeof(text));
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    write_file(path, text, 10);
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);

    assert_int_equal(unlink(path), 0);
    tamper("PRAGMA journal_mode = WAL; CREATE TABLE job(id TEXT); INSERT INTO job VALUES('x')");
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "not an index of jetjobs"));
    tamper("PRAGMA application_id = 0x4a4a4958");
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL); /* no version */
    tamper("PRAGMA user_version = 1");
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL); /* other tables */
    tamper("PRAGMA user_version = 2");
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
}

static void a_newer_version_is_named(void **state)
{
    (void)state;
    make_index();
    tamper("PRAGMA user_version = 3");
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "version 3, of a newer jetjobs"));
    tamper("PRAGMA user_version = 2");
    assert_ok(try_to_open(path));
}

static bool write_line(void *ctx, const jj_line *line)
{
    char *text = ctx;
    size_t at = strlen(text);

    snprintf(text + at, 100 - at, "%s%s ", line->event == NULL ? "" : "event ",
             line->event == NULL ? line->message : line->event);
    return true;
}

static void a_file_of_the_first_version_keeps_its_rows(void **state)
{
    (void)state;
    const jj_offsets offsets = {.events = {.seq = 7, .created = "then"}};
    const jj_line line = {.place = 1, .message = "line"};
    const jj_line event = {.place = 2, .message = "", .event = "half"};
    const jj_record record = {.id = "a", .name = "x", .state = JJ_PENDING};
    jj_offsets read;
    char text[100] = "";
    void *storage = open_index();

    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->create(storage, &record, &err));
    assert_ok(adapter->add_line(storage, "a", &line, &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    adapter->close(storage);
    tamper("ALTER TABLE line DROP COLUMN event; PRAGMA user_version = 1");

    storage = open_index();
    assert_int_equal(number_of("PRAGMA user_version"), 2);
    assert_ok(adapter->offsets(storage, &read, &err));
    assert_int_equal(read.events.seq, 7);
    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->add_line(storage, "a", &event, &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    assert_ok(adapter->get_lines(storage, "a", 10, write_line, text, &err));
    assert_string_equal(text, "line event half ");
    adapter->close(storage);
}

static void a_file_cut_short_is_damaged(void **state)
{
    (void)state;
    make_index();
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size / 2), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    assert_int_equal(truncate(path, 0), 0);
    assert_ok(try_to_open(path)); /* that is an empty one */
}

/* What it was when its log was copied last. One that was lost while it was copied is damage: see
 * test_adapter_sqlite_faults.c. */
static void a_file_without_its_log_is_an_older_one(void **state)
{
    (void)state;
    char wal[PATH_SIZE + 16];

    make_index();
    open_and_die(1000, 1100);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    assert_int_equal(unlink(wal), 0);
    void *storage = open_index();
    assert_int_equal(read_seq(storage), 1000);
    assert_int_equal(count_rows(storage, "even") + count_rows(storage, "odd"), 1000);
    fill(storage, 1000, 1100);
    adapter->close(storage);
}

static void a_lost_file_is_an_empty_one(void **state)
{
    (void)state;
    open_and_die(0, 1000);
    assert_int_equal(unlink(path), 0); /* its log is still there */
    void *storage = open_index();

    assert_int_equal(read_seq(storage), 0);
    assert_int_equal(count_rows(storage, "even"), 0);
    adapter->close(storage);
}

/* What is found in a damaged file is right, or an error. False: it is damaged for sure. */
static bool read_all(void *storage)
{
    static const char *const names[] = {"even", "odd"};
    jj_offsets offsets;
    jj_status s = adapter->offsets(storage, &offsets, &err);
    int good = 0;

    if (s == JJ_OK)
        assert_true(offsets.jobs.seq == 1000 || offsets.jobs.seq == 0);
    for (int name = 0; s == JJ_OK && name < 2; name++)
        for (int only = JJ_ANY_STATE; s == JJ_OK && only < JJ_STATES; only++) {
            const jj_selection selection = {
                .name = names[name], .state = (jj_state)only, .limit = SIZE_MAX};
            s = adapter->get_by_name(storage, &selection, check_row, &good, &err);
        }
    for (int i = 0; s == JJ_OK && i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "job-%05d", i);
        s = adapter->get(storage, id, check_row, &good, &err);
        if (s == JJ_ERR_NOT_FOUND) /* a key that was changed */
            s = JJ_OK;
    }
    assert_true(s == JJ_OK || s == JJ_ERR_PROTOCOL);
    return s == JJ_OK;
}

static void flip(const char *name, off_t at, unsigned char bits)
{
    unsigned char byte;
    int fd = open(name, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (unsigned char)(byte ^ bits);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void changed_bits_are_found_or_change_nothing(void **state)
{
    (void)state;
    char good[PATH_SIZE + 16];
    static char bytes[2 << 20];
    unsigned seed = (unsigned)time(NULL);
    int refused = 0, damaged = 0;

    print_message("seed %u\n", seed);
    srand(seed);
    make_index();
    snprintf(good, sizeof(good), "%s.good", path);
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(len > 0 && (size_t)len < sizeof(bytes));

    for (int round = 0; round < 200; round++) {
        write_file(path, bytes, (size_t)len);
        for (int n = 1 + rand() % 3; n > 0; n--)
            flip(path, rand() % len, (unsigned char)(1 << rand() % 8));
        void *storage = NULL;
        jj_status s = adapter->open(path, &storage, &err);
        if (s == JJ_OK) {
            damaged += !read_all(storage);
            adapter->close(storage);
        } else {
            assert_int_equal(s, JJ_ERR_PROTOCOL);
            refused++;
        }
    }
    print_message("of 200 files %d were refused, in %d rows were\n", refused, damaged);
    assert_true(refused > 0 && damaged > 0);
}

static void a_header_that_forbids_to_write_is_damage(void **state)
{
    (void)state;
    make_index();
    flip(path, 18, 0x01);
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "is damaged: its write version"));
}

/* The file was closed in order, and would not be looked through if it looked the same. Its last
 * page is one that opening it does not need. */
static void a_file_that_was_touched_is_looked_through(void **state)
{
    (void)state;
    make_index();
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    off_t kind_of_page = info.st_size - 4096;

    flip(path, kind_of_page, 0xff);
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
    flip(path, kind_of_page, 0xff);
    assert_ok(try_to_open(path));

    assert_int_equal(stat(path, &info), 0);
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    flip(path, kind_of_page, 0xff);
    struct stat now = info;
    while (memcmp(&now.st_ctim, &info.st_ctim, sizeof(now.st_ctim)) == 0) { /* until a tick */
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        assert_int_equal(stat(path, &now), 0);
    }
    assert_int_equal(try_to_open(path), JJ_ERR_PROTOCOL);
}

static void damage_that_was_seen_is_not_forgotten_by_closing(void **state)
{
    (void)state;
    make_index();
    tamper("UPDATE job SET fields = x'00' WHERE id = 'job-00007'");
    void *storage = open_index();
    int good = 0;

    assert_int_equal(adapter->get(storage, "job-00007", check_row, &good, &err), JJ_ERR_PROTOCOL);
    adapter->close(storage);
    char lock[PATH_SIZE + 16], note[256] = "";
    snprintf(lock, sizeof(lock), "%s-lock", path);
    int fd = open(lock, O_RDONLY);
    assert_true(read(fd, note, sizeof(note) - 1) > 0);
    close(fd);
    assert_null(strstr(note, "closed"));
}

static void rows_that_cannot_be_are_damage(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE job SET state = 70000 WHERE id = 'job-00001'",
        "UPDATE job SET created_at_ms = 5 WHERE id = 'job-00001'",
        "UPDATE job SET fields = (SELECT fields FROM job WHERE id = 'job-00003')"
        " WHERE id = 'job-00001'",
        "UPDATE job SET content = (SELECT content FROM job WHERE id = 'job-00003')"
        " WHERE id = 'job-00001'",
        "UPDATE job SET content = NULL WHERE id = 'job-00001'",
        "UPDATE job SET content = x'' WHERE id = 'job-00001'",
        "UPDATE job SET fields = x'' WHERE id = 'job-00001'",
        "UPDATE job SET name = 99 WHERE id = 'job-00001'",
        "UPDATE job SET name = (SELECT n FROM name WHERE name = 'even') WHERE id = 'job-00001'",
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        make_index();
        tamper(changes[i]);
        void *storage = open_index();
        int good = 0;
        assert_int_equal(adapter->get(storage, "job-00001", check_row, &good, &err),
                         JJ_ERR_PROTOCOL);
        assert_non_null(strstr(err.text, "damaged"));
        assert_ok(adapter->get(storage, "job-00003", check_row, &good, &err));
        assert_ok(adapter->begin(storage, &err));
        jj_status s = adapter->remove(storage, "job-00001", &err); /* sees the columns only */
        assert_int_equal(s, i == 0 ? JJ_ERR_PROTOCOL : JJ_OK);
        adapter->close(storage);
        assert_ok(adapter->set_aside(path, NULL, 0, &err));
    }
    make_index();
    tamper("UPDATE offsets SET jobs = jobs + 1");
    void *storage = open_index();
    jj_offsets offsets;
    assert_int_equal(adapter->offsets(storage, &offsets, &err), JJ_ERR_PROTOCOL);
    adapter->close(storage);
}

static void a_stranger_who_holds_the_file_is_no_damage(void **state)
{
    (void)state;
    sqlite3 *stranger;
    void *storage = open_index();

    assert_int_equal(sqlite3_open(path, &stranger), SQLITE_OK);
    assert_int_equal(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(adapter->begin(storage, &err), JJ_ERR_STORAGE);
    assert_non_null(strstr(err.text, "locked"));
    assert_int_equal(sqlite3_close(stranger), SQLITE_OK);
    fill(storage, 0, 10);
    adapter->close(storage);
}

/* ---- setting aside ---- */

static void what_is_set_aside_is_kept_whole(void **state)
{
    (void)state;
    char kept[3][PATH_SIZE];

    for (size_t i = 0; i < 3; i++) {
        open_and_die(0, 100);
        assert_ok(adapter->set_aside(path, kept[i], sizeof(kept[i]), &err));
        assert_false(exists(""));
        assert_false(exists("-wal"));
        assert_false(exists("-shm"));
        assert_int_equal(strncmp(kept[i], path, strlen(path)), 0);
        assert_int_equal(strncmp(kept[i] + strlen(path), ".damaged-2", 10), 0);
    }
    assert_string_not_equal(kept[0], kept[1]);
    assert_string_not_equal(kept[1], kept[2]);
    for (size_t i = 0; i < 3; i++) {
        memcpy(path, kept[i], sizeof(path));
        assert_true(exists("-wal"));
        void *storage = open_index();
        assert_int_equal(read_seq(storage), 100); /* from its log */
        adapter->close(storage);
    }
}

static void nothing_can_be_set_aside_too(void **state)
{
    (void)state;
    char kept[PATH_SIZE] = "x";

    assert_ok(adapter->set_aside(path, kept, sizeof(kept), &err));
    assert_string_equal(kept, "");
}

/* ---- plans ---- */

/* Each statement goes straight to its rows: no table of jobs is read through, nothing sorted. */
static void no_statement_looks_at_rows_it_does_not_want(void **state)
{
    (void)state;
    sqlite3 *db;

    make_index();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (int query = 0; query < QUERIES; query++) {
        char text[8192];
        sqlite3_stmt *plan;
        snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", jj__sqlite_text((enum query)query));
        assert_int_equal(sqlite3_prepare_v2(db, text, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            if (strncmp(step, "SCAN job", 8) == 0 || strncmp(step, "SCAN content", 12) == 0 ||
                strncmp(step, "SCAN line", 9) == 0 || strstr(step, "AUTOMATIC") != NULL ||
                (strstr(step, "TEMP B-TREE") != NULL && query != QUERY_GET_PENDING))
                fail_msg("%s: %s", text, step);
        }
        sqlite3_finalize(plan);
    }
    sqlite3_close(db);
}

/* How many rows of their trees statements look at; it must not grow with the table. */
static void a_page_costs_no_more_in_a_larger_index(void **state)
{
    (void)state;
    int64_t steps[2] = {0};
    void *storage = open_index();
    struct store *store = storage;

    for (int i = 0; i < 2; i++) {
        fill(storage, i == 0 ? 0 : 600, i == 0 ? 600 : 12000);
        static const enum query queries[] = {QUERY_GET_BY_NAME, QUERY_GET_BY_NAME_AND_STATE,
                                             QUERY_GET_PENDING};
        int good = 0;
        jj_selection selection = {.name = "odd", .limit = 10};
        assert_ok(adapter->get_by_name(storage, &selection, check_row, &good, &err));
        selection.state = JJ_SCHEDULED;
        assert_ok(adapter->get_by_name(storage, &selection, check_row, &good, &err));
        assert_ok(adapter->get_pending(storage, 10, check_row, &good, &err));
        assert_int_equal(good, 30);
        for (size_t q = 0; q < 3; q++)
            steps[i] +=
                sqlite3_stmt_status(store->readers[READING_LIST].connection.statements[queries[q]],
                                    SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    assert_true(steps[0] > 0);
    assert_in_range(steps[1], 1, steps[0] + steps[0] / 4);
    adapter->close(storage);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_when_opened_again),
        TEST(what_a_dead_process_committed_is_there),
        TEST(nobody_else_can_read_its_files),
        TEST(only_one_index_has_it_open),
        TEST(an_odd_path_is_just_a_path),
        TEST(a_missing_folder_is_named),
        TEST(what_is_no_regular_file_is_refused),
        TEST(a_file_that_cannot_be_written_is_refused),
        TEST(nothing_is_left_of_what_was_removed),
        TEST(other_files_are_not_taken_for_an_index),
        TEST(a_newer_version_is_named),
        TEST(a_file_of_the_first_version_keeps_its_rows),
        TEST(a_file_cut_short_is_damaged),
        TEST(a_file_without_its_log_is_an_older_one),
        TEST(a_lost_file_is_an_empty_one),
        TEST(changed_bits_are_found_or_change_nothing),
        TEST(a_header_that_forbids_to_write_is_damage),
        TEST(a_file_that_was_touched_is_looked_through),
        TEST(damage_that_was_seen_is_not_forgotten_by_closing),
        TEST(rows_that_cannot_be_are_damage),
        TEST(a_stranger_who_holds_the_file_is_no_damage),
        TEST(what_is_set_aside_is_kept_whole),
        TEST(nothing_can_be_set_aside_too),
        TEST(no_statement_looks_at_rows_it_does_not_want),
        TEST(a_page_costs_no_more_in_a_larger_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

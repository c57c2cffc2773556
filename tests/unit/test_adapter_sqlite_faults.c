/* SPDX-License-Identifier: Apache-2.0 */
/* jj_adapter_sqlite when the disk fails or the process dies, at every place in turn.
 *
 * SQLite's calls to the system go through a layer of our own, which counts them and makes one fail,
 * or all from there on, or those of one kind, or kills the process. What is written has a pattern:
 * from the offset that was committed last follows what every row must be. */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapter_sqlite.h"
#include "temp.h"

static const jj_adapter *const adapter = &jj_adapter_sqlite;
static char dir[TEMP_PATH_SIZE];
static char path[TEMP_PATH_SIZE + 64];
static jj_error err;

/* ---- a layer that fails ---- */

struct layer_file {
    sqlite3_file file;
    sqlite3_file *real;
};

enum call {
    CALL_ANY,
    CALL_OPEN,
    CALL_DELETE,
    CALL_ACCESS,
    CALL_READ,
    CALL_WRITE,
    CALL_TRUNCATE,
    CALL_SYNC,
    CALL_SIZE,
    CALL_LOCK,
    CALL_UNLOCK,
    CALL_SHM_MAP,
    CALL_SHM_LOCK,
    CALL_SHM_UNLOCK,
    CALLS
};

static const char *const call_names[CALLS] = {
    "any",  "open", "delete", "access", "read",    "write",    "truncate",
    "sync", "size", "lock",   "unlock", "shm map", "shm lock", "shm unlock",
};

static struct {
    enum call only;
    int calls;     /* so far, of these */
    int fail_at;   /* this one; 0: none */
    bool for_good; /* and all that follow */
    bool die;      /* instead of failing */
    int code;      /* to fail with */
} fault;

/* To die at another one is to die before the next of these. */
static bool changes_something(enum call call)
{
    return call == CALL_OPEN || call == CALL_DELETE || call == CALL_WRITE ||
           call == CALL_TRUNCATE || call == CALL_SYNC;
}

static bool fails(enum call call)
{
    if ((fault.only != CALL_ANY && fault.only != call) || (fault.die && !changes_something(call)))
        return false;
    fault.calls++;
    if (fault.fail_at == 0 || fault.calls < fault.fail_at ||
        (fault.calls > fault.fail_at && !fault.for_good))
        return false;
    if (fault.die)
        raise(SIGKILL);
    return true;
}

static int failure(int otherwise)
{
    return fault.code != 0 ? fault.code : otherwise;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return ((struct layer_file *)file)->real;
}

static int layer_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int layer_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
    return fails(CALL_READ) ? SQLITE_IOERR_READ
                            : real(file)->pMethods->xRead(real(file), bytes, len, at);
}

static int layer_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    if (!fails(CALL_WRITE))
        return real(file)->pMethods->xWrite(real(file), bytes, len, at);
    /* Half of it arrives. */
    real(file)->pMethods->xWrite(real(file), bytes, len / 2, at);
    return failure(SQLITE_IOERR_WRITE);
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fails(CALL_TRUNCATE) ? SQLITE_IOERR_TRUNCATE
                                : real(file)->pMethods->xTruncate(real(file), size);
}

/* Nobody pulls the plug here, so nothing needs to reach the disk. */
static int layer_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return fails(CALL_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int layer_size(sqlite3_file *file, sqlite3_int64 *size_out)
{
    return fails(CALL_SIZE) ? SQLITE_IOERR_FSTAT
                            : real(file)->pMethods->xFileSize(real(file), size_out);
}

static int layer_lock(sqlite3_file *file, int lock)
{
    return fails(CALL_LOCK) ? failure(SQLITE_IOERR_LOCK)
                            : real(file)->pMethods->xLock(real(file), lock);
}

/* Where it can fail, as on a network, the system has let go before. */
static int layer_unlock(sqlite3_file *file, int lock)
{
    int code = real(file)->pMethods->xUnlock(real(file), lock);

    return fails(CALL_UNLOCK) ? SQLITE_IOERR_UNLOCK : code;
}

static int layer_check_lock(sqlite3_file *file, int *out)
{
    return fails(CALL_LOCK) ? SQLITE_IOERR_CHECKRESERVEDLOCK
                            : real(file)->pMethods->xCheckReservedLock(real(file), out);
}

static int layer_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int layer_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int layer_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int layer_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    return fails(CALL_SHM_MAP)
               ? SQLITE_IOERR_SHMMAP
               : real(file)->pMethods->xShmMap(real(file), region, size, extend, out);
}

static int layer_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    if ((flags & SQLITE_SHM_UNLOCK) == 0 && fails(CALL_SHM_LOCK))
        return failure(SQLITE_IOERR_SHMLOCK);
    int code = real(file)->pMethods->xShmLock(real(file), offset, count, flags);
    if ((flags & SQLITE_SHM_UNLOCK) != 0 && fails(CALL_SHM_UNLOCK))
        return SQLITE_IOERR_SHMLOCK;
    return code;
}

static void layer_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int layer_shm_unmap(sqlite3_file *file, int delete)
{
    return real(file)->pMethods->xShmUnmap(real(file), delete);
}

static const sqlite3_io_methods layer_methods = {
    .iVersion = 2,
    .xClose = layer_close,
    .xRead = layer_read,
    .xWrite = layer_write,
    .xTruncate = layer_truncate,
    .xSync = layer_sync,
    .xFileSize = layer_size,
    .xLock = layer_lock,
    .xUnlock = layer_unlock,
    .xCheckReservedLock = layer_check_lock,
    .xFileControl = layer_control,
    .xSectorSize = layer_sector_size,
    .xDeviceCharacteristics = layer_characteristics,
    .xShmMap = layer_shm_map,
    .xShmLock = layer_shm_lock,
    .xShmBarrier = layer_shm_barrier,
    .xShmUnmap = layer_shm_unmap,
};

static sqlite3_vfs *system_vfs;
static sqlite3_vfs layer_vfs;

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct layer_file *layer = (struct layer_file *)file;

    (void)vfs;
    layer->file.pMethods = NULL;
    layer->real = (sqlite3_file *)(layer + 1);
    if (fails(CALL_OPEN))
        return SQLITE_CANTOPEN;
    int code = system_vfs->xOpen(system_vfs, name, layer->real, flags, out);
    if (code == SQLITE_OK)
        layer->file.pMethods = &layer_methods;
    return code;
}

static int layer_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)sync;
    return fails(CALL_DELETE) ? SQLITE_IOERR_DELETE : system_vfs->xDelete(system_vfs, name, 0);
}

static int layer_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    return fails(CALL_ACCESS) ? SQLITE_IOERR_ACCESS
                              : system_vfs->xAccess(system_vfs, name, flags, out);
}

static int install_layer(void **state)
{
    (void)state;
    system_vfs = sqlite3_vfs_find(NULL);
    layer_vfs = *system_vfs;
    layer_vfs.zName = "layer";
    layer_vfs.szOsFile = (int)sizeof(struct layer_file) + system_vfs->szOsFile;
    layer_vfs.pNext = NULL;
    layer_vfs.xOpen = layer_open;
    layer_vfs.xDelete = layer_delete;
    layer_vfs.xAccess = layer_access;
    return sqlite3_vfs_register(&layer_vfs, 1) == SQLITE_OK ? 0 : -1;
}

static int make_dir(void **state)
{
    (void)state;
    temp_dir_make(dir);
    snprintf(path, sizeof(path), "%s/index.db", dir);
    memset(&fault, 0, sizeof(fault));
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    temp_dir_remove(dir);
    return 0;
}

/* ---- what is written ---- */

#define ROWS_OF_STEP 12
#define STEPS_KEPT   3

static char large[20000];

/* Row i of a step, as it is when a later step has been committed. */
static jj_record row_of(uint64_t step, int i, uint64_t now, char id[32])
{
    snprintf(id, 32, "s%llu-%d", (unsigned long long)step, i);
    return (jj_record){
        .id = id,
        .name = i % 2 == 0 ? "even" : "odd",
        .state = now == step ? JJ_PENDING : JJ_COMPLETED,
        .created_at_ms = (int64_t)step,
        .completed_at_ms = now == step ? 0 : (int64_t)now,
        .attempts = (uint32_t)now,
        .data_known = true,
        .data = large,
        .data_len = i == 0 ? sizeof(large) : (size_t)i,
    };
}

/* Add the rows of a step, change those of the steps before, remove the oldest. */
static jj_status write_step(void *storage, uint64_t step)
{
    char id[32];
    jj_status s = JJ_OK;

    for (int i = 0; s == JJ_OK && i < ROWS_OF_STEP; i++) {
        jj_record record = row_of(step, i, step, id);
        s = adapter->create(storage, &record, &err);
        const jj_line line = {.place = step * 100 + (uint64_t)i, .message = "made"};
        if (s == JJ_OK)
            s = adapter->add_line(storage, id, &line, &err);
        for (uint64_t k = 1; s == JJ_OK && k < STEPS_KEPT && k < step; k++) {
            record = row_of(step - k, i, step, id);
            s = adapter->update(storage, &record, false, &err);
        }
        if (s == JJ_OK && step > STEPS_KEPT) {
            record = row_of(step - STEPS_KEPT, i, step, id);
            s = adapter->remove(storage, record.id, &err);
        }
    }
    return s;
}

static jj_status run_step(void *storage, uint64_t step)
{
    const jj_offsets offsets = {.events = {.seq = step, .created = "then"}};
    jj_status s = adapter->begin(storage, &err);

    if (s != JJ_OK)
        return s;
    s = write_step(storage, step);
    if (s == JJ_OK)
        s = adapter->commit(storage, &offsets, &err);
    if (s != JJ_OK)
        adapter->rollback(storage);
    return s;
}

struct checking {
    uint64_t now;
    uint64_t rows;
};

static bool check_row(void *ctx, const jj_record *record)
{
    struct checking *checking = ctx;
    unsigned long long step;
    int i;
    char id[32];

    assert_int_equal(sscanf(record->id, "s%llu-%d", &step, &i), 2);
    assert_true(step <= checking->now && step + STEPS_KEPT > checking->now);
    jj_record expected = row_of(step, i, checking->now, id);
    assert_string_equal(record->name, expected.name);
    assert_int_equal(record->state, expected.state);
    assert_int_equal(record->completed_at_ms, expected.completed_at_ms);
    assert_int_equal(record->attempts, expected.attempts);
    assert_int_equal(record->data_len, expected.data_len);
    assert_memory_equal(record->data, large, record->data_len);
    checking->rows++;
    return true;
}

static bool add_count(void *ctx, const char *name, jj_state state, uint64_t count)
{
    (void)name;
    (void)state;
    *(uint64_t *)ctx += count;
    return true;
}

/* Everything is as the offset says, which is handed out. */
static jj_status check_all(void *storage, uint64_t *step_out)
{
    static const char *const names[] = {"even", "odd"};
    jj_offsets offsets;
    struct checking checking = {0};
    uint64_t counted = 0;
    jj_status s = adapter->offsets(storage, &offsets, &err);

    if (s == JJ_OK)
        checking.now = offsets.events.seq;
    for (size_t i = 0; s == JJ_OK && i < 2; i++) {
        const jj_selection selection = {.name = names[i], .limit = SIZE_MAX};
        s = adapter->get_by_name(storage, &selection, check_row, &checking, &err);
    }
    if (s == JJ_OK)
        s = adapter->get_counts(storage, add_count, &counted, &err);
    if (s != JJ_OK)
        return s;
    uint64_t steps = checking.now < STEPS_KEPT ? checking.now : STEPS_KEPT;
    assert_int_equal(checking.rows, steps * ROWS_OF_STEP);
    assert_int_equal(counted, checking.rows);
    *step_out = checking.now;
    return JJ_OK;
}

static void assert_ok(jj_status s)
{
    if (s != JJ_OK)
        fail_msg("%s: %s (call %d of %d)", jj_status_text(s), err.text, fault.fail_at, fault.calls);
}

static void assert_may_recover(jj_status s)
{
    if (s != JJ_ERR_STORAGE && s != JJ_ERR_NO_MEMORY)
        assert_ok(s);
}

static void start_with(uint64_t steps)
{
    void *storage;

    assert_ok(adapter->open(path, &storage, &err));
    for (uint64_t step = 1; step <= steps; step++)
        assert_ok(run_step(storage, step));
    adapter->close(storage);
}

/* Forget that it was closed in order: it is looked through when it is opened. */
static void forget_closing(void)
{
    char lock[TEMP_PATH_SIZE + 80];

    snprintf(lock, sizeof(lock), "%s-lock", path);
    assert_int_equal(unlink(lock), 0);
}

static void begin_anew(void)
{
    memset(&fault, 0, sizeof(fault));
    temp_dir_remove(dir);
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* ---- the disk ---- */

/* True if the call to fail was reached. */
static bool survives_one_failure(enum call only, int fail_at, int code)
{
    void *storage = NULL;
    uint64_t step = 0;

    start_with(2);
    forget_closing();
    fault.only = only;
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.code = code;
    jj_status s = adapter->open(path, &storage, &err);
    assert_may_recover(s);
    if (s != JJ_OK)
        assert_ok(adapter->open(path, &storage, &err));
    for (uint64_t next = 3; next <= 5; next++) {
        s = run_step(storage, next);
        assert_may_recover(s);
        if (s != JJ_OK)
            assert_ok(run_step(storage, next));
        s = check_all(storage, &step);
        assert_may_recover(s);
        if (s != JJ_OK)
            assert_ok(check_all(storage, &step));
        assert_int_equal(step, next);
    }
    adapter->close(storage);
    bool reached = fault.calls >= fail_at;
    fault.fail_at = 0;
    assert_ok(adapter->open(path, &storage, &err));
    assert_ok(check_all(storage, &step));
    assert_int_equal(step, 5);
    adapter->close(storage);
    begin_anew();
    return reached;
}

/* Reads and locks are many and much alike: not each of them. */
static void a_call_that_fails_once_is_survived(void **state)
{
    int tried = 0;

    (void)state;
    for (enum call call = CALL_ANY + 1; call < CALLS; call++)
        for (int at = 1; survives_one_failure(call, at, 0); tried++)
            at += call == CALL_READ || call >= CALL_LOCK ? 1 + at / 4 : 1;
    print_message("%d calls\n", tried);
    assert_true(tried > 100);
}

static void a_disk_that_is_full_for_a_moment_is_survived(void **state)
{
    (void)state;
    int at = 1;

    while (survives_one_failure(CALL_WRITE, at, SQLITE_FULL))
        at += 2;
}

static void a_lock_that_a_stranger_holds_for_a_moment_is_survived(void **state)
{
    int at = 1;

    (void)state;
    while (survives_one_failure(CALL_LOCK, at, SQLITE_BUSY))
        at++;
    for (at = 1; survives_one_failure(CALL_SHM_LOCK, at, SQLITE_BUSY);)
        at++;
}

/* From some call on all fail; then the disk is well again. */
static bool survives_an_outage(enum call only, int fail_at)
{
    void *storage = NULL;
    uint64_t step = 0, committed = 2;

    start_with(2);
    forget_closing();
    fault.only = only;
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.for_good = true;
    jj_status s = adapter->open(path, &storage, &err);
    assert_may_recover(s);
    if (s == JJ_OK) {
        for (uint64_t next = 3; next <= 5; next++) {
            s = run_step(storage, committed + 1);
            assert_may_recover(s);
            committed += s == JJ_OK;
        }
        assert_may_recover(check_all(storage, &step));
        adapter->close(storage);
    }
    bool reached = fault.calls >= fail_at;
    fault.fail_at = 0;
    assert_ok(adapter->open(path, &storage, &err));
    assert_ok(check_all(storage, &step));
    assert_in_range(step, committed, committed + 1); /* an answer may be lost, too */
    assert_ok(run_step(storage, step + 1));
    adapter->close(storage);
    begin_anew();
    return reached;
}

static void a_disk_that_fails_for_a_while_is_survived(void **state)
{
    (void)state;
    int at = 1;

    while (survives_an_outage(CALL_ANY, at))
        at += 4;
}

/* It stays open meanwhile, and goes on where it was. */
static bool goes_on_after_an_outage(enum call only, int fail_at)
{
    void *storage;
    uint64_t step = 0, committed = 2;

    start_with(2);
    assert_ok(adapter->open(path, &storage, &err));
    fault.only = only;
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.for_good = true;
    for (int i = 0; i < 3; i++) {
        jj_status s = run_step(storage, committed + 1);
        assert_may_recover(s);
        committed += s == JJ_OK;
    }
    assert_may_recover(check_all(storage, &step));
    bool reached = fault.calls >= fail_at;
    fault.fail_at = 0;
    assert_ok(check_all(storage, &step));
    assert_in_range(step, committed, committed + 1);
    assert_ok(run_step(storage, step + 1));
    adapter->close(storage);
    assert_ok(adapter->open(path, &storage, &err));
    assert_ok(check_all(storage, &committed));
    assert_int_equal(committed, step + 1);
    adapter->close(storage);
    begin_anew();
    return reached;
}

/* The first of its calls, or the first but one, and so on, and all after it. */
static void a_kind_of_call_that_fails_for_a_while_is_survived(void **state)
{
    (void)state;
    for (enum call call = CALL_ANY + 1; call < CALLS; call++) {
        int at = 1, open_at = 1;
        while (survives_an_outage(call, at))
            at += 1 + at / 2;
        while (goes_on_after_an_outage(call, open_at))
            open_at += 1 + open_at / 2;
        print_message("%s: %d, %d\n", call_names[call], at, open_at);
        assert_true(at > 1);
    }
}

/* What really happens when there is no room for more. */
static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    void *storage;
    uint64_t step = 0, committed = 0;
    struct rlimit limit, small;

    assert_ok(adapter->open(path, &storage, &err));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 600000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (run_step(storage, committed + 1) == JJ_OK)
        committed++;
    assert_true(committed > 0);
    for (int again = 0; again < 3; again++)
        assert_int_equal(run_step(storage, committed + 1), JJ_ERR_STORAGE);
    assert_ok(check_all(storage, &step)); /* it is still read from */
    assert_int_equal(step, committed);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_ok(run_step(storage, committed + 1));
    assert_ok(check_all(storage, &step));
    assert_int_equal(step, committed + 1);
    adapter->close(storage);
}

/* ---- the process ---- */

static int run_child(void (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);

    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void write_some_and_close(void)
{
    void *storage;
    uint64_t step;

    if (adapter->open(path, &storage, &err) != JJ_OK || check_all(storage, &step) != JJ_OK)
        _exit(1);
    for (int i = 0; i < 3; i++)
        if (run_step(storage, ++step) != JJ_OK)
            _exit(1);
    adapter->close(storage);
}

static void a_process_may_be_killed_at_any_call(void **state)
{
    (void)state;
    void *storage;
    uint64_t step = 0, last = 0;

    start_with(2);
    for (int at = 1;; at++) {
        fault.fail_at = at;
        fault.die = true;
        fault.calls = 0;
        int status = run_child(write_some_and_close);
        fault.fail_at = 0;
        assert_ok(adapter->open(path, &storage, &err));
        assert_ok(check_all(storage, &step));
        assert_in_range(step, last, last == 0 ? 5 : last + 3);
        last = step;
        adapter->close(storage);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

/* Without its log the file is an older one, or it says that it can't be used. */
static void a_log_that_is_lost_after_that_does_no_harm(void **state)
{
    (void)state;
    char wal[TEMP_PATH_SIZE + 80];
    void *storage;
    int refused = 0, older = 0;

    for (int at = 1, status = 0; !WIFEXITED(status) || at == 1; at += 4) {
        start_with(2);
        fault.fail_at = at;
        fault.die = true;
        fault.calls = 0;
        status = run_child(write_some_and_close);
        fault.fail_at = 0;
        snprintf(wal, sizeof(wal), "%s-wal", path);
        bool lost = unlink(wal) == 0;
        uint64_t step = 0;
        jj_status s = adapter->open(path, &storage, &err);
        if (s == JJ_OK) {
            assert_ok(check_all(storage, &step));
            assert_in_range(step, 2, 5);
            older += lost && step < 5;
            adapter->close(storage);
        } else {
            assert_int_equal(s, JJ_ERR_PROTOCOL);
            assert_non_null(strstr(err.text, "lost its write-ahead log"));
            refused++;
        }
        begin_anew();
    }
    assert_true(refused > 0 && older > 0);
}

static int progress_fd;

static void write_for_ever(void)
{
    void *storage;
    uint64_t step;

    if (adapter->open(path, &storage, &err) != JJ_OK || check_all(storage, &step) != JJ_OK)
        _exit(1);
    while (run_step(storage, ++step) == JJ_OK && write(progress_fd, "x", 1) == 1)
        continue;
    _exit(2);
}

static void a_process_may_be_killed_at_any_time(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    uint64_t last = 0;

    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 15; round++) {
        int ends[2], steps = rand() % 20, spin = rand() % 200000, status;
        char byte;
        assert_int_equal(pipe(ends), 0);
        progress_fd = ends[1];
        pid_t child = fork();
        if (child == 0)
            write_for_ever();
        close(ends[1]);
        for (int i = 0; i < steps; i++)
            assert_int_equal(read(ends[0], &byte, 1), 1);
        for (volatile int i = 0; i < spin; i++)
            continue; /* into the middle of the next one */
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(ends[0]);
        assert_true(WIFSIGNALED(status));

        void *storage;
        uint64_t step = 0;
        assert_ok(adapter->open(path, &storage, &err));
        assert_ok(check_all(storage, &step));
        assert_true(step >= last + (uint64_t)steps);
        last = step;
        adapter->close(storage);
    }
}

/* ---- the log ---- */

static bool stop(void *ctx, const jj_record *record)
{
    (void)ctx;
    (void)record;
    return false;
}

static void the_log_does_not_grow_for_ever(void **state)
{
    (void)state;
    static char data[1 << 20];
    const jj_offsets offsets = {0};
    char wal[TEMP_PATH_SIZE + 80];
    struct stat info;
    off_t largest = 0;
    void *storage;

    assert_ok(adapter->open(path, &storage, &err));
    snprintf(wal, sizeof(wal), "%s-wal", path);
    const jj_record record = {
        .id = "a", .name = "x", .state = JJ_PENDING, .data = data, .data_len = sizeof(data)};
    assert_ok(adapter->begin(storage, &err));
    assert_ok(adapter->create(storage, &record, &err));
    assert_ok(adapter->commit(storage, &offsets, &err));
    for (int i = 0; i < 120; i++) {
        assert_ok(adapter->get(storage, "a", stop, NULL, &err)); /* as the index does */
        assert_ok(adapter->begin(storage, &err));
        data[i]++;
        assert_ok(adapter->update(storage, &record, true, &err));
        assert_ok(adapter->commit(storage, &offsets, &err));
        assert_int_equal(stat(wal, &info), 0);
        largest = info.st_size > largest ? info.st_size : largest;
    }
    assert_in_range(largest, 10 << 20, 50 << 20);
    adapter->close(storage);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_that_fails_once_is_survived),
        TEST(a_disk_that_is_full_for_a_moment_is_survived),
        TEST(a_lock_that_a_stranger_holds_for_a_moment_is_survived),
        TEST(a_disk_that_fails_for_a_while_is_survived),
        TEST(a_kind_of_call_that_fails_for_a_while_is_survived),
        TEST(a_full_disk_loses_nothing),
        TEST(a_process_may_be_killed_at_any_call),
        TEST(a_log_that_is_lost_after_that_does_no_harm),
        TEST(a_process_may_be_killed_at_any_time),
        TEST(the_log_does_not_grow_for_ever),
    };

    return cmocka_run_group_tests(tests, install_layer, NULL);
}

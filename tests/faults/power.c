/* SPDX-License-Identifier: Apache-2.0 */

/* The power of the broker's machine is cut. Its store lies on a disk that then forgets all that was
 * not synced. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "disk.h"
#include "mounts.h"
#include "run.h"
#include "wait.h"

#define EVERY_MS 2500

static const struct fleet_options size = {.jobs = 1000, .rate = 100, .ack_wait_ms = 5000};

/* ---- the disk ---- */

static int open_on(const struct disk *disk, const char *name)
{
    char path[TEMP_PATH_SIZE + 32];

    snprintf(path, sizeof(path), "%s/%s", disk->path, name);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void expect_text(const struct disk *disk, const char *name, const char *text)
{
    char found[64] = "";
    int fd = open_on(disk, name);

    assert_true(read(fd, found, sizeof(found) - 1) >= 0);
    assert_string_equal(found, text);
    close(fd);
}

static void the_disk_forgets_what_was_not_synced(void **state)
{
    (void)state;
    struct disk disk;

    disk_begin(&disk);
    int synced = open_on(&disk, "synced"), never = open_on(&disk, "never");
    assert_int_equal(write(never, "text", 4), 4);
    assert_int_equal(write(synced, "0123456789", 10), 10);
    assert_int_equal(fsync(synced), 0);
    assert_int_equal(pwrite(synced, "XX", 2, 4), 2);
    assert_int_equal(pwrite(synced, "YYY", 3, 3), 3);
    assert_int_equal(ftruncate(synced, 4), 0);
    assert_int_equal(pwrite(synced, "ZZZZZZZZZZ", 10, 3), 10);
    close(synced);
    close(never);
    expect_text(&disk, "synced", "012ZZZZZZZZZZ");
    disk_lose_power(&disk);
    disk_get_power(&disk);
    expect_text(&disk, "synced", "0123456789");
    expect_text(&disk, "never", "");
    disk_end(&disk);
}

/* ---- the broker on it ---- */

static void cut_power(struct injector *injector, struct disk *disk)
{
    struct server *broker = &injector->fleet->brokers[0];
    struct fault *fault = fault_add(&injector->faults, FAULT_LOSE_POWER, FAULT_ALL, 0);

    server_kill(broker);
    disk_lose_power(disk);
    disk_get_power(disk);
    server_restart(broker);
    fault->end_ms = jj__clock_mono_ms();
}

static void begin(struct fleet *fleet, struct injector *injector, struct disk *disk, bool no_sync)
{
    struct fleet_options options = size;

    disk_begin(disk);
    options.store = disk->path;
    options.no_sync = no_sync;
    fleet_begin(fleet, &options);
    inject_begin(injector, fleet, 0, 0);
    run_begin(fleet);
    inject_start(injector);
}

static void end(struct fleet *fleet, struct injector *injector, struct disk *disk)
{
    fleet_end(fleet);
    disk_end(disk);
    free(injector->faults.list);
}

static void what_is_synced_always_survives(void **state)
{
    (void)state;
    struct disk disk;
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &disk, false);
    int64_t next_ms = jj__clock_mono_ms() + EVERY_MS;
    while (!run_producers_are_through(&fleet)) {
        inject_turn(&injector);
        wait_a_moment();
        if (jj__clock_mono_ms() < next_ms)
            continue;
        cut_power(&injector, &disk);
        next_ms = jj__clock_mono_ms() + EVERY_MS;
    }
    bool content = run_finish(&fleet, &injector, &findings);
    checker_print(&findings, &injector.faults);
    end(&fleet, &injector, &disk);
    assert_true(content);
    assert_int_equal(findings.accepted, PRODUCERS * size.jobs);
}

/* Clients and workers begin anew, as the streams are lost, too. */
static void the_checker_sees_what_a_server_loses_that_does_not_sync(void **state)
{
    (void)state;
    struct disk disk;
    struct fleet fleet;
    struct injector injector;
    struct findings findings = {0};

    begin(&fleet, &injector, &disk, true);
    while (!run_producers_are_through(&fleet)) {
        inject_turn(&injector);
        wait_a_moment();
    }
    cut_power(&injector, &disk);
    for (size_t i = 0; i < ACTORS; i++) {
        actor_kill(&fleet.actors[i]);
        if (!fleet.actors[i].finished)
            actor_start(&fleet, &fleet.actors[i], NULL, 0, 0);
    }
    run_finish(&fleet, &injector, &findings);
    end(&fleet, &injector, &disk);
    assert_true(findings.lost > 0);
}

static int begin_all(void **state)
{
    (void)state;
    mounts_of_our_own();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_forgets_what_was_not_synced),
        cmocka_unit_test(what_is_synced_always_survives),
        cmocka_unit_test(the_checker_sees_what_a_server_loses_that_does_not_sync),
    };

    return cmocka_run_group_tests_name("power", tests, begin_all, NULL);
}

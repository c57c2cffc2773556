/* SPDX-License-Identifier: Apache-2.0 */

/* The power of the broker's machine is cut, or with --cluster now of one of three, now of all. Its
 * store lies on a disk that then forgets all that was not synced. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "disk.h"
#include "mounts.h"
#include "run.h"
#include "wait.h"

static struct fleet_options size = {.jobs = 1000, .rate = 100, .ack_wait_ms = 5000};
static int64_t every_ms = 2500;

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

struct site {
    struct fleet fleet;
    struct injector injector;
    struct disk disks[BROKERS];
    unsigned cuts;
};

/* Of the brokers from first on, at once. */
static void cut_power(struct site *site, unsigned first, unsigned count)
{
    struct fault *fault = fault_add(&site->injector.faults, FAULT_LOSE_POWER, FAULT_ALL, 0);

    for (unsigned i = first; i < first + count; i++)
        server_kill(&site->fleet.brokers[i]);
    for (unsigned i = first; i < first + count; i++) {
        disk_lose_power(&site->disks[i]);
        disk_get_power(&site->disks[i]);
        server_restart(&site->fleet.brokers[i]);
    }
    fault->end_ms = jj__clock_mono_ms();
}

static void cut_all(struct site *site)
{
    cut_power(site, 0, site->fleet.broker_count);
}

/* All, then one alone, then all again, then the next one. */
static void cut_some(struct site *site)
{
    unsigned cut = site->cuts++;

    if (cut % 2 == 0)
        cut_all(site);
    else
        cut_power(site, cut / 2 % site->fleet.broker_count, 1);
}

static void begin(struct site *site, bool no_sync)
{
    struct fleet_options options = size;

    *site = (struct site){0};
    options.no_sync = no_sync;
    for (unsigned i = 0; i < (size.cluster ? BROKERS : 1); i++) {
        disk_begin(&site->disks[i]);
        options.stores[i] = site->disks[i].path;
    }
    fleet_begin(&site->fleet, &options);
    inject_begin(&site->injector, &site->fleet, 0, 0);
    run_begin(&site->fleet);
    inject_start(&site->injector);
}

static void end(struct site *site)
{
    unsigned disks = site->fleet.broker_count;

    fleet_end(&site->fleet);
    for (unsigned i = 0; i < disks; i++)
        disk_end(&site->disks[i]);
    free(site->injector.faults.list);
}

static void what_is_synced_always_survives(void **state)
{
    (void)state;
    struct site site;
    struct findings findings = {0};

    begin(&site, false);
    int64_t next_ms = jj__clock_mono_ms() + every_ms;
    while (!run_producers_are_through(&site.fleet)) {
        inject_turn(&site.injector);
        wait_a_moment();
        if (jj__clock_mono_ms() < next_ms)
            continue;
        cut_some(&site);
        next_ms = jj__clock_mono_ms() + every_ms;
    }
    bool content = run_finish(&site.fleet, &site.injector, &findings);
    checker_print(&findings, &site.injector.faults);
    end(&site);
    assert_true(content);
    assert_int_equal(findings.accepted, PRODUCERS * size.jobs);
}

/* Clients and workers begin anew, as the streams are lost, too. */
static void the_checker_sees_what_a_server_loses_that_does_not_sync(void **state)
{
    (void)state;
    struct site site;
    struct findings findings = {0};

    begin(&site, true);
    while (!run_producers_are_through(&site.fleet)) {
        inject_turn(&site.injector);
        wait_a_moment();
    }
    cut_all(&site);
    for (struct actor *actor = site.fleet.actors; actor < site.fleet.actors + ACTORS; actor++) {
        actor_kill(actor);
        if (!actor->finished)
            actor_start(&site.fleet, actor, NULL, 0, 0);
    }
    run_finish(&site.fleet, &site.injector, &findings);
    end(&site);
    assert_true(findings.lost > 0);
}

static int begin_all(void **state)
{
    (void)state;
    mounts_of_our_own();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_forgets_what_was_not_synced),
        cmocka_unit_test(what_is_synced_always_survives),
        cmocka_unit_test(the_checker_sees_what_a_server_loses_that_does_not_sync),
    };

    if (argc > 1 && strcmp(argv[argc - 1], "--cluster") == 0) {
        size.cluster = true;
        size.jobs *= 5;
        every_ms *= 6; /* they must find leaders first */
    }
    return cmocka_run_group_tests_name("power", tests, begin_all, NULL);
}

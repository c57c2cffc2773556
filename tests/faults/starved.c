/* SPDX-License-Identifier: Apache-2.0 */

#include "starved.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"

#define LOOK_MS 50

static struct {
    pthread_t thread;
    atomic_bool stop;
    int64_t limit_ms;
    struct fault_list seen;
} watch;

static void *look(void *arg)
{
    int64_t last_ms = jj__clock_mono_ms();

    (void)arg;
    while (!atomic_load(&watch.stop)) {
        poll(NULL, 0, LOOK_MS);
        int64_t now_ms = jj__clock_mono_ms();
        if (now_ms - last_ms >= watch.limit_ms)
            fault_add(&watch.seen, FAULT_STARVED, FAULT_ALL, 0)->begin_ms = last_ms;
        last_ms = now_ms;
    }
    return NULL;
}

void starved_begin(int64_t limit_ms)
{
    watch.limit_ms = limit_ms;
    watch.seen = (struct fault_list){0};
    atomic_store(&watch.stop, false);
    assert_int_equal(pthread_create(&watch.thread, NULL, look, NULL), 0);
}

void starved_end(struct fault_list *faults)
{
    atomic_store(&watch.stop, true);
    pthread_join(watch.thread, NULL);
    fault_move(faults, &watch.seen);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "late.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "plan.h"

#define EVERY_MS 200
#define LOOK_MS  50
#define GREETING "CONNECT {\"verbose\":false}\r\nSUB faults.late 1\r\n"
/* "Still at work", for a delivery that there never was: it is answered, and that is all. */
#define PROBE "PUB $JS.ACK.JOBS." PLAN_JOB ".1.1.1.0.0 faults.late 4\r\n+WPI\r\n"

static struct {
    pthread_t thread;
    atomic_bool stop;
    int port, fd; /* fd -1: not connected */
    int64_t limit_ms, sent_ms;
    bool known; /* there was an answer: before its consumer is made, there is none */
    bool waits; /* for the answer to what was sent */
    struct fault_list seen;
} watch;

static void note_answer(int64_t now_ms)
{
    if (watch.waits && watch.known && now_ms - watch.sent_ms >= watch.limit_ms)
        fault_add(&watch.seen, FAULT_LATE_BROKER, FAULT_ALL, 0)->begin_ms = watch.sent_ms;
    watch.waits = false;
}

static void say(const char *text)
{
    if (send(watch.fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text))
        return;
    close(watch.fd);
    watch.fd = -1;
}

/* A probe that waits for a broker that is down is none. */
static void connect_again(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)watch.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    watch.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (watch.fd < 0)
        return;
    if (connect(watch.fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        say(GREETING);
        return;
    }
    close(watch.fd);
    watch.fd = -1;
}

/* Its lines are short, and no answer is cut in two: there is one at a time. */
static void hear(int64_t now_ms)
{
    char text[4096];
    ssize_t len = recv(watch.fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    if (len == 0) {
        note_answer(now_ms);
        close(watch.fd);
        watch.fd = -1;
        return;
    }
    text[len < 0 ? 0 : len] = '\0';
    if (strstr(text, "PING\r\n") != NULL)
        say("PONG\r\n");
    if (strstr(text, "MSG faults.late") != NULL) {
        note_answer(now_ms);
        watch.known = true;
    }
}

static void *look(void *arg)
{
    (void)arg;
    while (!atomic_load(&watch.stop)) {
        struct pollfd wait = {.fd = watch.fd, .events = POLLIN}; /* -1 is passed over */
        poll(&wait, 1, LOOK_MS);
        int64_t now_ms = jj__clock_mono_ms();
        if (watch.fd < 0)
            connect_again();
        else if (wait.revents != 0)
            hear(now_ms);
        if (watch.fd < 0 || (watch.waits && watch.known) || now_ms - watch.sent_ms < EVERY_MS)
            continue;
        watch.sent_ms = now_ms;
        watch.waits = true;
        say(PROBE);
    }
    note_answer(jj__clock_mono_ms());
    if (watch.fd >= 0)
        close(watch.fd);
    return NULL;
}

void late_begin(int port, int64_t limit_ms)
{
    watch.port = port;
    watch.fd = -1;
    watch.limit_ms = limit_ms;
    watch.sent_ms = 0;
    watch.known = watch.waits = false;
    watch.seen = (struct fault_list){0};
    atomic_store(&watch.stop, false);
    assert_int_equal(pthread_create(&watch.thread, NULL, look, NULL), 0);
}

void late_end(struct fault_list *faults)
{
    atomic_store(&watch.stop, true);
    pthread_join(watch.thread, NULL);
    fault_move(faults, &watch.seen);
}

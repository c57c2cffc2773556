/* SPDX-License-Identifier: Apache-2.0 */

/* The protocol of sd_notify(3): one datagram with lines of text. It is small enough to be spoken
 * here, so that one program runs with and without systemd. */

#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "status.h"

void notify_say(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
        return;
    size_t len = strlen(path);
    memcpy(to.sun_path, path, len + 1);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* a name in the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    jj__ignore(sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0,
               "a manager that does not listen");
    close(fd);
}

int64_t notify_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *whose = getenv("WATCHDOG_PID");

    if (interval == NULL || (whose != NULL && strtol(whose, NULL, 10) != (long)getpid()))
        return -1;
    long long us = strtoll(interval, NULL, 10);
    return us <= 0 ? -1 : us / 2000 + 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "local_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct local_server {
    local_serve serve;
    void *user;
    pthread_t thread;
    int listener;
    int end[2]; /* a pipe: when it is closed, the thread ends */
    unsigned port;
};

static void serve_connection(const struct local_server *server, int fd)
{
    int copy = dup(fd); /* each FILE closes one of its own */
    FILE *in = fdopen(fd, "r");
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;

    if (in != NULL && out != NULL)
        server->serve(in, out, server->user);
    if (out != NULL)
        fclose(out);
    else if (copy >= 0)
        close(copy);
    if (in != NULL)
        fclose(in);
    else
        close(fd);
}

static void *server_main(void *arg)
{
    struct local_server *server = arg;
    struct pollfd wait[2] = {
        {.fd = server->listener, .events = POLLIN},
        {.fd = server->end[0], .events = POLLIN},
    };

    while (poll(wait, 2, -1) > 0 && wait[1].revents == 0) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd >= 0)
            serve_connection(server, fd);
    }
    return NULL;
}

/* Listen on a free port; the descriptor, or -1. */
static int listen_on_loopback(unsigned *port_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 8) != 0 ||
                    getsockname(fd, (struct sockaddr *)&address, &len) != 0)) {
        close(fd);
        fd = -1;
    }
    *port_out = ntohs(address.sin_port);
    return fd;
}

/* The thread must not be killed by SIGPIPE when a client goes away: so it starts with that blocked.
 */
static bool start_thread(struct local_server *server)
{
    sigset_t pipe_signal, before;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int error = pthread_create(&server->thread, NULL, server_main, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

struct local_server *local_server_start(local_serve serve, void *user)
{
    struct local_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return NULL;
    server->serve = serve;
    server->user = user;
    server->listener = listen_on_loopback(&server->port);
    if (server->listener < 0 || pipe(server->end) != 0)
        goto no_pipe;
    if (start_thread(server))
        return server;

    close(server->end[0]);
    close(server->end[1]);
no_pipe:
    if (server->listener >= 0)
        close(server->listener);
    free(server);
    return NULL;
}

unsigned local_server_port(const struct local_server *server)
{
    return server->port;
}

void local_server_stop(struct local_server *server)
{
    if (server == NULL)
        return;
    close(server->end[1]);
    pthread_join(server->thread, NULL);
    close(server->end[0]);
    close(server->listener);
    free(server);
}

char *local_server_line(FILE *in, char *line, int size)
{
    if (fgets(line, size, in) == NULL)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

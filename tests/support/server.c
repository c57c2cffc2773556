/* SPDX-License-Identifier: Apache-2.0 */

/* A nats-server for a test.
 *
 * Its port lies below those that the kernel hands out by itself: a client that tries again and
 * again to reach a server that is down would some day get that very port for its own end, be
 * connected to itself, and keep the server from coming back. And while the server is down nobody
 * else may choose its port: each test holds the port's name as an abstract socket, which the kernel
 * gives back whatever becomes of the test. */

#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "wait.h"

#define FIRST_PORT  15000
#define PORTS       15000
#define START_MS    20000
#define STOP_MS     10000
#define LOG_SHOWN   4000
#define DESCRIPTORS 1024 /* that a test may have open */

/* ---- its port ---- */

static int claim_port(int port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "jetjobs-test-port-%d", port);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    int claim = socket(AF_UNIX, SOCK_STREAM, 0);

    if (claim < 0 || bind(claim, (struct sockaddr *)&name, size) == 0)
        return claim;
    close(claim);
    return -1;
}

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Is nobody there who does not know of our claims? */
static bool port_is_free(int port)
{
    struct sockaddr_in address = address_of(port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* as the server does */
    bool is_free = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_free;
}

/* A port that is now ours. */
static int choose_port(int *claim_out)
{
    int first = (int)getpid() * 7;

    for (int i = 0; i < PORTS; i++) {
        int port = FIRST_PORT + (first + i) % PORTS;
        *claim_out = claim_port(port);
        if (*claim_out < 0)
            continue;
        if (port_is_free(port))
            return port;
        close(*claim_out);
    }
    *claim_out = -1;
    fail_msg("no free port");
    return 0;
}

/* ---- its files ---- */

static void path_of(const struct server *server, const char *name, char out[TEMP_PATH_SIZE + 16])
{
    snprintf(out, TEMP_PATH_SIZE + 16, "%s/%s", server->dir, name);
}

static void write_config(const struct server *server, const struct server_options *options)
{
    char path[TEMP_PATH_SIZE + 16];

    path_of(server, "server.conf", path);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    fprintf(file, "listen: \"127.0.0.1:%d\"\nserver_name: \"test-%d\"\n", server->port,
            server->port);
    if (!options->no_jetstream)
        fprintf(file, "jetstream {\n    store_dir: \"%s%s\"\n%s}\n",
                options->store == NULL ? server->dir : options->store,
                options->store == NULL ? "/store" : "",
                options->sync_always ? "    sync_interval: always\n" : "");
    if (options->config != NULL)
        fprintf(file, "%s\n", options->config);
    fclose(file);
}

void server_show_log(const struct server *server)
{
    char path[TEMP_PATH_SIZE + 16];
    char text[LOG_SHOWN + 1];

    path_of(server, "log", path);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fseek(file, size > LOG_SHOWN ? size - LOG_SHOWN : 0, SEEK_SET);
    size_t len = fread(text, 1, LOG_SHOWN, file);
    fclose(file);
    text[len] = '\0';
    print_error("the end of the log of nats-server:\n%s\n", text);
}

/* ---- its process ---- */

/* In the child: nothing but system calls, because the test may have threads. */
static void become_server(const struct server *server, const char *config, int log, pid_t parent)
{
    char *const args[] = {(char *)server->program, (char *)"-c", (char *)config, NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it died before it could take us along */
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
        close(fd); /* a connection of the test must not live on in here */
    execv(server->program, args);
    _exit(127);
}

static void spawn(struct server *server)
{
    char config[TEMP_PATH_SIZE + 16];
    char path[TEMP_PATH_SIZE + 16];

    path_of(server, "server.conf", config);
    path_of(server, "log", path);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0)
        fail_msg("%s: %s", path, strerror(errno));
    pid_t parent = getpid();
    server->pid = fork();
    if (server->pid == 0)
        become_server(server, config, log, parent);
    close(log);
    if (server->pid < 0) {
        server->pid = 0;
        fail_msg("fork: %s", strerror(errno));
    }
}

/* Has it ended? Then it is no longer running for us either. */
static bool has_ended(void *ctx)
{
    struct server *server = ctx;
    int status;

    if (server->pid != 0 && waitpid(server->pid, &status, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid == 0;
}

/* A server greets each connection with INFO, once it has read its store. */
static bool greets(const struct server *server)
{
    struct sockaddr_in address = address_of(server->port);
    char greeting[5] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return false;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool answered = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                    poll(&wait, 1, 1000) == 1 && read(fd, greeting, 4) == 4 &&
                    strcmp(greeting, "INFO") == 0;
    close(fd);
    return answered;
}

static bool is_up_or_ended(void *ctx)
{
    return has_ended(ctx) || greets(ctx);
}

static void bring_up(struct server *server)
{
    spawn(server);
    if (wait_until(is_up_or_ended, server, START_MS) && server->pid != 0)
        return;
    server_show_log(server);
    fail_msg("%s %s", server->program, server->pid == 0 ? "ended" : "did not start in time");
}

/* ---- the life of a server ---- */

void server_start(struct server *server, const struct server_options *options)
{
    static const struct server_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    const char *program = options->program;

    *server = (struct server){.claims = {-1, -1}};
    if (program == NULL)
        program = getenv("JETJOBS_NATS_SERVER");
    if (program == NULL || strlen(program) >= sizeof(server->program))
        fail_msg("JETJOBS_NATS_SERVER does not name a nats-server");
    snprintf(server->program, sizeof(server->program), "%s", program);
    temp_dir_make(server->dir);
    server->port = choose_port(&server->claims[0]);
    server->spare_port = choose_port(&server->claims[1]);
    snprintf(server->url, sizeof(server->url), "nats://127.0.0.1:%d", server->port);
    write_config(server, options);
    bring_up(server);
}

void server_kill(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void server_stop(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGCONT);
    kill(server->pid, SIGTERM);
    if (!wait_until(has_ended, server, STOP_MS))
        server_kill(server);
}

void server_restart(struct server *server)
{
    server_stop(server);
    bring_up(server);
}

void server_restart_with(struct server *server, const struct server_options *options)
{
    server_stop(server);
    write_config(server, options);
    bring_up(server);
}

void server_freeze(struct server *server)
{
    siginfo_t info;

    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    /* All its threads: one that still runs could begin to greet a client. libnats before 3.10 then
     * waits for the rest of the greeting for ever (nats.c #707). */
    assert_int_equal(waitid(P_PID, (id_t)server->pid, &info, WSTOPPED), 0);
}

void server_thaw(struct server *server)
{
    kill(server->pid, SIGCONT);
}

void server_url_of(const struct server *server, const char *user, char out[128])
{
    snprintf(out, 128, "nats://%s@127.0.0.1:%d", user, server->port);
}

void server_done(struct server *server)
{
    if (server->dir[0] == '\0')
        return;
    server_kill(server);
    for (int i = 0; i < 2; i++)
        if (server->claims[i] >= 0)
            close(server->claims[i]);
    temp_dir_remove(server->dir);
    *server = (struct server){.claims = {-1, -1}};
}

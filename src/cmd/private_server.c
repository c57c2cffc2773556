/* SPDX-License-Identifier: Apache-2.0 */

/* A nats-server in a folder: its port, its configuration, its process, its end. */

#define _GNU_SOURCE /* syscall */

#include "private_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "data_folder.h"
#include "status.h"

#define PORTS         100
#define STOP_MS       10000
#define LOOK_MS       10
#define QUICK_MS      10000
#define QUICK_MAX     3
#define CONFIG_NAME   "nats-server.conf"
#define LAST_WORDS    160
#define LOG_MAX_BYTES "10MB"
#define GREETING_MS   1000
#define DESCRIPTORS   4096 /* where the system can't close all at once */

/* ---- its port ---- */

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static bool port_is_free(int port)
{
    const struct sockaddr_in address = address_of(port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* as the server does */
    bool is_free = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_free;
}

static jj_status choose_port(struct private_server *server, int wanted, jj_error *err)
{
    if (wanted != 0 && !port_is_free(wanted))
        return jj__fail(err, JJ_ERR_STATE, "port %d is in use, and not by a broker", wanted);
    server->port = wanted;
    for (int port = PRIVATE_SERVER_PORT; server->port == 0 && port < PRIVATE_SERVER_PORT + PORTS;
         port++)
        if (port_is_free(port))
            server->port = port;
    if (server->port == 0)
        return jj__fail(err, JJ_ERR_STATE, "no free port from %d to %d", PRIVATE_SERVER_PORT,
                        PRIVATE_SERVER_PORT + PORTS - 1);
    return JJ_OK;
}

/* ---- its files ---- */

/* Its paths are relative to the folder in which it is started. */
static jj_status write_config(const struct private_server *server, bool fast, jj_error *err)
{
    char text[512];

    snprintf(text, sizeof(text),
             "# Written by \"jetjobs up\" each time it starts.\n"
             "listen: \"127.0.0.1:%d\"\n"
             "server_name: \"jetjobs\"\n"
             "log_file: \"nats-server.log\"\n"
             "logfile_size_limit: %s\n"
             "logfile_max_num: 2\n"
             "jetstream {\n"
             "    store_dir: \"streams\"\n"
             "%s"
             "}\n",
             server->port, LOG_MAX_BYTES, fast ? "" : "    sync_interval: always\n");
    return data_folder_write(server->dir, CONFIG_NAME, text, err);
}

/* ---- its process ---- */

static void close_descriptors(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, STDERR_FILENO + 1u, ~0u, 0) == 0)
        return;
#endif
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS; fd++)
        close(fd);
}

/* In the child: nothing but system calls, as there may be threads. A session of its own, so that
 * Ctrl-C is ours to handle. */
static _Noreturn void become_server(const struct private_server *server, int null_fd, pid_t parent)
{
    char *const argv[] = {(char *)server->found.path, (char *)"-c", (char *)CONFIG_NAME, NULL};
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127); /* it died before it could take us along */
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        dup2(null_fd, fd);
    close_descriptors();
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(server->dir) == 0)
        execv(server->found.path, argv);
    _exit(127);
}

static jj_status spawn(struct private_server *server, jj_error *err)
{
    pid_t parent = getpid();
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd < 0)
        return jj__fail_errno(err, JJ_ERR_INTERNAL, errno, "/dev/null");
    pid_t pid = fork();
    if (pid == 0)
        become_server(server, null_fd, parent);
    int error = errno;
    close(null_fd);
    if (pid < 0)
        return jj__fail_errno(err, JJ_ERR_INTERNAL, error, "can't start nats-server");
    server->pid = pid;
    server->started_ms = jj__clock_mono_ms();
    return data_folder_note_server(server->dir, pid, err);
}

jj_status private_server_start(struct private_server *server,
                               const struct private_server_setup *setup, jj_error *err)
{
    *server = (struct private_server){.dir = setup->dir};
    jj_status s = find_server(&server->found, err);

    if (s == JJ_OK)
        s = choose_port(server, setup->port, err);
    if (s == JJ_OK)
        s = write_config(server, setup->fast, err);
    if (s == JJ_OK)
        s = spawn(server, err);
    return s;
}

bool private_server_greets(int port)
{
    const struct sockaddr_in address = address_of(port);
    char greeting[5] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool answered = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                    poll(&wait, 1, GREETING_MS) == 1 && read(fd, greeting, 4) == 4 &&
                    strcmp(greeting, "INFO") == 0;
    close(fd);
    return answered;
}

/* ---- its end ---- */

/* The last line of its log, without its pid and time. */
static void last_words(const struct private_server *server, char out[LAST_WORDS])
{
    char path[DATA_PATH_SIZE], text[4096];

    data_folder_path(server->dir, "nats-server.log", path);
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file == NULL)
        return;
    jj__ignore(fseek(file, -(long)(sizeof(text) - 1), SEEK_END), "it is shorter");
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    const char *line = strrchr(text, '\n');
    line = line == NULL ? text : line + 1;
    const char *level = strchr(line, '['); /* of the pid */
    level = level == NULL ? NULL : strchr(level + 1, '[');
    snprintf(out, LAST_WORDS, "%.*s", LAST_WORDS - 1, level == NULL ? line : level);
}

static void note_end(struct private_server *server, int status, jj_error *err)
{
    char words[LAST_WORDS];

    last_words(server, words);
    jj__ignore(jj__fail(err, JJ_ERR_STATE, "nats-server ended (%s %d): %s",
                        WIFSIGNALED(status) ? "signal" : "status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                        words[0] == '\0' ? "it said nothing" : words),
               "it is for the caller");
    server->pid = 0;
    bool quick = jj__clock_mono_ms() - server->started_ms < QUICK_MS;
    server->quick_ends = quick ? server->quick_ends + 1 : 0;
}

bool private_server_has_ended(struct private_server *server, jj_error *err)
{
    int status;

    if (server->pid != 0 && waitpid(server->pid, &status, WNOHANG) == server->pid) {
        note_end(server, status, err);
        return true;
    }
    return false;
}

jj_status private_server_restart(struct private_server *server, jj_error *err)
{
    if (server->quick_ends >= QUICK_MAX)
        return jj__fail(err, JJ_ERR_STATE, "nats-server does not stay: see %s/nats-server.log",
                        server->dir);
    return spawn(server, err);
}

void private_server_stop(struct private_server *server)
{
    int64_t kill_at_ms = jj__clock_mono_ms() + STOP_MS;

    if (server->pid == 0)
        return;
    kill(server->pid, SIGTERM);
    while (!private_server_has_ended(server, NULL)) {
        if (jj__clock_mono_ms() > kill_at_ms)
            kill(server->pid, SIGKILL);
        poll(NULL, 0, LOOK_MS);
    }
    data_folder_forget_server(server->dir);
}

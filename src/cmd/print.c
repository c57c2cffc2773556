/* SPDX-License-Identifier: Apache-2.0 */

/* Writes to stdout. After the first failure nothing more is written, and print_end() says why. */

#include "print.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buf.h"
#include "escape.h"
#include "program.h"

#define DEFAULT_WIDTH 80

static const char *const colours[] = {
    [PRINT_PLAIN] = "",        [PRINT_BOLD] = "\033[1m",   [PRINT_DIM] = "\033[2m",
    [PRINT_RED] = "\033[31m",  [PRINT_GREEN] = "\033[32m", [PRINT_YELLOW] = "\033[33m",
    [PRINT_BLUE] = "\033[34m",
};

static struct {
    bool terminal;
    bool coloured;
    int error; /* errno of the first failure; 0: none */
} out;

/* True if a variable is there and not empty. */
static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0';
}

static bool wants_colours(void)
{
    const char *term = getenv("TERM");

    return !is_set("NO_COLOR") && is_set("TERM") && strcmp(term, "dumb") != 0;
}

void print_begin(void)
{
    /* For the width of characters alone; the text itself is UTF-8 whatever the locale. */
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    out.terminal = isatty(STDOUT_FILENO) == 1;
    out.coloured = out.terminal && wants_colours();
}

/* Note a failure, with errno if it is set. */
static void note(bool good)
{
    if (!good && out.error == 0)
        out.error = errno == 0 ? EIO : errno;
}

int print_end(int ending)
{
    errno = 0;
    note(fflush(stdout) == 0 && !ferror(stdout));
    note(fclose(stdout) == 0);
    if (out.error == 0 || out.error == EPIPE)
        return ending;
    fprintf(stderr, "jetjobs: stdout: %s\n", strerror(out.error));
    return ending == ENDING_DONE ? ENDING_FAILED : ending;
}

bool print_failed(void)
{
    return out.error != 0;
}

bool print_on_terminal(void)
{
    return out.terminal;
}

static void put(const char *bytes, size_t len)
{
    if (out.error == 0 && len > 0)
        note(fwrite(bytes, 1, len, stdout) == len);
}

void print_flush(void)
{
    if (out.error == 0)
        note(fflush(stdout) == 0);
}

unsigned print_width(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    unsigned long width = columns == NULL ? 0 : strtoul(columns, NULL, 10);
    return width > 1 && width < UINT16_MAX ? (unsigned)width : DEFAULT_WIDTH;
}

void print_plain(const char *text)
{
    put(text, strlen(text));
}

void print_escaped(enum print_colour colour, const char *text, size_t len)
{
    bool coloured = out.coloured && colour != PRINT_PLAIN && len > 0;

    if (coloured)
        print_plain(colours[colour]);
    put(text, len);
    if (coloured)
        print_plain("\033[0m");
}

void print_give_up(void)
{
    errno = ENOMEM;
    note(false);
}

void print_bytes(enum print_colour colour, const void *bytes, size_t len)
{
    struct buf text = {0};

    escape_text(&text, bytes, len);
    if (text.failed)
        print_give_up();
    print_escaped(colour, text.data, text.len);
    jj__buf_done(&text);
}

void print_text(enum print_colour colour, const char *text)
{
    print_bytes(colour, text, strlen(text));
}

void print_json(struct buf *json)
{
    struct buf shown = {0};

    if (out.terminal)
        escape_json(&shown, json->data, json->len);
    if (json->failed || shown.failed)
        print_give_up();
    put(out.terminal ? shown.data : json->data, out.terminal ? shown.len : json->len);
    print_plain("\n");
    jj__buf_done(&shown);
    jj__buf_done(json);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PRINT_H
#define JJ_CMD_PRINT_H

/* stdout: data, and nothing else. This is the only way for what others wrote to get there: text is
 * escaped, so that it is seen and not obeyed, and stays on its line; JSON stays JSON.
 *
 * On a terminal there are colours, unless NO_COLOR or TERM=dumb says no. */

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Find out what stdout is. First of all. */
void print_begin(void);

/* All that was printed goes out. What the program is to end with: ending, unless it was
 * ENDING_DONE and printing failed, which is then said. Whoever reads us may stop doing so: that is
 * no failure. */
int print_end(int ending);

/* True once printing makes no sense any more. */
bool print_failed(void);

/* Let what was printed be seen now. */
void print_flush(void);

bool print_on_terminal(void);
/* How many columns the terminal has that a descriptor is, at least 2. */
unsigned print_width(int fd);

enum print_colour {
    PRINT_PLAIN,
    PRINT_BOLD,
    PRINT_DIM,
    PRINT_RED,
    PRINT_GREEN,
    PRINT_YELLOW,
    PRINT_BLUE
};

/* Others' text; part of a line. */
void print_text(enum print_colour colour, const char *text);
void print_bytes(enum print_colour colour, const void *bytes, size_t len);

/* Our own text, as it is; or what escape_text() made. */
void print_plain(const char *text);
void print_escaped(enum print_colour colour, const char *text, size_t len);

/* A line of JSON, without its line end yet. Frees what the buffer holds; one that failed is a
 * failure to print. */
void print_json(struct buf *json);

/* Something that was to be printed could not be made: no memory. */
void print_give_up(void);

#endif

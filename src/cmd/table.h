/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_TABLE_H
#define JJ_CMD_TABLE_H

/* A table on stdout. On a terminal it has titles, its columns stand below each other, and what is
 * too wide is cut. Elsewhere it is for programs: cells with tabs between them, whole, no titles. */

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "print.h"

struct column {
    const char *title; /* NULL: end of the columns */
    bool right;        /* numbers: units stand below units */
    bool may_be_cut;   /* where the terminal is too narrow */
};

#define TABLE_COLUMNS_MAX 12

/* Begin with {.columns = ...}, which must live as long. */
struct table {
    const struct column *columns;
    bool no_titles;

    size_t count;                       /* of columns; the rest is the table's own */
    size_t at;                          /* of the next cell in its row */
    unsigned widths[TABLE_COLUMNS_MAX]; /* of what was printed so far */
    bool begun;                         /* titles are printed */
    struct buf text;                    /* of the cells, escaped */
    struct buf cells;                   /* struct cell, until they are printed */
};

/* The next cell of the row; NULL is empty. */
void table_text(struct table *table, enum print_colour colour, const char *text);
void table_bytes(struct table *table, enum print_colour colour, const void *bytes, size_t len);
/* 0 is dim. */
void table_number(struct table *table, enum print_colour colour, unsigned long long number);

/* Print the rows so far; those that come later stand below them. Frees what they took. */
void table_flush(struct table *table);

#endif

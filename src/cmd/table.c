/* SPDX-License-Identifier: Apache-2.0 */

/* Keeps the cells until their widths are known, then prints them row by row. */

#include "table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"

/* Between columns. */
#define GAP "  "

/* No column is made narrower. */
#define NARROWEST 10

/* Stands for what was cut; one column wide. */
#define CUT "\xE2\x80\xA6"

struct cell {
    size_t start; /* in table->text */
    size_t len;
    enum print_colour colour;
};

static void begin(struct table *table)
{
    while (table->columns[table->count].title != NULL)
        table->count++;
}

static void keep_cell(struct table *table, enum print_colour colour, const void *bytes, size_t len)
{
    struct cell cell = {.start = table->text.len, .colour = colour};

    escape_text(&table->text, bytes, len);
    cell.len = table->text.len - cell.start;
    jj__buf_add(&table->cells, &cell, sizeof(cell));
}

void table_bytes(struct table *table, enum print_colour colour, const void *bytes, size_t len)
{
    if (table->count == 0)
        begin(table);
    table->at = (table->at + 1) % table->count;
    if (print_on_terminal()) {
        keep_cell(table, colour, bytes, len);
        return;
    }
    print_bytes(colour, bytes, len);
    print_plain(table->at == 0 ? "\n" : "\t");
}

void table_text(struct table *table, enum print_colour colour, const char *text)
{
    table_bytes(table, colour, text, text == NULL ? 0 : strlen(text));
}

void table_number(struct table *table, enum print_colour colour, unsigned long long number)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", number);
    table_text(table, number == 0 ? PRINT_DIM : colour, text);
}

/* ---- widths ---- */

static void widen(unsigned *width, unsigned columns)
{
    if (columns > *width)
        *width = columns;
}

static void measure(struct table *table)
{
    const struct cell *cells = (const void *)table->cells.data;
    size_t count = table->cells.len / sizeof(*cells);

    if (!table->no_titles)
        for (size_t i = 0; i < table->count; i++)
            widen(&table->widths[i], (unsigned)strlen(table->columns[i].title));
    for (size_t i = 0; i < count; i++)
        widen(&table->widths[i % table->count],
              escape_columns(table->text.data + cells[i].start, cells[i].len));
}

/* The widest column that may be made narrower; count: there is none. */
static size_t widest(const struct table *table)
{
    size_t best = table->count;
    unsigned width = NARROWEST;

    for (size_t i = 0; i < table->count; i++) {
        if (table->columns[i].may_be_cut && table->widths[i] > width) {
            width = table->widths[i];
            best = i;
        }
    }
    return best;
}

static void fit_terminal(struct table *table)
{
    unsigned limit = print_width(STDOUT_FILENO);
    unsigned total = (unsigned)((table->count - 1) * strlen(GAP));
    size_t at;

    for (size_t i = 0; i < table->count; i++)
        total += table->widths[i];
    while (total > limit && (at = widest(table)) < table->count) {
        table->widths[at]--;
        total--;
    }
}

/* ---- rows ---- */

static void pad(unsigned columns)
{
    for (; columns > 0; columns--)
        print_plain(" ");
}

static void print_cell(const struct table *table, size_t column, enum print_colour colour,
                       const char *text, size_t len)
{
    unsigned width = table->widths[column];
    unsigned columns = escape_columns(text, len);
    bool last = column + 1 == table->count;
    bool cut = columns > width;

    if (cut) {
        len = escape_fit(text, len, width - 1);
        columns = escape_columns(text, len) + 1;
    }
    if (table->columns[column].right)
        pad(width - columns);
    print_escaped(colour, text, len);
    if (cut)
        print_escaped(PRINT_DIM, CUT, strlen(CUT));
    if (!table->columns[column].right && !last)
        pad(width - columns);
    print_plain(last ? "\n" : GAP);
}

static void print_titles(struct table *table)
{
    for (size_t i = 0; !table->begun && !table->no_titles && i < table->count; i++)
        print_cell(table, i, PRINT_BOLD, table->columns[i].title, strlen(table->columns[i].title));
    table->begun = true;
}

static void print_rows(const struct table *table)
{
    const struct cell *cells = (const void *)table->cells.data;
    size_t count = table->cells.len / sizeof(*cells);

    for (size_t i = 0; i < count; i++)
        print_cell(table, i % table->count, cells[i].colour, table->text.data + cells[i].start,
                   cells[i].len);
}

void table_flush(struct table *table)
{
    if (table->text.failed || table->cells.failed) {
        print_give_up();
    } else if (table->cells.len > 0) {
        measure(table);
        fit_terminal(table);
        print_titles(table);
        print_rows(table);
    }
    jj__buf_done(&table->text);
    jj__buf_done(&table->cells);
}

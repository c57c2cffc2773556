/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_OPTIONS_H
#define JJ_CMD_OPTIONS_H

/* Options on the command line, by tables: what the help tells, the completion knows and the man
 * page has to have is what is read.
 *
 * "--name value", "--name=value", "-l value", "-lvalue"; flags as "--name", "-l" or several in one
 * "-lm". They stand anywhere among the operands; what follows "--" is operands only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/status.h>

/* What the value is, and so what is filled. */
enum cmd_option_kind {
    OPTION_FLAG = 0, /* bool: none, it was said */
    OPTION_TEXT,     /* const char * */
    OPTION_TEXTS,    /* struct option_texts: may be said more than once */
    OPTION_NUMBER,   /* uint32_t, from min to max */
    OPTION_DURATION, /* int64_t milliseconds, from min to max */
    OPTION_SIZE,     /* int64_t bytes, from min to max */
    OPTION_TIME,     /* int64_t Unix milliseconds */
    OPTION_WORD      /* unsigned: which one of words */
};

/* Beyond any sense; a command has a smaller limit of its own or none. */
#define OPTION_TEXTS_MAX 64

struct option_texts {
    const char *texts[OPTION_TEXTS_MAX];
    size_t count;
};

struct cmd_option {
    const char *name;  /* without dashes; NULL: end of the table */
    char letter;       /* 'f': it may be said as -f; '\0': no */
    const char *value; /* what the help calls its value, as "N"; NULL: a flag */
    const char *help;  /* one line, without a full stop */
    enum cmd_option_kind kind;
    void *to;                 /* what kind says; untouched if the option is not said */
    int64_t min;              /* of a number, duration or size; */
    int64_t max;              /* 0: whatever can be read */
    const char *const *words; /* of OPTION_WORD, ended by NULL; "" can't be chosen */
};

/* Read the options of argv[1] and further, which the tables have (each NULL or ended by an option
 * without a name), and take them out: argv keeps argv[0] and the operands, ended by NULL, and *argc
 * says how many. to_operand: stop at the first operand, and keep what follows as it is. An error is
 * JJ_ERR_INVALID, and names the option and what is allowed. */
jj_status options_read(const struct cmd_option *const tables[2], bool to_operand, int *argc,
                       char **argv, jj_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_UP_TEXT_H
#define JJ_CMD_UP_TEXT_H

/* What "jetjobs up" says when all runs: what runs where, and what to try next. */

#include <stdbool.h>
#include <stdio.h>

struct up_text {
    const char *url;    /* of the broker, without secrets */
    const char *server; /* how it is called: "nats-server 2.15.1, pid 12"; NULL: it was there */
    const char *dir;    /* the data folder; NULL: nothing but the index is ours */
    const char *index;  /* its file */
    const char *names;  /* of the handlers; "": none */
    const char *unused_config; /* one that is here and was not named; NULL: none */
    const char *job;           /* a name to try */
    const char *program;       /* how the program is called, as a word for a shell */
    const char *config;        /* to be named in every command; NULL: it need not be */
    bool export_url;           /* the commands need NATS_URL */
};

void up_text_write(FILE *out, const struct up_text *text);

#define UP_WORD_SIZE 4400

/* Quote a text such that it is one word for a shell. */
void up_text_quote(const char *text, char out[UP_WORD_SIZE]);

/* How to call this program from another terminal: "jetjobs" if PATH finds it, else its path. */
void up_text_program(char out[UP_WORD_SIZE]);

#endif

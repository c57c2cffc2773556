/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_GUESS_H
#define JJ_CMD_GUESS_H

/* "Did you mean ...?" Start with best NULL, and offer all words there are. */

#include <stddef.h>

struct guess {
    const char *typed; /* what is none of the words */
    size_t len;        /* of it; it may go on */
    const char *best;  /* the word that was meant; NULL: none of those offered comes near */
    unsigned distance; /* of best */
};

void guess_offer(struct guess *guess, const char *word);

/* How many letters are inserted, left out, replaced or swapped between two words. */
unsigned guess_distance(const char *one, size_t one_len, const char *other, size_t other_len);

#endif

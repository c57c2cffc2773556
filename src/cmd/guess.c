/* SPDX-License-Identifier: Apache-2.0 */

/* Which word was meant: one that begins so, else the one with the fewest slips. */

#include "guess.h"

#include <stdbool.h>
#include <string.h>

/* Longer words are not like any other. */
#define WORD_MAX 32

/* So many slips, and fewer than letters, still make a word recognisable. */
#define SLIPS_MAX 2

static unsigned least(unsigned one, unsigned other)
{
    return one < other ? one : other;
}

/* Optimal string alignment; three rows of its table are enough. */
unsigned guess_distance(const char *one, size_t one_len, const char *other, size_t other_len)
{
    unsigned rows[3][WORD_MAX + 1];

    if (one_len > WORD_MAX || other_len > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= other_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= one_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= other_len; j++) {
            row[j] = least(above[j], row[j - 1]) + 1;
            row[j] = least(row[j], above[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1));
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                row[j] = least(row[j], rows[(i + 1) % 3][j - 2] + 1);
        }
    }
    return rows[one_len % 3][other_len];
}

void guess_offer(struct guess *guess, const char *word)
{
    size_t len = strlen(word);

    if (guess->len == 0)
        return;
    bool begins = strncmp(word, guess->typed, guess->len) == 0;
    unsigned distance = begins ? 0 : guess_distance(word, len, guess->typed, guess->len);
    if (distance > SLIPS_MAX || distance >= guess->len)
        return;
    if (guess->best == NULL || distance < guess->distance) {
        guess->best = word;
        guess->distance = distance;
    }
}

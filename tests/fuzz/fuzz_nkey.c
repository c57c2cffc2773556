/* SPDX-License-Identifier: Apache-2.0 */
/* Files with an nkey's seed: those of nkeys, and of credentials. There is a public key for what has
 * a user's seed, and what is said of another file tells nothing of what is in it. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nkey.h"

static void check_public(const char public[JJ__NKEY_SIZE], const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);

    must(strlen(public) == JJ__NKEY_SIZE - 1 && public[0] == 'U');
    must(strspn(public, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == JJ__NKEY_SIZE - 1);
    must(strstr(text, "SU") != NULL);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = file_of(data, size);
    char public[JJ__NKEY_SIZE];
    char refusal[JJ_ERROR_TEXT_SIZE];
    jj_error err = {0};

    jj_status s = jj__nkey_public(path, public, &err);
    if (s == JJ_OK) {
        check_public(public, data, size);
    } else {
        snprintf(refusal, sizeof(refusal), "%s: has no seed of a user's nkey: a line SU...", path);
        must(s == JJ_ERR_INVALID && strcmp(err.text, refusal) == 0);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON at a glance must be JSON for jansson. */
#include "fuzz.h"

#include <jansson.h>

#include "json_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;

    if (!jj__json_plain(data, size))
        return 0;
    json_t *value = json_loadb((const char *)data, size, flags, NULL);
    must(value != NULL);
    json_decref(value);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <stdio.h>
#include <string.h>

bool template_render(const char *text, const json_t *data, char *out, size_t size)
{
    if (size > 0)
        out[0] = '\0';
    while (*text != '\0') {
        size_t len = strcspn(text, "{");
        const char *from = text;
        char name[32] = "";
        int end = 0;

        if (len == 0 && sscanf(text, "{%31[^}]}%n", name, &end) == 1 && end > 0) {
            from = json_string_value(json_object_get(data, name));
            len = from != NULL ? strlen(from) : size;
        } else if (len == 0) {
            len = 1; /* a brace that is just a brace */
        }
        if (len >= size)
            return false;
        memcpy(out, from, len);
        out[len] = '\0';
        out += len;
        size -= len;
        text += end > 0 ? (size_t)end : len;
    }
    return true;
}

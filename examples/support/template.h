/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_TEMPLATE_H
#define EXAMPLES_SUPPORT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Put the members of data in place of their {names}. False: one is missing, or it gets too long. */
bool template_render(const char *text, const json_t *data, char *out, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_SHOP_H
#define EXAMPLES_SUPPORT_SHOP_H

/* The database of a small shop, in memory: 10 tea and 1 pot, and two customers with cards, of whom
 * Ada has 100 and Bob has 5. It knows nothing of jobs. One thread at a time. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct shop;

struct shop *shop_open(void); /* NULL: it can't */
void shop_close(struct shop *shop);

/* One of items, [{"productId", "quantity"}]: its product, and as result its quantity; 0: it is
 * none. */
int64_t shop_item(const json_t *items, size_t i, const char **product);

/* How much there is of a product; -1: it is not known. */
int64_t shop_stock(struct shop *shop, const char *product);

enum shop_outcome {
    SHOP_DONE,
    SHOP_DECLINED, /* the card has not so much */
    SHOP_BROKEN    /* the database did not take it */
};

/* Charge the card and note it, both or none. */
enum shop_outcome shop_pay(struct shop *shop, const char *order, const char *customer,
                           int64_t total);
int64_t shop_payment(struct shop *shop, const char *order); /* its number; 0: not paid */

/* Take all items out of the stock and note it, or nothing. */
bool shop_reserve(struct shop *shop, const char *order, const json_t *items);
bool shop_has_reserved(struct shop *shop, const char *order);

/* The number of the order's label; it has one, however often it is asked. */
int64_t shop_label(struct shop *shop, const char *order);

#endif

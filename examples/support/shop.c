/* SPDX-License-Identifier: Apache-2.0 */
#include "shop.h"

#include <sqlite3.h>
#include <stdlib.h>

struct shop {
    sqlite3 *db;
};

static const char *const schema =
    "CREATE TABLE products (id TEXT PRIMARY KEY, stock INTEGER CHECK (stock >= 0));"
    "CREATE TABLE cards (customer TEXT PRIMARY KEY, credit INTEGER CHECK (credit >= 0));"
    "CREATE TABLE payments (number INTEGER PRIMARY KEY, order_id TEXT UNIQUE);"
    "CREATE TABLE reservations (order_id TEXT PRIMARY KEY);"
    "CREATE TABLE shipments (number INTEGER PRIMARY KEY, order_id TEXT UNIQUE);"
    "INSERT INTO products VALUES ('tea', 10), ('pot', 1);"
    "INSERT INTO cards VALUES ('ada@example.org', 100), ('bob@example.org', 5)";

struct shop *shop_open(void)
{
    struct shop *shop = calloc(1, sizeof(*shop));

    if (shop != NULL && sqlite3_open(":memory:", &shop->db) == SQLITE_OK &&
        sqlite3_exec(shop->db, schema, NULL, NULL, NULL) == SQLITE_OK)
        return shop;
    shop_close(shop);
    return NULL;
}

void shop_close(struct shop *shop)
{
    if (shop != NULL)
        sqlite3_close(shop->db);
    free(shop);
}

/* Run a statement with the parameters ?1 and ?2. The first number of its first row; if it has none,
 * how many rows it changed; -1: it failed. */
static int64_t sql(struct shop *shop, const char *text, const char *word, int64_t number)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(shop->db, text, -1, &statement, NULL) == SQLITE_OK) {
        if (sqlite3_bind_parameter_count(statement) >= 1)
            sqlite3_bind_text(statement, 1, word, -1, SQLITE_TRANSIENT);
        if (sqlite3_bind_parameter_count(statement) >= 2)
            sqlite3_bind_int64(statement, 2, number);
        int step = sqlite3_step(statement);
        if (step == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
        else if (step == SQLITE_DONE)
            value = sqlite3_changes(shop->db);
    }
    sqlite3_finalize(statement);
    return value;
}

int64_t shop_item(const json_t *items, size_t i, const char **product)
{
    json_int_t quantity = 0;

    if (json_unpack(json_array_get(items, i), "{s:s, s:I}", "productId", product, "quantity",
                    &quantity) != 0)
        return 0;
    return quantity > 0 ? quantity : 0;
}

int64_t shop_stock(struct shop *shop, const char *product)
{
    return sql(shop, "SELECT ifnull(max(stock), -1) FROM products WHERE id = ?1", product, 0);
}

enum shop_outcome shop_pay(struct shop *shop, const char *order, const char *customer,
                           int64_t total)
{
    bool paid = sql(shop, "BEGIN", NULL, 0) >= 0 &&
                sql(shop, "INSERT INTO payments (order_id) VALUES (?1)", order, 0) == 1 &&
                sql(shop, "UPDATE cards SET credit = credit - ?2 WHERE customer = ?1", customer,
                    total) == 1;

    if (sql(shop, paid ? "COMMIT" : "ROLLBACK", NULL, 0) < 0)
        return SHOP_BROKEN;
    return paid ? SHOP_DONE : SHOP_DECLINED;
}

int64_t shop_payment(struct shop *shop, const char *order)
{
    return sql(shop, "SELECT ifnull(max(number), 0) FROM payments WHERE order_id = ?1", order, 0);
}

bool shop_reserve(struct shop *shop, const char *order, const json_t *items)
{
    bool reserved = sql(shop, "BEGIN", NULL, 0) >= 0 &&
                    sql(shop, "INSERT INTO reservations VALUES (?1)", order, 0) == 1;

    for (size_t i = 0; reserved && i < json_array_size(items); i++) {
        const char *product = NULL;
        int64_t quantity = shop_item(items, i, &product);
        reserved = sql(shop, "UPDATE products SET stock = stock - ?2 WHERE id = ?1", product,
                       quantity) == 1;
    }
    return sql(shop, reserved ? "COMMIT" : "ROLLBACK", NULL, 0) >= 0 && reserved;
}

bool shop_has_reserved(struct shop *shop, const char *order)
{
    return sql(shop, "SELECT count(*) FROM reservations WHERE order_id = ?1", order, 0) == 1;
}

int64_t shop_label(struct shop *shop, const char *order)
{
    sql(shop, "INSERT INTO shipments (order_id) VALUES (?1) ON CONFLICT DO NOTHING", order, 0);
    return sql(shop, "SELECT number FROM shipments WHERE order_id = ?1", order, 0);
}

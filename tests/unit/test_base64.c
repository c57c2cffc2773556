/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"

static void assert_written(const char *data, size_t len, const char *text)
{
    char out[64];

    size_t written = jj__base64_write(out, data, len);
    assert_int_equal(written, strlen(text));
    assert_int_equal(written, JJ__BASE64_SIZE(len));
    assert_memory_equal(out, text, written);
}

static void examples_of_the_rfc_are_written(void **state)
{
    (void)state;
    assert_written("", 0, "");
    assert_written("f", 1, "Zg==");
    assert_written("fo", 2, "Zm8=");
    assert_written("foo", 3, "Zm9v");
    assert_written("foob", 4, "Zm9vYg==");
    assert_written("fooba", 5, "Zm9vYmE=");
    assert_written("foobar", 6, "Zm9vYmFy");
    assert_written("\xFB\xFF\xFE", 3, "+//+");
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    char data[256];
    char text[JJ__BASE64_SIZE(sizeof(data))];
    char back[sizeof(data) + 2];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    for (size_t len = 0; len <= sizeof(data); len++) {
        size_t back_len;
        size_t text_len = jj__base64_write(text, data, len);
        while (text_len > 0 && text[text_len - 1] == '=')
            text_len--;
        assert_true(jj__base64_read(text, text_len, back, &back_len));
        assert_int_equal(back_len, len);
        assert_memory_equal(back, data, len);
    }
}

static void anything_else_is_not_read(void **state)
{
    (void)state;
    static const char *const others[] = {"Z",    "Zm9vY", "Zg==",  "Zm8=",   "Zm 9v",
                                         "Zm9-", "Zm9_",  "Zm9\n", "Zm9\xFF"};
    char out[16];
    size_t len = 4711;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(jj__base64_read(others[i], strlen(others[i]), out, &len));
    assert_false(jj__base64_read("Zm\0v", 4, out, &len));
    assert_int_equal(len, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc_are_written),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(anything_else_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

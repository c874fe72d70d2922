/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenure token and a person's sentence in a file. */
#include <config.h>

#include "common/tenure.h"
#include "common/token.h"
#include "tests/fuzz/fuzz.h"

static void token_try(const char *text)
{
    char plain[TOKEN_TEXT_MAX + 1], word[TOKEN_SIZE];

    if (token_decode(text, plain) == 0)
        PROMISE(token_encode(plain, word) == 0 && strcmp(word, text) == 0);
    if (token_encode(text, word) == 0)
        PROMISE(!strpbrk(word, " \t\n\"\\") && word[0] != '\0' && token_decode(word, plain) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size, 1000), again[TENURE_TEXT_MAX];
    struct tenure t;

    if (tenure_parse((const char *)data, size, &t) == 0) {
        size_t n = tenure_format(&t, again);
        PROMISE(n == size && memcmp(again, data, n) == 0);
    }
    if (text)
        token_try(text);
    free(text);
    return 0;
}

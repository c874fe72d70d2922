/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds a target the files of one folder: what fuzzing found worth keeping, and what is hostile by hand. TAP. */
#include <config.h>

#include <dirent.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)

static int feed(const char *path)
{
    uint8_t *data = malloc(INPUT_MAX);
    FILE *f = fopen(path, "rb");
    size_t size = f && data ? fread(data, 1, INPUT_MAX, f) : 0;
    int rc = f && data && !ferror(f) ? 0 : -1;

    if (f)
        (void)fclose(f);
    uint8_t *exact = rc == 0 ? malloc(size ? size : 1) : NULL; /* a sanitizer sees a read beyond the end */
    if (exact) {
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    return exact ? 0 : -1;
}

int main(int argc, char **argv)
{
    char folder[4096], path[8192];
    const char *top = getenv("top_srcdir"), *name = strrchr(argv[0], '/');
    unsigned n = 0, bad = 0;

    if (argc > 1)
        (void)snprintf(folder, sizeof folder, "%s", argv[1]);
    else
        (void)snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", top ? top : ".", name ? name + 1 : argv[0]);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)fprintf(stderr, "# %s\n", path); /* the last one is the culprit */
        bad += feed(path) != 0;
        n++;
    }
    if (d)
        (void)closedir(d);
    (void)printf("1..1\n%sok 1 - %u files of %s\n", n == 0 || bad ? "not " : "", n, folder);
    return n == 0 || bad ? 1 : 0;
}

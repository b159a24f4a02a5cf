// Runs a fuzz target over every file of a folder, without a fuzzer: the kept corpus as a test.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *folder, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END)) return -1;
    long size = ftell(f);
    rewind(f);
    // Exactly as large as the input, so that AddressSanitizer sees a byte read past it.
    uint8_t *data = size >= 0 ? malloc((size_t)size + !size) : NULL;
    int bad = !data || fread(data, 1, (size_t)size, f) != (size_t)size;
    fclose(f);
    if (!bad) LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return bad ? -1 : 0;
}

int main(int argc, char **argv) {
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "replay: cannot read %s; give the folder of a corpus\n", argc == 2 ? argv[1] : "its argument");
        return 2;
    }
    int passed = 0, failed = 0;
    for (struct dirent *d; (d = readdir(dir));)
        if (d->d_name[0] != '.') run_file(argv[1], d->d_name) ? failed++ : passed++;
    closedir(dir);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || !passed;
}

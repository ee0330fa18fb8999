/* Runs a fuzz target over saved inputs, without libFuzzer: replay FILE... */
#include "fuzz.h"

#include <stdio.h>

int main(int argc, char **argv) {
    for (int index = 1; index < argc; index++) {
        FILE *file = fopen(argv[index], "rb");
        if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
            perror(argv[index]);
            return EXIT_FAILURE;
        }
        size_t size = (size_t)ftell(file);
        rewind(file);
        /* As large as the input, so that a sanitizer sees what is read behind it. */
        uint8_t *data = malloc(size);
        REQUIRE(fread(data, 1, size, file) == size);
        fclose(file);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d\n", argc - 1);
    return EXIT_SUCCESS;
}

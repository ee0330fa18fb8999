/* Verifies the images on its standard input, each behind its length, and prints what it found. */
#include "jl_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static struct jl_port port = {.profile_id = "host", .kernel_class = JL_KERNEL_SCALAR};
    port.trusted_keys = &jl_trusted_keys;
    port.verify_signature = jl_ed25519_verify;
    uint32_t bytes;
    while (fread(&bytes, sizeof bytes, 1, stdin) == 1) {
        /* As large as the image, so that a sanitizer sees what is read behind it. */
        uint8_t *data = malloc(bytes);
        if (bytes > 0 && fread(data, bytes, 1, stdin) != 1) {
            return EXIT_FAILURE;
        }
        struct jl_image image;
        memset(&image, 0, sizeof image);
        jl_status status = jl_image_verify(&port, (struct jl_bytes){data, bytes}, &image);
        jl_status firmware = status == JL_OK ? jl_image_check_firmware(&port, &image) : status;
        printf("%u %u %u %u\n", (unsigned)status, (unsigned)firmware, image.bytes,
               image.security_counter);
        fflush(stdout);
        free(data);
    }
    return EXIT_SUCCESS;
}

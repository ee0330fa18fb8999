/* Comparisons of floats for cores without an FPU, under the names of the run-time ABI of Arm. The
 * compiler's own hold tables of absolute addresses, which no module can. */
#include <stdint.h>

int32_t __aeabi_fcmpeq(uint32_t left, uint32_t right);
int32_t __aeabi_fcmplt(uint32_t left, uint32_t right);
int32_t __aeabi_fcmple(uint32_t left, uint32_t right);
int32_t __aeabi_fcmpge(uint32_t left, uint32_t right);
int32_t __aeabi_fcmpgt(uint32_t left, uint32_t right);

/* Floats in the order of these numbers; both zeros are one. */
static int32_t place(uint32_t bits) {
    const int32_t size = (int32_t)(bits & 0x7FFFFFFFu);
    return bits >> 31 ? -size : size;
}

static int32_t is_ordered(uint32_t left, uint32_t right) {
    return (left & 0x7FFFFFFFu) <= 0x7F800000u && (right & 0x7FFFFFFFu) <= 0x7F800000u;
}

int32_t __aeabi_fcmpeq(uint32_t left, uint32_t right) {
    return is_ordered(left, right) && place(left) == place(right);
}

int32_t __aeabi_fcmplt(uint32_t left, uint32_t right) {
    return is_ordered(left, right) && place(left) < place(right);
}

int32_t __aeabi_fcmple(uint32_t left, uint32_t right) {
    return is_ordered(left, right) && place(left) <= place(right);
}

int32_t __aeabi_fcmpge(uint32_t left, uint32_t right) {
    return is_ordered(left, right) && place(left) >= place(right);
}

int32_t __aeabi_fcmpgt(uint32_t left, uint32_t right) {
    return is_ordered(left, right) && place(left) > place(right);
}

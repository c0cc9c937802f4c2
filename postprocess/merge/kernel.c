/* One tile of a merge: base + scale * delta in fp32, rounded once to bf16 (to nearest, ties to even).
 *
 * The same steps in the same order as arithmetic.py makes them in numpy, so the same bits; there they are nine passes
 * over memory, here one. Built without contraction: the product and the sum are rounded one after the other.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif

/* Rows of `columns` elements; strides in elements. Returns whether every result is finite. */
FOR_EACH_CPU int add_scaled_bf16(const uint16_t *base, size_t base_stride, const float *delta, size_t delta_stride,
                                 float scale, uint16_t *out, size_t out_stride, size_t rows, size_t columns)
{
    uint32_t largest = 0;
    for (size_t row = 0; row < rows; row++) {
        const uint16_t *from = base + row * base_stride;
        const float *change = delta + row * delta_stride;
        uint16_t *to = out + row * out_stride;
        for (size_t column = 0; column < columns; column++) {
            uint32_t bits = (uint32_t)from[column] << 16;
            float sum;
            memcpy(&sum, &bits, sizeof sum);
            sum = change[column] * scale + sum;
            memcpy(&bits, &sum, sizeof bits);
            uint32_t size = bits & 0x7fffffff;
            largest = size > largest ? size : largest;
            to[column] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
        }
    }
    return largest < 0x7f7f8000; /* from there on it rounds to infinity, or is that or NaN already */
}

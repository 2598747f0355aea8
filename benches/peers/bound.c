/*
 * The streaming bound of a layer: every byte of the input is read once, every byte of the output is written once, and the writes are spread
 * over the reads as those of a pooling kernel are. The vectors are as long as the compiler makes them with -march=native.
 */

#include <stddef.h>
#include <stdint.h>

typedef uint64_t vector __attribute__((vector_size(64), aligned(1), may_alias));

/* What is read is folded into the result, so that no load is left out. Bytes that do not fill a vector are. */
uint64_t peers_bound(const unsigned char *in, size_t in_bytes, unsigned char *out, size_t out_bytes) {
    const vector *src = (const vector *)in;
    vector *dst = (vector *)out;
    size_t reads = in_bytes / sizeof(vector), writes = out_bytes / sizeof(vector);
    size_t each = writes == 0 || reads < writes ? 1 : reads / writes;
    vector a = {0}, b = {0}, c = {0}, d = {0};
    size_t read = 0, written = 0, owed = 0;
    for (; read + 4 <= reads; read += 4) {
        a |= src[read], b |= src[read + 1], c |= src[read + 2], d |= src[read + 3];
        for (owed += 4; owed >= each && written < writes; owed -= each) {
            dst[written++] = a;
        }
    }
    while (written < writes) {
        dst[written++] = b;
    }
    a |= b | c | d;
    return a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7];
}

// Matrix × rows for registers of 512 bits: two row groups at a time. Compiled beside kernels.c where STARLING_WIDE is set.
#define LANES 16
#include "matmul.h"

void starling_matmul_wide(int format, const uint8_t *weights, int out_rows, int cols, const uint8_t *panel, int rows, void *to) {
  matmul_format(format, weights, out_rows, cols, panel, rows, to);
}

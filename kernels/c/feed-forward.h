// Feed-forward tiles: of all rows of a phase's input, or as an expert of some of them.
#pragma once

// Biases and the gated unit, of rows of the inner buffers.
INLINE void gated_units(const feed_forward_tile *t, int rows) {
  const tile_buffers *const b = &t->buffers;
  for (int r = 0; r < rows; r++) {
    const ptrdiff_t at = (ptrdiff_t)r * b->inner_stride;
    float *const gate = (float *)(b->inner[0] + at), *const up = (float *)(b->inner[1] + at);
    if (t->gate_bias != NULL) add_scaled(gate, t->gate_bias, 1.0f, t->gate.rows);
    if (t->up_bias != NULL) add_scaled(up, t->up_bias, 1.0f, t->gate.rows);
    glu(t->activation, gate, up, t->gate.rows);
  }
}

static int feed_forward(const feed_forward_tile *t, int first, int rows, int fresh) {
  const tile_buffers *const b = &t->buffers;
  from_input(&t->gate, b, rows, b->inner[0]);
  from_input(&t->up, b, rows, b->inner[1]);
  gated_units(t, rows);
  return to_sums(&t->down, b, b->inner[0], first, rows, t->limit, fresh, NULL);
}

// Zeroes the sums of rows 0 .. rows that are not in the list.
INLINE void clear_others(const feed_forward_tile *t, uint8_t *sums, int rows, const uint32_t *list, int count) {
  for (int r = 0, i = 0; r < rows; r++) {
    if (i < count && (int)list[i] == r) i++;
    else memset(sums + (ptrdiff_t)r * t->buffers.sum_stride, 0, (size_t)t->down.rows * 8);
  }
}

static int expert(const feed_forward_tile *t, int first, int rows, const uint32_t *list, const float *weights, int count,
                  int fresh) {
  const tile_buffers *const b = &t->buffers;
  if (fresh) clear_others(t, b->sums + (ptrdiff_t)first * b->sum_stride, rows, list, count);
  if (count == 0) return 1;
  const int of_gate = activation_of(t->gate.format), of_up = activation_of(t->up.format), some = count < rows;
  if (some) gather_panel(of_gate, b->panels[of_gate], t->gate.cols, rows, list, count, t->gathered);
  from_panel(&t->gate, some ? t->gathered : b->panels[of_gate], b, count, b->inner[0]);
  if (some && of_up != of_gate) gather_panel(of_up, b->panels[of_up], t->up.cols, rows, list, count, t->gathered);
  from_panel(&t->up, some ? t->gathered : b->panels[of_up], b, count, b->inner[1]);
  gated_units(t, count);
  scale_rows(b->inner[0], b->inner_stride, weights, t->gate.rows, count);
  return to_sums(&t->down, b, b->inner[0], first, count, t->limit, fresh, some ? list : NULL);
}

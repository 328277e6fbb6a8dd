import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeRouter } from '../../../coordinator/router-weights.ts';
import { f32View } from '../../../kernels/arena.ts';
import { activationBytes, matrixBytes, panelBytes } from '../../../kernels/formats.ts';
import { availableBackends } from '../../fixtures/backends.ts';

const [DIM, COLS, EXPERTS, HEIGHT, ROWS] = [40, 64, 9, 16, 3] as const;

/** Values between −1 and 1 with so many bits. */
const valuesOf = (count: number, bits: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7919 + 13) % 2 ** bits) / 2 ** (bits - 1) - 1);

for (const backend of availableBackends()) {
  for (const [bits, format] of [
    [8, 'BF16'],
    [20, 'F32'],
  ] as const) {
    test(`a router's products, ${format}, have the bits of its f32 rows: ${backend.name}`, () => {
      const arena = backend.createArena();
      const all = valuesOf((EXPERTS + 1) * DIM, bits);
      const router = { weights: all.subarray(0, EXPERTS * DIM), sharedGate: all.subarray(EXPERTS * DIM) };
      const [source, placed, repacked] = [all.length * 4, ...[1, 2].map(() => matrixBytes('F32', HEIGHT, COLS))].map(
        (bytes) => arena.alloc(bytes),
      ) as [number, number, number];
      const x = arena.alloc(ROWS * activationBytes('f32', COLS));
      const panel = arena.alloc(panelBytes('f32', COLS, ROWS));
      const out = [1, 2].map(() => arena.alloc(ROWS * HEIGHT * 4)) as [number, number];
      f32View(arena, source, all.length).set(all);
      f32View(arena, x, ROWS * COLS).set(valuesOf(ROWS * COLS, 23));
      const kernels = backend.kernels(arena);

      assert.equal(placeRouter(arena, router, DIM, COLS, placed), format);
      assert.ok(kernels.repack('F32', source, DIM * 4, EXPERTS + 1, DIM, repacked, HEIGHT, COLS));
      kernels.packPanel('f32', x, activationBytes('f32', COLS), COLS, ROWS, panel);
      kernels.matmul(format, placed, HEIGHT, COLS, panel, ROWS, out[0], HEIGHT * 4);
      kernels.matmul('F32', repacked, HEIGHT, COLS, panel, ROWS, out[1], HEIGHT * 4);
      const [products, expected] = out.map((at) => Buffer.from(arena.bytes(at, ROWS * HEIGHT * 4)));
      assert.ok(f32View(arena, out[0], EXPERTS + 1).every((product) => product !== 0));
      assert.deepEqual(products, expected);
    });
  }
}

test('one weight that is no bf16 keeps all of them as they are', () => {
  const [reference] = availableBackends().filter(({ name }) => name === 'reference');
  const arena = reference!.createArena();
  const weights = valuesOf(EXPERTS * DIM, 8);
  const at = arena.alloc(matrixBytes('F32', HEIGHT, COLS));
  assert.equal(
    placeRouter(arena, { weights, sharedGate: Float32Array.from(weights.subarray(0, DIM)).fill(1 / 3) }, DIM, COLS, at),
    'F32',
  );
});

/** The scalar pieces of the kernels' numeric contract (kernels.ts), for the reference and for tests. */

const f32 = Math.fround;
const scratch = new DataView(new ArrayBuffer(4));

/** The bits of f32(value). */
export function floatBits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** The f32 with these bits. */
export function floatFromBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** The integer nearest to `x`, of two equally near ones the even. Keeps the sign of zero, infinities and NaN. */
export function roundTiesToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest > 0.5 || (rest === 0.5 && below % 2 !== 0)) return below + 1 === 0 ? -0 : below + 1;
  return below;
}

/** The contract's sum of eight lanes: ((a0+a4)+(a2+a6)) + ((a1+a5)+(a3+a7)), each sum rounded to f32. */
export function tree(a: Float32Array): number {
  const even = f32(f32(a[0]! + a[4]!) + f32(a[2]! + a[6]!));
  const odd = f32(f32(a[1]! + a[5]!) + f32(a[3]! + a[7]!));
  return f32(even + odd);
}

/** The same f32 as the contract's 1.44269504. */
const LOG2_E = f32(Math.LOG2E);
/** Adding and subtracting 1.5 · 2^23 leaves the nearest integer, ties to even. */
const ROUND = 12582912;
/** ln 2 in two parts; the first has so few bits that its product with n is exact. */
const LN2_HIGH = f32(0.693359375);
const LN2_LOW = f32(-2.1219444e-4);
const P0 = f32(1.98756915e-4);
const P1 = f32(1.3981999507e-3);
const P2 = f32(8.3334519073e-3);
const P3 = f32(4.1665795894e-2);
const P4 = f32(1.6666665459e-1);
const P5 = f32(5.0000001201e-1);

/** exp of an f32, as f32 (Cephes expf): 0 below −87, exp(88) above 88, NaN for NaN. Relative error below 2e-7. */
export function expF32(value: number): number {
  if (value < -87) return 0;
  const x = Math.min(value, 88);
  const n = f32(f32(f32(x * LOG2_E) + ROUND) - ROUND);
  const r = f32(f32(x - f32(n * LN2_HIGH)) - f32(n * LN2_LOW));
  let p = P0;
  p = f32(f32(p * r) + P1);
  p = f32(f32(p * r) + P2);
  p = f32(f32(p * r) + P3);
  p = f32(f32(p * r) + P4);
  p = f32(f32(p * r) + P5);
  let y = f32(p * f32(r * r));
  y = f32(y + r);
  y = f32(y + 1);
  return f32(y * floatFromBits((n + 127) << 23));
}

/** tanh of an f32, as f32. Error below 2e-7. */
export function tanhF32(x: number): number {
  const t = expF32(f32(-2 * Math.abs(x)));
  const magnitude = f32(f32(1 - t) / f32(1 + t));
  return x < 0 || Object.is(x, -0) ? -magnitude : magnitude;
}

/** g · sigmoid(g) of an f32, as f32. */
export function siluF32(g: number): number {
  return f32(g / f32(1 + expF32(-g)));
}

/** √(8/π) and the factor of the cube, of gelu's form with tanh (Hendrycks and Gimpel, arXiv:1606.08415). */
const GELU_SLOPE = f32(1.5957691);
const GELU_CUBE = f32(0.044715);
/** Below it gelu is as good as 0, and the range of exp ends. */
const GELU_LEAST = -10;

/** gelu of an f32 in its form with tanh, as f32. */
export function geluF32(value: number): number {
  const g = Math.max(value, GELU_LEAST);
  const w = f32(g * f32(1 + f32(GELU_CUBE * f32(g * g))));
  return f32(g / f32(1 + expF32(-f32(GELU_SLOPE * w))));
}

const CLAMP = 7;
const CLAMPED_SLOPE = f32(1.702);

/** The gated unit of gpt-oss: min(g, 7) · sigmoid(1.702 · min(g, 7)) · (1 + u within ±7), of f32, as f32. */
export function clampedUnitF32(gate: number, up: number): number {
  const g = Math.min(gate, CLAMP);
  const u = Math.max(-CLAMP, Math.min(up, CLAMP));
  return f32(f32(g / f32(1 + expF32(-f32(CLAMPED_SLOPE * g)))) * f32(u + 1));
}

/**
 * Counter-based random numbers: the value is a function of (seed, position) alone, so sampling has no state that could
 * depend on the batch, on the order of requests or on a replay after a lost device.
 *
 * Philox 4x32-10 of Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).
 */

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;

/** Which use a number is drawn for, so that two uses of one (seed, position) are independent. */
const STREAM_SAMPLE = 0;
const STREAM_DERIVED_SEED = 1;

export type Words4 = readonly [number, number, number, number];

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One Philox 4x32-10 block.
 * @param counter four unsigned 32-bit words
 * @param key two unsigned 32-bit words
 * @returns four unsigned 32-bit words
 */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) >>> 0;
    k1 = (k1 + KEY_STEP_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

function draw(seed: number | bigint, position: number, stream: number): Words4 {
  const key = BigInt.asUintN(64, BigInt(seed));
  const counter: Words4 = [position >>> 0, Math.floor(position / 2 ** 32) >>> 0, stream, 0];
  return philox4x32(counter, [Number(key & 0xffffffffn), Number(key >> 32n)]);
}

/**
 * A uniform double in [0, 1) with 53 random bits.
 * @param seed any integer; its low 64 bits count
 * @param position a non-negative safe integer: the place in the sequence that the number decides
 */
export function counterRandom(seed: number | bigint, position: number): number {
  const [a, b] = draw(seed, position, STREAM_SAMPLE);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}

/**
 * The seed of the `choice`-th of several answers to one request: the first keeps the request's own seed, so it is the
 * answer that a request for one alone gets. The others are 53-bit integers.
 */
export function choiceSeed(seed: number | bigint, choice: number): number | bigint {
  if (choice === 0) return seed;
  const [a, b] = draw(seed, choice, STREAM_DERIVED_SEED);
  return (a >>> 5) * 2 ** 26 + (b >>> 6);
}

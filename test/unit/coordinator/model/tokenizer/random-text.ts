/** A small repeatable generator (mulberry32): each call returns an integer from 0 to below - 1. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Random code points of all planes without surrogates, ASCII and white space over-represented. */
export function randomText(next: (below: number) => number, maxLength: number): string {
  let text = '';
  for (let n = next(maxLength + 1); n > 0; n--) {
    const kind = next(8);
    const point = kind < 4 ? next(0x80) : kind < 5 ? next(0x800) : kind < 7 ? next(0x10000) : next(0x110000);
    text += point >= 0xd800 && point < 0xe000 ? ' ' : String.fromCodePoint(point);
  }
  return text;
}

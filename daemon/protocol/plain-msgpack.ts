/**
 * Checks, before anything is decoded, that bytes are one MessagePack value of the plain kind: nil, booleans, numbers,
 * strings, binary, arrays and maps, nested no deeper than `maxDepth`, complete, with nothing after it. Extensions are
 * refused: decoders give them powers (dates, regular expressions, back references, shared strings) with which a few
 * bytes can cost seconds. One pass, no allocation that grows with the input.
 *
 * Source: the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function isPlainMessagePack(bytes: Uint8Array, maxDepth: number): boolean {
  /** Values that are still to come at each level; a map counts keys and values. */
  const pending = new Array<number>(maxDepth + 1).fill(0);
  pending[0] = 1;
  let depth = 0;
  let at = 0;
  for (;;) {
    while (pending[depth] === 0) {
      if (depth === 0) return at === bytes.length;
      depth--;
    }
    pending[depth]! -= 1;
    const token = bytes[at++];
    if (token === undefined) return false;
    const shape = shapeOf(token);
    if (shape === null) return false;
    const [sizeBytes, unit, fixed] = shape;
    if (at + sizeBytes > bytes.length) return false;
    let size = fixed;
    for (let i = 0; i < sizeBytes; i++) size = size * 256 + bytes[at++]!;
    if (unit === 0) {
      at += size;
      if (at > bytes.length) return false;
    } else {
      // every value takes at least a byte, so a count beyond what is left is a lie
      if (size * unit > bytes.length - at || depth === maxDepth) return false;
      pending[++depth] = size * unit;
    }
  }
}

/** [bytes of the size field, values per element (0: the size counts bytes), size without a field]; null: not plain. */
type Shape = readonly [sizeBytes: number, unit: 0 | 1 | 2, fixed: number];

function shapeOf(token: number): Shape | null {
  if (token < 0x80 || token >= 0xe0) return [0, 0, 0];
  if (token < 0x90) return [0, 2, token - 0x80];
  if (token < 0xa0) return [0, 1, token - 0x90];
  if (token < 0xc0) return [0, 0, token - 0xa0];
  return SHAPES[token] ?? null;
}

const SHAPES: Readonly<Record<number, Shape>> = {
  // nil, false, true
  192: [0, 0, 0],
  194: [0, 0, 0],
  195: [0, 0, 0],
  // binary with a size of 8, 16, 32 bits
  196: [1, 0, 0],
  197: [2, 0, 0],
  198: [4, 0, 0],
  // float 32, 64
  202: [0, 0, 4],
  203: [0, 0, 8],
  // unsigned, then signed integers
  204: [0, 0, 1],
  205: [0, 0, 2],
  206: [0, 0, 4],
  207: [0, 0, 8],
  208: [0, 0, 1],
  209: [0, 0, 2],
  210: [0, 0, 4],
  211: [0, 0, 8],
  // strings, arrays, maps
  217: [1, 0, 0],
  218: [2, 0, 0],
  219: [4, 0, 0],
  220: [2, 1, 0],
  221: [4, 1, 0],
  222: [2, 2, 0],
  223: [4, 2, 0],
};

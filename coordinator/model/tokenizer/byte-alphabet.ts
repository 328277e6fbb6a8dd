/*
 * Byte-level BPE vocabularies write each byte as one printable character (GPT-2, "Language Models are Unsupervised
 * Multitask Learners", encoder.py): bytes that print in Latin-1 stand for themselves, the others are numbered from
 * U+0100 in byte order.
 */

function printsInLatin1(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/** The character of each byte: 256 strings of one UTF-16 unit. */
export const BYTE_CHARS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printsInLatin1(byte) ? byte : next++));
})();

const BYTE_OF_UNIT: ReadonlyMap<number, number> = new Map(BYTE_CHARS.map((char, byte) => [char.charCodeAt(0), byte]));

const encoder = new TextEncoder();

/**
 * The bytes that a piece of a byte-level vocabulary stands for. Characters outside the byte alphabet, which only
 * badly converted vocabularies hold, stand for their own UTF-8.
 */
export function bytesOfPiece(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) {
    const byte = BYTE_OF_UNIT.get(piece.charCodeAt(i));
    if (byte === undefined) return encodeMixed(piece);
    bytes[i] = byte;
  }
  return bytes;
}

function encodeMixed(piece: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of piece) {
    const byte = BYTE_OF_UNIT.get(char.codePointAt(0) as number);
    if (byte === undefined) bytes.push(...encoder.encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/**
 * How a tile travels: TILE frames with the tile's place in the load as `index` and the byte they begin at as `offset`,
 * in order. The payload of the first (offset 0) starts with the 32 bytes of the content's SHA-256. The device answers
 * each complete tile with a TILE_ACK whose `format` says how it went.
 */
export const TILE_STATUS = { stored: 0, damaged: 1 } as const;
export type TileStatus = keyof typeof TILE_STATUS;

export const HASH_BYTES = 32;

/** Content bytes of one TILE frame. */
export const TILE_CHUNK = 2 ** 20;

/** Bytes that a sender may have under way to one device. */
export const TILE_WINDOW = 16 * 2 ** 20;

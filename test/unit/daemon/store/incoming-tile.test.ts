import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IncomingTile, MAX_TILE } from '../../../../daemon/store/incoming-tile.ts';

test('pieces in order make the tile, and are copied', () => {
  const tile = new IncomingTile(7, 5);
  const piece = Uint8Array.of(1, 2, 3);
  assert.equal(tile.accept(7, 0, piece), false);
  piece.fill(9);
  assert.equal(tile.received, 3);
  assert.equal(tile.complete, false);
  assert.equal(tile.accept(7, 3, Uint8Array.of(4, 5)), true);
  assert.equal(tile.complete, true);
  assert.deepEqual([...tile.content], [1, 2, 3, 4, 5]);
});

test('anything else is refused and changes nothing', () => {
  const tile = new IncomingTile(7, 5);
  tile.accept(7, 0, Uint8Array.of(1, 2));
  const refused: [number, number, number, RegExp][] = [
    [8, 2, 1, /tile 8/],
    [7, 0, 2, /byte 0 came, expected at 2/],
    [7, 3, 1, /byte 3 came/],
    [7, 2, 0, /empty/],
    [7, 2, 4, /beyond/],
    [7, -1, 1, /byte -1/],
    [7, Number.NaN, 1, /NaN/],
  ];
  for (const [index, offset, length, message] of refused) {
    assert.throws(() => tile.accept(index, offset, new Uint8Array(length)), {
      code: 'protocol_invalid_message',
      message,
    });
  }
  assert.equal(tile.accept(7, 2, Uint8Array.of(3, 4, 5)), true);
  assert.throws(() => tile.accept(7, 5, Uint8Array.of(6)), { code: 'protocol_invalid_message' });
  assert.deepEqual([...tile.content], [1, 2, 3, 4, 5]);
});

test('sizes are bounded', () => {
  for (const bytes of [0, -1, 1.5, MAX_TILE + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new IncomingTile(0, bytes), { code: 'protocol_invalid_message' });
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWindowShared, REPAIR, WindowWords } from '../../../../daemon/engine/window-words.ts';

/** A reader or compute thread that has to wait would block this one; so the tests only ask for what is there. */
function open(streamed: number, slots: number, chosen: readonly number[] = []) {
  const shared = createWindowShared(
    Array.from({ length: streamed }, (_, place) => chosen.includes(place)),
    ...([streamed, slots, 1] as const),
  );
  return { shared, driver: new WindowWords(shared), reader: new WindowWords(shared), worker: new WindowWords(shared) };
}

/** Reads the next `count` tiles. @returns their places in the stream */
function read(reader: WindowWords, count: number): number[] {
  return Array.from({ length: count }, () => {
    const next = reader.take()!;
    reader.arrived(next.ticket, 10);
    return next.place;
  });
}

/** Computes a phase. @returns whether any of its tiles had to be waited for */
function compute(driver: WindowWords, worker: WindowWords, place: number, count: number): void {
  driver.beginPhase(place, count);
  for (let i = place; i < place + count; i++) {
    assert.equal(worker.awaitTile(i), 0, `tile ${i} is there`);
    worker.release(i);
  }
}

test('tiles are read in order, as many ahead as there are slots, and on into the next token', () => {
  const { driver, reader, worker } = open(6, 3);
  assert.deepEqual(read(reader, 3), [0, 1, 2]);
  compute(driver, worker, 0, 2);
  assert.deepEqual(read(reader, 2), [3, 4]);
  compute(driver, worker, 2, 3);
  assert.deepEqual(read(reader, 3), [5, 0, 1]);
  compute(driver, worker, 5, 1);
  compute(driver, worker, 0, 2);
  assert.deepEqual(read(reader, 3), [2, 3, 4]);
  assert.equal(reader.bytesRead, 11 * 10);
});

test('a tile is read once for a token, over many tokens', () => {
  const { driver, reader, worker } = open(4, 2);
  for (let token = 0; token < 1000; token++) {
    for (const place of [0, 2]) {
      assert.deepEqual(read(reader, 2), [place, place + 1]);
      compute(driver, worker, place, 2);
    }
  }
  assert.equal(reader.bytesRead, 4 * 1000 * 10);
});

test('a step that was given up leaves what was read ahead, and the next begins anew', () => {
  const { driver, reader, worker } = open(8, 4);
  read(reader, 4);
  compute(driver, worker, 0, 2);
  // 4 is being read, 5 is not taken yet: the step ends here, and another begins with 0.
  const late = reader.take()!;
  assert.equal(late.place, 4);
  driver.beginPhase(0, 2);
  reader.arrived(late.ticket, 10);
  // What the given-up step would have needed next is skipped without being read.
  assert.deepEqual(read(reader, 3), [0, 1, 2]);
  for (const place of [0, 1]) {
    assert.equal(worker.awaitTile(place), 0);
    worker.release(place);
  }
  compute(driver, worker, 2, 1);
});

test('phases may be left out', () => {
  const { driver, reader, worker } = open(6, 2);
  read(reader, 2);
  compute(driver, worker, 0, 2);
  // 2 and 3 belong to a phase that is not computed.
  read(reader, 2);
  driver.beginPhase(4, 2);
  assert.deepEqual(read(reader, 2), [4, 5]);
  for (const place of [4, 5]) {
    assert.equal(worker.awaitTile(place), 0);
    worker.release(place);
  }
});

test('a tile that cannot be had is told to all', () => {
  const { driver, reader, worker } = open(2, 2);
  const { ticket } = reader.take()!;
  assert.equal(worker.failed, false);
  reader.fail(ticket);
  driver.beginPhase(0, 2);
  assert.equal(worker.awaitTile(0), 0, 'nobody waits for it');
  assert.equal(worker.failed, true);
});

test('a reader hears whether a tile was mended', () => {
  const { driver, reader } = open(2, 2);
  driver.answer(0, REPAIR.mended);
  assert.equal(reader.awaitRepair(0), true);
  driver.answer(0, REPAIR.lost);
  assert.equal(reader.awaitRepair(0), false);
});

test('checksums are known once set, zero too', () => {
  const { reader, worker } = open(2, 2);
  assert.equal(reader.checksum(1), null);
  reader.setChecksum(1, 0);
  assert.equal(worker.checksum(1), 0);
  reader.setChecksum(1, -5);
  assert.equal(worker.checksum(1), -5);
  reader.setChecksum(1, null);
  assert.equal(worker.checksum(1), null);
});

test('nobody takes a ticket after the end', () => {
  const { driver, reader } = open(2, 2);
  driver.stop();
  assert.equal(reader.take(), null);
});

test('tiles that are chosen are read when their phase begins, the others of it are not', () => {
  const { driver, reader, worker } = open(6, 2, [2, 3, 4]);
  for (let token = 0; token < 3; token++) {
    assert.deepEqual(read(reader, 2), [0, 1]);
    compute(driver, worker, 0, 2);
    const wanted = 2 + token;
    driver.beginPhase(2, 3, new Set([wanted]));
    assert.deepEqual(read(reader, 1), [wanted]);
    assert.equal(worker.awaitTile(wanted), 0);
    worker.release(wanted);
    assert.deepEqual(read(reader, 1), [5]);
    compute(driver, worker, 5, 1);
  }
  assert.equal(reader.bytesRead, 3 * 4 * 10);
});

test('of a phase that chooses none, nothing is read; and a step that was given up before it chose holds nobody up', () => {
  const { driver, reader, worker } = open(4, 2, [2, 3]);
  read(reader, 2);
  compute(driver, worker, 0, 2);
  driver.beginPhase(2, 2, new Set());
  assert.deepEqual(read(reader, 2), [0, 1]);
  compute(driver, worker, 0, 2);
  // Another step begins instead of the phase that would have chosen.
  driver.beginPhase(0, 2);
  assert.deepEqual(read(reader, 2), [0, 1]);
});

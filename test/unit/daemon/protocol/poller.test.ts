import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Polled, Poller } from '../../../../daemon/protocol/poller.ts';

/** A process in which each look takes so many milliseconds. */
class FakeProcess {
  ms = 0;
  looks = 0;
  turns = 0;
  readonly poller = new Poller({
    now: () => this.ms,
    turn: async () => {
      this.turns++;
      this.ms += 0.02;
    },
  });
  readonly source: Polled = {
    polls: true,
    poll: () => {
      this.looks++;
      this.ms += 0.01;
    },
  };

  /** Waits for something that comes after so long. @returns how long it was polled for */
  async wait(afterMs: number, kind = 0): Promise<number> {
    const begun = this.ms;
    const wait = this.poller.begin(kind);
    await wait.until(() => this.ms - begun >= afterMs, [this.source]);
    const polledMs = this.ms - begun;
    this.ms = Math.max(this.ms, begun + afterMs);
    wait.end();
    return polledMs;
  }
}

describe('Poller', () => {
  it('polls until it is done', async () => {
    const process = new FakeProcess();
    assert.ok(Math.abs((await process.wait(0.3)) - 0.3) < 0.02);
    assert.equal(process.turns, 0);
  });

  it('gives up what is late, by what such waits have lately taken', async () => {
    const process = new FakeProcess();
    for (let round = 0; round < 30; round++) await process.wait(0.1);
    const polled = await process.wait(50);
    assert.ok(polled > 0.3 && polled < 0.5, `${polled} ms`);
    // Of another kind nothing is known yet.
    assert.ok((await process.wait(50, 1)) > 1);
  });

  it('sleeps through waits that are long anyway, and polls again when they are short', async () => {
    const process = new FakeProcess();
    for (let round = 0; round < 30; round++) await process.wait(30);
    process.looks = 0;
    await process.wait(30);
    assert.ok(process.looks <= 1, 'it has one look');
    for (let round = 0; round < 30; round++) await process.wait(0.2);
    assert.ok(Math.abs((await process.wait(0.2)) - 0.2) < 0.02);
  });

  it('lets the event loop have its turn every ten milliseconds', async () => {
    const process = new FakeProcess();
    for (let round = 0; round < 100; round++) await process.wait(1);
    assert.ok(process.turns >= 9 && process.turns <= 11, `${process.turns} turns in 100 ms`);
  });

  it('only takes turns where the event loop alone can read', async () => {
    const process = new FakeProcess();
    const begun = process.ms;
    const wait = process.poller.begin(0);
    await wait.until(() => process.ms - begun >= 0.2, [{ polls: false, poll: () => {} }]);
    assert.ok(process.turns >= 9 && process.turns <= 11, `${process.turns} turns`);
  });

  it('sees what is done before it has begun', async () => {
    const process = new FakeProcess();
    await process.poller.begin(0).until(() => true, [process.source]);
    assert.deepEqual([process.looks, process.turns], [0, 0]);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestQueue } from '../../../../coordinator/generation/request-queue.ts';
import { StarlingError } from '../../../../daemon/errors.ts';

const hasCode = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

describe('RequestQueue', () => {
  it('lets one at a time through, in the order of arrival', async () => {
    const queue = new RequestQueue();
    const order: number[] = [];
    let inside = 0;
    const work = async (id: number): Promise<void> => {
      const ticket = queue.join();
      await ticket.turn;
      assert.equal(++inside, 1);
      order.push(id);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
      ticket.release();
    };
    await Promise.all(Array.from({ length: 20 }, (_, id) => work(id)));
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, id) => id),
    );
    assert.deepEqual([queue.running, queue.waiting], [0, 0]);
  });

  it('refuses more than its limit and takes requests again when one has left', async () => {
    const queue = new RequestQueue({ limit: 2 });
    const running = queue.join();
    const waiting = [queue.join(), queue.join()];
    assert.throws(() => queue.join(), hasCode('queue_full'));
    running.release();
    await waiting[0]!.turn;
    assert.equal(queue.waiting, 1);
    queue.join();
    assert.equal(queue.waiting, 2);
  });

  it('forgets a waiting request at once when its signal aborts', async () => {
    const queue = new RequestQueue({ limit: 2 });
    const running = queue.join();
    const abort = new AbortController();
    const cancelled = queue.join(abort.signal);
    const last = queue.join();
    abort.abort();
    assert.equal(queue.waiting, 1);
    await assert.rejects(cancelled.turn, hasCode('cancelled'));
    cancelled.release();
    assert.equal(queue.running, 1);
    running.release();
    await last.turn;
    assert.throws(() => queue.join(abort.signal), hasCode('cancelled'));
  });

  it('frees a place that is given back while waiting, and counts a release once', async () => {
    const queue = new RequestQueue();
    const running = queue.join();
    const left = queue.join();
    const last = queue.join();
    left.release();
    await assert.rejects(left.turn, hasCode('cancelled'));
    running.release();
    running.release();
    await last.turn;
    assert.deepEqual([queue.running, queue.waiting], [1, 0]);
    last.release();
    assert.equal(queue.running, 0);
  });

  it('an abort after admission does not give the turn away', async () => {
    const queue = new RequestQueue();
    const abort = new AbortController();
    const first = queue.join();
    const second = queue.join(abort.signal);
    first.release();
    await second.turn;
    abort.abort();
    assert.equal(queue.running, 1);
    second.release();
    assert.equal(queue.running, 0);
  });

  it('refuses all who wait and all who come when it stops', async () => {
    const queue = new RequestQueue();
    const running = queue.join();
    const waiting = queue.join();
    queue.stop();
    await assert.rejects(waiting.turn, hasCode('cancelled'));
    assert.throws(() => queue.join(), hasCode('cancelled'));
    assert.deepEqual([queue.running, queue.waiting], [1, 0]);
    running.release();
    assert.equal(queue.running, 0);
  });
});

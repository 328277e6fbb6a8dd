import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { Daemon } from '../../../daemon/daemon.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { type Control, PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import type { ControlLink } from '../../../daemon/protocol/control-link.ts';
import { dialControl } from '../../../daemon/protocol/link-client.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { fakeProfiler } from '../../fixtures/fake-profiler.ts';
import { smallEngine } from '../../fixtures/model-phases.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const ANSWER_MS = 5000;

const engine = smallEngine();
const matrix = { format: 'F32', rows: 32, cols: 32 } as const;
const tiles: TileShape[] = [
  { kind: 'ffn', layer: 0, index: 0, first: 0, count: 32, matrices: [matrix, matrix, matrix], vectors: [] },
];
const load = {
  t: 'load',
  session: 'one',
  secret: '0'.repeat(64),
  modelId: '0'.repeat(32),
  modelName: 'model',
  engine,
  tiles,
} as const;

/** A store that the test holds up or breaks while a load looks for its tiles. */
class StubbornStore extends TileStore {
  lookup: () => Promise<boolean> = async () => false;

  override has(): Promise<boolean> {
    return this.lookup();
  }
}

async function greet(port: number, key: ClusterKey): Promise<{ link: ControlLink; welcome: Control<'welcome'> }> {
  const link = await dialControl({ host: '127.0.0.1', port, key, timeoutMs: ANSWER_MS });
  link.send({ t: 'hello', protocol: PROTOCOL_VERSION, id: 'c'.repeat(16), name: 'coordinator', purpose: 'serve' });
  return { link, welcome: await link.next(['welcome'], ANSWER_MS) };
}

async function startDaemon(context: TestContext): Promise<{ port: number; key: ClusterKey; store: StubbornStore }> {
  const key = ClusterKey.generate();
  const store = new StubbornStore(temporaryFolder(context));
  const compute = { backend: 'reference', threads: 1, memory: processMemory(4e9), store } as const;
  const log = createLogger('silent', 'test');
  const daemon = new Daemon({
    ...{ ...compute, log, key, profiler: fakeProfiler({ ...compute, log }) },
    identity: { id: 'd'.repeat(16), name: 'device' },
    host: '127.0.0.1',
    port: 0,
    discoverable: false,
    version: '0.0.0',
  });
  context.after(() => daemon.stop());
  return { port: await daemon.start(), key, store };
}

/** Waits until the device has noticed that its coordinator left. */
async function isFree(port: number, key: ClusterKey): Promise<void> {
  let busy = true;
  for (const until = performance.now() + ANSWER_MS; busy && performance.now() < until; ) {
    const { link, welcome } = await greet(port, key);
    link.close();
    busy = welcome.busy;
  }
  assert.equal(busy, false);
}

test('a device is free again after a load that failed', async (context) => {
  const { port, key, store } = await startDaemon(context);
  store.lookup = async () => {
    throw new StarlingError('store_failed', 'the disk is gone');
  };
  const first = await greet(port, key);
  first.link.send(load);
  const error = await first.link.next(['error'], ANSWER_MS);
  assert.equal(error.code, 'store_failed');

  store.lookup = async () => false;
  const second = await greet(port, key);
  assert.equal(second.welcome.busy, false);
  second.link.send(load);
  assert.deepEqual(await second.link.next(['missing'], ANSWER_MS), { t: 'missing', indices: [0] });
  second.link.close();
});

test('a device is free again when its coordinator leaves while it looks for tiles', async (context) => {
  const { port, key, store } = await startDaemon(context);
  let answer = (_there: boolean): void => {};
  const asked = new Promise<void>((resolve) => {
    store.lookup = () => {
      resolve();
      return new Promise((there) => {
        answer = there;
      });
    };
  });
  const first = await greet(port, key);
  first.link.send(load);
  await asked;
  assert.equal((await greet(port, key)).welcome.busy, true);
  first.link.close();

  await isFree(port, key);
  answer(false);
  const second = await greet(port, key);
  assert.equal(second.welcome.busy, false);
  second.link.close();
});

test('a device that is lent is busy for all others, and free when the link of its borrower closes', async (context) => {
  const { port, key } = await startDaemon(context);
  const borrower = await greet(port, key);
  borrower.link.send({ t: 'borrow', modelName: 'mine' });
  const { residentBytes } = await borrower.link.next(['lent'], ANSWER_MS);
  assert.ok(residentBytes > 1e7 && residentBytes <= process.memoryUsage.rss() * 2, `${residentBytes} bytes`);

  const other = await greet(port, key);
  assert.deepEqual([other.welcome.busy, other.welcome.serving], [true, 'mine']);
  other.link.send({ t: 'status_request' });
  const { busy, serving, model, lent, tiles, memory } = await other.link.next(['status'], ANSWER_MS);
  assert.deepEqual([busy, serving, model, lent, tiles, memory], [true, 'mine', 'mine', true, 0, null]);
  for (const message of [load, { t: 'borrow', modelName: 'theirs' } as const]) {
    const { link } = await greet(port, key);
    link.send(message);
    const error = await link.next(['error'], ANSWER_MS);
    assert.deepEqual([error.code, error.message], ['device_busy', 'this device already serves mine; stop that first']);
  }
  // Those that were refused took nothing away.
  assert.equal((await greet(port, key)).welcome.serving, 'mine');

  borrower.link.close();
  await isFree(port, key);
});

test('a device that computes is not lent, and what its session leaves is', async (context) => {
  const { port, key } = await startDaemon(context);
  const first = await greet(port, key);
  first.link.send(load);
  await first.link.next(['missing'], ANSWER_MS);
  const early = await greet(port, key);
  early.link.send({ t: 'borrow', modelName: 'mine' });
  assert.equal((await early.link.next(['error'], ANSWER_MS)).code, 'device_busy');
  first.link.close();
  await isFree(port, key);

  const late = await greet(port, key);
  late.link.send({ t: 'borrow', modelName: 'mine' });
  await late.link.next(['lent'], ANSWER_MS);
  // Twice, or a share of a model besides: its owner has it already.
  late.link.send({ t: 'borrow', modelName: 'mine' });
  assert.equal((await late.link.next(['error'], ANSWER_MS)).code, 'device_busy');
  await isFree(port, key);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { Daemon } from '../../../daemon/daemon.ts';
import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import type { TileShape } from '../../../daemon/engine/tile.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { type Control, PROTOCOL_VERSION } from '../../../daemon/protocol/control.ts';
import type { ControlLink } from '../../../daemon/protocol/control-link.ts';
import { dialControl } from '../../../daemon/protocol/link-client.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const ANSWER_MS = 5000;

const engine: EngineSpec = {
  dim: 32,
  cols: 32,
  heads: 1,
  kvHeads: 1,
  headDim: 32,
  vocabSize: 32,
  layers: [{ inputs: ['f32', 'f32'], tiles: [1, 1] }],
  head: 'f32',
  kv: 'f16',
  kvPages: 1,
};
const matrix = { format: 'F32', rows: 32, cols: 32 } as const;
const tiles: TileShape[] = [
  { kind: 'ffn', layer: 0, index: 0, first: 0, count: 32, matrices: [matrix, matrix, matrix] },
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
  const daemon = new Daemon({
    identity: { id: 'd'.repeat(16), name: 'device' },
    key,
    store,
    backend: 'reference',
    threads: 1,
    memory: processMemory(4e9),
    host: '127.0.0.1',
    port: 0,
    discoverable: false,
    version: '0.0.0',
    log: createLogger('silent', 'test'),
  });
  context.after(() => daemon.stop());
  return { port: await daemon.start(), key, store };
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

  let busy = true;
  for (const until = performance.now() + ANSWER_MS; busy && performance.now() < until; ) {
    const { link, welcome } = await greet(port, key);
    link.close();
    busy = welcome.busy;
  }
  assert.equal(busy, false);
  answer(false);
  const second = await greet(port, key);
  assert.equal(second.welcome.busy, false);
  second.link.close();
});

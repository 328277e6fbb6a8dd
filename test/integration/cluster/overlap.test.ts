import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Cluster } from '../../../coordinator/cluster/cluster.ts';
import { findDevices } from '../../../coordinator/cluster/find-devices.ts';
import { type Overlap, WHOLE_STEPS } from '../../../coordinator/cluster/overlap.ts';
import type { LanguageModel, SequenceRows } from '../../../coordinator/language-model.ts';
import { openModel } from '../../../coordinator/model/open-model.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { Daemon } from '../../../daemon/daemon.ts';
import { MAX_ROWS, pagesFor } from '../../../daemon/engine/engine-spec.ts';
import { createLogger } from '../../../daemon/log.ts';
import { packageRoot } from '../../../daemon/paths.ts';
import { processMemory } from '../../../daemon/process-memory.ts';
import { channelFor } from '../../../daemon/protocol/open-channel.ts';
import { TileStore } from '../../../daemon/store/tile-store.ts';
import { backendAvailable } from '../../../kernels/create-kernels.ts';
import type { KvFormat } from '../../../kernels/formats.ts';
import type { BackendName } from '../../../kernels/kernels.ts';
import { writeSyntheticModel } from '../../../scripts/synthetic-model.ts';
import { fakeProfiler } from '../../fixtures/fake-profiler.ts';
import { Random } from '../../fixtures/random.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { WindowCluster } from '../../fixtures/window-cluster.ts';

const log = createLogger('silent', 'test');
const CONTEXT = 256;
const MIXES = 8;
const SEQUENCES = 6;

/** Halves what the test says. */
class Switch implements Overlap {
  next: (rows: number) => boolean = () => false;
  halved = 0;

  halves(rows: number): boolean {
    return this.next(rows);
  }

  observe(_rows: number, halved: boolean): void {
    if (halved) this.halved++;
  }
}

interface Shape {
  readonly backend: BackendName;
  readonly daemons: number;
  readonly ownShare: boolean;
  readonly threads: number;
  readonly kv: KvFormat;
  /** Of a synthetic model; the embedded one by default. */
  readonly quant?: 'F32' | 'Q4_0';
}

async function startCluster(t: TestContext, shape: Shape, overlap: Overlap): Promise<Cluster> {
  const { backend, threads, kv } = shape;
  const folder = temporaryFolder(t);
  let path = join(packageRoot(), 'coordinator/models/tiny-chat-q8_0.gguf');
  if (shape.quant !== undefined) {
    path = join(folder, 'tiny.gguf');
    await writeSyntheticModel({ shape: 'tiny', quant: shape.quant, out: path });
  }
  const model = await openModel(path);
  t.after(() => model.gguf.close());
  const key = ClusterKey.generate();
  const memory = processMemory(undefined);
  const peers = [];
  for (let i = 0; i < shape.daemons; i++) {
    const store = new TileStore(join(folder, `store-${i}`));
    const daemon = new Daemon({
      ...{ backend, threads, memory, key, log, version: '0.0.0', discoverable: false, store },
      profiler: fakeProfiler({ backend, threads, memory, store, log }),
      identity: { id: `${i}`.repeat(16), name: `device-${i}` },
      host: '127.0.0.1',
      port: 0,
    });
    t.after(() => daemon.stop());
    peers.push({ host: '127.0.0.1', port: await daemon.start() });
  }
  const identity = { id: 'c'.repeat(16), name: 'coordinator' };
  const cluster = await Cluster.start({
    ...{ model, backend, threads, memory, kv, log, overlap, contextLength: CONTEXT },
    ranks: await findDevices({
      key,
      identity,
      openChannel: channelFor(backend),
      peers,
      discovery: null,
      waitMs: 0,
      log,
    }),
    ownShare: shape.ownShare,
    store: new TileStore(join(folder, 'store')),
  });
  t.after(() => cluster.stop());
  return cluster;
}

/** Steps of several sequences: rows that decode, drafts and chunks of prompts, whose pages lie anywhere. */
function randomSteps(random: Random, model: LanguageModel): SequenceRows[][] {
  const each = pagesFor(CONTEXT / 2);
  const pages = random.permutation(Math.min(model.kvPages, SEQUENCES * each));
  const lengths = Array.from({ length: Math.floor(pages.length / each) }, () => 0);
  return Array.from({ length: random.between(3, 6) }, () => {
    let left = random.pick([2, 3, 5, 8, 13, 31, MAX_ROWS]);
    const step: SequenceRows[] = [];
    for (const sequence of random.permutation(lengths.length)) {
      const position = lengths[sequence]!;
      const most = Math.min(left, CONTEXT / 2 - position);
      if (most === 0) continue;
      const count = random.chance(0.5) ? 1 : random.between(1, most);
      const tokens = Array.from({ length: count }, () => random.below(model.vocabSize));
      const logits = random.chance(0.2) ? 0 : random.between(1, count);
      step.push({ tokens, position, pages: pages.slice(sequence * each, (sequence + 1) * each), logits });
      lengths[sequence] = position + count;
      left -= count;
    }
    return step;
  });
}

async function logitsOf(model: LanguageModel, steps: readonly SequenceRows[][]): Promise<string> {
  const hash = createHash('sha256');
  for (const step of steps) for (const row of await model.step(step)) hash.update(row);
  return hash.digest('hex');
}

const shapes: readonly Shape[] = [
  { backend: 'native', daemons: 0, ownShare: true, threads: 2, kv: 'f16' },
  { backend: 'native', daemons: 1, ownShare: false, threads: 1, kv: 'q8' },
  { backend: 'native', daemons: 2, ownShare: true, threads: 2, kv: 'f16' },
  { backend: 'native', daemons: 3, ownShare: false, threads: 1, kv: 'f16', quant: 'Q4_0' },
  { backend: 'native', daemons: 2, ownShare: true, threads: 1, kv: 'q8', quant: 'F32' },
  { backend: 'wasm', daemons: 2, ownShare: true, threads: 2, kv: 'f16' },
];

for (const shape of shapes) {
  const { backend, daemons, ownShare, threads, kv, quant = 'Q8_0' } = shape;
  const name = `${backend}, ${quant}, ${kv}, ${daemons} daemons${ownShare ? ' and this process' : ''}, ${threads} threads`;
  const skip = !backendAvailable(backend) && `the ${backend} kernels are not built`;
  test(`halved steps have the bits of whole ones: ${name}`, { skip }, async (t) => {
    const overlap = new Switch();
    const model = await startCluster(t, shape, overlap);
    for (let seed = 1; seed <= MIXES; seed++) {
      const steps = randomSteps(new Random(seed), model);
      overlap.next = () => false;
      const whole = await logitsOf(model, steps);
      // Other keys and values in every page: what a row reads too early is not what the whole steps left there.
      const other = steps.map((step) => step.map((rows) => ({ ...rows, tokens: rows.tokens.map((id) => id ^ 1) })));
      assert.notEqual(await logitsOf(model, other), whole);
      const random = new Random(seed);
      overlap.next = seed % 2 === 0 ? () => true : () => random.chance(0.5);
      assert.equal(await logitsOf(model, steps), whole, `seed ${seed}`);
    }
    assert.ok(overlap.halved > MIXES, `${overlap.halved} steps were halved`);
  });
}

test('a halved step that is given up anywhere leaves nothing behind', async (t) => {
  const overlap = new Switch();
  const shape: Shape = { backend: 'wasm', daemons: 2, ownShare: true, threads: 1, kv: 'f16' };
  const model = await startCluster(t, shape, overlap);
  const steps = randomSteps(new Random(3), model);
  const expected = await logitsOf(model, steps);
  // So wide that the devices are still computing one half when the other is given up.
  const wide = [{ tokens: Array.from({ length: MAX_ROWS }, (_, i) => i), position: 0, pages: [0], logits: 1 }];
  overlap.next = () => true;
  let cancelled = 0;
  for (let turns = 1; turns < 40; turns++) {
    const abort = new AbortController();
    const step = model.step(wide, abort.signal).then(
      () => 'computed',
      (error: { code: string }) => error.code,
    );
    for (let i = 0; i < turns; i++) await nextTurn();
    abort.abort();
    const outcome = await step;
    assert.ok(['computed', 'cancelled'].includes(outcome), outcome);
    if (outcome === 'cancelled') cancelled++;
    if (turns % 8 === 0) assert.equal(await logitsOf(model, steps), expected);
  }
  assert.ok(cancelled > 5, `${cancelled} were cancelled`);
  assert.equal(await logitsOf(model, steps), expected);
});

test('halves of tiles that are streamed would be read twice, and are right all the same', async (t) => {
  const overlap = new Switch();
  const options = { daemons: 2, memory: 0.3, log };
  const whole = await WindowCluster.start(t, { ...options, overlap: WHOLE_STEPS });
  const expected = await whole.logits();
  overlap.next = () => true;
  const halved = await WindowCluster.start(t, { ...options, overlap, stores: whole.stores });
  assert.equal(await halved.logits(), expected);
  assert.equal(overlap.halved, 2);
});

test('steps are never halved where nothing travels, or where tiles are streamed', async (t) => {
  const [alone, streaming, resident] = await Promise.all(
    [
      { daemons: 0, memory: 1 },
      { daemons: 1, memory: 0.3 },
      { daemons: 1, memory: 1 },
    ].map((options) => WindowCluster.start(t, { ...options, log })),
  );
  assert.equal(alone!.cluster.overlap(), null);
  assert.equal(streaming!.cluster.overlap(), null);
  const model = resident!.cluster;
  const rows = { tokens: [1, 2], position: 0, pages: [0], logits: 1 };
  for (let step = 0; step < 40; step++) await model.step([rows]);
  const report = resident!.cluster.overlap();
  assert.deepEqual(
    report?.decisions.map((decision) => decision.rows),
    [2],
  );
  assert.ok(report!.halvedSteps >= 5, `${report!.halvedSteps} steps were halved`);
});

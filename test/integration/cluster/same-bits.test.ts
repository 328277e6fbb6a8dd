import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HeadWish } from '../../../coordinator/cluster/planner/roles.ts';
import { backendAvailable } from '../../../kernels/create-kernels.ts';
import type { BackendName } from '../../../kernels/kernels.ts';
import { sharedData } from '../../fixtures/shared-data.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

interface Answer {
  readonly tokens: readonly number[];
  readonly logits_sha256: string;
  readonly devices: number;
  readonly backend: string;
  readonly threads: number;
}

/** A cluster that has to give the same bits as every other. */
interface Shape {
  readonly backend: BackendName;
  readonly devices: number;
  readonly threads: number;
  /** Where it computes the head. */
  readonly head: HeadWish;
}

const shape = (backend: BackendName, devices: number, threads: number, head: HeadWish = 'auto'): Shape => ({
  backend,
  devices,
  threads,
  head,
});

/** Every number of devices, each with one thread or two. */
const everySplit = (backend: BackendName): Shape[] => [
  shape(backend, 1, 1),
  shape(backend, 1, 2),
  shape(backend, 2, 2),
  shape(backend, 3, 1),
  shape(backend, 4, 2),
];

const describeShape = ({ backend, devices, threads, head }: Shape): string =>
  `${backend}, ${devices} ${devices === 1 ? 'device' : 'devices'}, ${threads} ${threads === 1 ? 'thread' : 'threads'}, head ${head}`;

const SHORT = 'Once upon a time';
/** More rows than one step takes, so that prefill is cut. */
const LONG =
  `${SHORT} there was a brave cat named Tom who loved to run and play in the garden with a big red ball. `.repeat(4);

const cases: readonly {
  readonly name: string;
  readonly model: string | null;
  readonly prompt: string;
  readonly args: readonly string[];
  readonly shapes: readonly Shape[];
}[] = [
  {
    name: 'greedy, Q8_0',
    model: 'tiny-chat',
    prompt: SHORT,
    args: [],
    shapes: [shape('reference', 1, 1), ...everySplit('native'), shape('wasm', 1, 2), shape('wasm', 4, 1)],
  },
  {
    name: 'drawn at temperature 0.8 with a seed, after a prompt of several steps, Q8_0',
    model: 'tiny-chat',
    prompt: LONG,
    args: ['--temperature', '0.8', '--top-p', '0.95', '--seed', '42'],
    shapes: [
      shape('native', 1, 2),
      shape('native', 2, 1, 'shared'),
      shape('native', 4, 1, 'shared'),
      shape('native', 3, 1, 'local'),
      shape('wasm', 2, 1, 'local'),
      shape('wasm', 3, 1, 'shared'),
    ],
  },
  {
    name: 'drawn with its cache in q8, after a prompt of several steps',
    model: 'tiny-chat',
    prompt: LONG,
    args: ['--kv', 'q8', '--temperature', '0.8', '--seed', '42'],
    shapes: [
      shape('reference', 1, 2),
      shape('native', 1, 1),
      shape('native', 3, 1),
      shape('wasm', 1, 1),
      shape('wasm', 2, 1),
    ],
  },
  {
    name: 'greedy, F32 with dimensions that are no multiple of 32',
    model: sharedData('models/stories260K.gguf'),
    prompt: SHORT,
    args: [],
    shapes: [
      shape('reference', 1, 1),
      // Other splits, in one process: architecture-bits.test.ts.
      ...[1, 3].map((devices) => shape('native', devices, 1)),
      shape('wasm', 4, 1),
    ],
  },
];

for (const { name, model, prompt, args, shapes } of cases) {
  test(`the same bits on every cluster: ${name}`, { skip: model === null && 'no ../shared/data' }, async (t) => {
    const sandbox = new Sandbox(t);
    let expected: Pick<Answer, 'tokens' | 'logits_sha256'> | undefined;
    for (const cluster of shapes) {
      const { backend, devices, threads, head } = cluster;
      const skip = !backendAvailable(backend) && `the ${backend} kernels are not built`;
      await t.test(describeShape(cluster), { skip }, async () => {
        // One store a backend: each cuts its tiles itself, so that those have to be alike as well.
        const answer = await sandbox.runJson<Answer>(
          [
            ...['run', model ?? '', prompt, '--raw', '--json', '--max-tokens', '12', '--backend', backend],
            ...['--threads', String(threads), '--local-devices', String(devices), '--head', head, ...args],
          ],
          { home: sandbox.home(backend) },
        );
        assert.deepEqual([answer.backend, answer.devices, answer.threads], [backend, devices, threads]);
        assert.equal(answer.tokens.length, 12);
        const { tokens, logits_sha256 } = answer;
        expected ??= { tokens, logits_sha256 };
        assert.deepEqual({ tokens, logits_sha256 }, expected);
      });
    }
  });
}

test('a cache in q8 is not one in f16', async (t) => {
  const sandbox = new Sandbox(t);
  const run = ['run', 'tiny-chat', SHORT, '--raw', '--json', '--max-tokens', '4', '--threads', '1', '--kv'];
  const [f16, q8] = [
    await sandbox.runJson<Answer & { kv: string }>([...run, 'f16'], { home: sandbox.home('home') }),
    await sandbox.runJson<Answer & { kv: string }>([...run, 'q8'], { home: sandbox.home('home') }),
  ];
  assert.deepEqual([f16.kv, q8.kv], ['f16', 'q8']);
  assert.deepEqual(q8.tokens, f16.tokens);
  assert.notEqual(q8.logits_sha256, f16.logits_sha256);
});

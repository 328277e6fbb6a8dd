import type { BackendName } from '../../kernels/kernels.ts';
import { Engine } from '../engine/engine.ts';
import { executionOrder } from '../engine/layout.ts';
import { planMemory } from '../engine/memory-plan.ts';
import { StarlingError } from '../errors.ts';
import type { ProcessMemory } from '../process-memory.ts';
import { ATTENDED_BYTES, type SyntheticModel } from './synthetic-model.ts';

/** What a device computes with. */
export interface Compute {
  readonly backend: BackendName;
  readonly threads: number;
  /** Of this process. */
  readonly memory: ProcessMemory;
}

/**
 * Has work done with an engine over a model that there is not. Its weights and caches are zeros that were written, so
 * that they lie in memory of their own.
 * @param models the largest first: taken is the first one that stays in memory whole, within the budget
 * @returns what the work gives
 * @throws StarlingError memory_too_small when not even the last one does; what the work throws
 */
export async function withSyntheticEngine<T>(
  { backend, threads, memory: own }: Compute,
  models: readonly SyntheticModel[],
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const memory = { budget: own.budget(), base: await own.base(), threadBytes: own.threadBytes };
  const model = models.find((each) => staysWhole(each, threads, memory));
  if (model === undefined) {
    throw new StarlingError(
      'memory_too_small',
      `${Math.floor(memory.budget / 1e6)} MB of memory are too little to measure what this device can do: give it more with --memory`,
    );
  }
  const engine = await Engine.create({
    ...{ ...model, backend, threads, memory },
    load: async (_tile, into) => void into.fill(0),
    // Nothing is streamed.
    fileOf: () => '',
    repair: async () => {},
  });
  try {
    for (const cache of engine.layout.kv.values()) engine.arena.bytes(cache, ATTENDED_BYTES).fill(0);
    return await work(engine);
  } finally {
    await engine.stop();
  }
}

function staysWhole(
  { spec, tiles }: SyntheticModel,
  threads: number,
  memory: { readonly budget: number; readonly base: number; readonly threadBytes: number },
): boolean {
  const options = { ...memory, spec, tiles: executionOrder(spec, tiles), threads, scratchBytes: 0 };
  try {
    return planMemory({ ...options, arenaBytes: Number.POSITIVE_INFINITY }).plan.streamed === 0;
  } catch (error) {
    if (error instanceof StarlingError && error.code === 'memory_too_small') return false;
    throw error;
  }
}

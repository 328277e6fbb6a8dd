/**
 * Compares kernels with the reference, bit for bit, on random shapes, values and operations.
 *   node dist/scripts/fuzz-kernels.js [--seconds 600] [--backend native] [--seed N]
 * Without --backend: every backend built here. With --seed: that one case. Exit code 1 on the first difference.
 */
import { parseArgs } from 'node:util';
import { availableBackends } from '../test/fixtures/backends.ts';
import { firstDifference, KernelBench } from '../test/fixtures/kernel-bench.ts';
import { randomCase } from '../test/fixtures/kernel-cases.ts';
import { Random } from '../test/fixtures/random.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    backend: { type: 'string' },
    seed: { type: 'string' },
  },
});

function number(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new RangeError(`--${name} ${text} is not a number from 0 up`);
  return value;
}

const all = availableBackends();
const named = all.filter(({ name }) => (values.backend === undefined ? name !== 'reference' : name === values.backend));
const referenceBackend = all.find(({ name }) => name === 'reference');
if (named.length === 0 || referenceBackend === undefined) {
  const names = all.map(({ name }) => name).join(', ');
  console.error(`no backend ${values.backend ?? 'besides the reference'} is built here; there are: ${names}`);
  process.exit(1);
}
const reference = new KernelBench(referenceBackend);
const benches = named.map((backend) => ({ name: backend.name, bench: new KernelBench(backend) }));

/** What differs in the case of this seed, or null. */
function difference(seed: number): string | null {
  const kernelCase = randomCase(new Random(seed));
  const expected = reference.run(kernelCase);
  for (const { name, bench } of benches) {
    const found = firstDifference(kernelCase, expected, bench.run(kernelCase));
    if (found !== null) return `${name}: ${found}`;
  }
  return null;
}

const single = values.seed === undefined ? undefined : number('seed', values.seed);
const firstSeed = single ?? Date.now() % 2 ** 32;
const until = Date.now() + number('seconds', values.seconds) * 1000;
let cases = 0;
do {
  const seed = (firstSeed + cases) % 2 ** 32;
  let found: string | null;
  try {
    found = difference(seed);
  } catch (error) {
    found = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (found !== null) {
    console.error(`seed ${seed}: ${found}`);
    process.exit(1);
  }
  cases++;
} while (single === undefined && Date.now() < until);
console.log(`${cases} cases from seed ${firstSeed}: no difference on ${benches.map(({ name }) => name).join(', ')}`);

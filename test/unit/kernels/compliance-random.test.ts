import { testCompliance } from '../../fixtures/compliance.ts';
import { randomCase } from '../../fixtures/kernel-cases.ts';
import { Random } from '../../fixtures/random.ts';

// The same generator as scripts/fuzz-kernels.ts, which runs it for as long as one likes.
testCompliance('1000 random calls of random kernels', function* () {
  for (let seed = 1; seed <= 1000; seed++) yield randomCase(new Random(seed));
});

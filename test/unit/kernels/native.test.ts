import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { createArena } from '../../../kernels/create-kernels.ts';
import { createNativeKernels, ISA_VARIABLE, nativeTargets } from '../../../kernels/native.ts';

const before = process.env[ISA_VARIABLE];
const targets = nativeTargets();

describe('an instruction set beyond which native kernels do not go', {
  skip: targets.length === 0 && 'not built here',
}, () => {
  afterEach(() => {
    if (before === undefined) delete process.env[ISA_VARIABLE];
    else process.env[ISA_VARIABLE] = before;
  });

  it('leaves itself and those below it', () => {
    for (const [i, target] of targets.entries()) {
      process.env[ISA_VARIABLE] = target;
      assert.deepEqual(nativeTargets(), targets.slice(i));
      const arena = createArena('native', 4096);
      arena.alloc(64);
      const handle = arena.handle();
      assert.equal(handle.backend === 'native' && createNativeKernels(handle.segments).backend, 'native');
    }
  });

  it('is refused where it is not here', () => {
    process.env[ISA_VARIABLE] = 'mmx';
    assert.throws(() => nativeTargets(), {
      name: 'RangeError',
      message: `STARLING_ISA is "mmx", and the native kernels have ${targets.join(', ')} here: unset it`,
    });
  });
});

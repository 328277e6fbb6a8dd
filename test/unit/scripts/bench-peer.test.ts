import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { peerWithin } from '../../../scripts/bench-peer.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const onX64 = { skip: process.arch !== 'x64' && 'builds are known for x64' };

it('a peer within an instruction set has no builds beyond it', onX64, async (context) => {
  const folder = join(temporaryFolder(context), 'peer');
  const builds = join(folder, 'bins');
  await mkdir(builds, { recursive: true });
  const files = [
    'libggml-base.so',
    'libggml-cpu-haswell.so',
    'libggml-cpu-x64.so',
    'libggml-cpu-zen4.so',
    'libllama.so',
  ];
  for (const file of [...files, 'libggml-cpu-alderlake.so']) await writeFile(join(builds, file), file);
  await writeFile(join(folder, 'installed'), '');
  const copy = await peerWithin(folder, 'avx2');
  assert.notEqual(copy, folder);
  assert.deepEqual(
    readdirSync(join(copy, 'bins')).sort(),
    files.filter((file) => !file.includes('zen4')),
  );
  assert.equal(await peerWithin(folder, 'avx2'), copy);
  assert.equal(await peerWithin(folder, 'avx512vnni'), folder);
});

it('a peer within an instruction set that no builds are known for is refused', async (context) => {
  await assert.rejects(peerWithin(temporaryFolder(context), 'dotprod'), {
    code: 'backend_unavailable',
    message: /no builds of llama.cpp are known for dotprod/,
  });
});

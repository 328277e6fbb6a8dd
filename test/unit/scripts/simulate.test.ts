import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const PROGRAM = fileURLToPath(new URL('../../../scripts/simulate.js', import.meta.url));

function simulate(...args: string[]) {
  return spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8', timeout: 60_000 });
}

describe('npm run simulate', () => {
  it('reports each number of devices on each network, and draws charts', (t) => {
    const folder = join(temporaryFolder(t), 'plots');
    const options = ['--shape', 'llama-3.2-1b', '--devices', '1,3', '--passes', '2', '--json', '--plots', folder];
    const { stdout, stderr, status } = simulate('scaling', ...options);
    assert.equal(status, 0, stderr);
    const { rows } = JSON.parse(stdout) as { rows: { network: string; devices: number; pass: string }[] };
    assert.deepEqual(
      rows.map(({ network, devices, pass }) => `${network} ${devices} ${pass}`),
      ['ethernet', 'wifi'].flatMap((network) =>
        [1, 3].flatMap((devices) => ['token', 'prompt'].map((pass) => `${network} ${devices} ${pass}`)),
      ),
    );
    const charts = readdirSync(folder).sort();
    assert.deepEqual(charts, ['scaling-prompts.svg', 'scaling-tokens.svg']);
    for (const chart of charts) assert.match(readFileSync(join(folder, chart), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);
  });

  it('refuses what it cannot simulate', () => {
    for (const option of [
      ['--devices', '257'],
      ['--network', 'token-ring'],
      ['--shape', 'qwen3-30b-a3b'],
    ]) {
      const { status, stderr } = simulate('scaling', ...option);
      assert.notEqual(status, 0, option.join(' '));
      assert.match(stderr, /error: /);
    }
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SystemParts, systemFingerprint } from '../../../coordinator/system-fingerprint.ts';

const PARTS: SystemParts = {
  version: '1.2.3',
  model: '0123456789abcdef0123456789abcdef',
  quantization: 'Q4_K',
  kv: 'f16',
  contextLength: 4096,
};

test('a fingerprint names every part that a text depends on', () => {
  assert.match(
    systemFingerprint(PARTS),
    /^starling-1\.2\.3\/0123456789abcdef\/Q4_K\/kv-f16\/context-4096\/sampler-\d+$/,
  );
  const others: Partial<SystemParts>[] = [
    { version: '1.2.4' },
    { model: 'f123456789abcdef0123456789abcdef' },
    { quantization: 'Q8_0' },
    { kv: 'q8' },
    { contextLength: 2048 },
  ];
  const fingerprints = [{}, ...others].map((other) => systemFingerprint({ ...PARTS, ...other }));
  assert.equal(new Set(fingerprints).size, fingerprints.length);
});

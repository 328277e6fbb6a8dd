import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { TENSOR_TYPES, tensorTypeById, tensorTypeByName } from '../../../../../coordinator/model/gguf/tensor-types.ts';
import { isWeightFormat, WEIGHT_FORMATS } from '../../../../../kernels/formats.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';

describe('tensor types', () => {
  it('have one number and one name each', () => {
    assert.equal(new Set(TENSOR_TYPES.map((type) => type.id)).size, TENSOR_TYPES.length);
    assert.equal(new Set(TENSOR_TYPES.map((type) => type.name)).size, TENSOR_TYPES.length);
    for (const type of TENSOR_TYPES) {
      assert.equal(tensorTypeById(type.id), type);
      assert.equal(tensorTypeByName(type.name), type);
    }
    assert.equal(tensorTypeById(4), undefined);
    assert.equal(tensorTypeByName('toString'), undefined);
  });

  it('agree with the formats that are computed', () => {
    const computed = TENSOR_TYPES.filter((type) => isWeightFormat(type.name));
    assert.equal(computed.length, Object.keys(WEIGHT_FORMATS).length);
    for (const { id, name, blockValues, blockBytes } of computed) {
      assert.ok(isWeightFormat(name));
      const format = WEIGHT_FORMATS[name];
      assert.deepEqual(
        [id, blockValues, blockBytes],
        [format.id, format.sourceBlockValues, format.sourceBlockBytes],
        name,
      );
    }
  });

  const path = sharedData('quantization/ggml_dequant_goldens.json');
  it("have ggml's block sizes", { skip: path === null && 'shared data is not here' }, () => {
    if (path === null) return;
    const goldens: { formats: Record<string, { bytes_hex: string; expected_f32_bits_hex: string[] }> } = JSON.parse(
      readFileSync(path, 'utf8'),
    );
    for (const [name, golden] of Object.entries(goldens.formats)) {
      const type = tensorTypeByName(name.toUpperCase());
      assert.ok(type !== undefined, name);
      const blocks = golden.expected_f32_bits_hex.length / type.blockValues;
      assert.ok(Number.isInteger(blocks), name);
      assert.equal(golden.bytes_hex.length / 2, blocks * type.blockBytes, name);
    }
  });
});

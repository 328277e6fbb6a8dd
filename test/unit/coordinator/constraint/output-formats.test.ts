import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FormatCompiler } from '../../../../coordinator/constraint/format-compiler.ts';
import type { Json } from '../../../../coordinator/constraint/json-grammar.ts';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { OutputFormats } from '../../../../coordinator/constraint/output-formats.ts';
import { constraintOf, pieces, satisfies, tokensIn } from '../../../fixtures/write-constrained.ts';

const compiler = new FormatCompiler();
after(() => compiler.stop());
const formats = new OutputFormats(pieces, pieces.vocabSize, compiler);
const regex = (pattern: string): OutputFormat => ({ kind: 'regex', pattern });

describe('formats of answers', () => {
  it('are those that are made without a thread, with the same masks', async () => {
    const format = regex('a(é|"b"){2,3}');
    const constraint = await formats.constraint(format);
    assert.ok(satisfies(constraint, 'aé"b"') && !satisfies(constraint, 'aé'));
    assert.deepEqual(tokensIn(constraint.allowed()), tokensIn(constraintOf(format).allowed()));
    assert.deepEqual(constraint.anyText(), constraintOf(format).anyText());
  });

  it('are made once, also for requests at a time', async () => {
    const [a, b] = await Promise.all([formats.constraint(regex('x+')), formats.constraint(regex('x+'))]);
    assert.equal(a, b);
    assert.equal(await formats.constraint(regex('x+')), a);
  });

  it('are refused with the code and the name of what is wrong, and leave the thread to others', async () => {
    const schema = { properties: { a: { not: {} } } };
    await assert.rejects(formats.constraint({ kind: 'json-schema', schema }), {
      code: 'unsupported_parameter',
      param: '#/properties/a/not',
    });
    await assert.rejects(formats.constraint({ kind: 'regex', pattern: '(' }), { code: 'invalid_request' });
    const deep: Json = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    await assert.rejects(formats.constraint({ kind: 'json-schema', schema: deep }), { code: 'invalid_request' });
    assert.ok(satisfies(await formats.constraint(regex('xy')), 'xy'));
  });

  it('let the event loop turn while they are made', async () => {
    let isMade = false;
    const made = formats.constraint(regex('.{5000}')).finally(() => {
      isMade = true;
    });
    let turns = 0;
    for (; !isMade; turns++) await nextTurn();
    await made;
    assert.ok(turns > 50, `${turns} turns`);
  });

  it('are refused where too many wait, and where it is stopped', async () => {
    const stopping = new FormatCompiler();
    const waiting = Array.from({ length: 32 }, (_, i) => stopping.network(JSON.stringify(regex(`x{${i}}`))));
    await assert.rejects(stopping.network('{}'), { code: 'queue_full' });
    stopping.stop();
    for (const each of await Promise.allSettled(waiting)) assert.equal(each.status, 'rejected');
    await assert.rejects(stopping.network('{}'), { code: 'cancelled' });
  });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fromJson } from '../../../../../../coordinator/model/template/jinja/conversion.ts';
import { RaisedException, TemplateSyntaxError } from '../../../../../../coordinator/model/template/jinja/errors.ts';
import { Template } from '../../../../../../coordinator/model/template/jinja/template.ts';
import { raw, type Str, typedText } from '../../../../../../coordinator/model/template/jinja/text.ts';
import type { Value } from '../../../../../../coordinator/model/template/jinja/values.ts';

interface Pair {
  readonly template: string;
  readonly text?: string;
  readonly error?: 'syntax' | 'raised' | 'runtime';
  readonly message?: string;
}

interface Pairs {
  readonly data: Readonly<Record<string, unknown>>;
  readonly pairs: readonly Pair[];
}

/** Recorded from Python's jinja2 by scripts/record-jinja.py. */
const recorded = new URL('../../../../../../../test/fixtures/jinja-pairs.json', import.meta.url);
const { data, pairs } = JSON.parse(readFileSync(process.env.STARLING_JINJA_PAIRS ?? recorded, 'utf8')) as Pairs;

/** Data whose strings came with the request, and the same as if the template had written them. */
const sources: Readonly<Record<string, (text: string) => Str>> = { typed: typedText, plain: (text) => text };

function outcome(template: string, variables: ReadonlyMap<string, Value>): Omit<Pair, 'template'> {
  try {
    return { text: raw(new Template(template).render(variables, new Date(0))) };
  } catch (error) {
    if (error instanceof RaisedException) return { error: 'raised', message: error.message };
    return { error: error instanceof TemplateSyntaxError ? 'syntax' : 'runtime', message: (error as Error).message };
  }
}

describe('templates as Python renders them', () => {
  for (const [name, text] of Object.entries(sources)) {
    it(`M1: M2: ${pairs.length} templates with ${name} data have the text, or the error, of the reference`, () => {
      const differences = pairs.flatMap((pair) => {
        const variables = new Map(Object.entries(data).map(([key, value]) => [key, fromJson(value, text)] as const));
        const got = outcome(pair.template, variables);
        const isAlike =
          pair.error === undefined
            ? got.text === pair.text
            : got.text === undefined && (pair.error !== 'raised' || got.message === pair.message);
        return isAlike ? [] : [{ template: pair.template, expected: pair.text ?? pair.error, got }];
      });
      assert.deepEqual(differences, []);
    });
  }
});

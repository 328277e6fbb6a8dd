import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DraftControl, MAX_DRAFT } from '../../../../coordinator/drafts/draft-control.ts';
import { PromptLookup } from '../../../../coordinator/drafts/prompt-lookup.ts';

describe('PromptLookup', () => {
  it('guesses what followed the text’s ending the last time, the longest ending first', () => {
    const lookup = new PromptLookup();
    assert.deepEqual(lookup.guess([1, 2, 3, 4, 9, 8, 2, 3, 4], 3), [9, 8, 2]);
    assert.deepEqual(new PromptLookup().guess([7, 1, 2, 5, 8, 1, 2, 6, 7, 1, 2], 1), [5]);
    assert.deepEqual(new PromptLookup().guess([1, 2, 3, 4], 5), []);
    assert.deepEqual(new PromptLookup().guess([], 5), []);
  });

  it('goes round where the ending overlaps what it repeats', () => {
    assert.deepEqual(new PromptLookup().guess([5, 5, 5], 4), [5, 5, 5, 5]);
    assert.deepEqual(new PromptLookup().guess([1, 2, 1, 2], 5), [1, 2, 1, 2, 1]);
  });

  it('follows a text that grows', () => {
    const lookup = new PromptLookup();
    const tokens = [1, 2, 3];
    assert.deepEqual(lookup.guess(tokens, 2), []);
    tokens.push(7, 1, 2);
    assert.deepEqual(lookup.guess(tokens, 2), [3, 7]);
    tokens.push(4, 1, 2);
    assert.deepEqual(lookup.guess(tokens, 2), [4, 1]);
    // Ids that differ in their upper half only are not alike.
    assert.deepEqual(new PromptLookup().guess([65_537, 2, 9, 1, 2], 1), []);
  });
});

describe('DraftControl', () => {
  const MEMORY_BOUND = { rowMs: 2, stepMs: 25, stepTokens: 1 };
  const COMPUTE_BOUND = { rowMs: 7, stepMs: 70, stepTokens: 10 };

  it('drafts more the more is accepted, and nothing where it was never right', () => {
    const control = new DraftControl();
    const first = control.length(MEMORY_BOUND, 64);
    assert.ok(first > 0 && first < MAX_DRAFT);
    for (let i = 0; i < 20; i++) control.observe(4, 4);
    assert.equal(control.length(MEMORY_BOUND, 64), MAX_DRAFT);
    assert.equal(control.length(MEMORY_BOUND, 3), 3);
    for (let i = 0; i < 40; i++) control.observe(4, 0);
    assert.equal(control.length(MEMORY_BOUND, 64), 0);
  });

  it('judges a draft up to its first wrong token', () => {
    const [short, long] = [new DraftControl(), new DraftControl()];
    short.observe(2, 1);
    long.observe(16, 1);
    assert.equal(short.acceptance, long.acceptance);
  });

  it('does not draft where rows cost what tokens are worth', () => {
    const control = new DraftControl();
    for (let i = 0; i < 20; i++) control.observe(4, 4);
    assert.equal(control.length(COMPUTE_BOUND, 64), 0);
  });

  it('tries a text again, rarely', () => {
    const control = new DraftControl();
    for (let i = 0; i < 50; i++) control.observe(4, 0);
    let tries = 0;
    for (let step = 0; step < 2000; step++) {
      if (control.length(MEMORY_BOUND, 64) === 0) control.skipped();
      else {
        tries++;
        control.observe(1, 0);
      }
    }
    assert.ok(tries > 0 && tries < 100, `${tries} tries`);
  });
});

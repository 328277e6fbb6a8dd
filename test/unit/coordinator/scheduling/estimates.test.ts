import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerLengths } from '../../../../coordinator/scheduling/answer-lengths.ts';
import { FairShares } from '../../../../coordinator/scheduling/fair-shares.ts';
import { StepCost } from '../../../../coordinator/scheduling/step-cost.ts';

/** That has seen its first steps, which are slow everywhere. */
function warmCost(): StepCost {
  const cost = new StepCost(64);
  for (let step = 0; step < 2; step++) cost.observe(1, 1e6);
  return cost;
}

describe('StepCost', () => {
  it('knows nothing before it is warm, and allows all rows', () => {
    const cost = warmCost();
    assert.ok(Number.isNaN(cost.ms(1)));
    assert.equal(cost.rowsWithin(100), 64);
  });

  it('draws lines between what was measured, and hopes beyond', () => {
    const cost = warmCost();
    cost.observe(1, 20);
    cost.observe(11, 70);
    assert.deepEqual(
      [1, 2, 6, 11, 22].map((rows) => cost.ms(rows)),
      [20, 25, 45, 70, 87.5],
    );
    assert.equal(cost.slope(2), 5);
    assert.equal(cost.rowsWithin(45), 6);
    assert.equal(cost.rowsWithin(10), 1);
  });

  it('follows a machine that becomes slower, and is not thrown by a hiccup', () => {
    const cost = warmCost();
    for (let i = 0; i < 5; i++) cost.observe(4, 40);
    cost.observe(4, 4000);
    assert.ok(cost.ms(4) <= 60);
    for (let i = 0; i < 30; i++) cost.observe(4, 80);
    assert.ok(Math.abs(cost.ms(4) - 80) < 1);
  });
});

describe('AnswerLengths', () => {
  it('learns from a user’s answers to prompts of about that length, and from those of all', () => {
    const lengths = new AnswerLengths();
    assert.equal(lengths.estimate('ann', 20, Number.POSITIVE_INFINITY), 128);
    assert.equal(lengths.estimate('ann', 20, 10), 10);
    for (let i = 0; i < 3; i++) lengths.observe('ann', 20, 15);
    assert.equal(Math.round(lengths.estimate('ann', 25, 1000)), 15);
    assert.equal(Math.round(lengths.estimate('ben', 25, 1000)), 15);
    assert.equal(lengths.estimate('ann', 500, 1000), 128);
    for (let i = 0; i < 3; i++) lengths.observe('ben', 20, 255);
    assert.equal(Math.round(lengths.estimate('ben', 20, 1000)), 255);
    assert.equal(Math.round(lengths.estimate('ann', 20, 1000)), 15);
    assert.ok(lengths.estimate('cat', 20, 1000) > 15);
  });
});

describe('FairShares', () => {
  it('lifts who comes back to the least of those who stayed, and never lowers', () => {
    const shares = new FairShares();
    shares.join('ann', []);
    shares.charge('ann', 500);
    shares.join('ben', ['ann']);
    assert.equal(shares.service('ben'), 500);
    shares.charge('ben', 100);
    shares.join('ben', ['ann']);
    assert.equal(shares.service('ben'), 600);
    shares.join('ann', []);
    assert.equal(shares.service('ann'), 500);
  });

  it('remembers a bounded number of users', () => {
    const shares = new FairShares();
    for (let user = 0; user < 5000; user++) {
      shares.join(`user ${user}`, []);
      shares.charge(`user ${user}`, 1);
    }
    assert.equal(shares.service('user 0'), 0);
    assert.equal(shares.service('user 4999'), 1);
  });
});

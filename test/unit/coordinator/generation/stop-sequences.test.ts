import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { counterRandom } from '../../../../coordinator/generation/counter-random.ts';
import { StopSequences } from '../../../../coordinator/generation/stop-sequences.ts';

function run(stops: readonly string[], pieces: readonly string[]): { text: string; stop: string | null } {
  const machine = new StopSequences(stops);
  let text = '';
  for (const piece of pieces) {
    const result = machine.push(piece);
    text += result.text;
    if (result.stop !== null) return { text, stop: result.stop };
  }
  return { text: text + machine.flush(), stop: null };
}

describe('StopSequences', () => {
  it('passes text through at once when nothing can start a stop', () => {
    const machine = new StopSequences(['END']);
    assert.deepEqual(machine.push('hello'), { text: 'hello', stop: null });
    assert.deepEqual(machine.push(' wonderE'), { text: ' wonder', stop: null });
    assert.deepEqual(machine.push('N'), { text: '', stop: null });
    assert.deepEqual(machine.push('J'), { text: 'ENJ', stop: null });
    assert.equal(machine.flush(), '');
  });

  it('never shows the stop or anything after it', () => {
    const machine = new StopSequences(['END']);
    assert.deepEqual(machine.push('the E'), { text: 'the ', stop: null });
    assert.deepEqual(machine.push('ND of it'), { text: '', stop: 'END' });
    assert.deepEqual(machine.push('more'), { text: '', stop: 'END' });
    assert.equal(machine.flush(), '');
  });

  it('gives back what was held when the text ends', () => {
    assert.deepEqual(run(['\n\nUser:'], ['fine.\n', '\nUse']), { text: 'fine.\n\nUse', stop: null });
  });

  it('stops where the first stop is complete, the longest of those that end together', () => {
    assert.deepEqual(run(['abcd', 'bc'], ['xabcd']), { text: 'xa', stop: 'bc' });
    assert.deepEqual(run(['bc', 'abc'], ['xabc']), { text: 'x', stop: 'abc' });
    assert.deepEqual(run(['aab'], ['aaab']), { text: 'a', stop: 'aab' });
  });

  it('ignores empty stops', () => {
    assert.deepEqual(run([''], ['abc']), { text: 'abc', stop: null });
  });

  it('does not depend on how the text is cut', () => {
    let seed = 0;
    let stoppedRuns = 0;
    const random = (limit: number): number => Math.floor(counterRandom(11, seed++) * limit);
    const word = (length: number): string => Array.from({ length }, () => 'ab€'[random(3)]).join('');
    for (let round = 0; round < 2000; round++) {
      const stops = Array.from({ length: 1 + random(3) }, () => word(1 + random(5)));
      const text = word(random(16));
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = random(4);
        pieces.push(text.slice(at, at + size));
        at += size;
      }
      const cut = run(stops, pieces);
      assert.deepEqual(cut, run(stops, [text]), JSON.stringify({ stops, pieces }));
      const firstEnd = Math.min(...stops.map((stop) => (text.includes(stop) ? text.indexOf(stop) + stop.length : 99)));
      assert.equal(cut.stop !== null, firstEnd < 99);
      if (cut.stop !== null) {
        stoppedRuns++;
        assert.ok(text.startsWith(cut.text + cut.stop) && stops.includes(cut.stop));
        assert.ok(stops.every((stop) => !cut.text.includes(stop)));
      } else {
        assert.equal(cut.text, text);
      }
    }
    assert.ok(stoppedRuns > 500);
  });
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ChatTemplate, type ChatTemplateOptions } from '../../../../../coordinator/model/template/chat-template.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';

const HI = [{ role: 'user', content: 'hi' }];
const PROMPT = { addGenerationPrompt: true };

async function using<T>(
  source: string | null,
  use: (template: ChatTemplate) => Promise<T>,
  options?: ChatTemplateOptions,
): Promise<T> {
  const template = new ChatTemplate(source, '<s>', '</s>', options);
  try {
    return await use(template);
  } finally {
    template.close();
  }
}

async function fails(rendering: Promise<string>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(rendering, (error: unknown) => {
    assert.ok(error instanceof StarlingError);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

const render = (source: string | null, options?: ChatTemplateOptions) =>
  using(source, (template) => template.render(HI, PROMPT), options);

test('without a template a conversation is a transcript', async () => {
  assert.equal(await render(null), '<s>User: hi\nAssistant:');
});

test('what templates see', async () => {
  const source =
    '{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}|{{ tools is none }}|{{ tools is defined }}|{{ date_string is defined }}|{{ thinking }}|{{ messages | tojson }}';
  await using(source, async (template) => {
    const text = await template.render([{ role: 'user', content: 'é"<' }], {
      addGenerationPrompt: false,
      variables: { thinking: 'deep', bos_token: 'not this', range: 1, messages: [] },
    });
    assert.equal(text, '<s>|</s>|false|true|true|false|deep|[{"role": "user", "content": "é\\"<"}]');
  });
});

test('strftime_now tells the time of the given clock', async () => {
  const now = () => new Date(2031, 1, 3, 4, 5);
  assert.equal(await render('{{ strftime_now("%d %b %Y %H:%M") }}', { now }), '03 Feb 2031 04:05');
});

test('lone surrogates and control characters pass through', async () => {
  await using('{{ messages[0].content }}', async (template) => {
    const content = 'a\u0000\ud83d\u2028z';
    assert.equal(await template.render([{ role: 'user', content }], PROMPT), content);
  });
});

test('errors of the template carry its message', async () => {
  await fails(render('{% if %}'), 'template_failed', /Unexpected token/);
  await fails(render("{{ raise_exception('roles must alternate') }}"), 'template_failed', /roles must alternate/);
  await fails(render('{{ nothing.here.at.all() }}'), 'template_failed', /chat template failed/);
  await fails(render("{{ raise_exception('x' * 5000) }}"), 'template_failed', /^.{0,1200}$/s);
  await fails(render('{% for i in range(10**9) %}{{ i }}{% endfor %}'), 'template_failed', /at most 100000/);
});

test('a loop without end is stopped, and the next rendering works', async () => {
  const source = `{% if messages[0].content == 'loop' %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endif %}done`;
  await using(
    source,
    async (template) => {
      await fails(template.render([{ role: 'user', content: 'loop' }], PROMPT), 'template_failed', /longer than 0.3 s/);
      assert.equal(await template.render(HI, PROMPT), 'done');
    },
    { timeLimitMs: 300 },
  );
});

test('a giant text is refused, whether it is kept, built or doubled in a list', async () => {
  const doubled = (n: number, out: string) =>
    `{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(${n}) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}${out}`;
  await fails(render(doubled(22, '{{ ns.s }}')), 'template_failed', /more than 8388608 characters/);
  await fails(render(doubled(60, '{{ ns.s }}')), 'template_failed', /Invalid string length/);
  // V8 aborts the process that does this
  const source = `{% if messages[0].content == 'burst' %}${doubled(24, '{{ ns.s | upper }}')}{% endif %}alive`;
  await using(
    source,
    async (template) => {
      await fails(
        template.render([{ role: 'user', content: 'burst' }], PROMPT),
        'template_failed',
        /memory|longer than/,
      );
      assert.equal(await template.render(HI, PROMPT), 'alive');
    },
    { timeLimitMs: 10_000 },
  );
});

test('renderings at the same time each get their own text, in one process', async () => {
  await using('{{ messages[0].content }}{% set n = 0 %}', async (template) => {
    const texts = await Promise.all(
      Array.from({ length: 50 }, (_, i) => template.render([{ role: 'user', content: `text ${i}` }], PROMPT)),
    );
    assert.deepEqual(
      texts,
      Array.from({ length: 50 }, (_, i) => `text ${i}`),
    );
  });
});

test('one failure among many harms no other', async () => {
  const source =
    "{% if messages[0].content == 'bad' %}{{ raise_exception('bad') }}{% endif %}{{ messages[0].content }}";
  await using(source, async (template) => {
    const outcomes = await Promise.allSettled(
      ['a', 'bad', 'b'].map((content) => template.render([{ role: 'user', content }], PROMPT)),
    );
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.code)),
      ['a', 'template_failed', 'b'],
    );
  });
});

test('waiting renderings are bounded', async () => {
  await using(
    null,
    async (template) => {
      const first = template.render(HI, PROMPT);
      const second = template.render(HI, PROMPT);
      await fails(template.render(HI, PROMPT), 'queue_full', /try again/);
      assert.equal(await first, await second);
      assert.equal(await template.render(HI, PROMPT), await first);
    },
    { maxWaiting: 2 },
  );
});

test('long input and long templates are refused', async () => {
  await using(null, async (template) => {
    await fails(
      template.render([{ role: 'user', content: 'x'.repeat(4 << 20) }], PROMPT),
      'request_too_large',
      /at most 4194304/,
    );
  });
  assert.throws(
    () => new ChatTemplate('x'.repeat((1 << 20) + 1), '', ''),
    (error: unknown) => error instanceof StarlingError && error.code === 'template_failed',
  );
});

test('a large conversation renders', async () => {
  const messages = Array.from({ length: 2000 }, (_, i) => ({
    role: i % 2 ? 'assistant' : 'user',
    content: 'x'.repeat(1000),
  }));
  await using(null, async (template) => {
    assert.equal(
      (await template.render(messages, PROMPT)).length,
      2_000_000 + 1000 * 'User: \n'.length + 1000 * 'Assistant: \n'.length + '<s>Assistant:'.length,
    );
  });
});

test('cancelling ends the wait at once', async () => {
  const source = `{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}`;
  await using(source, async (template) => {
    await fails(template.render(HI, { ...PROMPT, signal: AbortSignal.abort() }), 'cancelled', /cancelled/);
    const controller = new AbortController();
    const start = performance.now();
    const rendering = template.render(HI, { ...PROMPT, signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await fails(rendering, 'cancelled', /cancelled/);
    assert.ok(performance.now() - start < 1500);
  });
});

test('close ends what is under way, and nothing starts after it', async () => {
  const template = new ChatTemplate(null, '', '');
  const under = template.render(HI, PROMPT);
  const waiting = template.render(HI, PROMPT);
  setImmediate(() => template.close());
  await fails(under, 'template_failed', /closed/);
  await fails(waiting, 'cancelled', /closed/);
  await fails(template.render(HI, PROMPT), 'cancelled', /closed/);
  template.close();
});

test('an idle render process keeps no program running', async () => {
  const module = new URL('../../../../../coordinator/model/template/chat-template.js', import.meta.url).href;
  const program = `
    import { ChatTemplate } from ${JSON.stringify(module)};
    const template = new ChatTemplate(null, '', '');
    console.log(await template.render([{ role: 'user', content: 'hi' }], { addGenerationPrompt: true }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    timeout: 60_000,
  });
  assert.equal(stdout, 'User: hi\nAssistant:\n');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Accounting } from '../../../../coordinator/cluster/accounting.ts';
import { GenerationCounters, type GenerationStatistics } from '../../../../coordinator/generation/statistics.ts';
import { createApi } from '../../../../coordinator/http/api.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { FAKE_FACTS } from '../../../fixtures/http-endpoint.ts';

const statistics: GenerationStatistics = {
  ...new GenerationCounters(),
  requestsWaiting: 3,
  requestsRunning: 1,
  textsFinished: 2,
  cachedTokens: 40,
  decodeMs: 1500,
  acceptedTokens: 7,
  preemptions: 1,
  kv: { pages: 10, free: 4, cached: 3, sequences: 1 },
};
const service = { load: { waiting: 3, running: 1 }, statistics };
const log = createLogger('silent', 'test');

async function scrape(api: ReturnType<typeof createApi>): Promise<string[]> {
  const response = await api.request('http://127.0.0.1/metrics', { headers: { host: '127.0.0.1' } });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  return (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

test('metrics tell what each device did, and grow with it', async () => {
  const clock = { ms: 0 };
  const devices = [
    { id: 'own', name: 'this device' },
    { id: '0', name: 'kitchen "pi"' },
  ];
  const accounting = new Accounting({ devices, now: () => clock.ms });
  const api = createApi({
    facts: FAKE_FACTS,
    service: service as never,
    log,
    devices: () => [
      { id: 'own', name: 'this device', state: 'ready' },
      { id: '0', name: 'kitchen "pi"', state: 'lost' },
    ],
    usage: () => ({
      account: accounting.snapshot(),
      overlap: {
        halvedSteps: 9,
        decisions: [
          { rows: 2, halved: false },
          { rows: 16, halved: true },
        ],
      },
    }),
  });
  accounting.addPhase([
    { device: 'own', computeMs: 500, diskMs: 0, wallMs: 500, bytesRead: 0 },
    { device: '0', computeMs: 250, diskMs: 1000, wallMs: 1500, bytesRead: 4096 },
  ]);
  accounting.beginStep(1);
  clock.ms = 2000;
  accounting.layersDone();
  accounting.endStep();
  for (const expected of [
    'starling_requests{state="running"} 1',
    'starling_requests{state="waiting"} 3',
    'starling_device_ready{device="this device",id="own"} 1',
    'starling_device_ready{device="kitchen \\"pi\\"",id="0"} 0',
    'starling_steps_total 1',
    'starling_step_seconds_total 2',
    'starling_halved_steps_total 9',
    'starling_step_halved{rows="2"} 0',
    'starling_step_halved{rows="16"} 1',
    'starling_bound_seconds_total{constraint="disk"} 1',
    'starling_bound_seconds_total{constraint="network"} 0.25',
    'starling_device_seconds_total{device="this device",id="own",constraint="compute"} 0.5',
    'starling_device_seconds_total{device="kitchen \\"pi\\"",id="0",constraint="disk"} 1',
    'starling_device_read_bytes_total{device="kitchen \\"pi\\"",id="0"} 4096',
    'starling_texts_finished_total 2',
    'starling_cached_tokens_total 40',
    'starling_decode_seconds_total 1.5',
    'starling_accepted_tokens_total 7',
    'starling_preemptions_total 1',
    'starling_kv_pages{state="held"} 3',
  ]) {
    assert.ok((await scrape(api)).includes(expected), `${expected} is not among\n${(await scrape(api)).join('\n')}`);
  }
  accounting.beginStep(1);
  clock.ms += 1000;
  accounting.layersDone();
  accounting.endStep();
  assert.ok((await scrape(api)).includes('starling_step_seconds_total 3'));
});

test('without a cluster there is little to tell', async () => {
  const lines = await scrape(createApi({ service: service as never, facts: FAKE_FACTS, log }));
  assert.ok(lines.includes('starling_steps_total 0'));
  assert.ok(!lines.some((line) => /^starling_(device|predicted|measured)_/.test(line)));
});

test('what a plan expects is told beside what is measured, and who is left out', async () => {
  const told: { measuredTokenMs: number | null } = { measuredTokenMs: null };
  const attic = { id: 'c', name: 'attic', reason: 'slower' as const, tokenMs: 90, why: 'attic is left out' };
  const predicted = { tokenMs: 12, promptMs: 1500, promptTokens: 1000 };
  const plan = () => ({ predicted, leftOut: [attic], ...told });
  const api = createApi({ service: service as never, facts: FAKE_FACTS, log, plan });
  const before = await scrape(api);
  assert.ok(before.includes('starling_predicted_token_seconds 0.012'));
  assert.ok(before.includes('starling_device_left_out{device="attic",id="c",reason="slower"} 1'));
  assert.ok(!before.some((line) => line.startsWith('starling_measured_')));
  told.measuredTokenMs = 15;
  assert.ok((await scrape(api)).includes('starling_measured_token_seconds 0.015'));
});

test('C11: two devices of one name are two series', async () => {
  const devices = [
    { id: 'a', name: 'pi', state: 'ready' },
    { id: 'b', name: 'pi', state: 'lost' },
  ];
  const accounting = new Accounting({ devices, now: () => 0 });
  accounting.addPhase(devices.map(({ id }) => ({ device: id, computeMs: 500, diskMs: 0, wallMs: 500, bytesRead: 1 })));
  const usage = () => ({ account: accounting.snapshot(), overlap: null });
  const lines = await scrape(
    createApi({ service: service as never, facts: FAKE_FACTS, log, devices: () => devices, usage }),
  );
  for (const expected of [
    'starling_device_ready{device="pi",id="a"} 1',
    'starling_device_ready{device="pi",id="b"} 0',
    'starling_device_seconds_total{device="pi",id="a",constraint="compute"} 0.5',
    'starling_device_seconds_total{device="pi",id="b",constraint="compute"} 0.5',
    'starling_device_read_bytes_total{device="pi",id="b"} 1',
  ]) {
    assert.ok(lines.includes(expected), `${expected} is not among\n${lines.join('\n')}`);
  }
});

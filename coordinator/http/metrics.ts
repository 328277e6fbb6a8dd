import type { Handler } from 'hono';
import { Counter, Gauge, Registry } from 'prom-client';
import { constraintTimes } from '../cluster/accounting.ts';
import type { ApiContext } from './api-context.ts';
import { registerGeneration } from './generation-metrics.ts';

/**
 * GET /metrics: what the cluster has done so far, for Prometheus. Labels are devices, by id as names need not differ,
 * constraints and names of API keys, so there are a few series a device.
 */
export function metrics({ service, devices, plan, usage, authentication }: ApiContext): Handler {
  const registry = new Registry();
  const registers = [registry];

  new Gauge({
    name: 'starling_requests',
    help: 'Requests being computed and waiting.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'running' }, service.load.running);
      this.set({ state: 'waiting' }, service.load.waiting);
    },
  });
  if (authentication.requests.size > 0) {
    new Counter({
      name: 'starling_key_requests_total',
      help: 'Requests with an API key, by its name.',
      labelNames: ['key'],
      registers,
      collect() {
        this.reset();
        for (const [key, count] of authentication.requests) this.inc({ key }, count);
      },
    });
  }
  new Gauge({
    name: 'starling_device_ready',
    help: '1 for a device that computes, 0 for one that is lost.',
    labelNames: ['device', 'id'],
    registers,
    collect() {
      for (const { id, name, state } of devices()) this.set({ device: name, id }, state === 'ready' ? 1 : 0);
    },
  });
  new Gauge({
    name: 'starling_predicted_token_seconds',
    help: 'What the plan expects a step to take that gives each user it was made for a token; none where devices were not measured.',
    registers,
    collect() {
      const shown = plan();
      if (shown === null) this.remove();
      else this.set(shown.predicted.tokenMs / 1000);
    },
  });
  new Gauge({
    name: 'starling_measured_token_seconds',
    help: 'What such steps have lately taken, the middle one of them; none before there were a few.',
    registers,
    collect() {
      const ms = plan()?.measuredTokenMs ?? null;
      if (ms === null) this.remove();
      else this.set(ms / 1000);
    },
  });
  new Gauge({
    name: 'starling_device_left_out',
    help: '1 for a device that computes nothing: slower with it, too little memory, or busy.',
    labelNames: ['device', 'id', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { name, id, reason } of plan()?.leftOut ?? []) this.set({ device: name, id, reason }, 1);
    },
  });
  new Gauge({
    name: 'starling_resident_memory_bytes',
    help: 'Resident memory of the coordinator.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'starling_steps_total',
    help: 'Passes over the model; one serves a token of every request that is computed, or up to 64 tokens of a prompt.',
    registers,
    collect() {
      this.reset();
      this.inc(usage()?.account.steps ?? 0);
    },
  });
  new Counter({
    name: 'starling_step_seconds_total',
    help: 'Time of all steps.',
    registers,
    collect() {
      this.reset();
      this.inc((usage()?.account.ms ?? 0) / 1000);
    },
  });
  new Counter({
    name: 'starling_halved_steps_total',
    help: 'Steps computed as two half-batches, one while the sums of the other travelled.',
    registers,
    collect() {
      this.reset();
      this.inc(usage()?.overlap?.halvedSteps ?? 0);
    },
  });
  new Gauge({
    name: 'starling_step_halved',
    help: '1 where steps of up to so many rows were found to be faster as two half-batches, 0 where they are computed whole.',
    labelNames: ['rows'],
    registers,
    collect() {
      this.reset();
      for (const { rows, halved } of usage()?.overlap?.decisions ?? []) this.set({ rows }, halved ? 1 : 0);
    },
  });
  new Counter({
    name: 'starling_bound_seconds_total',
    help: 'Time by what it was spent on by the device that the others waited for: the largest is what binds.',
    labelNames: ['constraint'],
    registers,
    collect() {
      this.reset();
      const critical: Readonly<Record<string, number>> = usage()?.account.critical ?? {};
      for (const [constraint, ms] of Object.entries(critical)) this.inc({ constraint }, ms / 1000);
    },
  });
  new Counter({
    name: 'starling_device_seconds_total',
    help: 'Time that a device computed, waited for its disk, or was waited for beyond that (network).',
    labelNames: ['device', 'id', 'constraint'],
    registers,
    collect() {
      this.reset();
      for (const account of usage()?.account.devices ?? []) {
        const { name: device, id } = account;
        for (const [constraint, ms] of Object.entries(constraintTimes(account)))
          this.inc({ device, id, constraint }, ms / 1000);
      }
    },
  });
  new Counter({
    name: 'starling_device_read_bytes_total',
    help: 'Bytes of tiles that a device read from its disk while computing.',
    labelNames: ['device', 'id'],
    registers,
    collect() {
      this.reset();
      for (const { id, name, bytesRead } of usage()?.account.devices ?? []) this.inc({ device: name, id }, bytesRead);
    },
  });

  registerGeneration(registry, () => service.statistics);

  return async (c) => c.body(await registry.metrics(), 200, { 'Content-Type': registry.contentType });
}

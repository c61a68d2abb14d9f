// Trucks: a cab over the front axle, and behind it a box, a curtain, a tank, a tipper or a flat bed.
import { type Vec3 } from '../exact.js';
import type { MeshBuilder } from '../mesh.js';
import type { Random } from '../../system/index.js';
import type { Lamps } from './car.js';
import { box, plate, ring, sidePlates, wheels } from './parts.js';

export interface TruckPlan {
  readonly length: number;
  readonly width: number;
  readonly height: number;
  readonly cabHeight: number;
  readonly cabLength: number;
  readonly load: 'box' | 'curtain' | 'tank' | 'tipper' | 'flat';
  readonly isSmall: boolean;
}

const LOADS = ['box', 'curtain', 'tank', 'tipper', 'flat'] as const;

export const truckPlan = (r: Random): TruckPlan => {
  const isSmall = r.chance(0.3);
  const load = isSmall
    ? r.pick<TruckPlan['load']>(['box', 'curtain', 'flat'])
    : (LOADS[r.weighted([42, 22, 10, 16, 10])] ?? 'box');
  const cabHeight = isSmall ? r.between(2.3, 2.5) : r.between(2.85, 3.4);
  const high = isSmall ? r.between(2.9, 3.3) : r.between(3.5, 3.95);
  return {
    length: isSmall ? r.between(6.2, 7.6) : r.between(8, 12),
    width: isSmall ? 2.2 : 2.5,
    height: load === 'box' || load === 'curtain' ? high : load === 'tank' ? 3.3 : cabHeight,
    cabHeight,
    cabLength: isSmall ? 1.7 : r.between(1.9, 2.3),
    load,
    isSmall,
  };
};

const cab = (b: MeshBuilder, plan: TruckPlan, front: number): void => {
  const { cabHeight: top, cabLength } = plan;
  const y = plan.width / 2 - 0.03;
  const back = front - cabLength;
  const low = 0.45;
  const belt = low + (top - low) * 0.44;
  const glass = Math.min(belt + 0.95, top - 0.16);
  const lean = 0.24;
  /** The front at a height: upright to the belt, leaning back above it. */
  const nose = (z: number): number => front - (z > belt ? (lean * (z - belt)) / (top - belt) : 0);
  const inside: Vec3 = [(front + back) / 2, 0, belt];
  const levels = [low, belt, glass, top] as const;
  levels.slice(1).forEach((z1, i) => {
    const z0 = levels[i] ?? low;
    const front4 = (y0: number, y1: number, push: number): Vec3[] => [[nose(z0) + push, y0, z0], [nose(z0) + push, y1, z0], [nose(z1) + push, y1, z1], [nose(z1) + push, y0, z1]]; // prettier-ignore
    b.face(i === 1 ? 'glass' : 'paint', front4(-y + 0.12, y - 0.12, 0), inside);
    b.pair('paint', [[nose(z0), y - 0.12, z0], [nose(z0) - 0.12, y, z0], [nose(z1) - 0.12, y, z1], [nose(z1), y - 0.12, z1]], inside); // prettier-ignore
    b.pair('paint', [[nose(z0) - 0.12, y, z0], [back, y, z0], [back, y, z1], [nose(z1) - 0.12, y, z1]], inside); // prettier-ignore
  });
  const window: Vec3[] = [[nose(belt) - 0.22, y + 0.012, belt + 0.02], [back + cabLength * 0.38, y + 0.012, belt + 0.02], [back + cabLength * 0.38, y + 0.012, glass], [nose(glass) - 0.2, y + 0.012, glass]]; // prettier-ignore
  b.pair('glass', window, inside);
  b.face('paint', [[nose(top), -y + 0.12, top], [nose(top), y - 0.12, top], [back, y - 0.12, top], [back, -y + 0.12, top]], inside); // prettier-ignore
  plate(b, 'paint', back, [-y, y], [low, top], false);
  plate(b, 'black', front + 0.012, [-y + 0.3, y - 0.3], [low + 0.42, belt - 0.12], true);
  plate(b, 'black', front + 0.02, [-y + 0.05, y - 0.05], [low - 0.1, low + 0.3], true);
  plate(b, 'plate', front + 0.03, [-0.26, 0.26], [low, low + 0.11], true);
  for (const s of [1, -1]) {
    const across: [number, number] = s > 0 ? [y - 0.42, y - 0.1] : [-y + 0.1, -y + 0.42];
    plate(b, 'head', front + 0.03, across, [low + 0.06, low + 0.26], true);
    const mirror: [number, number] = s > 0 ? [y + 0.05, y + 0.25] : [-y - 0.25, -y - 0.05];
    box(b, 'black', { x: [front - 0.25, front - 0.1], y: mirror, z: [belt + 0.1, belt + 0.75] });
  }
};

const tank = (
  b: MeshBuilder,
  x: readonly [number, number],
  z: readonly [number, number],
  y: number,
): void => {
  const count = 12;
  const round = ring(0, 0, 0, 1, count);
  const middle = (z[0] + z[1]) / 2;
  const at = (i: number, px: number): Vec3 => {
    const [a, , c] = round[i % count] ?? [0, 0, 0];
    return [px, a * y, middle + (c * (z[1] - z[0])) / 2];
  };
  const inside: Vec3 = [(x[0] + x[1]) / 2, 0, middle];
  for (let part = 0; part < 3; part += 1) {
    const [from, to] = [0, 1].map((k) => x[0] + ((x[1] - x[0]) * (part + k)) / 3);
    for (let i = 0; i < count; i += 1) {
      b.face('cargo', [at(i, from ?? 0), at(i, to ?? 0), at(i + 1, to ?? 0), at(i + 1, from ?? 0)], inside, { open: 0.9 }); // prettier-ignore
    }
  }
  for (const px of x)
    b.face(
      'cargo',
      Array.from({ length: count }, (_, i) => at(i, px)),
      inside,
    );
};

const load = (b: MeshBuilder, plan: TruckPlan, x: readonly [number, number], deck: number): void => {
  const y = plan.width / 2;
  switch (plan.load) {
    case 'box':
    case 'curtain': {
      const material = plan.load === 'box' ? 'cargo' : 'second';
      const count = 4;
      for (let i = 0; i < count; i += 1) {
        const from = x[0] + ((x[1] - x[0]) * i) / count;
        const to = x[0] + ((x[1] - x[0]) * (i + 1)) / count;
        box(b, material, { x: [from, to], y: [-y, y], z: [deck, plan.height] }, { front: i === count - 1 ? 'cargo' : 'none', back: i === 0 ? 'cargo' : 'none', top: 'cargo' }, { open: 0.95 }); // prettier-ignore
        if (plan.load === 'curtain') sidePlates(b, 'cargo', [from, from + 0.08], y + 0.008, [deck, plan.height], { detail: true }); // prettier-ignore
      }
      sidePlates(b, 'black', [x[0], x[1]], y + 0.01, [deck, deck + 0.1]);
      plate(b, 'black', x[0] - 0.01, [-0.015, 0.015], [deck, plan.height - 0.1], false, { detail: true });
      return;
    }
    case 'tank':
      tank(b, x, [deck + 0.05, plan.height], y);
      return;
    case 'tipper': {
      const z: [number, number] = [deck, deck + 1.25];
      box(b, 'second', { x: [x[0], x[1]], y: [-y, y], z }, { top: 'none' });
      const heap = deck + 1.1;
      b.face('cloth', [[x[0] + 0.1, -y + 0.08, heap], [x[1] - 0.1, -y + 0.08, heap], [x[1] - 0.1, y - 0.08, heap], [x[0] + 0.1, y - 0.08, heap]], [0, 0, 0]); // prettier-ignore
      box(b, 'cloth', { x: [x[0] + 0.9, x[1] - 0.9], y: [-y + 0.5, y - 0.5], z: [heap, heap + 0.22] });
      for (let px = x[0] + 0.8; px < x[1]; px += 1) sidePlates(b, 'black', [px, px + 0.1], y + 0.012, z, { open: 0.7 }); // prettier-ignore
      box(b, 'second', { x: [x[1], x[1] + 0.12], y: [-y, y], z: [deck, deck + 1.6] });
      return;
    }
    case 'flat':
      box(b, 'cargo', { x: [x[0], x[1]], y: [-y, y], z: [deck, deck + 0.45] }, { top: 'cloth' });
      box(b, 'second', { x: [x[0] + 1, x[1] - 0.8], y: [-y + 0.2, y - 0.2], z: [deck + 0.45, deck + 1.3] });
      return;
  }
};

export const buildTruck = (b: MeshBuilder, plan: TruckPlan): Lamps => {
  const front = plan.length / 2;
  const back = -front;
  const deck = plan.isSmall ? 0.95 : 1.15;
  const radius = plan.isSmall ? 0.4 : 0.5;
  const y = plan.width / 2;
  cab(b, plan, front);
  const behind = front - plan.cabLength - 0.18;
  box(b, 'black', { x: [back + 0.1, behind + 0.3], y: [-0.5, 0.5], z: [0.55, deck] });
  load(b, plan, [back, behind], deck);
  // Tank and box under the bed, bumper behind.
  box(b, 'chrome', { x: [behind - 1.7, behind - 0.5], y: [-y + 0.05, -y + 0.6], z: [0.45, deck - 0.08] });
  box(b, 'black', { x: [behind - 1.5, behind - 0.5], y: [y - 0.6, y - 0.05], z: [0.45, deck - 0.08] });
  box(b, 'black', { x: [back, back + 0.1], y: [-y + 0.1, y - 0.1], z: [0.45, 0.7] });
  plate(b, 'plate', back - 0.02, [-0.26, 0.26], [0.78, 0.9], false);
  for (const s of [1, -1]) {
    const across: [number, number] = s > 0 ? [y - 0.5, y - 0.08] : [-y + 0.08, -y + 0.5];
    plate(b, 'tail', back - 0.015, across, [0.72, 0.88], false);
  }
  const axles = [front - plan.cabLength * 0.62, back + plan.length * 0.2];
  if (plan.length > 9) axles.push(back + plan.length * 0.2 + 1.25);
  for (const x of axles) wheels(b, { x, y: y - 0.02, radius, width: 0.34 });
  const arch = front - plan.cabLength * 0.62;
  sidePlates(b, 'black', [arch - 0.65, arch + 0.65], y - 0.015, [0.45, 1.08]);
  return {
    heads: [[front, y - 0.26, 0.6], [front, 0.26 - y, 0.6]], // prettier-ignore
    tails: [[back, y - 0.3, 0.8], [back, 0.3 - y, 0.8]], // prettier-ignore
  };
};

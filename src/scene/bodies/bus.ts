// Buses: a long box with a band of windows, doors on the kerb side and a big windscreen.
import type { Vec3 } from '../exact.js';
import type { MeshBuilder } from '../mesh.js';
import type { Random } from '../../system/index.js';
import type { Lamps } from './car.js';
import { plate, sidePlates, wheels } from './parts.js';

export interface BusPlan {
  readonly length: number;
  readonly width: number;
  readonly height: number;
  readonly sill: number;
  readonly isCoach: boolean;
  readonly stripe: boolean;
}

export const busPlan = (r: Random): BusPlan => {
  const isCoach = r.chance(0.35);
  return {
    length: r.between(10.2, 12.4),
    width: 2.5,
    height: isCoach ? r.between(3.3, 3.6) : r.between(2.95, 3.15),
    sill: isCoach ? 0.38 : 0.3,
    isCoach,
    stripe: r.chance(0.75),
  };
};

export const buildBus = (b: MeshBuilder, plan: BusPlan): Lamps => {
  const { length, height, sill, isCoach } = plan;
  const y = plan.width / 2;
  const front = length / 2;
  const back = -front;
  const top = height - 0.16;
  const band = [isCoach ? 1.55 : 1.15, isCoach ? height - 0.55 : height - 0.62] as const;
  // The side in pieces of constant length: sill, belly, windows, cornice, and the roof above.
  const count = 8;
  const step = (length - 0.2) / count;
  for (let i = 0; i < count; i += 1) {
    const x = [back + 0.1 + i * step, back + 0.1 + (i + 1) * step] as const;
    const middle = (x[0] + x[1]) / 2;
    sidePlates(b, 'black', x, y - 0.01, [sill, sill + 0.12]);
    sidePlates(b, plan.stripe && !isCoach ? 'second' : 'paint', x, y, [sill + 0.12, sill + 0.55]);
    sidePlates(b, 'paint', x, y, [sill + 0.55, band[0]]);
    sidePlates(b, 'glass', [x[0] + 0.05, x[1] - 0.05], y + 0.005, band);
    sidePlates(b, 'black', x, y, band, { open: 0.6 });
    sidePlates(b, 'paint', x, y, [band[1], top]);
    const edge: Vec3[] = [[x[0], y, top], [x[1], y, top], [x[1], y - 0.22, height], [x[0], y - 0.22, height]]; // prettier-ignore
    b.pair('paint', edge, [middle, 0, top - 0.3]);
    b.face('paint', [[x[0], y - 0.22, height], [x[1], y - 0.22, height], [x[1], 0.22 - y, height], [x[0], 0.22 - y, height]], [middle, 0, 1]); // prettier-ignore
  }
  // Ends, a little rounded in plan.
  const inset = y - 0.14;
  for (const [x, towards, ahead] of [
    [front, front - 0.1, true],
    [back, back + 0.1, false],
  ] as const) {
    // prettier-ignore
    const inside: Vec3 = [0, 0, 1.5];
    b.pair('paint', [[towards, y, sill], [x, inset, sill], [x, inset, band[0] - 0.1], [towards, y, band[0] - 0.1]], inside); // prettier-ignore
    b.pair(ahead ? 'glass' : 'paint', [[towards, y, band[0] - 0.1], [x, inset, band[0] - 0.1], [x, inset, band[1] + 0.1], [towards, y, band[1] + 0.1]], inside); // prettier-ignore
    b.pair('paint', [[towards, y, band[1] + 0.1], [x, inset, band[1] + 0.1], [x, inset, top], [towards, y, top]], inside); // prettier-ignore
    const z: [number, number] = [sill, height - 0.02];
    plate(b, 'paint', x, [-inset, inset], z, ahead);
    b.face('paint', [[x, -inset, height - 0.02], [x, inset, height - 0.02], [towards, y - 0.22, height], [towards, 0.22 - y, height]], [0, 0, 1]); // prettier-ignore
    plate(b, 'black', ahead ? x + 0.01 : x - 0.01, [-inset, inset], [sill, sill + 0.14], ahead);
  }
  plate(b, 'glass', front + 0.012, [-inset, inset], [isCoach ? 1.15 : 0.95, height - 0.52], true);
  plate(b, 'black', front + 0.012, [-inset, inset], [height - 0.52, height - 0.12], true);
  plate(b, 'blinker', front + 0.02, [-0.7, 0.7], [height - 0.44, height - 0.2], true, { open: 1 });
  plate(b, 'glass', back - 0.012, [-0.95, 0.95], [band[0] + 0.25, band[1]], false);
  plate(b, 'black', back - 0.012, [-0.9, 0.9], [sill + 0.25, sill + 0.75], false);
  plate(b, 'plate', front + 0.02, [-0.26, 0.26], [sill + 0.16, sill + 0.27], true);
  plate(b, 'plate', back - 0.02, [-0.26, 0.26], [sill + 0.82, sill + 0.93], false);
  for (const s of [1, -1]) {
    const across = (a: number, c: number): [number, number] => (s > 0 ? [a, c] : [-c, -a]);
    plate(b, 'head', front + 0.02, across(0.72, 1.06), [sill + 0.3, sill + 0.5], true);
    plate(b, 'tail', back - 0.02, across(0.95, 1.1), [sill + 0.3, sill + 0.95], false);
  }
  // Doors on the right.
  for (const x of [front - 1.5, -0.5]) {
    const door: Vec3[] = [[x, -y - 0.012, sill + 0.06], [x + 1.15, -y - 0.012, sill + 0.06], [x + 1.15, -y - 0.012, band[1]], [x, -y - 0.012, band[1]]]; // prettier-ignore
    b.face('glass', door, [x, 0, 1]);
    b.face('black', [[x + 0.54, -y - 0.02, sill + 0.06], [x + 0.62, -y - 0.02, sill + 0.06], [x + 0.62, -y - 0.02, band[1]], [x + 0.54, -y - 0.02, band[1]]], [x, 0, 1]); // prettier-ignore
  }
  for (const x of [front - 2.7, back + 3.2]) {
    wheels(b, { x, y: y + 0.012, radius: 0.49, width: 0.3, sill });
  }
  return {
    heads: [[front, 0.9, sill + 0.4], [front, -0.9, sill + 0.4]], // prettier-ignore
    tails: [[back, 1.02, sill + 0.6], [back, -1.02, sill + 0.6]], // prettier-ignore
  };
};

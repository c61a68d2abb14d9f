// Motorcycles and their riders.
import { cross, unit, type Vec3 } from '../exact.js';
import type { Material, MeshBuilder } from '../mesh.js';
import type { Random } from '../../system/index.js';
import type { Lamps } from './car.js';
import { box, plate, wheels } from './parts.js';

export interface MotorcyclePlan {
  readonly length: number;
  readonly width: number;
  readonly height: number;
  readonly isScooter: boolean;
  readonly hasTopCase: boolean;
}

export const motorcyclePlan = (r: Random): MotorcyclePlan => ({
  length: r.between(1.95, 2.25),
  width: 0.8,
  height: r.between(1.62, 1.72),
  isScooter: r.chance(0.3),
  hasTopCase: r.chance(0.35),
});

/** A bar with a square section from one point to another. */
const limb = (b: MeshBuilder, material: Material, from: Vec3, to: Vec3, thick: number): void => {
  const axis = unit([to[0] - from[0], to[1] - from[1], to[2] - from[2]]);
  const across = unit(cross(axis, Math.abs(axis[2]) > 0.9 ? [1, 0, 0] : [0, 0, 1]));
  const up = cross(across, axis);
  const r = thick / 2;
  const corner = (p: Vec3, s: number, u: number): Vec3 => [
    p[0] + across[0] * s * r + up[0] * u * r,
    p[1] + across[1] * s * r + up[1] * u * r,
    p[2] + across[2] * s * r + up[2] * u * r,
  ];
  const around = [[-1, -1], [1, -1], [1, 1], [-1, 1]] as const; // prettier-ignore
  const inside: Vec3 = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2, (from[2] + to[2]) / 2];
  around.forEach(([s, u], i) => {
    const [s2, u2] = around[(i + 1) % 4] ?? [s, u];
    b.face(material, [corner(from, s, u), corner(to, s, u), corner(to, s2, u2), corner(from, s2, u2)], inside); // prettier-ignore
  });
  for (const p of [from, to])
    b.face(
      material,
      around.map(([s, u]) => corner(p, s, u)),
      inside,
    );
};

/** A ball of three rings. */
const ball = (b: MeshBuilder, material: Material, [x, y, z]: Vec3, radius: number): void => {
  const count = 8;
  const at = (ringAt: number, i: number): Vec3 => {
    const [height, width] = ([[-0.9, 0.4], [-0.35, 0.94], [0.35, 0.94], [0.9, 0.4]] as const)[ringAt] ?? [0, 1]; // prettier-ignore
    const [cx, cy] = ([[1, 0], [0.707, 0.707], [0, 1], [-0.707, 0.707], [-1, 0], [-0.707, -0.707], [0, -1], [0.707, -0.707]] as const)[i % count] ?? [1, 0]; // prettier-ignore
    return [x + radius * width * cx, y + radius * width * cy, z + radius * height];
  };
  for (let r = 0; r < 3; r += 1) {
    for (let i = 0; i < count; i += 1) b.face(material, [at(r, i), at(r, i + 1), at(r + 1, i + 1), at(r + 1, i)], [x, y, z]); // prettier-ignore
  }
  b.face(material, Array.from({ length: count }, (_, i) => at(3, i)), [x, y, z]); // prettier-ignore
};

export const buildMotorcycle = (b: MeshBuilder, plan: MotorcyclePlan): Lamps => {
  const front = plan.length / 2;
  const back = -front;
  const radius = plan.isScooter ? 0.25 : 0.31;
  for (const x of [front - radius, back + radius]) wheels(b, { x, y: 0.06, radius, width: 0.12 });
  const seat = 0.8;
  // Engine, tank, seat, tail.
  box(b, 'black', { x: [-0.3, 0.32], y: [-0.16, 0.16], z: [0.28, 0.62] });
  box(b, 'paint', { x: [-0.02, 0.45], y: [-0.15, 0.15], z: [0.62, seat + 0.12] });
  box(b, 'black', { x: [-0.62, 0.02], y: [-0.14, 0.14], z: [seat - 0.1, seat] });
  box(b, 'paint', { x: [-0.85, -0.5], y: [-0.12, 0.12], z: [seat - 0.2, seat + 0.04] });
  if (plan.isScooter) {
    box(b, 'paint', { x: [0.5, 0.62], y: [-0.24, 0.24], z: [0.3, 1.0] });
    box(b, 'paint', { x: [-0.85, -0.1], y: [-0.18, 0.18], z: [0.34, 0.72] });
  }
  limb(b, 'chrome', [front - radius, 0.1, radius], [0.45, 0.1, 0.95], 0.06);
  limb(b, 'chrome', [front - radius, -0.1, radius], [0.45, -0.1, 0.95], 0.06);
  limb(b, 'black', [0.42, -0.38, 1.02], [0.42, 0.38, 1.02], 0.05);
  limb(b, 'black', [back + radius, 0.12, radius], [-0.2, 0.14, 0.45], 0.07);
  limb(b, 'chrome', [-0.75, -0.16, 0.42], [0.0, -0.16, 0.35], 0.1);
  box(b, 'paint', { x: [0.45, 0.62], y: [-0.16, 0.16], z: [0.82, 1.02] }, { front: 'head' });
  plate(b, 'glass', 0.6, [-0.15, 0.15], [1.02, 1.2], true);
  box(b, 'tail', { x: [-0.9, -0.84], y: [-0.1, 0.1], z: [seat - 0.12, seat] });
  plate(b, 'plate', back + 0.1, [-0.1, 0.1], [0.5, 0.65], false);
  if (plan.hasTopCase)
    box(b, 'black', { x: [-0.95, -0.55], y: [-0.22, 0.22], z: [seat + 0.04, seat + 0.36] });
  // The rider leans forward a little.
  const hip: Vec3 = [-0.28, 0, seat + 0.08];
  const neck: Vec3 = [-0.06, 0, plan.height - 0.28];
  limb(b, 'cloth', [hip[0], 0.09, hip[2]], [neck[0], 0.1, neck[2]], 0.24);
  limb(b, 'cloth', [hip[0], -0.09, hip[2]], [neck[0], -0.1, neck[2]], 0.24);
  for (const s of [1, -1]) {
    limb(b, 'cloth', [neck[0], s * 0.22, neck[2] - 0.06], [0.16, s * 0.34, 1.06], 0.12);
    limb(b, 'cloth', [0.16, s * 0.34, 1.06], [0.42, s * 0.32, 1.04], 0.1);
    limb(b, 'black', [hip[0], s * 0.14, hip[2]], [0.2, s * 0.22, 0.74], 0.17);
    limb(b, 'black', [0.2, s * 0.22, 0.74], [-0.05, s * 0.2, 0.32], 0.13);
  }
  ball(b, 'second', [neck[0] + 0.05, 0, plan.height - 0.13], 0.145);
  box(b, 'glass', { x: [neck[0] + 0.14, neck[0] + 0.21], y: [-0.09, 0.09], z: [plan.height - 0.18, plan.height - 0.08] }); // prettier-ignore
  return { heads: [[0.62, 0, 0.92]], tails: [[-0.9, 0, seat - 0.06]] };
};

// Parts that several bodies have: boxes, wheels, plates.
import type { Vec3 } from '../exact.js';
import { cos, sin } from '../exact.js';
import type { FaceOptions, Material, MeshBuilder } from '../mesh.js';

export interface Extent {
  /** Metres, from the smaller to the larger value. */
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  readonly z: readonly [number, number];
}

export type Side = 'front' | 'back' | 'left' | 'right' | 'top' | 'bottom';

/** A box. `sides` gives a side another material, or leaves it out. */
export const box = (
  b: MeshBuilder,
  material: Material,
  { x: [x0, x1], y: [y0, y1], z: [z0, z1] }: Extent,
  sides: Partial<Record<Side, Material | 'none'>> = {},
  options: FaceOptions = {},
): void => {
  const inside: Vec3 = [(x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2];
  const faces: Record<Side, readonly Vec3[]> = {
    front: [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]], // prettier-ignore
    back: [[x0, y0, z0], [x0, y1, z0], [x0, y1, z1], [x0, y0, z1]], // prettier-ignore
    left: [[x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]], // prettier-ignore
    right: [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]], // prettier-ignore
    top: [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]], // prettier-ignore
    bottom: [[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]], // prettier-ignore
  };
  for (const side of ['front', 'back', 'left', 'right', 'top', 'bottom'] as const) {
    const made = sides[side] ?? (side === 'bottom' ? 'none' : material);
    if (made !== 'none') b.face(made, faces[side], inside, options);
  }
};

/** A rectangle on a plane of constant x that looks forward (`ahead`) or back. */
export const plate = (
  b: MeshBuilder,
  material: Material,
  x: number,
  y: readonly [number, number],
  z: readonly [number, number],
  ahead: boolean,
  options: FaceOptions = {},
): void => {
  const points: Vec3[] = [[x, y[0], z[0]], [x, y[1], z[0]], [x, y[1], z[1]], [x, y[0], z[1]]]; // prettier-ignore
  b.face(material, points, [ahead ? x - 1 : x + 1, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2], options);
};

/** A rectangle on each side of the body, on the planes y and -y. */
export const sidePlates = (
  b: MeshBuilder,
  material: Material,
  x: readonly [number, number],
  y: number,
  z: readonly [number, number],
  options: FaceOptions = {},
): void => {
  const points: Vec3[] = [[x[0], y, z[0]], [x[1], y, z[0]], [x[1], y, z[1]], [x[0], y, z[1]]]; // prettier-ignore
  b.pair(material, points, [(x[0] + x[1]) / 2, 0, (z[0] + z[1]) / 2], options);
};

const SPOKES = 14;

/** The points of a circle in the plane of constant y. */
export const ring = (x: number, y: number, z: number, radius: number, count = SPOKES): Vec3[] =>
  Array.from({ length: count }, (_, i): Vec3 => {
    const angle = ((i + 0.5) * 6.283185307179586) / count;
    return [x + radius * cos(angle), y, z + radius * sin(angle)];
  });

export interface Wheel {
  readonly x: number;
  /** Where its outer side is. */
  readonly y: number;
  readonly radius: number;
  readonly width: number;
  /** Height of the lower edge of the body, for the arch above the wheel; no arch where left out. */
  readonly sill?: number;
}

/** A wheel on each side. */
export const wheels = (b: MeshBuilder, { x, y, radius, width, sill }: Wheel): void => {
  const inside: Vec3 = [x, y - width / 2, radius];
  if (sill !== undefined) {
    const arch = ring(x, y - 0.012, radius, radius * 1.2).map(([px, py, pz]): Vec3 => [
      px,
      py,
      Math.max(pz, sill),
    ]);
    b.pair('black', arch, inside, { open: 0.25 });
  }
  b.pair('tyre', ring(x, y, radius, radius), inside, { open: 0.6 });
  b.pair('rim', ring(x, y + 0.008, radius, radius * 0.64), inside, { open: 0.8 });
  b.pair('black', ring(x, y + 0.012, radius, radius * 0.2, 6), inside, { open: 0.8, detail: true });
  const outer = ring(x, y, radius, radius);
  const inner = ring(x, y - width, radius, radius);
  outer.forEach((a, i) => {
    const next = (i + 1) % outer.length;
    const [a2, c, d] = [outer[next], inner[next], inner[i]];
    if (a2 !== undefined && c !== undefined && d !== undefined) {
      b.pair('tyre', [a, a2, c, d], inside, { open: 0.35 });
    }
  });
};

// Everything of a car above its shoulders: pillars, windows, roof.
import { mix, type Vec3 } from '../exact.js';
import type { Material, MeshBuilder } from '../mesh.js';

export interface Cabin {
  /** Where the windscreen begins at the bottom and ends at the roof: metres forward of the middle. */
  readonly screenBase: number;
  readonly roofFront: number;
  /** Where the rear window ends at the roof and at the bottom. */
  readonly roofBack: number;
  readonly rearBase: number;
  /** Heights: of the shoulders in front and behind, and of the roof. */
  readonly belt: number;
  readonly rearBelt: number;
  readonly roof: number;
  /** Half widths at the shoulders and at the roof. */
  readonly half: number;
  readonly roofHalf: number;
  /** Shares of the height up to which the side windows and the windscreen reach. */
  readonly glassTop: number;
  readonly screenTop: number;
  /** From the front: what the side is made of up to a share of the length. */
  readonly columns: readonly (readonly [material: Material, to: number])[];
  /** Share of the width and of the height that the rear window takes; no window where left out. */
  readonly rearGlass?: { readonly width: number; readonly low: number; readonly high: number };
  readonly roofMaterial: Material;
}

/** How much lower than its middle the roof is at its ends and edges. */
const CROWN = 0.05;

export const buildCabin = (b: MeshBuilder, cabin: Cabin): void => {
  const { screenBase, roofFront, roofBack, rearBase, belt, rearBelt, roof, half, roofHalf } = cabin;
  const eaves = roof - CROWN;
  const inside: Vec3 = [(roofFront + roofBack) / 2, 0, (belt + roof) / 2];
  /** A point of the side: `along` from front to back, `up` from shoulder to roof. */
  const side = (along: number, up: number): Vec3 => {
    const low = mix(screenBase, rearBase, along);
    const high = mix(roofFront, roofBack, along);
    // Narrower in front and behind than in the middle.
    const plan = 1 - 0.28 * (along - 0.5) * (along - 0.5);
    return [mix(low, high, up), mix(half, roofHalf, up) * plan, mix(mix(belt, rearBelt, along), eaves, up)];
  };
  const strip = (material: Material, a0: number, a1: number, u0: number, u1: number): void =>
    b.pair(material, [side(a0, u0), side(a1, u0), side(a1, u1), side(a0, u1)], [mix(screenBase, rearBase, (a0 + a1) / 2), 0, belt]); // prettier-ignore

  let from = 0;
  for (const [material, to] of cabin.columns) {
    // Long panels in pieces: each has one colour and must not reach behind the camera.
    const pieces = Math.ceil(((to - from) * (screenBase - rearBase)) / 2.2);
    for (let i = 0; i < pieces; i += 1) {
      strip(material, mix(from, to, i / pieces), mix(from, to, (i + 1) / pieces), 0, cabin.glassTop);
      strip('paint', mix(from, to, i / pieces), mix(from, to, (i + 1) / pieces), cabin.glassTop, 1);
    }
    from = to;
  }

  /** A band across the front or the back, bowed outwards. */
  const across = (end: 0 | 1, y0: number, y1: number, u0: number, u1: number, material: Material): void => {
    const outwards = end === 0 ? 1 : -1;
    const at = (share: number, up: number): Vec3 => {
      const [x, y, z] = side(end, up);
      return [
        x + outwards * 0.09 * (1 - share * share),
        y * share,
        z + (up > 0.99 ? CROWN * 0.6 * (1 - share * share) : 0),
      ];
    };
    b.face(material, [at(y0, u0), at(y1, u0), at(y1, u1), at(y0, u1)], [inside[0], (side(end, 0)[1] * (y0 + y1)) / 4, belt]); // prettier-ignore
  };
  const front = [-0.93, -0.5, 0.5, 0.93] as const;
  front.slice(1).forEach((to, i) => {
    const start = front[i] ?? to;
    across(0, start, to, 0.02, cabin.screenTop, 'glass');
    across(0, start, to, cabin.screenTop, 1, 'paint');
  });
  for (const sign of [-1, 1]) across(0, sign * 0.93, sign, 0, 1, 'paint');
  const rear = cabin.rearGlass;
  if (rear === undefined)
    for (const [a, c] of [[-1, 0], [0, 1]] as const) across(1, a, c, 0, 1, 'paint'); // prettier-ignore
  else {
    const { width, low, high } = rear;
    for (const [a, c] of [
      [-width, -width / 2],
      [-width / 2, width / 2],
      [width / 2, width],
    ] as const) {
      // prettier-ignore
      across(1, a, c, low, high, 'glass');
      across(1, a, c, 0, low, 'paint');
      across(1, a, c, high, 1, 'paint');
    }
    for (const sign of [-1, 1]) across(1, sign * width, sign, 0, 1, 'paint');
  }

  const ribs = [0, 0.12, 0.4, 0.7, 0.92, 1];
  const crown = [0.55, 0.85, 1, 1, 0.9, 0.5];
  const rib = (i: number, share: number): Vec3 => {
    const [x, y] = side(ribs[i] ?? 0, 1);
    return [mix(roofFront, roofBack, ribs[i] ?? 0) + 0 * x, y * share, eaves + CROWN * (crown[i] ?? 1) * (1 - share * share)]; // prettier-ignore
  };
  for (let i = 0; i + 1 < ribs.length; i += 1) {
    for (const [a, c] of [
      [-1, -0.6],
      [-0.6, 0.6],
      [0.6, 1],
    ] as const) {
      // prettier-ignore
      b.face(cabin.roofMaterial, [rib(i, a), rib(i, c), rib(i + 1, c), rib(i + 1, a)], inside);
    }
  }
};

// What stands beside the road: trees, houses, lamps, signs, rails. Drawn once into the background.
import type { Body } from './bodies/index.js';
import { box, sidePlates } from './bodies/parts.js';
import { cos, mix, sin, type Vec3 } from './exact.js';
import { MATERIALS, MeshBuilder } from './mesh.js';
import { Random } from '../system/index.js';
import { LAMP_HEIGHT, lampsOf, middleAt, type Site } from './site.js';

export interface Tree {
  readonly x: number;
  readonly y: number;
  /** Metres: of the whole tree, of its crown. */
  readonly height: number;
  readonly radius: number;
  readonly isConifer: boolean;
  readonly hue: number;
}

/** Something built: drawn like a vehicle that never moves. */
export interface Structure {
  readonly body: Pick<Body, 'mesh' | 'palette'>;
  readonly x: number;
  readonly y: number;
  readonly hx: number;
  readonly hy: number;
  /** Corners of its shadow's cause: half length, half width, height; none where it casts no shadow worth drawing. */
  readonly shadow?: { readonly half: number; readonly side: number; readonly height: number };
}

const STREAM = 303;

const paletteOf = (colours: Partial<Record<(typeof MATERIALS)[number], Vec3>>): Float64Array =>
  Float64Array.from(MATERIALS.flatMap((material) => [...(colours[material] ?? [0.1, 0.1, 0.1])]));

/** Along the road at an offset from its middle. */
const place = (site: Site, offset: number, y: number): { x: number; y: number; hx: number; hy: number } => {
  const turn = site.bend * y;
  const length = Math.sqrt(1 + turn * turn);
  return { x: middleAt(site, y) + offset, y, hx: turn / length, hy: 1 / length };
};

const WALLS: readonly [Vec3, ...Vec3[]] = [[0.62, 0.58, 0.5], [0.5, 0.28, 0.2], [0.66, 0.64, 0.6], [0.55, 0.5, 0.36], [0.4, 0.4, 0.42]]; // prettier-ignore
const ROOFS: readonly [Vec3, ...Vec3[]] = [
  [0.26, 0.1, 0.07],
  [0.12, 0.12, 0.13],
  [0.2, 0.13, 0.1],
];

const house = (
  r: Random,
  isTall: boolean,
  isNight: boolean,
): Structure['body'] & { half: number; side: number; height: number } => {
  // prettier-ignore
  const b = new MeshBuilder();
  const half = isTall ? r.between(7, 12) : r.between(4.5, 7);
  const side = isTall ? r.between(5, 7) : r.between(4, 5.5);
  const floors = isTall ? 3 + r.below(4) : 1 + r.below(2);
  const wall = floors * 2.9 + 0.4;
  box(b, 'paint', { x: [-half, half], y: [-side, side], z: [0, wall] }, isTall ? { top: 'second' } : {}, { open: 0.9 }); // prettier-ignore
  if (!isTall) {
    const ridge = wall + r.between(1.8, 3);
    const eave = side + 0.4;
    b.pair('second', [[-half - 0.3, eave, wall - 0.2], [half + 0.3, eave, wall - 0.2], [half + 0.3, 0, ridge], [-half - 0.3, 0, ridge]], [0, 0, wall - 1], { open: 1 }); // prettier-ignore
    for (const x of [-half, half]) b.face('paint', [[x, -side, wall], [x, side, wall], [x, 0, ridge - 0.2]], [0, 0, wall]); // prettier-ignore
  }
  for (let floor = 0; floor < floors; floor += 1) {
    for (let x = -half + 1.2; x < half - 1.5; x += 2.6) {
      const z: [number, number] = [0.9 + floor * 2.9, 2.3 + floor * 2.9];
      const lit = isNight && r.chance(0.3);
      sidePlates(b, lit ? 'blinker' : 'glass', [x, x + 1.2], side + 0.03, z, { open: 0.9 });
    }
    for (let y = -side + 1; y < side - 1.5; y += 2.8) {
      for (const x of [-half - 0.03, half + 0.03]) {
        const z: [number, number] = [0.9 + floor * 2.9, 2.3 + floor * 2.9];
        b.face(
          'glass',
          [
            [x, y, z[0]],
            [x, y + 1.1, z[0]],
            [x, y + 1.1, z[1]],
            [x, y, z[1]],
          ],
          [0, y, 1],
        );
      }
    }
  }
  const palette = paletteOf({ paint: r.pick(WALLS), second: r.pick(ROOFS), glass: [0.03, 0.035, 0.045], blinker: isNight ? [9, 6, 2.4] : [0.03, 0.035, 0.045] }); // prettier-ignore
  return { mesh: b.build(), palette, half, side, height: wall };
};

const lampPost = (towards: number): Structure['body'] => {
  const b = new MeshBuilder();
  const reach = 2.2 * towards;
  box(b, 'black', { x: [-0.08, 0.08], y: [-0.08, 0.08], z: [0, LAMP_HEIGHT] }, {}, { open: 0.9 });
  const arm: [number, number] = towards > 0 ? [0, reach] : [reach, 0];
  box(b, 'black', { x: [-0.05, 0.05], y: arm, z: [LAMP_HEIGHT - 0.08, LAMP_HEIGHT] }, {}, { open: 0.9 });
  box(b, 'black', { x: [-0.14, 0.14], y: [reach - 0.35, reach + 0.35], z: [LAMP_HEIGHT - 0.05, LAMP_HEIGHT + 0.08] }, { bottom: 'head' }, { open: 1 }); // prettier-ignore
  return { mesh: b.build(), palette: paletteOf({ black: [0.2, 0.21, 0.22], head: [0.5, 0.5, 0.5] }) };
};

const sign = (r: Random): Structure['body'] => {
  const b = new MeshBuilder();
  box(b, 'chrome', { x: [-0.04, 0.04], y: [-0.04, 0.04], z: [0, 2.6] });
  const z = 2.3;
  const round: Vec3[] = Array.from({ length: 12 }, (_, i): Vec3 => [-0.06, 0.36 * cos(i / 1.9098593), z + 0.36 * sin(i / 1.9098593)]); // prettier-ignore
  b.face('second', round, [1, 0, z], { open: 1 });
  b.face('plate', round.map(([x, y, pz]): Vec3 => [x - 0.01, y * 0.72, z + (pz - z) * 0.72]), [1, 0, z], { open: 1 }); // prettier-ignore
  const palette = paletteOf({ chrome: [0.35, 0.36, 0.37], second: r.chance(0.7) ? [0.5, 0.03, 0.03] : [0.04, 0.1, 0.45], plate: [0.75, 0.75, 0.74] }); // prettier-ignore
  return { mesh: b.build(), palette };
};

const rail = (): Structure['body'] => {
  const b = new MeshBuilder();
  box(b, 'chrome', { x: [-2, 2], y: [-0.05, 0.05], z: [0.45, 0.75] }, { bottom: 'chrome' }, { open: 0.9 });
  for (const x of [-1, 1]) box(b, 'black', { x: [x - 0.06, x + 0.06], y: [-0.05, 0.05], z: [0, 0.5] });
  return { mesh: b.build(), palette: paletteOf({ chrome: [0.36, 0.37, 0.38], black: [0.2, 0.2, 0.2] }) };
};

/** Whether something at this place would stand between the camera and the road. */
const blocks = (site: Site, offset: number, y: number): boolean => {
  const eye = site.view.eye[0];
  const between = offset > 0 === eye > 0 && Math.abs(eye) > site.half * 0.6;
  return between ? y < 46 : y < 6;
};

export const furnish = (
  site: Site,
  isNight: boolean,
): { readonly trees: readonly Tree[]; readonly structures: readonly Structure[] } => {
  const r = new Random(site.seed, STREAM);
  const trees: Tree[] = [];
  const structures: Structure[] = [];
  const { half, surroundings } = site;
  for (const side of [-1, 1]) {
    if (surroundings !== 'country') {
      const isTall = surroundings === 'city';
      for (let y = r.between(4, 14); y < 150; y += r.between(16, 26)) {
        const made = house(r, isTall, isNight);
        const offset = side * (half + (isTall ? r.between(5, 6.5) : r.between(9, 14)) + made.side);
        if (r.chance(0.14) || blocks(site, offset, y - made.half)) continue;
        structures.push({ body: made, ...place(site, offset, y), shadow: made });
        y += made.half;
      }
    } else if (r.chance(0.45)) {
      for (let y = 2; y < 130; y += 4)
        structures.push({ body: rail(), ...place(site, side * (half + 0.9), y) });
    }
    const step = surroundings === 'country' ? 5 : 12;
    for (let y = r.between(2, 12); y < 160; y += r.between(0.4, 1.6) * step) {
      const near = surroundings === 'city' ? 2.8 : 4.5;
      const offset = side * (half + near + (surroundings === 'city' ? 0.3 : r.next() * r.next() * 26));
      const tree: Tree = {
        ...place(site, offset, y),
        height: r.between(4.5, surroundings === 'country' ? 13 : 8.5),
        radius: r.between(1.4, 3),
        isConifer: surroundings === 'country' && r.chance(0.3),
        hue: r.next(),
      };
      if (!blocks(site, offset, y)) trees.push(tree);
    }
    for (let y = r.between(12, 40); y < 100; y += r.between(25, 50)) {
      structures.push({ body: sign(r), ...place(site, side * (half + mix(0.8, 1.4, r.next())), y) });
    }
  }
  for (const { y, pole } of lampsOf(site)) {
    if (y > 3) structures.push({ body: lampPost(pole > 0 ? 1 : -1), ...place(site, pole, y) });
  }
  return { trees, structures };
};

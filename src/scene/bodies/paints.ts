// Colours of vehicles, as often as they are seen, in light that is reflected (linear, 0..1).
import type { Vec3 } from '../exact.js';
import { type Material, MATERIALS } from '../mesh.js';
import type { Random } from '../../system/index.js';
import type { VehicleType } from '../../config/index.js';

/** From the 8-bit colour that a person would name. */
const rgb = (r: number, g: number, b: number): Vec3 => [
  (r / 255) * (r / 255),
  (g / 255) * (g / 255),
  (b / 255) * (b / 255),
];

const CARS: readonly (readonly [share: number, paint: Vec3])[] = [
  [20, rgb(226, 227, 228)], // white
  [15, rgb(34, 35, 38)], // black
  [15, rgb(168, 171, 175)], // silver
  [15, rgb(104, 108, 113)], // grey
  [8, rgb(70, 73, 78)], // dark grey
  [7, rgb(150, 24, 28)], // red
  [6, rgb(32, 66, 130)], // blue
  [4, rgb(28, 40, 66)], // dark blue
  [3, rgb(70, 120, 170)], // light blue
  [2, rgb(36, 74, 52)], // green
  [2, rgb(112, 84, 58)], // brown
  [2, rgb(196, 180, 148)], // beige
  [1, rgb(206, 96, 30)], // orange
  [1, rgb(214, 178, 40)], // yellow
];
const WORK: typeof CARS = [
  [62, rgb(228, 229, 228)],
  [12, rgb(168, 171, 175)],
  [6, rgb(34, 36, 40)],
  [6, rgb(36, 66, 128)],
  [5, rgb(214, 178, 40)],
  [5, rgb(160, 28, 30)],
  [4, rgb(90, 94, 98)],
];
const BUSES: typeof CARS = [
  [26, rgb(226, 226, 222)],
  [20, rgb(186, 34, 32)],
  [16, rgb(222, 178, 46)],
  [14, rgb(46, 110, 72)],
  [14, rgb(40, 84, 150)],
  [10, rgb(150, 154, 158)],
];
const SECOND: typeof CARS = [
  [25, rgb(200, 200, 198)],
  [20, rgb(40, 72, 140)],
  [18, rgb(170, 40, 34)],
  [14, rgb(48, 104, 66)],
  [12, rgb(206, 120, 36)],
  [11, rgb(60, 62, 66)],
];
const CLOTH: typeof CARS = [
  [40, rgb(36, 37, 42)],
  [20, rgb(84, 88, 92)],
  [15, rgb(52, 66, 108)],
  [10, rgb(140, 34, 34)],
  [15, rgb(190, 196, 60)],
];

const draw = (r: Random, list: typeof CARS): Vec3 => {
  const found = list[r.weighted(list.map(([share]) => share))]?.[1] ?? rgb(128, 128, 128);
  const tint = r.between(0.86, 1.12);
  return [Math.min(0.9, found[0] * tint), Math.min(0.9, found[1] * tint), Math.min(0.9, found[2] * tint)];
};

const paintOf = (r: Random, type: VehicleType): Vec3 => {
  switch (type) {
    case 'van':
    case 'minibus':
      return draw(r, WORK);
    case 'bus':
      return draw(r, BUSES);
    case 'truck':
      return draw(r, r.chance(0.5) ? WORK : SECOND);
    case 'sedan':
    case 'hatchback':
    case 'wagon':
    case 'suv':
    case 'pickup':
    case 'motorcycle':
      return draw(r, CARS);
  }
};

/** Three numbers a material, in the order of {@link MATERIALS}. */
export const palette = (r: Random, type: VehicleType): Float64Array => {
  const rim = r.chance(0.75) ? rgb(150, 152, 156) : rgb(52, 54, 58);
  const colours: Readonly<Record<Material, Vec3>> = {
    paint: paintOf(r, type),
    second: draw(r, SECOND),
    glass: rgb(26, 30, 34),
    black: rgb(34, 35, 37),
    tyre: rgb(32, 32, 33),
    rim,
    chrome: rgb(150, 154, 160),
    head: rgb(205, 212, 220),
    tail: rgb(150, 18, 20),
    blinker: rgb(200, 130, 30),
    plate: r.chance(0.85) ? rgb(214, 214, 206) : rgb(212, 184, 60),
    cargo: draw(r, WORK),
    cloth: type === 'truck' ? rgb(118, 98, 74) : draw(r, CLOTH),
    skin: rgb(190, 150, 124),
    light: rgb(255, 250, 230),
  };
  return Float64Array.from(MATERIALS.flatMap((material) => [...colours[material]]));
};

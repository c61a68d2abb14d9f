// Everything of a frame that does not move, drawn once for a place and a light.
import { drawBody } from './draw.js';
import { cos, fade, mix, sin } from './exact.js';
import { groundAt, type Ground } from './ground.js';
import { type Illumination, toColour } from './light.js';
import { Random } from '../system/index.js';
import { Canvas, newOutline } from './raster.js';
import { halve } from './halve.js';
import { boxShadow } from './shadow.js';
import { type Site, streetLight } from './site.js';
import { skyAt } from './sky.js';
import { furnish, type Tree } from './surroundings.js';
import { Texture } from './texture.js';
import { project, SAMPLES, type View } from './view.js';

export interface Background {
  /** Samples: as they are lit, and the ground as it looks without the sun. */
  readonly lit: Uint32Array;
  readonly shaded: Uint32Array;
  readonly inverse: Float32Array;
  /** Pixels of the frame. */
  readonly low: Uint32Array;
  /** Of each pixel where its ray meets the ground (metres), and what that throws back; empty where no lamps burn. */
  readonly groundX: Float32Array;
  readonly groundY: Float32Array;
  readonly albedo: Float32Array;
}

const STREET = [1, 0.78, 0.46] as const;
const FARTHEST = 700;
/** A stamp that no vehicle has. */
const STAMP = 0xffffffff;

const drawTree = (canvas: Canvas, view: View, light: Illumination, tree: Tree, r: Random): void => {
  const outline = newOutline();
  const blob = (
    x: number,
    y: number,
    z: number,
    size: number,
    red: number,
    green: number,
    blue: number,
    flat = 1,
  ): void => {
    // prettier-ignore
    const at = project(view, [x, y, z]);
    if (at === undefined || at[2] < 3) return;
    const air = fade(light.haze * at[2]);
    const radius = (size * view.focal * SAMPLES) / at[2];
    const turn = r.next() * 6.28;
    outline.count = 7;
    for (let i = 0; i < 7; i += 1) {
      const reach = radius * (0.75 + 0.5 * r.next());
      outline.x[i] = at[0] * SAMPLES + reach * cos(turn + i * 0.8976);
      outline.y[i] = at[1] * SAMPLES + reach * flat * sin(turn + i * 0.8976);
      outline.inverse[i] = 1 / at[2];
    }
    const [hr, hg, hb] = light.horizon;
    canvas.fill(outline, toColour(mix(hr, red, air), mix(hg, green, air), mix(hb, blue, air)), 0);
  };
  const crown = tree.isConifer ? tree.height * 0.9 : tree.height * 0.62;
  const middle = tree.height - crown / 2;
  for (let i = 0; i < 6; i += 1) {
    const dark = 0.05 * (light.skyLight[1] + 0.3 * light.sunLight[1]);
    blob(tree.x, tree.y, (i * middle) / 6, 0.16, dark, dark * 0.8, dark * 0.6, 2.4);
  }
  const street = light.street * 0.35;
  for (let i = 0; i < 150; i += 1) {
    const up = r.between(-1, 1);
    const wide = tree.isConifer ? (1 - up) / 2 : Math.sqrt(1 - up * up);
    const angle = r.next() * 6.283185307179586;
    const out = Math.sqrt(r.next()) * wide * tree.radius * (tree.isConifer ? 0.75 : 1);
    const dx = out * cos(angle);
    const dy = out * sin(angle);
    const facing = (dx * light.sun[0] + dy * light.sun[1]) / tree.radius + 0.55 * up * light.sun[2] + 0.35;
    const sunny = Math.max(0, Math.min(1, facing)) * (0.6 + 0.6 * r.next());
    const shade = (0.55 + 0.35 * up) * (0.7 + 0.6 * r.next());
    const base = tree.isConifer ? [0.035, 0.06, 0.03] : [mix(0.07, 0.13, tree.hue), 0.13, 0.04];
    const lit = (c: 0 | 1 | 2): number => (base[c] ?? 0) * (light.skyLight[c] * shade + light.sunLight[c] * sunny * 0.8 + street * (STREET[c] ?? 1)); // prettier-ignore
    blob(tree.x + dx, tree.y + dy, middle + (up * crown) / 2, r.between(0.22, 0.5), lit(0), lit(1), lit(2));
  }
};

/** Renders it. Takes some tenths of a second: once for a place and a light. */
export const renderBackground = (site: Site, light: Illumination, isNight: boolean): Background => {
  const { view } = site;
  const width = view.width * SAMPLES;
  const height = view.height * SAMPLES;
  const texture = new Texture(site.seed);
  const canvas = new Canvas(width, height);
  const shaded = new Uint32Array(width * height);
  const hasLamps = light.lamps > 0;
  const pixels = hasLamps ? view.width * view.height : 0;
  const groundX = new Float32Array(pixels);
  const groundY = new Float32Array(pixels);
  const albedo = new Float32Array(3 * pixels);
  const ground: Ground = { red: 0, green: 0, blue: 0, mirror: 0 };
  const { eye, right, down, forward } = view;
  const [skyR, skyG, skyB] = light.skyLight;
  const [sunR, sunG, sunB] = light.sunLight;
  const slant = light.sun[2];
  const [horR, horG, horB] = light.horizon;
  for (let row = 0; row < height; row += 1) {
    const v = ((row + 0.5) / SAMPLES - view.cy) / view.focal;
    for (let column = 0; column < width; column += 1) {
      const u = ((column + 0.5) / SAMPLES - view.cx) / view.focal;
      const dx = forward[0] + right[0] * u + down[0] * v;
      const dy = forward[1] + right[1] * u + down[1] * v;
      const dz = forward[2] + right[2] * u + down[2] * v;
      const at = row * width + column;
      const reach = dz < -1e-4 ? -eye[2] / dz : FARTHEST + 1;
      if (reach > FARTHEST) {
        skyAt(light, texture, site.surroundings, [dx, dy, Math.max(dz, 0)], ground);
        canvas.colour[at] = toColour(ground.red, ground.green, ground.blue);
        shaded[at] = toColour(ground.red, ground.green, ground.blue);
        continue;
      }
      const x = eye[0] + dx * reach;
      const y = eye[1] + dy * reach;
      const length = Math.sqrt(dx * dx + dy * dy + dz * dz);
      const foot = (reach / (view.focal * SAMPLES)) * Math.min(8, 0.6 * (length / -dz));
      groundAt(site, texture, x, y, foot, ground);
      if (hasLamps && row % SAMPLES === 0 && column % SAMPLES === 0) {
        const pixel = (row / SAMPLES) * view.width + column / SAMPLES;
        groundX[pixel] = x;
        groundY[pixel] = y;
        albedo[pixel * 3] = ground.red;
        albedo[pixel * 3 + 1] = ground.green;
        albedo[pixel * 3 + 2] = ground.blue;
      }
      const street = light.street > 0 ? light.street * streetLight(site, x, y) : 0;
      const air = fade(light.haze * reach * length);
      let mirror = 0;
      let damp = 1;
      if (light.isWet) {
        const graze = 1 + dz / length;
        mirror = ground.mirror * (0.06 + 0.5 * graze * graze * graze * graze);
        damp = ground.mirror > 0 ? 0.62 : 0.8;
      }
      const fogR = horR * (1 - air);
      const fogG = horG * (1 - air);
      const fogB = horB * (1 - air);
      const r0 = ground.red * damp * (skyR + street * STREET[0]) + mirror * (horR + street * 0.3);
      const g0 = ground.green * damp * (skyG + street * STREET[1]) + mirror * (horG + street * 0.24);
      const b0 = ground.blue * damp * (skyB + street * STREET[2]) + mirror * (horB + street * 0.15);
      shaded[at] = toColour(r0 * air + fogR, g0 * air + fogG, b0 * air + fogB);
      canvas.colour[at] = toColour(
        (r0 + ground.red * sunR * slant) * air + fogR,
        (g0 + ground.green * sunG * slant) * air + fogG,
        (b0 + ground.blue * sunB * slant) * air + fogB,
      );
    }
  }
  furnishCanvas(canvas, shaded, site, light, isNight);
  const low = new Uint32Array(view.width * view.height);
  halve(canvas.colour, width, height, low);
  return { lit: canvas.colour, shaded, inverse: canvas.inverse, low, groundX, groundY, albedo };
};

const furnishCanvas = (
  canvas: Canvas,
  shaded: Uint32Array,
  site: Site,
  light: Illumination,
  isNight: boolean,
): void => {
  const { trees, structures } = furnish(site, isNight);
  const hasSun = light.sunLight[0] > 0;
  const r = new Random(site.seed, 404);
  if (hasSun) {
    for (const { x, y, hx, hy, shadow } of structures) {
      if (shadow === undefined) continue;
      const { half, side, height } = shadow;
      boxShadow(site.view, light.sun, { x, y, hx, hy }, [-half, half], side, [0, height], (outline) =>
        canvas.ground(outline, STAMP, shaded),
      );
    }
    for (const tree of trees) {
      // A crown of patches, with light between them.
      for (let i = 0; i < 26; i += 1) {
        const angle = r.next() * 6.283185307179586;
        const out = Math.sqrt(r.next()) * tree.radius;
        const size = r.between(0.25, 0.6);
        const z = tree.height * r.between(0.45, 0.9);
        const [x, y] = [tree.x + out * cos(angle), tree.y + out * sin(angle)];
        boxShadow(site.view, light.sun, { x, y, hx: cos(angle), hy: sin(angle) }, [-size, size], size, [z - size, z + size], (outline) => canvas.ground(outline, STAMP, shaded)); // prettier-ignore
      }
    }
  }
  for (const structure of structures) {
    const street = light.street > 0 ? light.street * streetLight(site, structure.x, structure.y) * 0.6 : 0;
    const switches = { headlights: false, braking: false, street };
    drawBody(canvas, site.view, light, structure.body, structure, switches, 0, 0);
  }
  // Far ones first is not needed: they carry their depth.
  for (const tree of trees) drawTree(canvas, site.view, light, tree, r);
};

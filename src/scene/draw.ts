// A body into a canvas: faces that look at the camera are lit, and filled.
import type { Body } from './bodies/index.js';
import { fade, type Vec3 } from './exact.js';
import { type Illumination, toColour } from './light.js';
import { MATERIALS } from './mesh.js';
import { type Canvas, MAX_POINTS, newOutline } from './raster.js';
import { SAMPLES, type View } from './view.js';

/** Where a body stands: the middle of it on the road, and where it heads (of length 1). */
export interface Pose {
  readonly x: number;
  readonly y: number;
  readonly hx: number;
  readonly hy: number;
}

export interface Switches {
  readonly headlights: boolean;
  readonly braking: boolean;
  /** Light of street lamps here. */
  readonly street: number;
}

/** Share of light that a surface mirrors when one looks straight at it. */
const GLOSS = Float64Array.from(
  MATERIALS.map((material) => {
    switch (material) {
      case 'paint':
      case 'second':
        return 0.045;
      case 'glass':
        return 0.1;
      case 'chrome':
      case 'head':
        return 0.35;
      case 'black':
      case 'tyre':
      case 'rim':
      case 'tail':
      case 'blinker':
      case 'plate':
      case 'cargo':
      case 'cloth':
      case 'skin':
      case 'light':
        return 0;
    }
  }),
);
const HEAD = MATERIALS.indexOf('head');
const TAIL = MATERIALS.indexOf('tail');
const LIGHT = MATERIALS.indexOf('light');
const BLINKER = MATERIALS.indexOf('blinker');
/** Farther than this, in metres for a focal length of 600 pixels, details are smaller than a sample. */
const DETAIL_METRES = 34;
/** A face that reaches nearer than this is outside of the picture. */
const NEAREST = 0.6;
const STREET: Vec3 = [1, 0.8, 0.52];

const outline = newOutline();

/**
 * Draws a body.
 * @param id 1 to 255: stands in the top bits of its samples
 * @param stamp a number that no other body of this frame has
 * @returns samples that it covers, those hidden by others included
 */
export const drawBody = (
  canvas: Canvas,
  view: View,
  light: Illumination,
  body: Pick<Body, 'mesh' | 'palette'>,
  pose: Pose,
  switches: Switches,
  id: number,
  stamp: number,
): number => {
  const { mesh, palette } = body;
  const { x: px, y: py, hx, hy } = pose;
  const { eye, right, down, forward } = view;
  // The camera's axes and the sun, seen from the body.
  const rx = right[0] * hx + right[1] * hy;
  const ry = right[1] * hx - right[0] * hy;
  const rz = right[2];
  const ox = down[0] * hx + down[1] * hy;
  const oy = down[1] * hx - down[0] * hy;
  const oz = down[2];
  const fx = forward[0] * hx + forward[1] * hy;
  const fy = forward[1] * hx - forward[0] * hy;
  const fz = forward[2];
  const ex = (eye[0] - px) * hx + (eye[1] - py) * hy;
  const ey = (eye[1] - py) * hx - (eye[0] - px) * hy;
  const ez = eye[2];
  const sx = light.sun[0] * hx + light.sun[1] * hy;
  const sy = light.sun[1] * hx - light.sun[0] * hy;
  const sz = light.sun[2];
  const distance = Math.sqrt(ex * ex + ey * ey + ez * ez);
  const air = fade(light.haze * distance);
  const far = (distance * 600) / view.focal > DETAIL_METRES;
  const [sunR, sunG, sunB] = light.sunLight;
  const street = switches.street;
  const skyR = light.skyLight[0] + street * STREET[0];
  const skyG = light.skyLight[1] + street * STREET[1];
  const skyB = light.skyLight[2] + street * STREET[2];
  const [bounceR, bounceG, bounceB] = light.bounce;
  const floor = 0.05 * street;
  const [zenR, zenG, zenB] = light.zenith;
  const [horR, horG, horB] = light.horizon;
  const fogR = horR * (1 - air);
  const fogG = horG * (1 - air);
  const fogB = horB * (1 - air);
  const focal = view.focal * SAMPLES;
  const cx = view.cx * SAMPLES;
  const cy = view.cy * SAMPLES;
  const top = id * 16_777_216;
  const { starts, points, normals, materials, open, detail } = mesh;
  let covered = 0;
  for (let face = 0; face < mesh.faces; face += 1) {
    if (far && detail[face] === 1) continue;
    let at = (starts[face] as number) * 3;
    const nx = normals[face * 3] as number;
    const ny = normals[face * 3 + 1] as number;
    const nz = normals[face * 3 + 2] as number;
    let vx = ex - (points[at] as number);
    let vy = ey - (points[at + 1] as number);
    let vz = ez - (points[at + 2] as number);
    let facing = nx * vx + ny * vy + nz * vz;
    if (facing <= 0) continue;
    const end = (starts[face + 1] as number) * 3;
    let count = 0;
    for (; at < end && count < MAX_POINTS; at += 3) {
      const x = (points[at] as number) - ex;
      const y = (points[at + 1] as number) - ey;
      const z = (points[at + 2] as number) - ez;
      const depth = fx * x + fy * y + fz * z;
      if (depth < NEAREST) break;
      const inverse = 1 / depth;
      outline.x[count] = cx + focal * inverse * (rx * x + ry * y + rz * z);
      outline.y[count] = cy + focal * inverse * (ox * x + oy * y + oz * z);
      outline.inverse[count] = inverse;
      count += 1;
    }
    if (at < end) continue;
    outline.count = count;

    const material = materials[face] as number;
    const shown = open[face] as number;
    const up = 0.5 + 0.5 * nz;
    const sunny = Math.max(0, nx * sx + ny * sy + nz * sz);
    let red = palette[material * 3] as number;
    let green = palette[material * 3 + 1] as number;
    let blue = palette[material * 3 + 2] as number;
    red *= (skyR * up + bounceR * (1 - up) + floor) * shown + sunR * sunny;
    green *= (skyG * up + bounceG * (1 - up) + floor) * shown + sunG * sunny;
    blue *= (skyB * up + bounceB * (1 - up) + floor) * shown + sunB * sunny;
    const gloss = GLOSS[material] as number;
    if (gloss > 0) {
      const length = 1 / Math.sqrt(vx * vx + vy * vy + vz * vz);
      vx *= length;
      vy *= length;
      vz *= length;
      facing *= length;
      const graze = 1 - facing;
      const square = graze * graze;
      const mirror = gloss + (1 - gloss) * 0.8 * square * square * graze;
      const mz = 2 * facing * nz - vz;
      if (mz > 0) {
        red += mirror * (horR + (zenR - horR) * mz);
        green += mirror * (horG + (zenG - horG) * mz);
        blue += mirror * (horB + (zenB - horB) * mz);
        const glint = (2 * facing * nx - vx) * sx + (2 * facing * ny - vy) * sy + mz * sz;
        if (glint > 0.94) {
          const strength = (glint - 0.94) * (gloss > 0.08 ? 14 : 7);
          red += strength * sunR;
          green += strength * sunG;
          blue += strength * sunB;
        }
      } else {
        red += mirror * bounceR * 0.7;
        green += mirror * bounceG * 0.7;
        blue += mirror * bounceB * 0.7;
      }
    }
    if (material === HEAD && switches.headlights) {
      red += 2.2;
      green += 2.1;
      blue += 1.8;
    } else if (material === TAIL && (switches.braking || switches.headlights)) {
      red += switches.braking ? 1.6 : 0.5;
      green += switches.braking ? 0.12 : 0.015;
      blue += switches.braking ? 0.08 : 0.015;
    } else if (material === BLINKER && switches.headlights) {
      red += 0.9;
      green += 0.55;
      blue += 0.1;
    } else if (material === LIGHT) red += 1;
    const colour = toColour(red * air + fogR, green * air + fogG, blue * air + fogB);
    covered += canvas.fill(outline, (top + colour) >>> 0, stamp);
  }
  return covered;
};

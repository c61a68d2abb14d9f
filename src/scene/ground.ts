// What the ground is made of at a place: asphalt, markings, kerb, pavement, grass.
import { clamp, mix, smooth } from './exact.js';
import { middleAt, type Site } from './site.js';
import type { Texture } from './texture.js';

/** Light that the ground throws back, and how much of the sky it mirrors when it is wet. */
export interface Ground {
  red: number;
  green: number;
  blue: number;
  mirror: number;
}

const DASH = 3;
const DASH_EVERY = 9;
const LINE = 0.075;

/** Painted lines: 1 on the paint, 0 beside it. */
const paintAt = (site: Site, d: number, y: number, foot: number): number => {
  const { lanes, laneWidth, median, half } = site;
  const count = lanes.length / 2;
  const line = (at: number, width: number): number =>
    clamp((width + foot * 0.5 - Math.abs(d - at)) / (foot + 0.01), 0, 1) * clamp((width * 2.5) / foot, 0, 1);
  let paint = Math.max(line(half - 0.25, LINE), line(0.25 - half, LINE));
  if (median > 0) paint = Math.max(paint, line(median, LINE), line(-median, LINE));
  else if (count > 1) paint = Math.max(paint, line(0.14, LINE), line(-0.14, LINE));
  else if (((y % DASH_EVERY) + DASH_EVERY) % DASH_EVERY < DASH) paint = Math.max(paint, line(0, LINE));
  if (((y % DASH_EVERY) + DASH_EVERY) % DASH_EVERY < DASH) {
    for (let i = 1; i < count; i += 1) {
      const at = median + i * laneWidth;
      paint = Math.max(paint, line(at, LINE), line(-at, LINE));
    }
  }
  const { stops } = site;
  if (stops !== undefined) {
    const across = Math.abs(d) > median + 0.2 && Math.abs(d) < half - 0.4;
    if (across && d > 0 && Math.abs(y - stops.away - 1.2) < 0.22) paint = 0.95;
    if (across && d < 0 && Math.abs(y - stops.towards + 1.2) < 0.22) paint = 0.95;
  }
  return paint;
};

/** @param foot how much of the ground a sample covers, in metres */
export const groundAt = (
  site: Site,
  texture: Texture,
  x: number,
  y: number,
  foot: number,
  out: Ground,
): void => {
  const d = x - middleAt(site, y);
  const { half, median, laneWidth, surroundings } = site;
  const fine = clamp(0.12 / (foot + 0.02), 0, 1);
  const grain = (texture.at(x * 9, y * 9) - 0.5) * fine;
  const patch = texture.cloudy(x * 0.12 + 7, y * 0.07);
  const across = Math.abs(d);
  const isGrassMedian = median > 0 && across < median - 0.12;
  if (across < half && !isGrassMedian) {
    // Wheels polish two tracks in each lane, and oil darkens what lies between.
    const inLane = (((across - median) % laneWidth) + laneWidth) % laneWidth;
    const track = Math.min(Math.abs(inLane - laneWidth * 0.26), Math.abs(inLane - laneWidth * 0.74));
    const worn = smooth(0.55, 0.05, track) * 0.012 - smooth(0.5, 0, Math.abs(inLane - laneWidth / 2)) * 0.01;
    const seam = texture.at(x * 0.7 + 40, y * 0.16) > 0.83 ? -0.012 : 0;
    const grey = 0.105 + 0.05 * (patch - 0.5) + 0.05 * grain + worn + seam;
    const paint = paintAt(site, d, y, foot) * (0.72 + 0.5 * (texture.at(x * 3, y * 3) - 0.35));
    const p = clamp(paint, 0, 1);
    out.red = mix(grey, 0.66, p);
    out.green = mix(grey * 1.0, 0.65, p);
    out.blue = mix(grey * 1.02, 0.62, p);
    out.mirror = 0.6 + 0.8 * smooth(0.5, 0.62, patch);
    return;
  }
  out.mirror = 0;
  const beyond = across - half;
  const kerbed = surroundings !== 'country';
  if (kerbed && !isGrassMedian && beyond < (surroundings === 'city' ? 4.2 : 2.4)) {
    const isKerb = beyond < 0.2;
    const slab = Math.abs((((y % 1.2) + 1.2) % 1.2) - 0.6) > 0.56 ? -0.03 : 0;
    const grey = (isKerb ? 0.34 : 0.235) + slab * fine + 0.05 * (patch - 0.5) + 0.04 * grain;
    out.red = grey * 1.03;
    out.green = grey;
    out.blue = grey * 0.95;
    out.mirror = isKerb ? 0 : 0.35;
    return;
  }
  if (!kerbed && !isGrassMedian && beyond < 0.9 + 0.5 * (patch - 0.5)) {
    const grey = 0.2 + 0.12 * grain;
    out.red = grey * 1.12;
    out.green = grey;
    out.blue = grey * 0.8;
    return;
  }
  if (surroundings === 'city' && beyond > 4.2 && !isGrassMedian) {
    const grey = 0.15 + 0.05 * (patch - 0.5) + 0.04 * grain;
    out.red = grey * 1.05;
    out.green = grey;
    out.blue = grey * 0.93;
    return;
  }
  const tuft = (texture.at(x * 2.3 + 90, y * 2.3) - 0.5) * clamp(0.5 / (foot + 0.05), 0, 1);
  const lush = texture.cloudy(x * 0.05 + 31, y * 0.05 + 13);
  const bright = 0.75 + 0.5 * (lush - 0.5) + 0.5 * tuft + 0.6 * grain;
  out.red = mix(0.085, 0.16, lush) * bright;
  out.green = mix(0.135, 0.165, lush) * bright;
  out.blue = mix(0.04, 0.065, lush) * bright;
};

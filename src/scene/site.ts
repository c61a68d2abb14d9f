// The place of a scene, drawn from a number: the road, where the camera hangs, where the sun stands, what is around.
import { cos, radians, sin } from './exact.js';
import { Random } from '../system/index.js';
import { lookAt, type View } from './view.js';

export interface Lane {
  /** Middle of the lane, metres to the right of the road's middle. */
  readonly offset: number;
  /** 1 away from the camera, -1 towards it. */
  readonly direction: 1 | -1;
}

export type Surroundings = 'country' | 'suburb' | 'city';

export interface Site {
  readonly view: View;
  readonly lanes: readonly Lane[];
  readonly laneWidth: number;
  /** Half of the strip between the directions; 0 where there is only a line. */
  readonly median: number;
  /** Half of the paved width. */
  readonly half: number;
  /** The road is bent: its middle lies at x = bend y^2 / 2. */
  readonly bend: number;
  readonly surroundings: Surroundings;
  /** Metres between street lamps; 0 where there are none. */
  readonly lampEvery: number;
  /** Where traffic stops at a red light, along the road: that which leaves, and that which comes. */
  readonly stops: { readonly away: number; readonly towards: number } | undefined;
  /** Metres a second that are usual here. */
  readonly speed: number;
  /** Of the sun, degrees. */
  readonly azimuth: number;
  readonly elevation: number;
  /** For textures and surroundings. */
  readonly seed: number;
}

/** The road's middle at a place along it, and how much it turns there. */
export const middleAt = ({ bend }: Site, y: number): number => (bend * y * y) / 2;

const STREAM = 101;

/** Draws a place. */
export const makeSite = (seed: number, size: { readonly width: number; readonly height: number }): Site => {
  const r = new Random(seed, STREAM);
  const surroundings = r.pick<Surroundings>(['country', 'suburb', 'suburb', 'city']);
  const perDirection = 1 + r.weighted(surroundings === 'country' ? [6, 4] : [4, 5, 1]);
  const laneWidth = r.between(3.15, 3.6);
  const median = perDirection > 1 && r.chance(0.5) ? r.between(0.7, 1.6) : 0;
  const lanes: Lane[] = [];
  for (let i = 0; i < perDirection; i += 1) {
    const offset = median + (i + 0.5) * laneWidth;
    lanes.push({ offset, direction: 1 }, { offset: -offset, direction: -1 });
  }
  const half = median + perDirection * laneWidth + r.between(0.3, 1.4);
  const bend = r.chance(0.5) ? 0 : r.between(-1, 1) * 0.0035;
  // On a pole beside the road, or on a bridge or gantry above it.
  const isAbove = r.chance(0.3);
  const side = r.chance(0.62) ? 1 : -1;
  const beside = isAbove ? r.between(-0.5, 0.5) * half : side * (half + r.between(1, 5.5));
  const high = isAbove ? r.between(5.8, 8) : r.between(4.6, 8);
  const ahead = isAbove ? r.between(22, 36) : r.between(13, 30);
  const aim = isAbove ? beside + r.between(-2, 2) : r.between(-0.4, 0.35) * half * side;
  const focal = size.width * r.between(0.78, 1.2);
  const view = lookAt(
    [beside, 0, high],
    [aim + (bend * ahead * ahead) / 2, ahead, r.between(0.6, 1.6)],
    focal,
    size,
  );
  return {
    view,
    lanes,
    laneWidth,
    median,
    half,
    bend,
    surroundings,
    lampEvery: surroundings === 'country' && r.chance(0.6) ? 0 : r.between(24, 34),
    stops: r.chance(surroundings === 'country' ? 0.25 : 0.6)
      ? { away: r.between(34, 60), towards: r.between(10, 20) }
      : undefined,
    speed: surroundings === 'country' ? r.between(15, 23) : r.between(10, 15.5),
    azimuth: r.between(0, 360),
    elevation: r.between(22, 62),
    seed,
  };
};

/** Where the street lamps stand and hang: place along the road, offset of the lamp and of its pole. */
export const lampsOf = ({
  lampEvery,
  half,
}: Site): readonly { readonly y: number; readonly offset: number; readonly pole: number }[] => {
  if (lampEvery === 0) return [];
  return Array.from({ length: 7 }, (_, i) => {
    const side = i % 2 === 0 ? 1 : -1;
    return { y: lampEvery * (i - 0.4), offset: side * (half - 1), pole: side * (half + 1.2) };
  });
};

export const LAMP_HEIGHT = 8;

/** Light of the street lamps on the ground, 0 to about 1. */
export const streetLight = (site: Site, x: number, y: number): number => {
  const { lampEvery } = site;
  if (lampEvery === 0) return 0.04;
  const nearest = Math.round(y / lampEvery + 0.4);
  let sum = 0;
  for (let i = nearest - 1; i <= nearest + 1; i += 1) {
    if (i < 0 || i > 6) continue;
    const ly = lampEvery * (i - 0.4);
    const lx = middleAt(site, ly) + (i % 2 === 0 ? 1 : -1) * (site.half - 1);
    const square = ((x - lx) * (x - lx) + (y - ly) * (y - ly)) / 70;
    sum += 1 / ((1 + square) * (1 + square));
  }
  return sum + 0.06;
};

/** The direction of the sun's azimuth as a unit vector on the ground. */
export const sunAcross = (degrees: number): readonly [number, number] => [
  sin(radians(degrees)),
  cos(radians(degrees)),
];

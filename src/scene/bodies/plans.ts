// The numbers of the cars, drawn anew for each of them within what its type allows.
import type { Random } from '../../system/index.js';
import type { CarPlan } from './car.js';

const common = (r: Random) => ({
  sill: r.between(0.19, 0.24),
  wheel: r.between(0.31, 0.33),
  roofWidth: r.between(0.72, 0.78),
  glassTop: 0.86,
  screenTop: 0.95,
  cladding: false,
  rails: false,
  openBed: false,
  spoiler: false,
});

export const sedan = (r: Random): CarPlan => {
  const length = r.between(4.5, 4.95);
  const boot = r.between(0.72, 0.92);
  return {
    ...common(r),
    length,
    width: r.between(1.78, 1.87),
    height: r.between(1.41, 1.47),
    nose: length * r.between(0.255, 0.285),
    bonnet: r.between(0.74, 0.8),
    belt: r.between(0.93, 0.97),
    screen: r.between(0.72, 0.86),
    roofBack: boot + r.between(0.62, 0.78),
    deck: boot,
    deckHeight: r.between(0.98, 1.04),
    frontAxle: r.between(0.82, 0.94),
    rearAxle: r.between(1.02, 1.14),
    columns: [
      ['paint', 0.04],
      ['glass', 0.46],
      ['black', 0.5],
      ['glass', 0.83],
      ['paint', 1],
    ],
    rearGlass: { width: 0.84, low: 0.06, high: 0.92 },
    tail: 'wide',
  };
};

export const hatchback = (r: Random): CarPlan => {
  const length = r.between(3.65, 4.25);
  return {
    ...common(r),
    length,
    width: r.between(1.68, 1.8),
    height: r.between(1.46, 1.54),
    nose: length * r.between(0.225, 0.255),
    bonnet: r.between(0.78, 0.85),
    belt: r.between(0.94, 1.0),
    screen: r.between(0.66, 0.8),
    roofBack: r.between(0.4, 0.56),
    deck: r.between(0.1, 0.16),
    deckHeight: r.between(0.96, 1.02),
    frontAxle: r.between(0.76, 0.86),
    rearAxle: r.between(0.56, 0.68),
    columns: [
      ['paint', 0.05],
      ['glass', 0.5],
      ['black', 0.54],
      ['glass', 0.82],
      ['paint', 1],
    ],
    rearGlass: { width: 0.82, low: 0.1, high: 0.86 },
    tail: 'corner',
    spoiler: r.chance(0.6),
  };
};

export const wagon = (r: Random): CarPlan => {
  const length = r.between(4.55, 4.95);
  return {
    ...common(r),
    length,
    width: r.between(1.78, 1.87),
    height: r.between(1.45, 1.51),
    nose: length * r.between(0.245, 0.27),
    bonnet: r.between(0.75, 0.81),
    belt: r.between(0.93, 0.98),
    screen: r.between(0.72, 0.85),
    roofBack: r.between(0.3, 0.46),
    deck: r.between(0.08, 0.14),
    deckHeight: r.between(0.94, 1.0),
    frontAxle: r.between(0.82, 0.94),
    rearAxle: r.between(0.96, 1.12),
    columns: [
      ['paint', 0.035],
      ['glass', 0.36],
      ['black', 0.39],
      ['glass', 0.64],
      ['black', 0.67],
      ['glass', 0.93],
      ['paint', 1],
    ],
    rearGlass: { width: 0.84, low: 0.1, high: 0.88 },
    tail: 'corner',
    rails: r.chance(0.85),
    spoiler: r.chance(0.3),
  };
};

export const suv = (r: Random): CarPlan => {
  const length = r.between(4.35, 4.8);
  return {
    ...common(r),
    length,
    width: r.between(1.84, 1.94),
    height: r.between(1.66, 1.82),
    sill: r.between(0.32, 0.38),
    wheel: r.between(0.37, 0.4),
    nose: length * r.between(0.245, 0.27),
    bonnet: r.between(1.0, 1.08),
    belt: r.between(1.12, 1.18),
    screen: r.between(0.5, 0.62),
    roofBack: r.between(0.26, 0.4),
    deck: r.between(0.08, 0.13),
    deckHeight: r.between(1.1, 1.16),
    frontAxle: r.between(0.84, 0.92),
    rearAxle: r.between(0.86, 0.96),
    roofWidth: r.between(0.78, 0.83),
    columns: [
      ['paint', 0.04],
      ['glass', 0.4],
      ['black', 0.44],
      ['glass', 0.7],
      ['paint', 0.76],
      ['glass', 0.9],
      ['paint', 1],
    ],
    rearGlass: { width: 0.8, low: 0.1, high: 0.82 },
    tail: 'corner',
    cladding: r.chance(0.8),
    rails: r.chance(0.8),
    spoiler: r.chance(0.5),
  };
};

export const pickup = (r: Random): CarPlan => {
  const length = r.between(5.15, 5.5);
  const bed = r.between(1.6, 2.0);
  return {
    ...common(r),
    length,
    width: r.between(1.86, 1.96),
    height: r.between(1.76, 1.86),
    sill: r.between(0.4, 0.46),
    wheel: r.between(0.38, 0.41),
    nose: length * r.between(0.235, 0.26),
    bonnet: r.between(1.08, 1.14),
    belt: r.between(1.16, 1.22),
    screen: r.between(0.5, 0.6),
    roofBack: bed + r.between(0.12, 0.22),
    deck: bed,
    deckHeight: r.between(1.14, 1.2),
    frontAxle: r.between(0.86, 0.94),
    rearAxle: r.between(1.16, 1.28),
    roofWidth: 0.8,
    columns: [
      ['paint', 0.06],
      ['glass', 0.5],
      ['black', 0.56],
      ['glass', 0.88],
      ['paint', 1],
    ],
    rearGlass: { width: 0.78, low: 0.12, high: 0.85 },
    tail: 'corner',
    cladding: r.chance(0.5),
    openBed: true,
  };
};

/** What vans and minibuses share. */
const boxy = (r: Random, length: number, height: number): Omit<CarPlan, 'columns' | 'tail'> => ({
  ...common(r),
  length,
  width: r.between(1.94, 2.06),
  height,
  sill: r.between(0.28, 0.34),
  wheel: r.between(0.33, 0.36),
  nose: r.between(0.82, 1.0),
  bonnet: r.between(1.0, 1.08),
  belt: r.between(1.18, 1.26),
  screen: r.between(0.6, 0.78),
  roofBack: r.between(0.06, 0.12),
  deck: 0.02,
  deckHeight: r.between(1.16, 1.22),
  frontAxle: r.between(0.9, 1.0),
  rearAxle: r.between(0.95, 1.25),
  roofWidth: r.between(0.88, 0.93),
  glassTop: Math.min(0.86, 0.72 / (height - 1.22)),
  screenTop: Math.min(0.93, 0.86 / (height - 1.22)),
});

export const van = (r: Random): CarPlan => ({
  ...boxy(r, r.between(4.8, 5.9), r.between(1.95, 2.6)),
  columns: [
    ['paint', 0.04],
    ['glass', 0.23],
    ['paint', 1],
  ],
  tail: 'high',
});

export const minibus = (r: Random): CarPlan => ({
  ...boxy(r, r.between(5.8, 7.1), r.between(2.45, 2.75)),
  columns: [
    ['paint', 0.03],
    ['glass', 0.18],
    ['black', 0.2],
    ['glass', 0.38],
    ['black', 0.4],
    ['glass', 0.58],
    ['black', 0.6],
    ['glass', 0.78],
    ['black', 0.8],
    ['glass', 0.97],
    ['paint', 1],
  ],
  rearGlass: { width: 0.8, low: 0.05, high: 0.55 },
  tail: 'high',
});

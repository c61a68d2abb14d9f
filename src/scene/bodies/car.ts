// Cars from one plan: what tells a sedan, a hatchback, a wagon, an SUV, a pickup and a van apart are its numbers.
import { clamp, mix, type Vec3 } from '../exact.js';
import type { Material, MeshBuilder } from '../mesh.js';
import { buildCabin, type Cabin } from './cabin.js';
import { box, plate, sidePlates, wheels } from './parts.js';
import { Shell, type Station } from './shell.js';

export interface CarPlan {
  readonly length: number;
  readonly width: number;
  readonly height: number;
  /** Height of the lower edge. */
  readonly sill: number;
  /** From the front to the foot of the windscreen. */
  readonly nose: number;
  /** Height of the bonnet in front, and of the shoulders. */
  readonly bonnet: number;
  readonly belt: number;
  /** How far the windscreen leans back. */
  readonly screen: number;
  /** From the rear end to the end of the roof, and to the foot of the rear window. */
  readonly roofBack: number;
  readonly deck: number;
  /** Height of the boot lid at its end, or of the walls of a bed. */
  readonly deckHeight: number;
  readonly wheel: number;
  readonly frontAxle: number;
  readonly rearAxle: number;
  /** Width of the roof as a share of that of the shoulders. */
  readonly roofWidth: number;
  readonly glassTop: number;
  readonly screenTop: number;
  readonly columns: Cabin['columns'];
  readonly rearGlass?: Cabin['rearGlass'];
  /** Where the rear lights are: wide below the boot lid, beside the tailgate, or on the rear pillars. */
  readonly tail: 'wide' | 'corner' | 'high';
  readonly cladding: boolean;
  readonly rails: boolean;
  readonly openBed: boolean;
  readonly spoiler: boolean;
}

export interface Lamps {
  readonly heads: readonly Vec3[];
  readonly tails: readonly Vec3[];
}

const mirrored = ([x, y, z]: Vec3): readonly Vec3[] => [[x, y, z], [x, -y, z]]; // prettier-ignore

const stations = (plan: CarPlan): Station[] => {
  const { length, sill, nose, bonnet, belt, deck, deckHeight } = plan;
  const half = plan.width / 2;
  const front = length / 2;
  const at = (fromFront: number, width: number, lift: number, edge: number, centre: number): Station => ({
    x: front - fromFront,
    half: half * width,
    sill: sill + lift,
    edge,
    centre,
  });
  const rear = (fromRear: number, width: number, lift: number, edge: number): Station =>
    at(length - fromRear, width, lift, edge, edge + (plan.openBed ? 0 : 0.02));
  const deckStart = clamp(deck, 0.16, 10);
  return [
    at(0, 0.76, 0.1, bonnet - 0.2, bonnet - 0.17),
    at(0.1, 0.9, 0.02, bonnet - 0.07, bonnet - 0.02),
    at(0.42, 0.975, 0, bonnet - 0.01, bonnet + 0.06),
    at(mix(0.42, nose, 0.6), 1, 0, mix(bonnet, belt, 0.55), mix(bonnet, belt, 0.6) + 0.06),
    at(nose, 1, 0, belt, belt + 0.05),
    rear(deckStart, plan.openBed ? 1 : 0.99, 0, mix(belt, deckHeight, 0.5)),
    rear(Math.min(0.4, deckStart - 0.02), 0.97, 0.02, deckHeight + (deck > 0.4 ? 0.01 : 0)),
    rear(0.09, 0.9, 0.06, deckHeight - 0.02),
    rear(0, 0.8, 0.14, deckHeight - 0.1),
  ];
};

/** The tail lights; returns where they shine. */
const tailLights = (b: MeshBuilder, plan: CarPlan, shell: Shell): readonly Vec3[] => {
  const back = -plan.length / 2;
  const half = plan.width / 2;
  switch (plan.tail) {
    case 'wide': {
      shell.patch(b, 'tail', 7, 'upper', [0, 1], [0.35, 1]);
      shell.patch(b, 'tail', 6, 'upper', [0.55, 1], [0.4, 1]);
      const z = plan.deckHeight - 0.3;
      for (const y of [[0.36, 0.76], [-0.76, -0.36]] as const) plate(b, 'tail', back - 0.01, [y[0] * half, y[1] * half], [z, z + 0.13], false); // prettier-ignore
      return mirrored([back, 0.75 * half, z + 0.07]);
    }
    case 'corner': {
      shell.patch(b, 'tail', 7, 'upper', [0, 1], [0.1, 1]);
      shell.patch(b, 'tail', 6, 'upper', [0.3, 1], [0.4, 1]);
      const z = plan.deckHeight - 0.38;
      for (const y of [[0.56, 0.77], [-0.77, -0.56]] as const) plate(b, 'tail', back - 0.01, [y[0] * half, y[1] * half], [z, z + 0.24], false); // prettier-ignore
      return mirrored([back, 0.78 * half, z + 0.1]);
    }
    case 'high': {
      shell.patch(b, 'tail', 7, 'upper', [0, 1], [0, 1]);
      const low = plan.deckHeight - 0.3;
      for (const sign of [1, -1]) {
        const y = [sign * 0.8 * half, sign * 0.98 * half].sort((a, c) => a - c);
        const top = Math.min(plan.height - 0.3, plan.belt + 0.42);
        plate(b, 'tail', back + 0.02, [y[0] ?? 0, y[1] ?? 0], [low, top], false);
      }
      return mirrored([back, 0.88 * half, plan.deckHeight]);
    }
  }
};

const face = (b: MeshBuilder, plan: CarPlan, shell: Shell): readonly Vec3[] => {
  const front = plan.length / 2;
  const half = plan.width / 2;
  const { sill, bonnet } = plan;
  // Twice each light: on the front, and around the corner.
  shell.patch(b, 'head', 0, 'upper', [0.05, 1], [0.25, 0.95]);
  shell.patch(b, 'head', 1, 'upper', [0, 0.55], [0.45, 0.95]);
  plate(b, 'black', front + 0.01, [-0.42 * half, 0.42 * half], [bonnet - 0.36, bonnet - 0.22], true);
  plate(b, 'black', front + 0.01, [-0.66 * half, 0.66 * half], [sill + 0.1, sill + 0.24], true);
  plate(b, 'plate', front + 0.02, [-0.26, 0.26], [sill + 0.26, sill + 0.37], true, { open: 0.9 });
  plate(b, 'chrome', front + 0.02, [-0.06, 0.06], [bonnet - 0.33, bonnet - 0.24], true, { detail: true });
  return mirrored([front, 0.7 * half, bonnet - 0.22]);
};

const bed = (b: MeshBuilder, plan: CarPlan): void => {
  const back = -plan.length / 2;
  const y = 0.84 * (plan.width / 2);
  const floor = plan.sill + 0.4;
  const front = back + plan.deck;
  const z: [number, number] = [floor, plan.deckHeight];
  const middle = (front + back) / 2;
  b.face('black', [[back, -y, floor], [front, -y, floor], [front, y, floor], [back, y, floor]], [middle, 0, 0], { open: 0.5 }); // prettier-ignore
  for (const sign of [1, -1]) b.face('black', [[back, sign * y, z[0]], [front, sign * y, z[0]], [front, sign * y, z[1]], [back, sign * y, z[1]]], [middle, sign * 2 * y, floor], { open: 0.45 }); // prettier-ignore
  plate(b, 'black', back + 0.1, [-y, y], z, true, { open: 0.45 });
  // The tailgate and the rear wall of the cab, from the shoulders down.
  box(b, 'paint', { x: [back + 0.03, back + 0.1], y: [-y, y], z: [floor, plan.deckHeight + 0.01] }, { front: 'none' }); // prettier-ignore
  plate(b, 'paint', front + 0.01, [-y, y], [floor, plan.belt], false, { open: 0.6 });
};

/** Builds a car; returns its lamps. */
export const buildCar = (b: MeshBuilder, plan: CarPlan): Lamps => {
  const half = plan.width / 2;
  const front = plan.length / 2;
  const back = -front;
  const shell = new Shell(stations(plan));
  const low: Material = plan.cladding ? 'black' : 'paint';
  shell.build(b, { sill: 'black', lower: low, upper: 'paint', shoulder: 'paint', top: 'paint' }, (i) =>
    plan.openBed ? i < 4 : i < 4 || i > 4,
  );
  shell.cap(b, 'paint', 'front');
  shell.cap(b, 'paint', 'back');
  const cabin: Cabin = {
    screenBase: front - plan.nose,
    roofFront: front - plan.nose - plan.screen,
    roofBack: back + plan.roofBack,
    rearBase: back + plan.deck,
    belt: plan.belt,
    rearBelt: plan.openBed ? plan.belt : mix(plan.belt, plan.deckHeight, 0.5),
    roof: plan.height,
    half: 0.9 * half,
    roofHalf: 0.9 * half * plan.roofWidth,
    glassTop: plan.glassTop,
    screenTop: plan.screenTop,
    columns: plan.columns,
    ...(plan.rearGlass !== undefined && { rearGlass: plan.rearGlass }),
    roofMaterial: 'paint',
  };
  buildCabin(b, cabin);
  if (plan.openBed) bed(b, plan);
  const heads = face(b, plan, shell);
  const tails = tailLights(b, plan, shell);
  const plateZ = plan.tail === 'wide' ? plan.sill + 0.38 : plan.deckHeight - 0.36;
  plate(b, 'plate', back - 0.015, [-0.26, 0.26], [plateZ, plateZ + 0.11], false, { open: 0.9 });
  plate(b, 'black', back - 0.01, [-0.7 * half, 0.7 * half], [plan.sill + 0.13, plan.sill + 0.24], false);
  if (plan.cladding) {
    plate(b, 'black', front + 0.008, [-0.74 * half, 0.74 * half], [plan.sill + 0.1, plan.sill + 0.25], true);
    plate(b, 'black', back - 0.008, [-0.78 * half, 0.78 * half], [plan.sill + 0.14, plan.sill + 0.34], false);
  }
  for (const x of [front - plan.frontAxle, back + plan.rearAxle]) {
    wheels(b, { x, y: half + 0.004, radius: plan.wheel, width: 0.22, sill: plan.sill });
  }
  for (const share of [0.03, 0.46, 0.86]) {
    const along: [number, number] = [share, share + 0.006];
    shell.patch(b, 'black', 4, 'lower', along, [0, 1], { detail: true });
    shell.patch(b, 'black', 4, 'upper', along, [0, 1], { detail: true });
  }
  for (const x of [0.4, 0.8]) shell.patch(b, 'chrome', 4, 'upper', [x, x + 0.035], [0.6, 0.68], { detail: true }); // prettier-ignore
  const mirror = { x: [front - plan.nose - 0.32, front - plan.nose - 0.16], z: [plan.belt, plan.belt + 0.15] } as const; // prettier-ignore
  for (const y of [[0.93 * half, 0.93 * half + 0.2], [-0.93 * half - 0.2, -0.93 * half]] as const) box(b, 'paint', { ...mirror, y }, { back: 'glass' }); // prettier-ignore
  if (plan.rails) {
    const y = 0.9 * half * plan.roofWidth * 0.93;
    const x = [cabin.roofBack + 0.15, cabin.roofFront - 0.15] as const;
    for (const rail of [[y - 0.03, y + 0.03], [-y - 0.03, -y + 0.03]] as const) box(b, 'black', { x, y: rail, z: [plan.height - 0.05, plan.height + 0.03] }); // prettier-ignore
  }
  if (plan.spoiler) {
    const y = 0.9 * half * plan.roofWidth * 0.9;
    box(b, 'paint', { x: [cabin.roofBack - 0.2, cabin.roofBack + 0.02], y: [-y, y], z: [plan.height - 0.08, plan.height - 0.04] }); // prettier-ignore
  }
  if (plan.rearGlass === undefined) {
    // Double doors: a seam down the middle.
    plate(b, 'black', back - 0.012, [-0.01, 0.01], [plan.sill + 0.3, plan.height - 0.15], false, { detail: true }); // prettier-ignore
    sidePlates(b, 'black', [back + 1.2, back + plan.length * 0.6], half * 0.985, [plan.belt - 0.1, plan.belt - 0.07], { detail: true }); // prettier-ignore
  }
  return { heads, tails };
};

// Vehicles of every type, each a little different.
import type { VehicleType } from '../../config/index.js';
import type { Mesh } from '../mesh.js';
import { MeshBuilder } from '../mesh.js';
import type { Random } from '../../system/index.js';
import { buildBus, busPlan } from './bus.js';
import { buildCar, type CarPlan, type Lamps } from './car.js';
import { buildMotorcycle, motorcyclePlan } from './motorcycle.js';
import { palette } from './paints.js';
import { hatchback, minibus, pickup, sedan, suv, van, wagon } from './plans.js';
import { buildTruck, truckPlan } from './truck.js';

export interface Body extends Lamps {
  readonly type: VehicleType;
  /** Metres. */
  readonly length: number;
  readonly width: number;
  readonly height: number;
  /** Of the lower part, for its shadow: where it ends at the top, and where the part above begins and ends. */
  readonly waist: number;
  readonly upper: readonly [back: number, front: number];
  readonly mesh: Mesh;
  /** Three numbers a material. */
  readonly palette: Float64Array;
}

type Shape = Pick<Body, 'length' | 'width' | 'height' | 'waist' | 'upper' | 'heads' | 'tails'>;

const car = (b: MeshBuilder, plan: CarPlan): Shape => ({
  length: plan.length,
  width: plan.width,
  height: plan.height,
  waist: plan.belt,
  upper: [plan.roofBack - plan.length / 2, plan.length / 2 - plan.nose - plan.screen],
  ...buildCar(b, plan),
});

const build = (b: MeshBuilder, type: VehicleType, r: Random): Shape => {
  switch (type) {
    case 'sedan':
      return car(b, sedan(r));
    case 'hatchback':
      return car(b, hatchback(r));
    case 'wagon':
      return car(b, wagon(r));
    case 'suv':
      return car(b, suv(r));
    case 'pickup':
      return car(b, pickup(r));
    case 'van':
      return car(b, van(r));
    case 'minibus':
      return car(b, minibus(r));
    case 'bus': {
      const plan = busPlan(r);
      const { length } = plan;
      return { ...plan, waist: 1, upper: [-length / 2, length / 2], ...buildBus(b, plan) };
    }
    case 'truck': {
      const plan = truckPlan(r);
      const { length } = plan;
      return { ...plan, waist: 1.1, upper: [-length / 2, length / 2], ...buildTruck(b, plan) };
    }
    case 'motorcycle': {
      const plan = motorcyclePlan(r);
      return { ...plan, width: 0.5, waist: 0.8, upper: [-0.5, 0.3], ...buildMotorcycle(b, plan) };
    }
  }
};

/** Draws proportions and colours, and builds the body. */
export const makeBody = (type: VehicleType, random: Random): Body => {
  const builder = new MeshBuilder();
  const shape = build(builder, type, random);
  return { type, ...shape, mesh: builder.build(), palette: palette(random, type) };
};

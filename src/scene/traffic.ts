// Vehicles on the lanes: they come, follow each other, stop at a red light, and go.
import { VEHICLE_TYPES, type VehicleType } from '../config/index.js';
import { type Body, makeBody } from './bodies/index.js';
import type { Conditions } from './drift.js';
import type { Pose } from './draw.js';
import { Random } from '../system/index.js';
import { type Lane, middleAt, type Site } from './site.js';

export interface Vehicle {
  /** From 1, in the order in which they come. */
  readonly id: number;
  readonly body: Body;
  readonly lane: Lane;
  /** Metres from where its lane begins to its middle; metres a second. */
  along: number;
  speed: number;
  isBraking: boolean;
  readonly wanted: number;
  readonly acceleration: number;
  /** Metres to the right of the lane's middle. */
  readonly aside: number;
}

/** Lanes are simulated between these places along the road. */
const FIRST = -30;
const LAST = 165;
const LENGTH = LAST - FIRST;
const TIME_GAP = 1.25;
const STANDSTILL_GAP = 2.2;
const COMFORTABLE = 2.4;
const HARDEST = 7;
const CYCLE_SECONDS = 38;
const RED_SECONDS = 16;
const LONGEST_STEP = 0.1;
const WARM_UP_SECONDS = 75;
const STREAM = 505;

const isHeavy = (type: VehicleType): boolean => type === 'truck' || type === 'bus';

export class Traffic {
  readonly #site: Site;
  readonly #conditions: (seconds: number) => Conditions;
  readonly #random: Random;
  readonly #lanes: { readonly lane: Lane; readonly queue: Vehicle[]; nextAt: number }[];
  readonly #cycle: number;
  #seconds: number;
  #lastId: number;

  /**
   * @param seconds when the traffic begins; it has run for a while by then
   * @param lastId vehicles are numbered after this
   */
  constructor(
    site: Site,
    seed: number,
    conditions: (seconds: number) => Conditions,
    seconds: number,
    lastId: number,
  ) {
    this.#site = site;
    this.#conditions = conditions;
    this.#random = new Random(seed, STREAM + lastId);
    this.#lastId = lastId;
    this.#lanes = site.lanes.map((lane) => ({ lane, queue: [], nextAt: 0 }));
    this.#cycle = this.#random.between(0, CYCLE_SECONDS);
    this.#seconds = seconds - WARM_UP_SECONDS;
    for (const place of this.#lanes) place.nextAt = this.#seconds + this.#headway();
    this.advance(WARM_UP_SECONDS);
  }

  get seconds(): number {
    return this.#seconds;
  }

  /** Everyone on the road. */
  get vehicles(): readonly Vehicle[] {
    return this.#lanes.flatMap(({ queue }) => queue);
  }

  /** Lets time go on. */
  advance(seconds: number): void {
    const steps = Math.max(1, Math.ceil(seconds / LONGEST_STEP));
    for (let i = 0; i < steps; i += 1) this.#step(seconds / steps);
  }

  #headway(): number {
    const mean = 60 / this.#conditions(Math.max(0, this.#seconds)).vehiclesPerMinute;
    // Clumps and gaps: short headways are more frequent than long ones.
    return mean * (0.2 + 2.4 * this.#random.next() * this.#random.next() + 0.4 * this.#random.next());
  }

  #step(dt: number): void {
    this.#seconds += dt;
    for (const place of this.#lanes) {
      const { lane, queue } = place;
      const stop = this.#stopLine(lane);
      queue.forEach((vehicle, index) => this.#drive(vehicle, queue[index - 1], stop, dt));
      while (queue[0] !== undefined && queue[0].along - queue[0].body.length / 2 > LENGTH) queue.shift();
      if (this.#seconds >= place.nextAt) this.#arrive(place);
    }
  }

  /** Where vehicles of a lane stop now, counted from its beginning. */
  #stopLine({ direction }: Lane): number | undefined {
    const { stops } = this.#site;
    if (stops === undefined) return undefined;
    const since = this.#seconds + this.#cycle;
    const phase = since - CYCLE_SECONDS * Math.floor(since / CYCLE_SECONDS);
    if (phase > RED_SECONDS) return undefined;
    return direction > 0 ? stops.away - FIRST : LAST - stops.towards;
  }

  /** The intelligent driver model (Treiber): what one wants, and what the one in front allows. */
  #drive(vehicle: Vehicle, leader: Vehicle | undefined, stop: number | undefined, dt: number): void {
    const { speed, wanted, acceleration } = vehicle;
    const nose = vehicle.along + vehicle.body.length / 2;
    let gap = Number.POSITIVE_INFINITY;
    let closing = 0;
    if (leader !== undefined) {
      gap = leader.along - leader.body.length / 2 - nose;
      closing = speed - leader.speed;
    }
    if (stop !== undefined && stop > nose - 0.5) {
      const room = stop - nose;
      const canStop = speed * speed < 2 * HARDEST * 0.6 * Math.max(room, 0.1);
      if (canStop && room < gap) {
        gap = room + STANDSTILL_GAP;
        closing = speed;
      }
    }
    const ratio = speed / wanted;
    let pull = acceleration * (1 - ratio * ratio * ratio * ratio);
    if (gap < 1e6) {
      const dynamic = (speed * closing) / (2 * Math.sqrt(acceleration * COMFORTABLE));
      const wish = STANDSTILL_GAP + Math.max(0, speed * TIME_GAP + dynamic);
      const tight = wish / Math.max(gap, 0.1);
      pull -= acceleration * tight * tight;
    }
    if (pull < -HARDEST) pull = -HARDEST;
    vehicle.isBraking = pull < -0.7 || (speed < 0.2 && gap < 6);
    const next = Math.max(0, speed + pull * dt);
    vehicle.along += ((speed + next) / 2) * dt;
    vehicle.speed = next;
  }

  #arrive(place: { readonly lane: Lane; readonly queue: Vehicle[]; nextAt: number }): void {
    const last = place.queue.at(-1);
    const room = last === undefined ? LENGTH : last.along - last.body.length / 2;
    if (room < 9 + 0.6 * (last?.speed ?? 0)) return;
    const r = this.#random;
    const { shares } = this.#conditions(Math.max(0, this.#seconds));
    const type = VEHICLE_TYPES[r.weighted(shares)] ?? 'sedan';
    const body = makeBody(type, r);
    const wanted = this.#site.speed * r.between(0.85, 1.18) * (isHeavy(type) ? 0.88 : 1);
    place.queue.push({
      id: (this.#lastId += 1),
      body,
      lane: place.lane,
      along: -body.length / 2,
      speed: Math.min(wanted, last === undefined ? wanted : last.speed + 2),
      isBraking: false,
      wanted,
      acceleration: isHeavy(type) ? 0.9 : type === 'motorcycle' ? 2.4 : 1.6,
      aside: type === 'motorcycle' ? r.between(-0.7, 0.7) : r.between(-0.28, 0.28),
    });
    place.nextAt = this.#seconds + this.#headway();
  }
}

/** Where a vehicle stands in the world, some seconds from now. */
export const poseOf = (site: Site, vehicle: Vehicle, later = 0): Pose => {
  const { lane, aside } = vehicle;
  const along = vehicle.along + vehicle.speed * later;
  const y = lane.direction > 0 ? FIRST + along : LAST - along;
  const turn = site.bend * y;
  const length = Math.sqrt(1 + turn * turn);
  return {
    x: middleAt(site, y) + lane.offset + lane.direction * aside,
    y,
    hx: (lane.direction * turn) / length,
    hy: lane.direction / length,
  };
};

// A Kalman filter for one box: centre and size, each moving at constant velocity.
import type { Box } from '../vision/index.js';
import { scaleOf } from './geometry.js';

/**
 * Noise, in units of the box's scale (the side of the square of its area) and seconds, so that one set of figures fits near
 * and far vehicles. Traffic that comes towards the camera accelerates in the picture; sizes change more slowly.
 */
export const NOISE = {
  /** Standard deviation of a detected coordinate. */
  measured: 0.05,
  /** Standard deviation of a new track's velocity: nothing is known about it. */
  initialVelocity: 6,
  initialGrowth: 1,
  /** Spectral density (square root) of the white-noise acceleration. */
  acceleration: 2,
  growth: 0.5,
} as const;

/** 99 % quantile of chi-square with 4 degrees of freedom: {@link BoxFilter.distance} beyond it is not the same vehicle. */
export const DISTANCE_GATE = 13.277;

/** A predicted side never leaves this range around the side last measured. */
const SHRINK = 0.5;
const GROW = 2;

/** One coordinate and its velocity with their covariance. */
class Axis {
  position: number;
  velocity = 0;
  #pp: number;
  #pv = 0;
  #vv: number;

  constructor(position: number, positionSd: number, velocitySd: number) {
    this.position = position;
    this.#pp = positionSd * positionSd;
    this.#vv = velocitySd * velocitySd;
  }

  predict(dt: number, density: number): void {
    this.position += this.velocity * dt;
    this.#pp += dt * (2 * this.#pv + dt * this.#vv) + (density * dt * dt * dt) / 3;
    this.#pv += dt * this.#vv + (density * dt * dt) / 2;
    this.#vv += density * dt;
  }

  update(measured: number, sd: number): void {
    const total = this.#pp + sd * sd;
    const gain = this.#pp / total;
    const gainV = this.#pv / total;
    // What is left of a variance that was far larger is computed, not subtracted: nothing cancels.
    const rest = (sd * sd) / total;
    const residual = measured - this.position;
    this.position += gain * residual;
    this.velocity += gainV * residual;
    this.#vv -= gainV * this.#pv;
    this.#pv *= rest;
    this.#pp *= rest;
  }

  /** Squared distance of a measurement in standard deviations. */
  distance(measured: number, sd: number): number {
    const residual = measured - this.position;
    return (residual * residual) / (this.#pp + sd * sd);
  }

  get covariance(): readonly [number, number, number] {
    return [this.#pp, this.#pv, this.#vv];
  }
}

/**
 * State (cx, cy, w, h) and velocities, pixels and pixels a second. All noise is independent between the four coordinates, so the
 * 8 x 8 filter falls apart into four filters of two states, which is what is computed. Process noise is continuous
 * white-noise acceleration, integrated over the interval: predicting 0.1 s and then 0.2 s equals predicting 0.3 s, so skipped
 * frames and irregular cameras do not disturb it (Bar-Shalom, Li, Kirubarajan 2001, 6.2.2).
 */
export class BoxFilter {
  readonly #cx: Axis;
  readonly #cy: Axis;
  readonly #w: Axis;
  readonly #h: Axis;
  /** Scale, width and height last measured; they hold until the next measurement. */
  #scale: number;
  #width: number;
  #height: number;

  /** Starts at a measured box, at rest. */
  constructor(box: Box) {
    this.#width = box.x2 - box.x1;
    this.#height = box.y2 - box.y1;
    const scale = (this.#scale = scaleOf(box));
    const sd = NOISE.measured * scale;
    this.#cx = new Axis((box.x1 + box.x2) / 2, sd, NOISE.initialVelocity * scale);
    this.#cy = new Axis((box.y1 + box.y2) / 2, sd, NOISE.initialVelocity * scale);
    this.#w = new Axis(this.#width, sd, NOISE.initialGrowth * scale);
    this.#h = new Axis(this.#height, sd, NOISE.initialGrowth * scale);
  }

  /** Moves the state on by `seconds` (>= 0). */
  predict(seconds: number): void {
    const moving = (NOISE.acceleration * this.#scale) ** 2;
    const growing = (NOISE.growth * this.#scale) ** 2;
    this.#cx.predict(seconds, moving);
    this.#cy.predict(seconds, moving);
    this.#w.predict(seconds, growing);
    this.#h.predict(seconds, growing);
  }

  /**
   * Takes in a measured box.
   * @param doubt multiplies the measurement's standard deviation: more than 1 for a box that is trusted less
   */
  update(box: Box, doubt = 1): void {
    this.#width = box.x2 - box.x1;
    this.#height = box.y2 - box.y1;
    this.#scale = scaleOf(box);
    const sd = NOISE.measured * this.#scale * doubt;
    this.#cx.update((box.x1 + box.x2) / 2, sd);
    this.#cy.update((box.y1 + box.y2) / 2, sd);
    this.#w.update(this.#width, sd);
    this.#h.update(this.#height, sd);
  }

  /** Squared Mahalanobis distance of a box, 4 degrees of freedom. */
  distance(box: Box): number {
    const sd = NOISE.measured * this.#scale;
    return (
      this.#cx.distance((box.x1 + box.x2) / 2, sd) +
      this.#cy.distance((box.y1 + box.y2) / 2, sd) +
      this.#w.distance(box.x2 - box.x1, sd) +
      this.#h.distance(box.y2 - box.y1, sd)
    );
  }

  /** The box of the state; its sides stay within half and twice those last measured. */
  get box(): Box {
    const x = this.#cx.position;
    const y = this.#cy.position;
    const w = Math.min(Math.max(this.#w.position, SHRINK * this.#width), GROW * this.#width) / 2;
    const h = Math.min(Math.max(this.#h.position, SHRINK * this.#height), GROW * this.#height) / 2;
    return { x1: x - w, y1: y - h, x2: x + w, y2: y + h };
  }

  /** Mean (position, velocity) and covariance (pp, pv, vv) of cx, cy, w, h: for tests and diagnostics. */
  get state(): readonly { mean: readonly [number, number]; covariance: readonly [number, number, number] }[] {
    return [this.#cx, this.#cy, this.#w, this.#h].map((axis) => ({
      mean: [axis.position, axis.velocity],
      covariance: axis.covariance,
    }));
  }
}

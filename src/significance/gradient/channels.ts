// Where the weights of output channels lie.
import type { Component } from '../../quantization/index.js';

/** Elements of a weight behind the axis of its channels: those of one channel lie together in runs of so many. */
export const runOf = ({ weightDims, axis }: Component): number =>
  weightDims.slice(axis + 1).reduce((product, dim) => product * dim, 1);

/** Sums of a value of each weight, by output channel. */
export const sumByChannel = (
  component: Component,
  count: number,
  valueOf: (index: number) => number,
): number[] => {
  const run = runOf(component);
  const sums = new Array<number>(component.outputChannels).fill(0);
  for (let i = 0; i < count; i++) {
    const channel = Math.floor(i / run) % component.outputChannels;
    sums[channel] = (sums[channel] ?? 0) + valueOf(i);
  }
  return sums;
};

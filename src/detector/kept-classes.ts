// Which classes of a model are kept: those asked for, else its vehicles, else all.
import { foldName } from '../evaluation/index.js';

const VEHICLES: ReadonlySet<string> = new Set(
  (
    'car automobile sedan hatchback wagon estate suv jeep taxi cab van minivan minibus bus coach tram streetcar trolleybus train ' +
    'ambulance firetruck policecar truck lorry pickup pickuptruck heavytruck lighttruck trailer tractor vehicle motorcycle ' +
    'motorbike moped scooter bicycle bike cyclist tricycle rickshaw autorickshaw'
  ).split(' '),
);

export interface KeptClasses {
  /** Names as the model spells them. */
  readonly classes: readonly string[];
  /** Asked for, but no class of this model. */
  readonly unknown: readonly string[];
}

/** Picks from the model's class names; spelling differences in case, spaces, `_` and `-` do not matter. */
export const keptClasses = (wanted: readonly string[] | undefined, names: readonly string[]): KeptClasses => {
  if (wanted !== undefined) {
    const folded = new Set(wanted.map(foldName));
    const known = new Set(names.map(foldName));
    return {
      classes: names.filter((name) => folded.has(foldName(name))),
      unknown: wanted.filter((name) => !known.has(foldName(name))),
    };
  }
  const isVehicle = (name: string): boolean =>
    VEHICLES.has(foldName(name)) || VEHICLES.has(foldName(name).replace(/s$/, ''));
  const vehicles = names.filter(isVehicle);
  return { classes: vehicles.length === 0 ? names : vehicles, unknown: [] };
};

// What `findRegions` finds under any allocation at once: for each node, when it runs in integers; for each value, its borders.
import type { Model, Node, Value } from '../onnx/index.js';
import { boundsOf, componentNodes } from './components.js';
import { type Condition, Conditions } from './condition.js';
import { canGoBefore, canJoin, clamped, dataInputs, isMover } from './regions.js';

/** A value that may change its form. */
export interface BorderConditions {
  readonly value: Value;
  /** It is quantized where `taken` holds and `made` does not. */
  readonly taken: Condition;
  /** That codes are made of it. It is dequantized where that holds and `kept` does not. */
  readonly made: Condition;
  /** That everybody takes the codes. */
  readonly kept: Condition;
}

export interface RegionConditions {
  /** When a node runs in integers, or disappears in one that does. */
  readonly int8: ReadonlyMap<Node, Condition>;
  readonly borders: readonly BorderConditions[];
}

const FALSE = Conditions.false;

/** @param model shapes inferred */
export const regionConditions = (model: Model): RegionConditions => {
  const conditions = new Conditions();
  const components = componentNodes(model);
  const nodes = [...model.graph.nodes()];
  const of = (map: ReadonlyMap<Node, Condition>, node: Node | undefined): Condition =>
    (node === undefined ? undefined : map.get(node)) ?? FALSE;
  const own = (node: Node): Condition | undefined => {
    const component = components.get(node);
    return component === undefined ? undefined : conditions.component(component.name);
  };
  const isClamp = (node: Node): boolean => {
    const maker = node.input(0)?.producer;
    return maker !== undefined && clamped(maker) === node;
  };
  const joins = (node: Node): boolean => canJoin(node) || isClamp(node);
  const takers = (value: Value): Node[] => value.users.filter((user) => dataInputs(user).includes(value));

  const after = new Map<Node, Condition>();
  for (const node of nodes) {
    const found =
      own(node) ??
      (joins(node) ? conditions.or(dataInputs(node).map(({ producer }) => of(after, producer))) : FALSE);
    after.set(node, found);
  }
  const before = new Map<Node, Condition>();
  for (const node of nodes.toReversed()) {
    const users = node.outputs.flatMap((value) => (value === undefined ? [] : takers(value)));
    const found = own(node) ?? (joins(node) ? conditions.or(users.map((user) => of(before, user))) : FALSE);
    before.set(node, found);
  }
  const joined = new Map<Node, Condition>();
  for (const node of nodes.toReversed()) {
    const between = own(node) ?? conditions.and([of(after, node), of(before, node)]);
    const wanted =
      !components.has(node) && canGoBefore(node)
        ? conditions.and(
            node.outputs.map((value) =>
              value === undefined || value.isOutput || value.users.length === 0
                ? FALSE
                : conditions.and(
                    value.users.map((user) => (dataInputs(user).includes(value) ? of(joined, user) : FALSE)),
                  ),
            ),
          )
        : FALSE;
    joined.set(node, conditions.or([between, wanted]));
  }
  const clamps = new Map<Node, Condition>();
  for (const node of nodes) {
    const clamp = isMover(node) || boundsOf(node) !== undefined ? undefined : clamped(node);
    if (clamp !== undefined) clamps.set(clamp, of(joined, node));
  }
  const int8 = new Map<Node, Condition>();
  for (const node of nodes) {
    int8.set(node, boundsOf(node) === undefined ? of(joined, node) : of(clamps, node));
  }
  const values = new Set(
    nodes.flatMap((node) => [...dataInputs(node), ...node.outputs.flatMap((v) => v ?? [])]),
  );
  const borders = [...values].flatMap((value): BorderConditions[] => {
    const maker = value.producer;
    // What disappears in the codes behind a clamp never is codes itself.
    const isHidden = maker !== undefined && !isMover(maker) && clamped(maker) !== undefined;
    const made = isHidden ? FALSE : of(int8, maker);
    const taken = conditions.or(
      takers(value).map((user) => (boundsOf(user) === undefined ? of(int8, user) : FALSE)),
    );
    const kept = value.isOutput ? FALSE : conditions.and(value.users.map((user) => of(int8, user)));
    return made === FALSE && taken === FALSE ? [] : [{ value, taken: isHidden ? FALSE : taken, made, kept }];
  });
  return { int8, borders };
};

// Conditions on which components run in int8: and, or, and the components themselves, each said once.

/** True or false under an allocation. Equal conditions are one object within their {@link Conditions}. */
export type Condition =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'component'; readonly name: string }
  | { readonly kind: 'and' | 'or'; readonly of: readonly Condition[] };

const TRUE: Condition = { kind: 'constant', value: true };
const FALSE: Condition = { kind: 'constant', value: false };

/** Makes conditions, in their shortest form. */
export class Conditions {
  readonly #known = new Map<string, Condition>();
  readonly #keys = new Map<Condition, string>([
    [TRUE, 'T'],
    [FALSE, 'F'],
  ]);

  static readonly true = TRUE;
  static readonly false = FALSE;

  #once(key: string, make: () => Condition): Condition {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#known.set(key, made);
    this.#keys.set(made, `#${this.#known.size}`);
    return made;
  }

  /** That a component runs in int8. */
  component(name: string): Condition {
    return this.#once(`component ${name}`, () => ({ kind: 'component', name }));
  }

  and(of: Iterable<Condition>): Condition {
    return this.#join('and', of, TRUE, FALSE);
  }

  or(of: Iterable<Condition>): Condition {
    return this.#join('or', of, FALSE, TRUE);
  }

  /** @param neutral changes nothing; `deciding` decides alone */
  #join(kind: 'and' | 'or', of: Iterable<Condition>, neutral: Condition, deciding: Condition): Condition {
    const parts = new Set<Condition>();
    for (const each of of) for (const part of each.kind === kind ? each.of : [each]) parts.add(part);
    parts.delete(neutral);
    if (parts.has(deciding)) return deciding;
    const [first] = parts;
    if (first === undefined) return neutral;
    if (parts.size === 1) return first;
    const keys = [...parts].map((part) => this.#keys.get(part) ?? '').sort();
    return this.#once(`${kind} ${keys.join(' ')}`, () => ({ kind, of: [...parts] }));
  }
}

/** Whether a condition holds, by which components run in int8. */
export const holds = (condition: Condition, runsInt8: (component: string) => boolean): boolean => {
  switch (condition.kind) {
    case 'constant':
      return condition.value;
    case 'component':
      return runsInt8(condition.name);
    case 'and':
      return condition.of.every((part) => holds(part, runsInt8));
    case 'or':
      return condition.of.some((part) => holds(part, runsInt8));
  }
};
